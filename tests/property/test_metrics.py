"""Laws of metrics and intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from icm.evaluate.replay import replay
from icm.statistics.estimates import Resampling, accuracy, bootstrap_interval, generator, wilson_interval
from icm.statistics.scores import (
    balanced_accuracy,
    calibration,
    class_scores,
    confusion_matrix,
    expected_calibration_error,
    reliability_bins,
)
from icm.statistics.streams import Stream
from tests.worlds import trace_of

RESAMPLING = Resampling(seed=3, num_resamples=100, confidence_level=0.9)


@st.composite
def labellings(draw: Any) -> Any:
    """A number of labels, labels (-1 allowed) and golden labels (-1 allowed) of a few claims."""
    num_labels = draw(st.integers(2, 5))
    num_claims = draw(st.integers(1, 40))
    label = st.lists(st.integers(-1, num_labels - 1), min_size=num_claims, max_size=num_claims)
    return num_labels, np.array(draw(label), dtype=np.int8), np.array(draw(label), dtype=np.int8)


@given(st.integers(0, 5000), st.integers(0, 5000), st.floats(0.01, 0.999))
def test_wilson_interval_holds_its_share(num_correct: int, num_wrong: int, confidence_level: float) -> None:
    num_claims = num_correct + num_wrong
    assume(num_claims > 0)
    low, high = wilson_interval(num_correct, num_claims, confidence_level)
    assert 0.0 <= low <= num_correct / num_claims <= high <= 1.0


@given(labellings(), st.randoms(use_true_random=False))
def test_renaming_the_labels_changes_no_score(labelling: Any, random: Any) -> None:
    num_labels, labels, golden = labelling
    order = list(range(num_labels))
    random.shuffle(order)
    renaming = np.array([*order, -1], dtype=np.int8)  # position -1 keeps -1

    plain = class_scores(confusion_matrix(labels, golden, num_labels), list(map(str, range(num_labels))))
    renamed = class_scores(
        confusion_matrix(renaming[labels], renaming[golden], num_labels), list(map(str, range(num_labels)))
    )
    for label, scores in enumerate(plain):
        assert scores.model_dump(exclude={"name"}) == renamed[order[label]].model_dump(exclude={"name"})
    assert balanced_accuracy(renamed) == pytest.approx(balanced_accuracy(plain))


@given(labellings(), st.randoms(use_true_random=False))
def test_the_order_of_the_claims_changes_nothing(labelling: Any, random: Any) -> None:
    num_labels, labels, golden = labelling
    order = list(range(len(labels)))
    random.shuffle(order)
    expected = confusion_matrix(labels, golden, num_labels)
    assert (confusion_matrix(labels[order], golden[order], num_labels) == expected).all()


@given(labellings())
def test_confusion_counts_every_claim_with_gold_once(labelling: Any) -> None:
    num_labels, labels, golden = labelling
    confusion = confusion_matrix(labels, golden, num_labels)
    assert confusion.sum() == (golden >= 0).sum()
    assert np.trace(confusion) == ((labels == golden) & (golden >= 0)).sum()


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.integers(1, 15))
def test_calibration_error_lies_between_the_overall_gap_and_one(pairs: Any, num_bins: int) -> None:
    confidence = np.array([pair[0] for pair in pairs])
    correct = np.array([pair[1] for pair in pairs])
    result = calibration(confidence, correct, num_bins)
    assert result is not None
    assert sum(each.num_claims for each in result.bins) == len(pairs)
    overall_gap = abs(correct.mean() - confidence.mean())
    assert overall_gap - 1e-9 <= result.expected_calibration_error <= 1.0
    assert 0.0 <= result.brier <= 1.0


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 8)), min_size=1, max_size=8))
def test_calibration_error_vanishes_where_every_bin_is_calibrated(bins: Any) -> None:
    confidence, correct = [], []
    for size, right in bins:
        right = min(right, size)
        confidence += [right / size] * size
        correct += [True] * right + [False] * (size - right)
    # 840 is divided by every group size up to 8, so claims of one bin share one confidence.
    measured = reliability_bins(np.array(confidence), np.array(correct), 840)
    assert expected_calibration_error(measured) == pytest.approx(0.0, abs=1e-9)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.data())
@settings(max_examples=40)
def test_bootstrap_lies_within_the_values_and_ignores_how_groups_are_named(rights: Any, data: st.DataObject) -> None:
    groups = data.draw(st.lists(st.integers(0, 6), min_size=len(rights), max_size=len(rights)))
    correct = np.array(rights)
    result = accuracy(correct, groups, RESAMPLING)
    assert 0.0 <= result.low <= result.high <= 1.0
    assert result.num_groups == len(set(groups))
    named = [f"group {group}" for group in groups]
    assert bootstrap_interval(correct.astype(float), named, RESAMPLING) == (result.low, result.high)


@given(st.integers(0, 2**63), st.integers(0, 2**31))
def test_draws_of_different_streams_and_indices_differ(seed: int, index: Any) -> None:
    first = generator(seed, Stream.BOOTSTRAP, index).integers(2**63, size=4)
    assert (first == generator(seed, Stream.BOOTSTRAP, index).integers(2**63, size=4)).all()
    assert (first != generator(seed, Stream.SHOTS, index).integers(2**63, size=4)).any()
    assert (first != generator(seed, Stream.BOOTSTRAP, index + 1).integers(2**63, size=4)).any()


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | st.integers(0, 2)), min_size=1, max_size=50),
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2)),
)
def test_replay_equals_counting_the_final_labels(changes: Any, golden: Any) -> None:
    final = {claim: label for claim, label in dict(changes).items() if label is not None}
    result = replay(trace_of(changes), golden, final, max_points=1000)
    scored = [final[claim] == golden[claim] for claim in final if claim in golden]
    assert result.num_differing == 0
    assert result.points[-1].labelled == len(final)
    assert result.points[-1].accuracy == (sum(scored) / len(scored) if scored else None)
