"""The structure of `diagnosis.json`, and the settings of its checks. Knows values only: nothing here computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

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


class Bounds(BaseModel):
    """From where on a measure speaks against the labels.

    Attributes:
        worse: The side that speaks against them.
        caution: Beyond this the labels are not trusted; `None`: never.
        reject: Beyond this they are rejected; `None`: never.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    worse: Literal["above", "below"]
    caution: float | None = None
    reject: float | None = None

    @model_validator(mode="after")
    def _rejects_beyond_caution(self) -> Bounds:
        if self.caution is not None and self.reject is not None:
            nearer = self.reject < self.caution if self.worse == "above" else self.reject > self.caution
            if nearer:
                raise ValueError(
                    f"what is rejected must be worse than what calls for caution: {self.worse} is worse, "
                    f"caution {self.caution}, reject {self.reject}"
                )
        return self

    def verdict(self, value: float) -> Verdict:
        """Return what a value means."""
        if self.reject is not None and self._beyond(value, self.reject):
            return "reject"
        return "caution" if self.caution is not None and self._beyond(value, self.caution) else "trust"

    def _beyond(self, value: float, bound: float) -> bool:
        return value > bound if self.worse == "above" else value < bound


class DiagnoseSettings(BaseModel):
    """How labels are diagnosed.

    Attributes:
        seed: Seed of the null labellings.
        num_nulls: Null labellings of each kind (random and consistent; the same labels on other claims).
        num_orders: Other orders of the contexts that the predictions are asked in.
        sweep_rounds: The most sweeps that the labels go through when the label words are swapped.
        violation_penalty: What a violated weight of 1 costs in these sweeps, nats.
        rival_agreement: A labelling found beside the returned one is another concept, a rival, if it agrees with it on
            at most this share of the claims.
        most_doubts: Labels that more checks than this speak against are rejected, however mild each of them is.
        bounds: What speaks against the labels, by check; a check without bounds is only reported.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(ge=0)
    num_nulls: int = Field(ge=1)
    num_orders: int = Field(ge=1)
    sweep_rounds: int = Field(ge=1)
    violation_penalty: float = Field(ge=0)
    rival_agreement: float = Field(gt=0, lt=1)
    most_doubts: int = Field(ge=0)
    bounds: Mapping[CheckName, Bounds]


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
