"""Direct preference optimisation: a policy from preference pairs without a reward model. Knows no label."""

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
from icm.training.finetune import fit_demonstrations, require_ending
from icm.training.loop import LoopSettings, library_arguments, run_policy_training
from icm.training.pairs import PreferencePair


class DpoSettings(LoopSettings):
    """How a policy is trained on pairs; each key is explained in conf/method/dpo.yaml.

    Source: Rafailov et al. 2023, "Direct Preference Optimization".
    """

    kind: Literal["dpo"] = "dpo"
    kl_weight: float = Field(default=0.1, gt=0)
    min_probability: float = Field(default=0.5, ge=0.5, lt=1)


def fit_pairs(policy: Policy, pairs: Sequence[PreferencePair]) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """Return the pairs that the model can read, and those of which a response is too long."""
    # All in one call, since it reads each text once however many pairs share it.
    responses = [(pair.prompt, response) for pair in pairs for response in (pair.chosen, pair.rejected)]
    long_ones = set(fit_demonstrations(policy, responses)[1])
    kept: list[PreferencePair] = []
    too_long: list[PreferencePair] = []
    for pair in pairs:
        is_long = (pair.prompt, pair.chosen) in long_ones or (pair.prompt, pair.rejected) in long_ones
        (too_long if is_long else kept).append(pair)
    return kept, too_long


def optimise_preferences(
    policy: Policy, pairs: Sequence[PreferencePair], settings: DpoSettings, out_dir: Path, seed: int, console: Console
) -> None:
    """Train a policy, whose model is changed, on pairs that fit its context, and write it to `out_dir/model`.

    Raises:
        TrainingError: Nothing closes a completion.
    """
    ending = require_ending(policy)
    # Both responses are closed, or the ending alone would tell the chosen from the rejected.
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
    # The library calls log-ratios to the initial policy rewards: of the method, not of a reward model.
    accuracy, margin = logs["rewards/accuracies"], logs["rewards/margins"]
    return {"loss": float(logs["loss"]), "accuracy": accuracy, "margin": margin}
