"""What a person sees of a running search. Knows no search: it is told."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text


class ChainDisplay:
    """A live line on a terminal, a plain line now and then elsewhere.

    Attributes:
        console: Where it is shown.
        plain_interval: Seconds between two lines where the output is no terminal.
    """

    def __init__(self, console: Console, num_steps: int, first_step: int = 0, plain_interval: float = 15.0) -> None:
        self.console = console
        self.plain_interval = plain_interval
        self._first_step = first_step
        self._num_steps = num_steps
        self._started = self._last_plain = time.perf_counter()
        self._progress = Progress(
            TextColumn("eliciting"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=num_steps, completed=first_step, status="")

    def __enter__(self) -> ChainDisplay:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(
        self, *, step: int, utility: float, violations: int, temperature: float, labelled: int, tokens: int
    ) -> None:
        """Show where the chain stands after a step."""
        now = time.perf_counter()
        rate = (step - self._first_step) / max(now - self._started, 1e-9)
        status = (
            f"{rate:,.1f} steps/s · U {utility:.2f} · {violations} violated · T {temperature:.2f} · "
            f"{labelled} labelled · {tokens:,} tokens"
        )
        self._progress.update(self._task, completed=step, status=status)
        if not self.console.is_terminal and now - self._last_plain >= self.plain_interval:
            self._last_plain = now
            remaining = (self._num_steps - step) / max(rate, 1e-9)
            line = f"step {step:,} of {self._num_steps:,} · {status} · {remaining:,.0f} s left"
            self.console.print(Text(line), soft_wrap=True)
