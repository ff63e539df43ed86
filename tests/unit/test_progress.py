"""What is said of long work where the output is no terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from icm.report import progress
from icm.report.progress import ProgressDisplay


def _told(monkeypatch: Any, seconds: Any) -> list[str]:
    """Return the lines told of 100 units of work, one of which is done after each of the seconds."""
    now = iter([0.0, *seconds])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(now))
    output = io.StringIO()
    with ProgressDisplay(Console(file=output, width=200), "working", "unit") as display:
        for done in range(len(seconds) + 1):
            display.show(done, 100)
    return output.getvalue().splitlines()


def test_long_work_is_forecast_after_its_first_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _told(monkeypatch, [2.0]) == ["working: unit 1 of 100 · 0.5 units/s · 198 s left"]


def test_short_work_is_not_spoken_of(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _told(monkeypatch, [0.1 * unit for unit in range(1, 101)]) == []


def test_after_the_forecast_a_line_comes_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _told(monkeypatch, [1.0 * unit for unit in range(1, 41)])
    assert [line.split(" · ")[0] for line in lines] == [f"working: unit {unit} of 100" for unit in (1, 16, 31)]
