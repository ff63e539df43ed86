"""Measures without golden labels, and what is made of them: laws, and planted features that must be seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icm.claims import UNLABELLED, freeze
from icm.diagnose import measures
from icm.diagnose.checks import MEANINGS, judge
from icm.diagnose.schema import CHECK_NAMES, CheckName
from icm.diagnose.settings import Bounds
from tests.worlds import answer_claim, comparison_claim

NOTHING: dict[CheckName, float | str] = dict.fromkeys(CHECK_NAMES, "not measured")
labellings = st.lists(st.sampled_from([UNLABELLED, 0, 1]), min_size=4, max_size=30).map(freeze)


@given(labellings)
def test_kappa_of_a_labelling_with_itself_is_one_unless_it_is_constant(labels: Any) -> None:
    num_kinds = np.unique(labels[labels != UNLABELLED]).size
    assert measures.kappa(labels, labels) == pytest.approx(1.0 if num_kinds == 2 else 0.0)


@given(labellings, st.randoms(use_true_random=False))
def test_kappa_is_symmetric_and_at_most_one(labels: Any, random: Any) -> None:
    other = freeze(random.sample(labels.tolist(), labels.size))
    assert measures.kappa(labels, other) == pytest.approx(measures.kappa(other, labels))
    assert measures.kappa(labels, other) <= 1 + 1e-12


def test_kappa_of_independent_labellings_is_near_zero_however_skewed() -> None:
    random = np.random.default_rng(0)
    one, other = (freeze(random.random(20_000) < 0.9) for _ in range(2))
    assert measures.kappa(one, other) == pytest.approx(0, abs=0.03)


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_total_variation_is_a_distance_below_one(weights: Any, random: Any) -> None:
    one = np.array(weights) / sum(weights)
    other = np.array(random.sample(one.tolist(), one.size))
    assert measures.total_variation(one, one) == 0
    assert 0 <= measures.total_variation(one, other) == pytest.approx(measures.total_variation(other, one))
    assert measures.total_variation(one, other) < 1


def facts(num_questions: int = 40) -> Any:
    random = np.random.default_rng(1)
    colours = ("red", "blue", "green", "white")
    claims = [answer_claim(f"What color is animal {n}?", str(c)) for n in range(num_questions) for c in colours]
    truth = [int(c == right) for right in random.choice(colours, size=num_questions) for c in colours]
    groups = np.repeat(np.arange(num_questions), len(colours))
    return claims, freeze(truth), groups


def test_labels_that_the_answer_decides_are_read_off_its_words() -> None:
    claims, _, groups = facts()
    warm = freeze([claim.parts["answer"] in ("red", "white") for claim in claims])
    assert measures.predicted_by_answer_words(claims, warm, groups) == pytest.approx(1.0)


def test_labels_that_depend_on_the_question_are_not_read_off_the_words_of_the_answer() -> None:
    claims, truth, groups = facts()
    assert measures.predicted_by_answer_words(claims, truth, groups) == pytest.approx(0, abs=0.2)


def test_words_tell_nothing_of_one_label_or_of_comparisons() -> None:
    claims, truth, groups = facts()
    assert measures.predicted_by_answer_words(claims, freeze(np.zeros_like(truth)), groups) is None
    pairs = [comparison_claim(f"How {n}?", "short", "quite long") for n in range(20)]
    assert measures.predicted_by_answer_words(pairs, freeze([0, 1] * 10), np.arange(20)) is None


@pytest.mark.parametrize("turned", [False, True])
def test_a_labelling_by_length_is_found_either_way_round(turned: Any) -> None:
    random = np.random.default_rng(2)
    sizes = random.integers(1, 9, size=(30, 2))
    claims = [comparison_claim(f"How {n}?", "so " * a, "so " * b) for n, (a, b) in enumerate(sizes)]
    longer = (sizes[:, 0] > sizes[:, 1]) != turned
    assert measures.nearest_surface_rule(claims, freeze(longer)) == ("length", pytest.approx(1.0))


def test_a_margin_that_rises_with_stability_is_calibrated_and_a_constant_one_tells_nothing() -> None:
    margins, stability = np.array([0.1, 0.5, 2.0, 3.0]), np.array([0.2, 0.5, 0.6, 1.0])
    assert measures.margin_tells_stability(margins, stability) == pytest.approx(1.0)
    assert measures.margin_tells_stability(-margins, stability) == pytest.approx(-1.0)
    assert measures.margin_tells_stability(margins, np.ones(4)) is None


def test_every_check_is_explained() -> None:
    assert set(MEANINGS) == set(CHECK_NAMES)


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 3), st.sampled_from(["above", "below"]))
def test_a_worse_value_never_gets_a_better_verdict(one: Any, other: Any, gap: Any, worse: Any) -> None:
    sign = 1 if worse == "above" else -1
    bounds = Bounds(worse=worse, caution=0.0, reject=sign * gap)
    severity = ("trust", "caution", "reject")
    better, poorer = sorted((one, other), key=lambda value: sign * value)
    assert severity.index(bounds.verdict(better)) <= severity.index(bounds.verdict(poorer))


def test_the_verdict_is_the_worst_of_the_checks_and_names_its_reasons_worst_first() -> None:
    bounds: dict[CheckName, Bounds] = {
        "orders": Bounds(worse="below", caution=0.9),
        "null_gap": Bounds(worse="below", caution=2.0, reject=1.0),
        "collapsed": Bounds(worse="above", caution=0.9),
    }
    measured: dict[CheckName, float | str] = {"orders": 0.8, "null_gap": 0.5, "collapsed": 0.6}
    diagnosis = judge("facts", NOTHING | measured, bounds, most_doubts=4)
    assert diagnosis.verdict == "reject"
    first, second = diagnosis.reasons
    assert "without meaning" in first
    assert "0.50 bits, expected at least 2.00 bits" in first
    assert "80 %, expected at least 90 %" in second


def test_what_could_not_be_measured_or_has_no_bounds_speaks_against_nothing() -> None:
    measured: dict[CheckName, float | str] = {"orders": 0.0}
    diagnosis = judge("facts", NOTHING | measured, {"swapped": Bounds(worse="below", reject=0.9)}, most_doubts=0)
    assert diagnosis.verdict == "trust"
    assert diagnosis.reasons == ()
    assert {check.missing for check in diagnosis.checks if check.value is None} == {"not measured"}


@pytest.mark.parametrize(("most_doubts", "verdict"), [(1, "reject"), (2, "caution")])
def test_more_doubts_than_allowed_reject(most_doubts: Any, verdict: Any) -> None:
    measured: dict[CheckName, float | str] = {"orders": 0.8, "swapped": 0.8, "zero_shot": 1.0}
    bounds = dict.fromkeys(measured, Bounds(worse="below", caution=0.9))
    diagnosis = judge("facts", NOTHING | measured, bounds, most_doubts)
    assert diagnosis.verdict == verdict


def test_bounds_that_reject_before_they_warn_are_refused() -> None:
    with pytest.raises(ValueError, match="must be worse than what calls for caution"):
        Bounds(worse="below", caution=0.5, reject=0.8)
