"""Intervals over seeds, and how tables show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from icm.statistics.estimates import student_half_width

LEVEL: Final = 0.95
FEWEST_RUNS: Final = 3
"""Of two runs Student's interval is 13 standard errors wide to either side, and says nothing."""


def half_width(values: Sequence[float]) -> float | None:
    """Return half the width of the 95 % interval of a mean (Student's t), `None` for fewer than three values."""
    return student_half_width(values, LEVEL) if len(values) >= FEWEST_RUNS else None


def with_interval(mean: float, half: float | None, scale: float = 1.0) -> str:
    """Return a mean and half the width of its interval, if it has one, as a table shows them."""
    return f"{scale * mean:.1f}" + ("" if half is None else f" ± {scale * half:.1f}")
