"""Values with their intervals, as files hold them. Computes nothing."""

from __future__ import annotations

from icm.files.records import Record


class Estimate(Record):
    """A mean with the interval of a bootstrap over groups (and over draws, where shots were drawn)."""

    value: float
    low: float
    high: float


class Accuracy(Estimate):
    """Share of right labels among claims.

    The bootstrap interval treats the groups as what was sampled; the Wilson interval treats the claims as independent,
    which claims about one question are not. The first is the one to quote.

    Attributes:
        num_claims: Claims that have both labels.
        num_groups: Groups that these claims belong to.
    """

    wilson_low: float
    wilson_high: float
    num_correct: int
    num_claims: int
    num_groups: int


class ClassScores(Record):
    """One label against all others, among the claims that have both labels.

    Attributes:
        precision: Right ones among the claims so labelled.
        recall: Right ones among the claims whose golden label it is.
        f1: Harmonic mean of precision and recall.
        num_labelled: Claims so labelled.
        num_golden: Claims whose golden label it is.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    num_labelled: int
    num_golden: int


class ReliabilityBin(Record):
    """Claims whose probability lies in one interval.

    Attributes:
        low: Lower end, exclusive (inclusive in the first bin); the upper end is inclusive.
        confidence: Their mean probability.
        accuracy: The share of them that is right.
    """

    low: float
    high: float
    num_claims: int
    confidence: float | None
    accuracy: float | None


class Calibration(Record):
    """How far the probability of a label can be read as the chance that it is right.

    Attributes:
        expected_calibration_error: Mean of |accuracy - confidence| over the bins, weighted by their claims.
        brier: Mean squared difference between the probability of the label and 1 if it is right, 0 if not. With two
            labels this is the usual Brier score of the affirming label.
        num_claims: Claims that have a golden label, a label and its probability.
        num_without_probability: Claims that lack only the probability; left out.
        bins: The reliability curve: bins of equal width over [0, 1].
    """

    expected_calibration_error: float
    brier: float
    num_claims: int
    num_without_probability: int
    bins: tuple[ReliabilityBin, ...]
