"""What a person sees of a running search. Knows no search: it is told."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from icm.files.records import TraceRow


class SearchDisplay:
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

    def __enter__(self) -> SearchDisplay:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, row: TraceRow) -> None:
        """Show where the search stands after a step."""
        now = time.perf_counter()
        rate = (row.step - self._first_step) / max(now - self._started, 1e-9)
        facts = [
            f"{rate:,.1f} steps/s",
            "" if row.utility is None else f"U {row.utility:.2f}",
            f"{row.violations} violated",
            "" if row.temperature is None else f"T {row.temperature:.2f}",
            f"{row.labelled} labelled",
            f"{row.tokens:,} tokens",
        ]
        status = " · ".join(filter(None, facts))
        self._progress.update(self._task, completed=row.step, status=status)
        if not self.console.is_terminal and now - self._last_plain >= self.plain_interval:
            self._last_plain = now
            remaining = (self._num_steps - row.step) / max(rate, 1e-9)
            line = f"step {row.step:,} of {self._num_steps:,} · {status} · {remaining:,.0f} s left"
            self.console.print(Text(line), soft_wrap=True)
