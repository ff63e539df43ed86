"""The structure of `metrics.json`. Knows values only: nothing here computes.

Shares lie in [0, 1]. A value that cannot be had (no claim to average over, a class without golden claims, no model) is
`None`, never 0 and never NaN.
"""

from __future__ import annotations

from typing import Final, Literal

from icm.files.records import Record
from icm.statistics.schema import Accuracy, Calibration, ClassScores, Estimate

FORMAT: Final = 2
"""Raised when a field of `Metrics` changes its meaning or goes away."""

Arm = Literal["zero_shot", "random", "elicited", "golden"]
"""Whose labels the shots carry."""

ARMS: Final[tuple[Arm, ...]] = ("zero_shot", "random", "elicited", "golden")
ARMS_WITH_SHOTS: Final[tuple[Arm, ...]] = ("random", "elicited", "golden")


Calibrated = Literal["none", "contextual", "pmi", "batch", "prior"]
"""How a label's word is kept from speaking for the label, see `icm.evaluate.controls`."""


class TracePoint(Record):
    """The search after one step.

    Attributes:
        step: 0 is the initial labelling.
        accuracy: Share of right labels among the labelled claims with a golden label.
        utility: U, where the search knows it.
        tokens: Tokens forwarded through the model so far.
    """

    step: int
    accuracy: float | None
    labelled: int
    utility: float | None
    violations: int
    tokens: int


class TraceMetrics(Record):
    """The trace, thinned to evenly spaced steps; the first and the last step are always there.

    Attributes:
        num_steps: Steps of the search, the initial labelling not counted.
        num_accepted: Steps whose proposal became the current labelling.
        num_differing: Claims whose label in `labels.jsonl` is not the one after the last step. Above 0 where the
            search returned an earlier labelling, the best it met, instead of its last.
        points: The thinned steps.
    """

    num_steps: int
    num_accepted: int
    num_differing: int
    points: tuple[TracePoint, ...]


class BaselineResult(Record):
    """A labelling rule that asks no model.

    Attributes:
        rule: What it labels how; its polarity is part of the rule.
        claims: Its accuracy on the searched claims, `None` where it does not apply to them.
        held_out: Its accuracy on the held-out claims, `None` where it does not apply to them.
        agreement: Share of the elicited labels that it reproduces: a concept that a surface rule explains is suspect.
        not_applicable: Why the rule says nothing about the searched claims.
    """

    name: str
    rule: str
    claims: Accuracy | None = None
    held_out: Accuracy | None = None
    agreement: float | None = None
    not_applicable: str | None = None


class ControlResult(Record):
    """The searched claims labelled by other means.

    Attributes:
        context: What stands before each claim: nothing (`zero_shot`), or held-out claims with `golden` labels.
        num_shots: How many.
        accuracy: Share of right labels, over all draws of shots; `None` where the control cannot be had.
        missing: Why it cannot be had.
    """

    context: Literal["zero_shot", "golden"]
    calibration: Calibrated
    num_shots: int
    accuracy: Estimate | None
    missing: str | None = None


class ArmResult(Record):
    """Accuracy in context of one arm at one number of shots.

    Attributes:
        num_shots: Labelled claims before the query.
        accuracy: Share of held-out claims labelled right, over all draws; the interval covers both the draws and the
            held-out groups.
        calibrated: The same where the mean probability of each label over the queries is taken out.
        predicted_shares: Share of the predictions that each label has, in the order of the label space.
    """

    arm: Arm
    num_shots: int
    num_draws: int
    accuracy: Estimate
    calibrated: Estimate
    predicted_shares: tuple[float, ...]


class SkippedShots(Record):
    """A number of shots that could not be asked, and why."""

    num_shots: int
    reason: str


class InContext(Record):
    """Accuracy on held-out claims with searched claims as shots: the same shots in every arm, only labels differ.

    Attributes:
        num_queries: Held-out claims asked.
        num_over_context: Held-out claims that do not fit the model's context even without shots; left out.
        num_without_gold: Held-out claims without a golden label; left out.
        num_too_costly: Held-out claims left out because the evaluation would cost more than the search did.
        num_candidates: Searched claims to draw from: those with an elicited and a golden label.
        headline_shots: The largest number of shots that was asked; the headline figures stand at it.
        zero_shot: Accuracy without shots.
        random: Headline accuracy with labels drawn uniformly; `elicited` and `golden` with those labels.
        elicited_minus: What the elicited labels gain over each other arm at the headline, paired by draw and claim.
        results: Every arm at every number of shots.
        skipped: Numbers of shots that could not be asked.
    """

    num_queries: int
    num_over_context: int
    num_without_gold: int
    num_too_costly: int
    num_candidates: int
    headline_shots: int | None
    zero_shot: Estimate
    # These three are `None` together, where no number of shots could be asked.
    random: Estimate | None
    elicited: Estimate | None
    golden: Estimate | None
    elicited_minus: dict[Arm, Estimate]
    results: tuple[ArmResult, ...]
    skipped: tuple[SkippedShots, ...]


class Metrics(Record):
    """`metrics.json`: elicited labels against golden labels.

    All shares but `coverage` and `accuracy_unlabelled_wrong` are over the scored claims: those with a label and a
    golden label.

    Attributes:
        format: Version of this structure.
        label_names: In the order of their indices.
        confidence_level: Of all intervals.
        num_claims: Searched claims.
        num_labelled: Claims that the search labelled.
        num_without_gold: Searched claims without a golden label.
        coverage: Labelled share of the searched claims.
        accuracy: Label accuracy; `None` if no claim has both labels.
        accuracy_unlabelled_wrong: Accuracy over all claims with a golden label, the unlabelled ones counted as wrong.
        flipped_accuracy: Accuracy of the labels flipped; two labels only.
        polarity: `flipped` if the flipped labels are better than chance beyond their interval, `upright` if the labels
            are, else `undecided`; two labels only.
        balanced_accuracy: Mean recall of the labels that have golden claims.
        confusion: (L, L + 1) claims by golden label (row) and elicited label (column); the last column is unlabelled.
        calibration: `None` if no scored claim has a probability.
        controls: The searched claims labelled by other means; empty without a model.
        in_context: The main figure; `None` if it could not be had.
        in_context_missing: Why it could not be had.
    """

    format: int = FORMAT
    task: str
    label_names: tuple[str, ...]
    confidence_level: float
    num_claims: int
    num_labelled: int
    num_without_gold: int
    coverage: float
    accuracy: Accuracy | None
    # Never `None`: the evaluation refuses to begin where no searched claim has a golden label.
    accuracy_unlabelled_wrong: float
    flipped_accuracy: Accuracy | None
    polarity: Literal["upright", "flipped", "undecided"] | None
    balanced_accuracy: float | None
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration: Calibration | None
    trace: TraceMetrics
    baselines: tuple[BaselineResult, ...]
    controls: tuple[ControlResult, ...]
    num_held_out: int
    in_context: InContext | None
    in_context_missing: str | None
