"""Laws of intervals and scores: what they must not depend on, and counting by hand."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from icm.claims import UNLABELLED, freeze
from icm.statistics.estimates import (
    Resampling,
    accuracy,
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
    most_frequent,
    polarity,
    reliability_bins,
)

FEW = settings(max_examples=25)
RESAMPLING = Resampling(seed=0, num_resamples=60, confidence_level=0.9)
VALUES = st.lists(st.floats(-5, 5), min_size=2, max_size=12)
LEVELS = st.sampled_from([0.5, 0.8, 0.95, 0.99])
LABELLINGS = st.integers(2, 4).flatmap(
    lambda num_labels: st.tuples(
        st.just(num_labels),
        st.lists(st.tuples(st.integers(-1, num_labels - 1), st.integers(-1, num_labels - 1)), min_size=1, max_size=20),
    )
)


def width(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]


@FEW
@given(st.integers(1, 60), st.integers(0, 60), LEVELS)
def test_the_wilson_interval_of_the_wrong_ones_is_the_mirror_image(num_claims: int, right: int, level: float) -> None:
    assume(right <= num_claims)
    low, high = wilson_interval(right, num_claims, level)
    other_low, other_high = wilson_interval(num_claims - right, num_claims, level)
    assert (1 - other_high, 1 - other_low) == pytest.approx((low, high))


@FEW
@given(st.integers(1, 60), st.integers(0, 60))
def test_surer_intervals_are_wider_and_more_claims_make_them_narrower(num_claims: int, right: int) -> None:
    assume(right <= num_claims)
    widths = [width(wilson_interval(right, num_claims, level)) for level in (0.5, 0.8, 0.95)]
    assert sorted(widths) == pytest.approx(widths)
    assert width(wilson_interval(10 * right, 10 * num_claims, 0.95)) <= widths[-1] + 1e-12


@FEW
@given(st.integers(2, 60), st.data(), LEVELS)
def test_one_more_right_claim_moves_both_ends_up(num_claims: int, data: st.DataObject, level: float) -> None:
    right = data.draw(st.integers(0, num_claims - 1))
    low, high = wilson_interval(right, num_claims, level)
    next_low, next_high = wilson_interval(right + 1, num_claims, level)
    assert low <= next_low
    assert high <= next_high


@FEW
@given(VALUES, LEVELS, st.floats(-3, 3), st.floats(0.1, 4))
def test_student_intervals_scale_and_do_not_move(values: list[float], level: float, shift: float, scale: float) -> None:
    half = student_half_width(values, level)
    moved = student_half_width([scale * value + shift for value in values], level)
    assert moved == pytest.approx(scale * half, abs=1e-9)
    assert student_half_width(values[::-1], level) == pytest.approx(half, abs=1e-12)


@FEW
@given(VALUES, st.data())
def test_a_bootstrap_moves_and_scales_with_its_values(values: list[float], data: st.DataObject) -> None:
    groups = data.draw(st.lists(st.integers(0, 3), min_size=len(values), max_size=len(values)))
    low, high = bootstrap_interval(np.array(values), groups, RESAMPLING)
    assert bootstrap_interval(2 * np.array(values) + 3, groups, RESAMPLING) == pytest.approx(
        (2 * low + 3, 2 * high + 3), abs=1e-9
    )
    # Turned round, the ends change places.
    other_low, other_high = bootstrap_interval(-np.array(values), groups, RESAMPLING)
    assert (-other_high, -other_low) == pytest.approx((low, high), abs=1e-9)


@FEW
@given(VALUES, st.data(), st.integers(0, 99))
def test_a_bootstrap_does_not_depend_on_the_order_of_the_claims_or_their_draws(
    values: list[float], data: st.DataObject, seed: int
) -> None:
    groups = data.draw(st.lists(st.sampled_from("abc"), min_size=len(values), max_size=len(values)))
    order = random.Random(seed).sample(range(len(values)), len(values))
    rows = np.array([values, values[::-1]])
    one = bootstrap_interval(rows, groups, RESAMPLING)
    other = bootstrap_interval(rows[:, order], [groups[at] for at in order], RESAMPLING)
    assert other == pytest.approx(one, abs=1e-12)


@FEW
@given(st.floats(-5, 5), st.integers(1, 6), st.integers(1, 3))
def test_equal_values_leave_no_doubt(value: float, num_claims: int, num_draws: int) -> None:
    found = estimate(np.full((num_draws, num_claims), value), list(range(num_claims)), RESAMPLING)
    assert (found.low, found.value, found.high) == pytest.approx((value, value, value))


def test_one_group_leaves_no_doubt_whatever_its_claims_say() -> None:
    found = accuracy(np.array([True, False, True]), ["q"] * 3, RESAMPLING)
    assert found.low == pytest.approx(found.value) == pytest.approx(found.high)
    assert found.wilson_low < found.value < found.wilson_high
    assert found.num_groups == 1


@FEW
@given(st.integers(0, 2**31), st.integers(0, 2**31))
def test_equal_seeds_give_equal_intervals(one: int, other: int) -> None:
    values, groups = np.linspace(0, 1, 17), list(range(17))

    def interval(seed: int) -> tuple[float, float]:
        return bootstrap_interval(values, groups, Resampling(seed=seed, num_resamples=50, confidence_level=0.9))

    assert interval(one) == interval(one)
    assert (interval(one) == interval(other)) or one != other


@FEW
@given(LABELLINGS)
def test_confusion_and_class_scores_are_what_counting_gives(labelling: tuple[int, list[tuple[int, int]]]) -> None:
    num_labels, pairs = labelling
    labels, golden = freeze([label for label, _ in pairs]), freeze([gold for _, gold in pairs])
    confusion = confusion_matrix(labels, golden, num_labels)
    for gold, label in product(range(num_labels), (*range(num_labels), UNLABELLED)):
        assert confusion[gold, label] == pairs.count((label, gold))
    scored = [(label, gold) for label, gold in pairs if UNLABELLED not in (label, gold)]
    names = [f"label {index}" for index in range(num_labels)]
    for index, scores in enumerate(class_scores(confusion, names)):
        right = scored.count((index, index))
        labelled = sum(label == index for label, _ in scored)
        truly = sum(gold == index for _, gold in scored)
        assert scores.name == names[index]
        assert (scores.num_labelled, scores.num_golden) == (labelled, truly)
        assert scores.precision == (right / labelled if labelled else None)
        assert scores.recall == (right / truly if truly else None)
        assert scores.f1 == (2 * right / (labelled + truly) if labelled + truly else None)


@FEW
@given(LABELLINGS)
def test_labelling_as_the_golden_labels_do_gives_full_scores(labelling: tuple[int, list[tuple[int, int]]]) -> None:
    num_labels, pairs = labelling
    golden = freeze([gold for _, gold in pairs])
    classes = class_scores(confusion_matrix(golden, golden, num_labels), [str(index) for index in range(num_labels)])
    assert {scores.recall for scores in classes} <= {1.0, None}
    assert balanced_accuracy(classes) in (1.0, None)
    assert (balanced_accuracy(classes) is None) == all(gold == UNLABELLED for _, gold in pairs)


@FEW
@given(st.lists(st.integers(-1, 3), min_size=1, max_size=20))
def test_the_most_frequent_label_is_the_first_of_the_most_frequent(golden: list[int]) -> None:
    known = [label for label in golden if label != UNLABELLED]
    if known:
        counts = [known.count(label) for label in range(4)]
        assert most_frequent(freeze(golden)) == counts.index(max(counts))
    else:
        with pytest.raises(ValueError, match="at least one golden label"):
            most_frequent(freeze(golden))


CONFIDENCES = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=20)


@FEW
@given(CONFIDENCES, st.integers(1, 12))
def test_every_claim_lies_in_exactly_one_bin(pairs: list[tuple[float, bool]], num_bins: int) -> None:
    confidence, correct = np.array([c for c, _ in pairs]), np.array([r for _, r in pairs])
    bins = reliability_bins(confidence, correct, num_bins)
    assert len(bins) == num_bins
    assert sum(each.num_claims for each in bins) == len(pairs)
    for each in bins:
        is_first = each.low == 0
        inside = (confidence <= each.high) & ((confidence > each.low) | (is_first & (confidence == 0)))
        assert each.num_claims == inside.sum()
        if each.num_claims:
            assert each.confidence == pytest.approx(confidence[inside].mean())
            assert each.accuracy == pytest.approx(correct[inside].mean())
        else:
            assert each.confidence is each.accuracy is None


@FEW
@given(CONFIDENCES, st.integers(1, 12), st.integers(0, 99))
def test_calibration_ignores_the_order_and_counts_what_lacks_a_probability(
    pairs: list[tuple[float, bool]], missing: int, seed: int
) -> None:
    shuffled = random.Random(seed).sample(pairs, len(pairs))
    one = calibration(np.array([c for c, _ in pairs]), np.array([r for _, r in pairs]), 10)
    with_missing = [*shuffled, *[(np.nan, True)] * missing]
    other = calibration(np.array([c for c, _ in with_missing]), np.array([r for _, r in with_missing]), 10)
    assert one is not None
    assert other is not None
    assert other.num_without_probability == missing
    assert other.num_claims == one.num_claims == len(pairs)
    assert other.brier == pytest.approx(one.brier) == pytest.approx(np.mean([(c - r) ** 2 for c, r in pairs]))
    assert other.expected_calibration_error == pytest.approx(one.expected_calibration_error)


@FEW
@given(CONFIDENCES)
def test_one_bin_measures_the_gap_between_the_means(pairs: list[tuple[float, bool]]) -> None:
    confidence, correct = np.array([c for c, _ in pairs]), np.array([r for _, r in pairs])
    gap = abs(confidence.mean() - correct.mean())
    assert expected_calibration_error(reliability_bins(confidence, correct, 1)) == pytest.approx(gap)


def test_empty_bins_have_no_calibration_error() -> None:
    with pytest.raises(ValueError, match="at least one claim with a probability"):
        expected_calibration_error(reliability_bins(np.array([]), np.array([], dtype=bool), 4))


@FEW
@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_turning_the_labels_round_turns_the_polarity_round(right: list[bool]) -> None:
    groups = list(range(len(right)))
    one = polarity(accuracy(np.array(right), groups, RESAMPLING))
    other = polarity(accuracy(~np.array(right), groups, RESAMPLING))
    assert other == {"upright": "flipped", "flipped": "upright", "undecided": "undecided"}[one]
