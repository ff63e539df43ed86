"""Temperature schedules: functions of a clock that the search chooses (steps, or accepted changes)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

Schedule: TypeAlias = Callable[[int], float]
"""Clock reading (0, 1, 2, …) -> temperature, in the unit of U."""


def logarithmic(initial: float, final: float, rate: float) -> Schedule:
    """Return T(n) = max(final, initial / (1 + rate * ln n)), with T(0) = initial.

    With the published settings (10, 0.01, rate 0.99 or 2) T is still 0.83 or more after 256 ticks and never comes
    near its floor: the chain does not freeze.

    Source: Algorithm 1 of the paper.
    """

    def temperature(clock: int) -> float:
        # The clock starts at 0, where the logarithm does not exist; ln 1 = 0 gives the initial temperature.
        return max(final, initial / (1.0 + rate * math.log(max(clock, 1))))

    return temperature


def geometric(initial: float, final: float, num_ticks: int) -> Schedule:
    """Return the schedule that falls by a constant factor per tick and reaches `final` after `num_ticks`."""

    def temperature(clock: int) -> float:
        # Held at the end: a chain may go on after the last tick, but never grows colder.
        return initial * (final / initial) ** min(1.0, clock / max(num_ticks, 1))

    return temperature
