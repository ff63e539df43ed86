"""The structure of `diagnosis.json`, and the settings of its checks. Knows values only: nothing here computes."""

from __future__ import annotations

from typing import Final, Literal, get_args

from consistency.binding import Tally
from icm.files.records import Record

DIAGNOSIS: Final = "diagnosis.json"

FORMAT: Final = 2
"""Raised when a field of `Diagnosis` changes its meaning or goes away."""

Verdict = Literal["trust", "caution", "reject"]

CheckName = Literal[
    "unlabelled",
    "violated",
    "unconstrained",
    "collapsed",
    "imbalance",
    "gain",
    "null_gap",
    "rival_gap",
    "polarity",
    "contradicted",
    "stability",
    "orders",
    "swapped",
    "zero_shot",
    "upright",
    "calibration",
    "surface",
    "answer_words",
    "rival_surface",
]
"""What is measured; `icm.diagnose.checks` says of each what it is and why it matters."""

# Taken from the type, so that no check stands in the one and not in the other.
CHECK_NAMES: Final[tuple[CheckName, ...]] = get_args(CheckName)


class Check(Record):
    """One measure and what it means.

    Attributes:
        measure: What was measured, in words.
        value: `None` if it could not be had.
        shown: The value as people read it.
        verdict: What it means alone; `trust` where nothing speaks against the labels or nothing could be measured.
        reason: What speaks against the labels, in words; `None` if nothing does.
        missing: Why it could not be had.
    """

    name: CheckName
    measure: str
    value: float | None
    shown: str
    verdict: Verdict
    reason: str | None = None
    missing: str | None = None


class Diagnosis(Record):
    """`diagnosis.json`: whether the labels of a run are to be trusted, as far as can be told without golden labels.

    Attributes:
        format: Version of this structure.
        verdict: The worst of the checks, or `reject` for very many doubts.
        constraints: How much the constraints of each relation have to do with the labels; empty where there are none,
            or no claim is labelled. `num_violated` is of the labels themselves, the rest of the contexts they give:
            what the model would violate if each claim had the label that it predicts for it, and how many bind there.
    """

    format: int = FORMAT
    task: str
    verdict: Verdict
    checks: tuple[Check, ...]
    constraints: tuple[Tally, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks against the labels, the worst first."""
        # Sorting is stable, so checks of one verdict stay in the order of `CHECK_NAMES`.
        worst_first = sorted(self.checks, key=lambda each: each.verdict != "reject")
        return tuple(check.reason for check in worst_first if check.reason)
