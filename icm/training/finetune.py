"""Supervised fine-tuning on completions: of a policy that never learned to complete, or on what labels prefer.

Knows no reward and not where the completions come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset
from rich.console import Console
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from icm.errors import TrainingError
from icm.files.records import Record
from icm.training.completions import Policy, context_length
from icm.training.loop import LoopSettings, library_arguments, run_policy_training


class SftSettings(LoopSettings):
    """How a policy is fine-tuned on completions."""

    kind: Literal["sft"] = "sft"


class Demonstration(Record):
    """A prompt with a completion to learn, with the space before it."""

    prompt: str
    completion: str


def require_ending(policy: Policy) -> str:
    """Return what closes a completion in training.

    Raises:
        TrainingError: Nobody said.
    """
    if policy.ending is None:
        examples = ", ".join(repr(policy.tokenizer.decode([token])) for token in policy.stop_ids[:4])
        raise TrainingError(
            f"the model has no end-of-sequence token, so completions must be closed by another one in training; set "
            f"completion.ending to a token that contains completion.stop={policy.settings.stop!r}, such as {examples}"
        )
    return policy.ending


def fit_demonstrations(
    policy: Policy, demonstrations: Sequence[Demonstration]
) -> tuple[list[Demonstration], list[Demonstration]]:
    """Return the demonstrations that the model can read with their ending, and the others; repetitions are dropped."""
    ending, limit = require_ending(policy), context_length(policy.model)
    kept: list[Demonstration] = []
    too_long: list[Demonstration] = []
    for demonstration in dict.fromkeys(demonstrations):
        tokens = policy.tokenizer(demonstration.prompt + demonstration.completion + ending, verbose=False)["input_ids"]
        (kept if len(tokens) <= limit else too_long).append(demonstration)
    return kept, too_long


def fine_tune(
    policy: Policy,
    demonstrations: Sequence[Demonstration],
    settings: SftSettings,
    out_dir: Path,
    seed: int,
    console: Console,
) -> None:
    """Fine-tune a policy on completions, which alone carry the loss, and write it to `out_dir/model`.

    Args:
        policy: Where it starts; its model is changed.
        demonstrations: What it learns; all must fit its context.
        settings: How.
        out_dir: Where checkpoints, curve and model go.
        seed: Draws the order.
        console: Where the progress is shown.

    Raises:
        TrainingError: Nothing closes a completion.
    """
    ending = require_ending(policy)
    rows = [{"prompt": row.prompt, "completion": row.completion + ending} for row in demonstrations]
    arguments = library_arguments(settings, out_dir, seed) | {"max_length": context_length(policy.model)}
    train_on_completions(policy, rows, arguments, out_dir, console, settings.kind)


def train_on_completions(
    policy: Policy,
    rows: list[dict[str, Any]],
    arguments: Mapping[str, Any],
    out_dir: Path,
    console: Console,
    what: str,
) -> None:
    """Train a policy on rows of which the completion alone carries the loss, and write it to `out_dir/model`.

    Args:
        policy: Where it starts; its model is changed.
        rows: What it learns, in a form that the library reads: texts, or tokens with a mask.
        arguments: What the library is told beside that.
        out_dir: Where checkpoints, curve and model go.
        console: Where the progress is shown.
        what: What the progress is called.
    """

    def trainer() -> SFTTrainer:
        return SFTTrainer(
            model=policy.model,
            args=SFTConfig(**arguments, completion_only_loss=True),
            train_dataset=Dataset.from_list(rows),
            processing_class=policy.tokenizer,
        )

    run_policy_training(policy, trainer, out_dir, console, what, _measures)


def _measures(logs: Mapping[str, Any]) -> dict[str, float]:
    return {"loss": float(logs["loss"]), "token_accuracy": logs["mean_token_accuracy"], "entropy": logs["entropy"]}
