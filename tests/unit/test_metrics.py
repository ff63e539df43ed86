"""Metrics against values worked out by hand or by SciPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, sem, t

from icm.claims import UNLABELLED, ClaimId, LabelSpace
from icm.evaluate.against_golden import accuracy_of, compare
from icm.evaluate.replay import replay
from icm.statistics.estimates import (
    Resampling,
    bootstrap_interval,
    estimate,
    student_half_width,
    wilson_interval,
)
from icm.statistics.scores import (
    balanced_accuracy,
    calibration,
    class_scores,
    confusion_matrix,
    expected_calibration_error,
    polarity,
    reliability_bins,
)
from tests.worlds import QUICK, elicitation, trace_of

A, B = ClaimId("a"), ClaimId("b")


def _labels(*values: Any) -> Any:
    return np.array(values, dtype=np.int8)


@pytest.mark.parametrize(("num_correct", "num_claims"), [(0, 5), (3, 5), (5, 5), (70, 100), (999, 1000)])
@pytest.mark.parametrize("confidence_level", [0.5, 0.95, 0.99])
def test_wilson_interval_is_scipys(num_correct: int, num_claims: int, confidence_level: float) -> None:
    theirs = binomtest(num_correct, num_claims).proportion_ci(confidence_level, method="wilson")
    ours = wilson_interval(num_correct, num_claims, confidence_level)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize("confidence_level", [0.5, 0.95])
def test_student_interval_is_scipys(confidence_level: float) -> None:
    values = [0.2, 0.5, 0.5, 1.0]
    low, high = t.interval(confidence_level, len(values) - 1, loc=np.mean(values), scale=sem(values))
    assert student_half_width(values, confidence_level) == pytest.approx((high - low) / 2)


def test_student_interval_needs_two_values() -> None:
    with pytest.raises(ValueError, match="at least two values, got 1"):
        student_half_width([0.5], 0.95)


def test_wilson_interval_needs_claims() -> None:
    with pytest.raises(ValueError, match="at least one claim"):
        wilson_interval(0, 0, 0.95)


def test_bootstrap_is_wider_where_groups_are_right_or_wrong_as_a_whole() -> None:
    correct = np.repeat(np.arange(40) % 2, 5).astype(float)
    resampling = Resampling(seed=1, num_resamples=1000, confidence_level=0.95)
    low, high = bootstrap_interval(correct, np.repeat(np.arange(40), 5), resampling)
    claims_low, claims_high = bootstrap_interval(correct, np.arange(200), resampling)
    assert high - low > 1.7 * (claims_high - claims_low)


def test_bootstrap_over_single_claims_is_near_the_normal_interval() -> None:
    correct = (np.arange(400) % 4 > 0).astype(float)
    low, high = bootstrap_interval(
        correct, np.arange(400), Resampling(seed=0, num_resamples=4000, confidence_level=0.95)
    )
    half = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert (low, high) == pytest.approx((0.75 - half, 0.75 + half), abs=0.006)


def test_draws_that_differ_widen_the_interval() -> None:
    groups = np.arange(50)
    same = np.tile(np.arange(50) % 2, (10, 1)).astype(float)
    differing = same.copy()
    differing[::2] = 1.0
    differing[1::2] = 0.0
    narrow, wide = estimate(same, groups, QUICK), estimate(differing, groups, QUICK)
    assert narrow.value == wide.value == 0.5
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_confusion_counts_unlabelled_apart_and_leaves_out_claims_without_gold() -> None:
    labels, golden = _labels(0, 1, UNLABELLED, 1, 0), _labels(0, 0, 1, 1, UNLABELLED)
    assert confusion_matrix(labels, golden, 2).tolist() == [[1, 1, 0], [0, 1, 1]]


def test_class_scores_by_hand() -> None:
    confusion = np.array([[5, 1, 0, 2], [2, 3, 0, 0], [0, 0, 0, 4]])
    zero, one, two = class_scores(confusion, ["a", "b", "c"])
    assert (zero.precision, zero.recall, zero.f1) == pytest.approx((5 / 7, 5 / 6, 10 / 13))
    assert (one.precision, one.recall, one.f1) == pytest.approx((3 / 4, 3 / 5, 6 / 9))
    assert (two.precision, two.recall, two.f1) == (None, None, None)
    assert balanced_accuracy([zero, one, two]) == pytest.approx((5 / 6 + 3 / 5) / 2)


def test_calibration_error_is_zero_where_confidence_is_accuracy() -> None:
    confidence = np.repeat([0.25, 0.75], 4)
    correct = np.array([1, 0, 0, 0, 1, 1, 1, 0], dtype=bool)
    assert expected_calibration_error(reliability_bins(confidence, correct, 10)) == 0.0


def test_calibration_by_hand() -> None:
    probabilities = np.array([0.95, 0.95, 0.65, np.nan])
    result = calibration(probabilities, np.array([True, False, True, True]), 10)
    assert result is not None
    assert result.expected_calibration_error == pytest.approx((2 * 0.45 + 0.35) / 3)
    assert result.brier == pytest.approx((0.05**2 + 0.95**2 + 0.35**2) / 3)
    assert (result.num_claims, result.num_without_probability) == (3, 1)


def test_bins_hold_their_upper_end_and_the_first_one_zero() -> None:
    bins = reliability_bins(np.array([0.0, 0.25, 0.5, 1.0]), np.ones(4, dtype=bool), 4)
    assert [each.num_claims for each in bins] == [2, 1, 0, 1]


def test_calibration_without_any_probability_is_none() -> None:
    assert calibration(np.array([np.nan]), np.array([True]), 10) is None


@pytest.mark.parametrize(("num_wrong", "expected"), [(2, "upright"), (22, "undecided"), (42, "flipped")])
def test_polarity_shows_a_coherent_but_flipped_labelling(num_wrong: int, expected: Any) -> None:
    metrics = compare(elicitation(num_wrong=num_wrong), QUICK, num_bins=10, max_trace_points=50)
    assert metrics.accuracy is not None
    assert metrics.flipped_accuracy is not None
    assert metrics.polarity == expected == polarity(metrics.accuracy)
    assert metrics.accuracy.value + metrics.flipped_accuracy.value == pytest.approx(1.0)


def test_unlabelled_and_goldless_claims_are_counted_not_scored() -> None:
    full = elicitation(num_wrong=6, num_unlabelled=4)
    golden = {claim: label for claim, label in full.golden.items() if claim != full.claims[0].id}
    metrics = compare(replace(full, golden=golden), QUICK, num_bins=10, max_trace_points=50)
    assert metrics.accuracy is not None
    assert (metrics.num_claims, metrics.num_labelled, metrics.num_without_gold) == (48, 44, 1)
    assert (metrics.accuracy.num_correct, metrics.accuracy.num_claims) == (38, 43)
    assert metrics.accuracy_unlabelled_wrong == pytest.approx(38 / 47)
    assert metrics.coverage == pytest.approx(44 / 48)


def test_three_labels_have_no_polarity_and_scores_for_each() -> None:
    space = LabelSpace(names=("low", "middle", "high"), verbalizers=(" low", " middle", " high"))
    metrics = compare(elicitation(space=space), QUICK, num_bins=10, max_trace_points=50)
    assert metrics.polarity is None
    assert metrics.flipped_accuracy is None
    assert [each.name for each in metrics.classes] == ["low", "middle", "high"]
    assert np.shape(metrics.confusion) == (3, 4)


def test_no_scored_claim_gives_no_accuracy() -> None:
    nothing = elicitation(num_unlabelled=48)
    metrics = compare(nothing, QUICK, num_bins=10, max_trace_points=50)
    assert metrics.accuracy is None
    assert metrics.polarity is None
    assert metrics.calibration is None
    assert metrics.accuracy_unlabelled_wrong == 0.0


def test_replay_follows_set_changed_and_lost_labels() -> None:
    trace = trace_of([(A, 1), (B, 0), (A, 0), (B, None)])
    result = replay(trace, {A: 1, B: 0}, {A: 1}, max_points=10)
    assert [point.accuracy for point in result.points] == [None, 1.0, 1.0, 0.5, 0.0]
    assert [point.labelled for point in result.points] == [0, 1, 2, 2, 1]
    assert (result.num_steps, result.num_accepted, result.num_differing) == (4, 4, 1)


def test_thinning_keeps_the_first_and_the_last_step() -> None:
    trace = trace_of([(A, step % 2) for step in range(1000)])
    points = replay(trace, {A: 1}, {A: 1}, max_points=7).points
    assert len(points) == 7
    assert (points[0].step, points[-1].step) == (0, 1000)


def test_accuracy_along_the_trace_ends_at_the_label_accuracy() -> None:
    of = elicitation()
    metrics = compare(of, QUICK, num_bins=10, max_trace_points=5)
    assert metrics.accuracy is not None
    assert metrics.trace.num_differing == 0
    assert metrics.trace.points[-1].accuracy == metrics.accuracy.value


def test_labels_compared_with_themselves_are_all_right() -> None:
    of = elicitation()
    result = accuracy_of(of.labels, of.labels, of.claims, QUICK)
    assert result is not None
    assert (result.value, result.low, result.high, result.num_claims) == (1.0, 1.0, 1.0, 44)
