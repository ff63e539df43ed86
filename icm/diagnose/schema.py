"""The structure of `diagnosis.json`, and the settings of its checks. Knows values only: nothing here computes."""

from __future__ import annotations

from typing import Final, Literal, get_args

from icm.files.records import Record

DIAGNOSIS: Final = "diagnosis.json"

FORMAT: Final = 1
"""Raised when a field of `Diagnosis` changes its meaning or goes away."""

Verdict = Literal["trust", "caution", "reject"]

CheckName = Literal[
    "unlabelled",
    "violated",
    "unconstrained",
    "collapsed",
    "imbalance",
    "contradicted",
    "null_gap",
    "polarity",
    "stability",
    "rival_gap",
    "orders",
    "swapped",
    "zero_shot",
    "calibration",
    "surface",
    "answer_words",
    "rival_surface",
]
"""What is measured; `icm.diagnose.checks` says of each what it is and why it matters."""

CHECK_NAMES: Final[tuple[CheckName, ...]] = get_args(CheckName)


class Check(Record):
    """One measure and what it means.

    Attributes:
        name: Which one.
        measure: What was measured, in words.
        value: The measure; `None` if it could not be had.
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


class ConstraintTally(Record):
    """How much the constraints of one relation have to do with the labels.

    Attributes:
        name: The relation.
        num_constraints: How many constraints it makes.
        num_violated: How many the labels violate.
        num_opposed: How many the model would violate, left to itself: if each claim had the label that the model
            predicts for it from the labels of the others.
        num_binding: How many bind: without that one constraint, all others kept, other labels would be likelier in
            these contexts than any that the constraints allow.
        num_undecided: How many of the rest may bind, which was too costly to find out.
    """

    name: str
    num_constraints: int
    num_violated: int
    num_opposed: int
    num_binding: int
    num_undecided: int


class Diagnosis(Record):
    """`diagnosis.json`: whether the labels of a run are to be trusted, as far as can be told without golden labels.

    Attributes:
        format: Version of this structure.
        task: Name of the task.
        verdict: The worst of the checks, or `reject` for very many doubts.
        checks: All of them.
        constraints: Which constraints bind, by relation; empty where there are none, or no claim is labelled.
    """

    format: int = FORMAT
    task: str
    verdict: Verdict
    checks: tuple[Check, ...]
    constraints: tuple[ConstraintTally, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks against the labels, the worst first."""
        spoken = [check for check in self.checks if check.reason is not None]
        return tuple(
            check.reason for check in sorted(spoken, key=lambda each: each.verdict != "reject") if check.reason
        )
