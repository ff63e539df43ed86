"""Labels against golden labels as arrays: confusion, scores of each label, calibration. Knows no claim and no file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from icm.claims import UNLABELLED, Labels
from icm.statistics.schema import Accuracy, Calibration, ClassScores, ReliabilityBin


def confusion_matrix(labels: Labels, golden: Labels, num_labels: int) -> NDArray[np.int64]:
    """Count claims by golden label (row) and label (column): (L, L + 1), the last column being unlabelled.

    Claims without a golden label are left out.
    """
    # One number for each cell, row by row, so that one bincount counts them all.
    has_gold = golden != UNLABELLED
    columns = np.where(labels == UNLABELLED, num_labels, labels)[has_gold].astype(np.int64)
    cells = golden[has_gold].astype(np.int64) * (num_labels + 1) + columns
    return np.bincount(cells, minlength=num_labels * (num_labels + 1)).reshape(num_labels, num_labels + 1)


def most_frequent(golden: Labels) -> int:
    """Return the most frequent golden label; of equally frequent ones the first. It is a control, no rule to use.

    Raises:
        ValueError: No claim has a golden label.
    """
    known = golden[golden != UNLABELLED]
    if not known.size:
        raise ValueError("a majority needs at least one golden label")
    return int(np.bincount(known).argmax())


def class_scores(confusion: NDArray[np.int64], names: Sequence[str]) -> tuple[ClassScores, ...]:
    """Return precision, recall and F1 of each label, among the labelled claims of a confusion matrix (L, L + 1).

    A score whose denominator is 0 is `None`.
    """
    # Without the last column: an unlabelled claim is neither right nor wrong here.
    labelled = confusion[:, :-1]
    right, so_labelled, so_golden = np.diag(labelled), labelled.sum(axis=0), labelled.sum(axis=1)
    return tuple(
        ClassScores(
            name=name,
            precision=_ratio(right[label], so_labelled[label]),
            recall=_ratio(right[label], so_golden[label]),
            f1=_ratio(2 * right[label], so_labelled[label] + so_golden[label]),
            num_labelled=int(so_labelled[label]),
            num_golden=int(so_golden[label]),
        )
        for label, name in enumerate(names)
    )


def balanced_accuracy(classes: Sequence[ClassScores]) -> float | None:
    """Return the mean recall of the labels that have golden claims, `None` if none has."""
    recalls = [scores.recall for scores in classes if scores.recall is not None]
    return sum(recalls) / len(recalls) if recalls else None


def polarity(accuracy: Accuracy) -> Literal["upright", "flipped", "undecided"]:
    """Say which way round the labels of a binary task stand, from the interval of their accuracy."""
    # The flipped labels are right where these are wrong, so both are judged against one half.
    if accuracy.low > 0.5:
        return "upright"
    return "flipped" if accuracy.high < 0.5 else "undecided"


def reliability_bins(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], num_bins: int
) -> tuple[ReliabilityBin, ...]:
    """Return accuracy beside mean confidence (N,) in bins of equal width over [0, 1].

    A bin is (low, high], but the first also holds 0. The bins start at 0, not at 1 / L: the label of a claim need not
    be its most probable one.
    """
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    # "left" puts a value on an edge into the bin below it, and 0 into bin -1, which clipping brings back.
    member = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, num_bins - 1)
    counts = np.bincount(member, minlength=num_bins)
    confidences = np.bincount(member, weights=confidence, minlength=num_bins)
    rights = np.bincount(member, weights=correct.astype(np.float64), minlength=num_bins)
    return tuple(
        ReliabilityBin(
            low=float(edges[k]),
            high=float(edges[k + 1]),
            num_claims=int(counts[k]),
            confidence=_ratio(confidences[k], counts[k]),
            accuracy=_ratio(rights[k], counts[k]),
        )
        for k in range(num_bins)
    )


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the gap between accuracy and confidence, averaged over the claims of the bins.

    Raises:
        ValueError: All bins are empty.

    Source: Guo et al. 2017, "On calibration of modern neural networks", equation 3.
    """
    num_claims = sum(each.num_claims for each in bins)
    if num_claims == 0:
        raise ValueError("a calibration error needs at least one claim with a probability")
    gaps = (
        each.num_claims * abs(each.accuracy - each.confidence)
        for each in bins
        if each.accuracy is not None and each.confidence is not None
    )
    return sum(gaps) / num_claims


def calibration(probabilities: NDArray[np.float64], correct: NDArray[np.bool_], num_bins: int) -> Calibration | None:
    """Compare the probability of each label (N,), NaN where there is none, with whether the label is right (N,).

    Returns `None` if no label has a probability.

    Source: Brier 1950, "Verification of forecasts expressed in terms of probability", for the statement "the label is
    right"; `expected_calibration_error` for the other.
    """
    # Labels without a probability (from a control, say) are counted, and left out of both scores.
    known = ~np.isnan(probabilities)
    if not known.any():
        return None
    confidence, right = probabilities[known], correct[known]
    bins = reliability_bins(confidence, right, num_bins)
    return Calibration(
        expected_calibration_error=expected_calibration_error(bins),
        brier=float(np.mean((confidence - right) ** 2)),
        num_claims=int(known.sum()),
        num_without_probability=int((~known).sum()),
        bins=bins,
    )


def _ratio(numerator: float, denominator: float) -> float | None:
    return float(numerator / denominator) if denominator else None
