"""What all trainings of a policy share: library settings, checkpoints that survive a kill, the curve, the display.

Knows no loss and no reward. A checkpoint counts only once it carries a mark that is written after all its files, and
the model directory is written aside and renamed last: a process may be killed anywhere.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import datasets
import torch
from accelerate import PartialState
from huggingface_hub import constants as hub_constants
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from transformers import PrinterCallback, Trainer, TrainerControl, TrainerState, TrainingArguments

from icm.errors import TrainingError
from icm.training.completions import Policy
from icm.training.progress import TrainingProgress
from icm.training.reward.model import quiet_library

CHECKPOINTS: Final = "checkpoints"
CURVE: Final = "training.jsonl"
MODEL: Final = "model"
MARK: Final = "complete"

Measure = Callable[[Mapping[str, Any]], dict[str, float]]
"""What the library logs in a step, to the measures of the curve."""


class LoopSettings(BaseModel):
    """How long and how fast a policy is trained.

    Attributes:
        steps: Optimiser steps.
        batch_size: Sequences that are computed at a time.
        gradient_accumulation: How many times in a step.
        learning_rate: Of AdamW, after the warm-up.
        schedule: What the learning rate does after the warm-up.
        warmup_steps: Steps until the learning rate is reached.
        checkpoint_every: Steps between checkpoints; it changes no result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    gradient_accumulation: int = Field(default=1, ge=1)
    learning_rate: float = Field(gt=0)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: int = Field(default=0, ge=0)
    checkpoint_every: int = Field(default=25, ge=1)


def library_arguments(loop: LoopSettings, out_dir: Path, seed: int) -> dict[str, Any]:
    """Return the arguments that every TRL configuration gets: nothing is reported or sent anywhere."""
    cuda = torch.cuda.is_available()
    schedule = "constant_with_warmup" if loop.schedule == "constant" else loop.schedule
    return {
        "output_dir": str(out_dir / CHECKPOINTS),
        "use_cpu": not cuda,
        # TRL turns bfloat16 and activation checkpointing on by default; the first fails on a CPU.
        "bf16": cuda and torch.cuda.is_bf16_supported(),
        "activation_checkpointing": False,
        "report_to": "none",
        "disable_tqdm": True,
        "logging_steps": 1,
        "max_steps": loop.steps,
        "per_device_train_batch_size": loop.batch_size,
        "gradient_accumulation_steps": loop.gradient_accumulation,
        "learning_rate": loop.learning_rate,
        "lr_scheduler_type": schedule,
        "warmup_steps": loop.warmup_steps,
        "save_strategy": "steps",
        "save_steps": loop.checkpoint_every,
        "save_total_limit": 2,
        "seed": seed,
    }


def require_one_process() -> None:
    """Check that no launcher started several processes: rollouts and samples are those of one.

    Raises:
        TrainingError: There are several.
    """
    if (count := PartialState().num_processes) > 1:
        raise TrainingError(f"a policy is trained in one process, and this is one of {count}; do without the launcher")


def last_checkpoint(out_dir: Path) -> tuple[Path | None, int]:
    """Return the last whole checkpoint of a training directory and its step, `(None, 0)` if there is none."""
    steps = [int(mark.parent.name.rpartition("-")[2]) for mark in (out_dir / CHECKPOINTS).glob(f"checkpoint-*/{MARK}")]
    return (out_dir / CHECKPOINTS / f"checkpoint-{max(steps)}", max(steps)) if steps else (None, 0)


def keep_rows_until(path: Path, step: int) -> None:
    """Drop the rows of a JSON Lines file that were written after a step, and a last one that was cut off."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(kept), encoding="utf-8")


def append_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Append rows to a JSON Lines file."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def run_training(
    policy: Policy, make_trainer: Callable[[], Trainer], out_dir: Path, console: Console, what: str, measure: Measure
) -> None:
    """Train a policy to the end, from the last checkpoint if there is one, and write it to `out_dir/model`.

    Args:
        policy: What the trainer trains.
        make_trainer: Makes the trainer, with `library_arguments`; called where the libraries are silent.
        out_dir: Where checkpoints, curve and model go.
        console: Where the progress is shown.
        what: What is trained, for the display.
        measure: Picks the measures of a step.
    """
    checkpoint, done = last_checkpoint(out_dir)
    keep_rows_until(out_dir / CURVE, done)
    with _quiet_libraries():
        trainer = make_trainer()
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_Watch(console, what, out_dir / CURVE, measure))
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        _save(policy, out_dir)


def _save(policy: Policy, out_dir: Path) -> None:
    """Write the trained model of a policy with its tokenizer, whole or not at all, and drop the checkpoints.

    The directory is an ordinary one whose generation settings end completions where they ended in training.
    """
    partial, final = out_dir / f"{MODEL}.partial", out_dir / MODEL
    policy.model.eval()
    shutil.rmtree(partial, ignore_errors=True)
    policy.model.config.get_text_config().eos_token_id = policy.plain_tokenizer.eos_token_id
    policy.model.generation_config.eos_token_id = list(policy.stop_ids)
    policy.model.generation_config.pad_token_id = policy.plain_tokenizer.pad_token_id
    policy.model.save_pretrained(partial)
    policy.plain_tokenizer.save_pretrained(partial)
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    remove_checkpoints(out_dir)


def remove_checkpoints(out_dir: Path) -> None:
    """Drop what only an interrupted training needs."""
    shutil.rmtree(out_dir / CHECKPOINTS, ignore_errors=True)


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Silence bars, notices and telemetry of the libraries; what matters of them is checked or shown here."""
    telemetry_off = hub_constants.HF_HUB_DISABLE_TELEMETRY
    datasets.disable_progress_bars()
    hub_constants.HF_HUB_DISABLE_TELEMETRY = True
    try:
        with quiet_library(), warnings.catch_warnings():
            # TRL still uses the name that transformers 6 will drop.
            warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)
            yield
    finally:
        hub_constants.HF_HUB_DISABLE_TELEMETRY = telemetry_off
        datasets.enable_progress_bars()


class _Watch(TrainingProgress):
    """Shows the progress, writes the curve and marks whole checkpoints."""

    def __init__(self, console: Console, what: str, curve: Path, measure: Measure) -> None:
        super().__init__(console, what)
        self._curve, self._measure = curve, measure

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **others: Any,
    ) -> None:
        """Add a row to the curve; the summary at the end is none.

        Raises:
            TrainingError: The loss is NaN or infinite.
        """
        super().on_log(args, state, control, logs, **others)
        if logs is None or "loss" not in logs:
            return
        measures = self._measure(logs)
        append_rows(self._curve, [{"step": state.global_step, **measures}])
        self._status = "".join(f" · {name.replace('_', ' ')} {value:.3g}" for name, value in measures.items())

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any) -> None:
        """Mark the checkpoint whose last file has just been written."""
        (Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / MARK).touch()
