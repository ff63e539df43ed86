"""Metamorphic laws of comparing labels with golden ones, of comparing runs, and of the measures without gold."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icm.claims import TRUE_FALSE, UNLABELLED, Claim, ClaimId, LabelSpace, freeze
from icm.compare.schema import RunRow
from icm.compare.statistics import clustered_estimate, paired_test, summarise
from icm.diagnose.measures import (
    kappa,
    margin_tells_stability,
    nearest_surface_rule,
    predicted_by_answer_words,
    shares,
    total_variation,
)
from icm.evaluate.against_golden import Elicitation, accuracy_of, compare, disagreements
from icm.evaluate.replay import replay
from icm.evaluate.schema import Metrics
from icm.statistics.estimates import Resampling
from tests.worlds import answer_claim, elicitation, trace_of

FEW = settings(max_examples=10)
BRIEF = Resampling(seed=0, num_resamples=30, confidence_level=0.9)
THREE = LabelSpace(names=("a", "b", "c"), verbalizers=(" a", " b", " c"))
WORLDS = st.builds(
    elicitation,
    num_groups=st.integers(2, 5),
    num_wrong=st.integers(0, 6),
    num_unlabelled=st.integers(0, 6),
    seed=st.integers(0, 50),
)


def metrics_of(of: Elicitation) -> Metrics:
    return compare(of, BRIEF, num_bins=5, max_trace_points=20)


def plain(metrics: Metrics, *left_out: str) -> dict[str, Any]:
    return metrics.model_dump(exclude=set(left_out))


@FEW
@given(WORLDS, st.integers(0, 99))
def test_the_order_of_the_claims_changes_no_figure(of: Elicitation, seed: int) -> None:
    order = random.Random(seed).sample(range(len(of.claims)), len(of.claims))
    shuffled = replace(of, claims=[of.claims[at] for at in order], rows=[of.rows[at] for at in order])
    one, other = plain(metrics_of(of), "calibration"), plain(metrics_of(shuffled), "calibration")
    assert other == one
    assert disagreements(shuffled) == disagreements(of)


@FEW
@given(WORLDS)
def test_golden_labels_of_claims_that_were_not_searched_change_nothing_about_the_labels(of: Elicitation) -> None:
    held_out = {claim.id for claim in of.held_out}
    blind = replace(of, golden={claim: label for claim, label in of.golden.items() if claim not in held_out})
    one, other = plain(metrics_of(of), "baselines"), plain(metrics_of(blind), "baselines")
    assert other == one


@FEW
@given(WORLDS)
def test_turning_all_labels_round_exchanges_accuracy_and_flipped_accuracy(of: Elicitation) -> None:
    turned = replace(
        of,
        rows=[
            row if row.label is None else row.model_copy(update={"label": 1 - row.label, "name": None})
            for row in of.rows
        ],
    )
    one, other = metrics_of(of), metrics_of(turned)
    assert other.accuracy == one.flipped_accuracy
    assert other.flipped_accuracy == one.accuracy
    assert np.array(other.confusion)[:, [1, 0, 2]].tolist() == [list(row) for row in one.confusion]


@FEW
@given(WORLDS)
def test_counts_agree_with_one_another(of: Elicitation) -> None:
    metrics = metrics_of(of)
    labels = of.labels
    assert metrics.num_labelled == int((labels != UNLABELLED).sum())
    assert metrics.coverage == pytest.approx(metrics.num_labelled / metrics.num_claims)
    assert int(np.sum(metrics.confusion)) == metrics.num_claims - metrics.num_without_gold
    if metrics.accuracy is None:
        assert metrics.num_labelled == 0
        return
    wrong = metrics.accuracy.num_claims - metrics.accuracy.num_correct
    assert len(disagreements(of)) == wrong
    assert metrics.accuracy_unlabelled_wrong == pytest.approx(metrics.accuracy.num_correct / len(of.claims))
    assert metrics.accuracy_unlabelled_wrong <= metrics.accuracy.value + 1e-12


@FEW
@given(WORLDS)
def test_disagreements_are_the_wrong_labels_the_surest_first(of: Elicitation) -> None:
    found = disagreements(of)
    golden = {claim.id: of.task.label_space.names[of.golden[claim.id]] for claim in of.claims}
    named = {row.id: row.name for row in of.rows}
    assert {claim.id for claim, _, _ in found} == {row.id for row in of.rows if row.name not in (None, golden[row.id])}
    assert all((row.name, truth) == (named[claim.id], golden[claim.id]) for claim, row, truth in found)
    probabilities = [row.probability or 0.0 for _, row, _ in found]
    assert probabilities == sorted(probabilities, reverse=True)


@FEW
@given(st.integers(0, 20))
def test_three_labels_have_no_flip_and_no_surface_rule(seed: int) -> None:
    metrics = metrics_of(elicitation(space=THREE, seed=seed))
    assert metrics.flipped_accuracy is None
    assert metrics.polarity is None
    assert [each.name for each in metrics.classes] == ["a", "b", "c"]
    assert [each.not_applicable for each in metrics.baselines][1:] == ["the rule speaks of true and false claims"] * 3


@FEW
@given(WORLDS)
def test_what_no_claim_scores_has_no_accuracy(of: Elicitation) -> None:
    nothing = freeze(np.full(len(of.claims), UNLABELLED))
    golden = freeze(np.ones(len(of.claims)))
    assert accuracy_of(nothing, golden, of.claims, BRIEF) is None
    assert accuracy_of(golden, nothing, of.claims, BRIEF) is None


CHANGES = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([None, 0, 1])), min_size=1, max_size=12)


@FEW
@given(CHANGES, st.dictionaries(st.sampled_from("abcd"), st.integers(0, 1)), st.integers(2, 20))
def test_a_replay_counts_what_stands_after_each_step(
    changes: list[tuple[str, int | None]], gold: Mapping[str, int], max_points: int
) -> None:
    golden = {ClaimId(name): label for name, label in gold.items()}
    named = [(ClaimId(name), label) for name, label in changes]
    labels: dict[ClaimId, int] = {}
    expected: list[float | None] = [None]
    for claim, label in named:
        labels.pop(claim, None)
        if label is not None:
            labels[claim] = label
        scored = [labels[each] == golden[each] for each in labels if each in golden]
        expected.append(sum(scored) / len(scored) if scored else None)
    found = replay(trace_of(named), golden, labels, max_points)
    assert found.num_steps == len(changes)
    assert found.num_differing == 0
    assert len(found.points) == min(max_points, len(changes) + 1)
    assert (found.points[0].step, found.points[-1].step) == (0, len(changes))
    for point in found.points:
        assert point.accuracy == expected[point.step]


# ----------------------------------------------------------------------------------------------- comparing columns


def run_of(column: str, seed: int, correct: Sequence[bool], **figures: Any) -> RunRow:
    told: dict[str, Any] = {
        "coverage": 1.0,
        "utility": 0.0,
        "violations": 0,
        "tokens": 1,
        "naive_tokens": 2,
        "seconds": 1,
    }
    return RunRow(
        task="t",
        column=column,
        seed=seed,
        accuracy=float(np.mean(correct)),
        correct=tuple(correct),
        groups=tuple(f"g{place // 2}" for place in range(len(correct))),
        trace=(),
        **(told | figures),
    )


RUNS = st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=2, max_size=5)


@FEW
@given(RUNS)
def test_a_column_compared_with_itself_differs_by_nothing(correct: list[list[bool]]) -> None:
    runs = [run_of(column, seed, each) for column in ("one", "two") for seed, each in enumerate(correct)]
    one, two = summarise(runs, BRIEF)
    assert (one.difference, one.p_value) == (None, None)
    assert two.difference is not None
    assert (two.difference.low, two.difference.value, two.difference.high) == (0.0, 0.0, 0.0)
    assert two.p_value == 1.0
    assert two.accuracy == one.accuracy
    assert one.accuracy.value == pytest.approx(np.mean(correct))


@FEW
@given(RUNS, RUNS)
def test_exchanging_two_columns_turns_their_difference_round(one: list[list[bool]], other: list[list[bool]]) -> None:
    num = min(len(one), len(other))

    def difference(first: list[list[bool]], second: list[list[bool]]) -> tuple[float, float | None]:
        runs = [run_of(name, seed, each[seed]) for name, each in (("a", first), ("b", second)) for seed in range(num)]
        row = summarise(runs, BRIEF)[1]
        assert row.difference is not None
        return row.difference.value, row.p_value

    forth, back = difference(one, other), difference(other, one)
    assert forth[0] == pytest.approx(-back[0])
    assert forth[1] == pytest.approx(back[1])


@FEW
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.floats(0.01, 1))
def test_a_difference_in_every_pair_is_as_improbable_as_can_be(values: list[float], gain: float) -> None:
    p_value = paired_test([value + gain for value in values], values, seed=0)
    # All 2^n exchanges are as likely; with equal gains only the two extreme ones are as far out.
    assert p_value == pytest.approx(2 / 2 ** len(values), abs=1e-9)


def test_one_pair_tells_nothing() -> None:
    assert paired_test([1.0], [0.0], seed=0) is None


@FEW
@given(RUNS)
def test_an_interval_over_runs_holds_the_mean_and_the_runs_bound_it(correct: list[list[bool]]) -> None:
    values = [np.array(each, dtype=np.float64) for each in correct]
    found = clustered_estimate(values, [["a", "a", "b", "b"]] * len(values), BRIEF)
    assert 0.0 <= found.low <= found.high <= 1.0
    assert found.value == pytest.approx(np.mean(correct))
    if len({tuple(each) for each in correct}) == 1 and len(set(correct[0])) == 1:
        assert found.low == found.high == found.value


@FEW
@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_figures_are_means_of_the_runs_and_success_counts_the_nearly_right(seconds: list[float]) -> None:
    runs = [
        run_of("one", seed, [True] * 20 if seed % 2 else [True] * 18 + [False] * 2, seconds=each, tokens=seed)
        for seed, each in enumerate(seconds)
    ]
    (row,) = summarise(runs, BRIEF)
    assert row.num_runs == len(runs)
    assert row.seconds == pytest.approx(np.median(seconds))
    assert row.tokens == pytest.approx(np.mean(range(len(runs))))
    assert row.success_rate == pytest.approx(len(runs) // 2 / len(runs))


# ------------------------------------------------------------------------------------------- measures without gold

LABELS = st.lists(st.integers(-1, 2), min_size=1, max_size=15)


@FEW
@given(st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 2)), min_size=1, max_size=15), st.permutations([0, 1, 2]))
def test_agreement_beyond_chance_is_mutual_and_does_not_know_names(
    pairs: list[tuple[int, int]], names: list[int]
) -> None:
    one, other = freeze([a for a, _ in pairs]), freeze([b for _, b in pairs])
    renamed = [freeze([names[label] if label >= 0 else label for label in labels]) for labels in (one, other)]
    assert kappa(one, other) == pytest.approx(kappa(other, one))
    assert kappa(*renamed) == pytest.approx(kappa(one, other))
    assert kappa(one, other) <= 1.0
    both = [(a, b) for a, b in pairs if a >= 0 and b >= 0]
    if both and all(a == b for a, b in both) and len({a for a, _ in both}) > 1:
        assert kappa(one, other) == 1.0


@FEW
@given(LABELS)
def test_shares_make_one_and_their_distance_is_between_zero_and_one(values: list[int]) -> None:
    labels = freeze(values)
    if not any(value >= 0 for value in values):
        return
    found = shares(labels, 3)
    assert found.sum() == pytest.approx(1.0)
    assert total_variation(found, found) == 0.0
    assert total_variation([1, 0, 0], [0, 1, 0]) == 1.0
    assert 0.0 <= total_variation(found, [1 / 3] * 3) <= 2 / 3 + 1e-12


@FEW
@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(0, 1)), min_size=3, max_size=10), st.floats(0.5, 3))
def test_margins_are_compared_by_rank_alone(pairs: list[tuple[float, float]], scale: float) -> None:
    margins, stability = np.array([m for m, _ in pairs]), np.array([s for _, s in pairs])
    found = margin_tells_stability(margins, stability)
    if np.ptp(margins) == 0 or np.ptp(stability) == 0:
        assert found is None
        return
    assert found is not None
    assert -1.0 - 1e-9 <= found <= 1.0 + 1e-9
    assert margin_tells_stability(-margins, stability) == pytest.approx(-found)
    assert margin_tells_stability(margins, margins) == pytest.approx(1.0)


def test_labels_that_follow_a_surface_rule_are_found_out_either_way_round() -> None:
    claims = [answer_claim(f"q{i // 2}", "never" if i % 3 else "red") for i in range(12)]
    labels = freeze([int(bool(i % 3)) for i in range(12)])
    for given_labels in (labels, freeze(1 - labels)):
        found = nearest_surface_rule(claims, given_labels)
        assert found is not None
        assert found[1] == pytest.approx(1.0)
    assert nearest_surface_rule([], freeze([])) is None


@pytest.mark.parametrize("follows_words", [True, False])
def test_labels_that_follow_the_words_of_answers_are_read_off_them(follows_words: bool) -> None:
    claims: list[Claim] = []
    labels: list[int] = []
    rng = random.Random(0)
    for group in range(40):
        for answer in ("it is red", "it is blue"):
            claims.append(answer_claim(f"question {group}?", answer))
            labels.append(int(answer == "it is red") if follows_words else rng.randrange(2))
    groups = np.unique([claim.group for claim in claims], return_inverse=True)[1]
    found = predicted_by_answer_words(claims, freeze(labels), groups)
    assert found is not None
    if follows_words:
        assert found == 1.0
    else:
        assert found < 0.5


def test_words_tell_nothing_about_few_groups_or_one_label() -> None:
    claims = [answer_claim(f"question {group}?", "yes") for group in range(12)]
    groups = np.arange(12)
    assert predicted_by_answer_words(claims, freeze([1] * 12), groups) is None
    assert predicted_by_answer_words(claims[:9], freeze([0, 1, 1] * 3), groups[:9]) is None
    assert len(TRUE_FALSE) == 2
