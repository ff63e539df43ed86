"""What a person sees of a training, and the guard against a loss that is no number. Knows no model."""

from __future__ import annotations

import math
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from icm.errors import TrainingError

PLAIN_SECONDS = 15.0
"""Between two lines where the output is no terminal."""


class TrainingProgress(TrainerCallback):
    """A live bar on a terminal, a plain line now and then elsewhere; only the main process shows anything."""

    def __init__(self, console: Console, what: str) -> None:
        self._console = console
        self._what = what
        self._status = ""
        self._started = self._last_plain = time.perf_counter()
        self._first_step = 0
        self._bar = Progress(
            TextColumn(what),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, status="")

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_kwargs: Any
    ) -> None:
        """Start the bar at the step where training goes on."""
        self._first_step = state.global_step
        self._bar.update(self._task, total=state.max_steps, completed=state.global_step)
        if state.is_world_process_zero:
            self._bar.start()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_kwargs: Any
    ) -> None:
        """Show the step."""
        self._bar.update(self._task, completed=state.global_step, status=self._status)
        now = time.perf_counter()
        if state.is_world_process_zero and not self._console.is_terminal and now - self._last_plain >= PLAIN_SECONDS:
            self._last_plain = now
            seconds_per_step = (now - self._started) / (state.global_step - self._first_step)
            left = seconds_per_step * (state.max_steps - state.global_step)
            line = f"{self._what}: step {state.global_step:,} of {state.max_steps:,}{self._status} · {left:,.0f} s left"
            self._console.print(Text(line), soft_wrap=True)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_kwargs: Any,
    ) -> None:
        """Keep the loss for the next line.

        Raises:
            TrainingError: The loss is NaN or infinite.
        """
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss of {self._what} is {loss} at step {state.global_step}, so the weights are lost; lower "
                f"learning_rate, or start from another base"
            )
        self._status = f" · loss {loss:.3f}"

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_kwargs: Any
    ) -> None:
        """Take the bar away."""
        self._bar.stop()
