"""The progress bar of every command that takes long. Knows nothing of the work that it shows."""

from __future__ import annotations

import time
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

PLAIN_SECONDS: Final = 15.0
"""Between two lines where the output is no terminal."""


class ProgressDisplay:
    """A live bar on a terminal, a plain line now and then elsewhere: count, rate, remaining time and a status.

    Elsewhere the first line comes after the first unit if the work will take long, and is its forecast.
    """

    def __init__(
        self, console: Console, what: str, unit: str = "step", *, plain_seconds: float = PLAIN_SECONDS
    ) -> None:
        """Show nothing yet.

        Args:
            console: Where it is shown.
            what: What is done, such as `eliciting`.
            unit: What is counted, in the singular.
            plain_seconds: Seconds between two lines where the output is no terminal.
        """
        self._console, self._what, self._unit, self._plain_seconds = console, what, unit, plain_seconds
        self._bar = Progress(
            TextColumn(what),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(),
            console=console,
            # Elsewhere a live bar would fill a log with control characters.
            disable=not console.is_terminal,
        )
        self._first = 0
        self._has_told = False

    def __enter__(self) -> ProgressDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, done: int, total: int, status: str = "") -> None:
        """Show where the work stands; the first call says where it begins, which is not 0 for work that goes on."""
        now = time.perf_counter()
        # Started by the first call and not before: work that is complete already shows no bar at all.
        if not self._bar.tasks:
            self._first, self._started, self._last_plain = done, now, now
            self._bar.add_task("", total=total, completed=done, status=status)
            self._bar.start()
            return
        # Over what was done here: work that goes on did its first part in another process.
        rate = (done - self._first) / max(now - self._started, 1e-9)
        facts = " · ".join(filter(None, (f"{rate:,.1f} {self._unit}s/s", status)))
        self._bar.update(self._bar.tasks[0].id, completed=done, status=facts)
        left = (total - done) / rate if rate else None
        # After the first unit as well, if much is left: a forecast that comes late is of no use.
        told_late = now - self._last_plain >= self._plain_seconds
        is_forecast = not self._has_told and left is not None and left >= self._plain_seconds
        if not self._console.is_terminal and (told_late or is_forecast):
            self._last_plain, self._has_told = now, True
            line = f"{self._what}: {self._unit} {done:,} of {total:,} · {facts}" + (
                "" if left is None else f" · {left:,.0f} s left"
            )
            self._console.print(Text(line), soft_wrap=True)
