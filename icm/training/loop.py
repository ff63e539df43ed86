"""The one training loop: common settings of the libraries, checkpoints that survive a kill, the curve, the display.

Knows no loss, no reward and no labels. A checkpoint counts only once it carries a mark that is written after all its
files, and the model directory is written beside its place and renamed last: a process may be killed anywhere. Marks
hold the hashes of what they vouch for, so that a damaged file is noticed before anything is built on it.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import torch
from pydantic import Field
from rich.console import Console
from transformers import (
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from icm.errors import SchemaError, TrainingError
from icm.files.curves import append_rows, begins_with, cut_back, extent_of
from icm.files.records import Record, read_json, sha256_of, write_json
from icm.report.progress import ProgressDisplay
from icm.training.completions import Policy
from icm.training.libraries import processes, quiet_libraries, save_model

CHECKPOINTS: Final = "checkpoints"
CURVE: Final = "training.jsonl"
MODEL: Final = "model"
MARK: Final = "complete"
TRAINED: Final = "trained.json"
"""Name of the mark of a training that is done, beside its model and its curves."""

Measure = Callable[[Mapping[str, Any]], dict[str, Any]]
"""What the library logs in a step, to the measures of the curve."""

Over = Callable[[Sequence[Mapping[str, Any]]], bool]
"""All that the library has logged so far, those before a resumption among it, to whether the training ends."""


class LoopSettings(Record):
    """How long and how fast a policy is trained, by AdamW; each key is explained in conf/method."""

    # Defaults in code, here and in the methods: a warm start and the policy of an arm are named in one value on the
    # command line, warm_start={steps: 150, batch_size: 32, learning_rate: 0.002}, which no YAML file completes.
    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    gradient_accumulation: int = Field(default=1, ge=1)
    learning_rate: float = Field(gt=0)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: int = Field(default=0, ge=0)
    checkpoint_every: int = Field(default=25, ge=1)


def common_arguments(out_dir: Path, seed: int, checkpoint_every: int) -> dict[str, Any]:
    """Return the arguments of the libraries that every training has: nothing is reported or sent anywhere."""
    on_gpu = torch.cuda.is_available()
    return {
        "output_dir": str(out_dir / CHECKPOINTS),
        "seed": seed,
        "use_cpu": not on_gpu,
        # TRL turns bfloat16 and activation checkpointing on by default; the first fails on a CPU.
        "bf16": on_gpu and torch.cuda.is_bf16_supported(),
        "activation_checkpointing": False,
        # Without a GPU this only warns.
        "dataloader_pin_memory": on_gpu,
        "logging_steps": 1,
        # A NaN must reach the curve's guard; the library would log the loss before it instead.
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": checkpoint_every,
        # The last may be cut off by a kill; then the one before it is still whole.
        "save_total_limit": 2,
        # The libraries would report to every tracker that happens to be installed.
        "report_to": "none",
        "disable_tqdm": True,
    }


def library_arguments(loop: LoopSettings, out_dir: Path, seed: int) -> dict[str, Any]:
    """Return the arguments of the libraries for the training of a policy."""
    return common_arguments(out_dir, seed, loop.checkpoint_every) | {
        "max_steps": loop.steps,
        "per_device_train_batch_size": loop.batch_size,
        "gradient_accumulation_steps": loop.gradient_accumulation,
        "learning_rate": loop.learning_rate,
        # The library's plain constant ignores the warm-up.
        "lr_scheduler_type": "constant_with_warmup" if loop.schedule == "constant" else loop.schedule,
        "warmup_steps": loop.warmup_steps,
    }


def require_one_process() -> None:
    """Check that no launcher started several processes: rollouts and samples are those of one.

    Raises:
        TrainingError: There are several.
    """
    if (count := processes().num_processes) > 1:
        raise TrainingError(f"a policy is trained in one process, and this is one of {count}; do without the launcher")


def last_checkpoint(out_dir: Path, curves: Sequence[str], console: Console) -> tuple[Path | None, Mapping[str, int]]:
    """Return the last sound checkpoint of a training directory, and how long each curve was at it, in bytes.

    A checkpoint is sound if its files and the curves up to it are what they were. Without one the training starts over:
    `None`, and curves of no length. Damaged checkpoints are named on the console.
    """
    # Compared as numbers: by name, checkpoint-5 would come after checkpoint-10.
    marks = sorted(
        (out_dir / CHECKPOINTS).glob(f"checkpoint-*/{MARK}"), key=lambda mark: -int(mark.parent.name.rpartition("-")[2])
    )
    for mark in marks:
        try:
            vouched = read_json(mark, _Mark)
            damage = _damage(mark.parent, vouched.files) or next(
                (name for name, extent in vouched.curves.items() if not begins_with(out_dir / name, extent)), None
            )
        except SchemaError:
            vouched, damage = _Mark(files={}, curves={}), MARK
        if damage is None:
            return mark.parent, {name: vouched.curves[name][0] if name in vouched.curves else 0 for name in curves}
        console.print(
            f"{mark.parent} is not used: {damage} is not what it was; going on from an earlier one", soft_wrap=True
        )
    return None, dict.fromkeys(curves, 0)


def is_trained(out_dir: Path) -> bool:
    """Return whether a training is done, after checking that model and curves are what it wrote.

    Raises:
        TrainingError: They are not.
    """
    mark = out_dir / TRAINED
    if not mark.exists():
        return False
    try:
        damage = _damage(out_dir, read_json(mark, _Mark).files)
    except SchemaError:
        damage = TRAINED
    if damage is not None:
        raise TrainingError(
            f"{out_dir / damage} is missing or altered since it was trained; bring it back, or delete {mark} and run "
            f"the same command again, which trains anew"
        )
    return True


def remove_checkpoints(out_dir: Path) -> None:
    """Drop what only an interrupted training needs."""
    shutil.rmtree(out_dir / CHECKPOINTS, ignore_errors=True)


class _Mark(Record):
    """What a mark vouches for: hashes of files by their names, and how long curves were and what they held."""

    files: Mapping[str, str]
    curves: Mapping[str, tuple[int, str]] = Field(default_factory=dict)


def _hashes(directory: Path, names: Sequence[Path]) -> dict[str, str]:
    return {str(path.relative_to(directory)): sha256_of(path) for path in sorted(names) if path.is_file()}


def _damage(directory: Path, hashes: Mapping[str, str]) -> str | None:
    """Return the first file that is missing or altered, `None` if there is none."""
    for name, digest in hashes.items():
        path = directory / name
        if not path.is_file() or sha256_of(path) != digest:
            return name
    return None


def run_training(
    make_trainer: Callable[[], Trainer],
    out_dir: Path,
    console: Console,
    what: str,
    measure: Measure,
    is_over: Over = lambda _: False,
    curves: Sequence[str] = (CURVE,),
) -> Trainer:
    """Train to the end, from the last checkpoint if there is one, and write the curve to `out_dir/training.jsonl`.

    Args:
        make_trainer: Makes the trainer, with `common_arguments`; called where the libraries are silent.
        out_dir: Where checkpoints and curve go.
        console: Where the progress is shown, by the main process alone.
        what: What is trained, for the display.
        measure: Picks the measures of a step.
        is_over: Ends it before its last step.
        curves: Names of all files in `out_dir` that grow with the training.

    Returns:
        The trainer, after its last step. The checkpoints are still there.

    Raises:
        TrainingError: The loss is NaN or infinite.
    """
    main = processes().is_main_process
    console = console if main else Console(quiet=True)
    checkpoint, sizes = last_checkpoint(out_dir, curves, console)
    # Nobody cuts a curve that another process has not looked at yet.
    processes().wait_for_everyone()
    for name in curves if main else ():
        # What was logged after the checkpoint will be logged again.
        cut_back(out_dir / name, sizes[name])
    with quiet_libraries(), ProgressDisplay(console, what) as display:
        trainer = make_trainer()
        # The libraries add their own display whatever the arguments say.
        for shown_by_the_library in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(shown_by_the_library)
        trainer.add_callback(_Watch(display, what, out_dir, curves, measure, is_over))
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return trainer


def run_policy_training(
    policy: Policy,
    make_trainer: Callable[[], Trainer],
    out_dir: Path,
    console: Console,
    what: str,
    measure: Measure,
    is_over: Over = lambda _: False,
    curves: Sequence[str] = (CURVE,),
) -> None:
    """Train a policy to the end and write it to `out_dir/model`; the other arguments are those of `run_training`.

    The directory is an ordinary one whose generation settings end completions where they ended in training.
    """
    run_training(make_trainer, out_dir, console, what, measure, is_over, curves)
    policy.model.eval()
    # Written with the tokens that the model came with: those that the libraries were told would mislead other readers.
    policy.model.config.get_text_config().eos_token_id = policy.plain_tokenizer.eos_token_id
    policy.model.generation_config.eos_token_id = list(policy.stop_ids)
    policy.model.generation_config.pad_token_id = policy.plain_tokenizer.pad_token_id
    save_model(policy.model, policy.plain_tokenizer, out_dir / MODEL)
    files = [*(out_dir / MODEL).iterdir(), *(out_dir / name for name in curves)]
    write_json(out_dir / TRAINED, {"files": _hashes(out_dir, files)})
    remove_checkpoints(out_dir)


class _Watch(TrainerCallback):
    """Shows the progress, writes the curve, stops at a loss that is no number and marks whole checkpoints."""

    def __init__(
        self,
        display: ProgressDisplay,
        what: str,
        out_dir: Path,
        curves: Sequence[str],
        measure: Measure,
        is_over: Over,
    ) -> None:
        self._display, self._what, self._measure, self._is_over = display, what, measure, is_over
        self._out_dir, self._curves = out_dir, curves
        self._status = ""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Begin the display at the step where the training goes on."""
        self._display.show(state.global_step, state.max_steps)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any) -> None:
        """Show the step."""
        self._display.show(state.global_step, state.max_steps, self._status)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **others: Any,
    ) -> None:
        """Add a row to the curve; the summary at the end of the training is none.

        Raises:
            TrainingError: The loss is NaN or infinite.
        """
        if logs is None or "loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise TrainingError(
                f"the loss of {self._what} is {logs['loss']} at step {state.global_step}, so the weights are lost; "
                f"lower learning_rate, or start from another base"
            )
        measures = self._measure(logs)
        # Every process comes here with the same measures; the curve has one writer.
        if state.is_world_process_zero:
            append_rows(self._out_dir / CURVE, [{"step": state.global_step, **measures}])
        # The library's history rather than one of ours: a checkpoint brings it back.
        if self._is_over(state.log_history):
            control.should_training_stop = True
        shown = {name.replace("_", " "): value for name, value in measures.items() if value is not None}
        self._status = " · ".join(f"{name} {value:.3g}" for name, value in shown.items())

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any) -> None:
        """Mark the checkpoint, now that the last process has written the last of its files."""
        # Every process writes the state of its random generators into the checkpoint.
        processes().wait_for_everyone()
        if state.is_world_process_zero:
            directory = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
            curves = {name: extent_of(self._out_dir / name) for name in self._curves}
            # Only now may a training go on from it: the mark is written behind the last of its files.
            write_json(directory / MARK, {"files": _hashes(directory, list(directory.rglob("*"))), "curves": curves})
