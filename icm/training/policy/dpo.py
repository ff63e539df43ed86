"""Direct preference optimisation: a policy from preference pairs without a reward model. Knows no label's source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset
from pydantic import Field
from rich.console import Console
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from icm.training.completions import Policy, context_length
from icm.training.finetune import Demonstration, fit_demonstrations, require_ending
from icm.training.loop import LoopSettings, library_arguments, run_policy_training
from icm.training.pairs import PreferencePair


class DpoSettings(LoopSettings):
    """How a policy is trained on pairs.

    Attributes:
        kl_weight: β: how strongly the policy is held to where it started.
        min_probability: Pairs whose soft target is below this are left out, and counted: the loss takes hard ones.

    Source: Rafailov et al. 2023, "Direct Preference Optimization".
    """

    kind: Literal["dpo"] = "dpo"
    kl_weight: float = Field(default=0.1, gt=0)
    min_probability: float = Field(default=0.5, ge=0.5, lt=1)


def fit_pairs(policy: Policy, pairs: Sequence[PreferencePair]) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """Return the pairs that the model can read, and those of which a response is too long."""
    responses = [
        Demonstration(prompt=pair.prompt, completion=response)
        for pair in pairs
        for response in (pair.chosen, pair.rejected)
    ]
    too_long = set(fit_demonstrations(policy, responses)[1])
    flags = [row in too_long for row in responses]
    long_pairs = [one or two for one, two in zip(flags[::2], flags[1::2], strict=True)]
    return (
        [pair for pair, is_long in zip(pairs, long_pairs, strict=True) if not is_long],
        [pair for pair, is_long in zip(pairs, long_pairs, strict=True) if is_long],
    )


def optimise_preferences(
    policy: Policy,
    pairs: Sequence[PreferencePair],
    settings: DpoSettings,
    out_dir: Path,
    seed: int,
    console: Console,
) -> None:
    """Train a policy to prefer the chosen responses and write it to `out_dir/model`.

    Args:
        policy: Where it starts; its model is changed.
        pairs: What it learns from; all must fit its context.
        settings: How.
        out_dir: Where checkpoints, curve and model go.
        seed: Draws the order.
        console: Where the progress is shown.

    Raises:
        TrainingError: Nothing closes a completion.
    """
    ending = require_ending(policy)
    rows = [
        {"prompt": pair.prompt, "chosen": pair.chosen + ending, "rejected": pair.rejected + ending} for pair in pairs
    ]
    arguments = library_arguments(settings, out_dir, seed) | {
        "beta": settings.kl_weight,
        "max_length": context_length(policy.model),
    }

    def trainer() -> DPOTrainer:
        return DPOTrainer(
            model=policy.model,
            args=DPOConfig(**arguments),
            train_dataset=Dataset.from_list(rows),
            processing_class=policy.tokenizer,
        )

    run_policy_training(policy, trainer, out_dir, console, settings.kind, _measures)


def _measures(logs: Mapping[str, Any]) -> dict[str, float]:
    return {
        "loss": float(logs["loss"]),
        "accuracy": logs["rewards/accuracies"],
        "margin": logs["rewards/margins"],
    }
