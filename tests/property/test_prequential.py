"""Laws of labels as a code: updating equals evaluating, the null code is a code, blocks hold every claim once."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp

from icm.claims import TRUE_FALSE, UNLABELLED, freeze
from icm.objective import PrequentialSettings, gain, null_code
from icm.prequential import BlockPlan, Prequential, match_prior
from icm.problem import build_problem
from icm.scoring.fake import HashScorer
from tests.worlds import elicit_settings, make_claims, make_task
from tests.worlds.scorers import ConceptScorer

DEFAULTS = elicit_settings()
OBJECTIVES = st.builds(
    PrequentialSettings,
    kind=st.just("prequential"),
    alpha=st.floats(0.1, 10),
    num_orders=st.integers(1, 3),
    block_size=st.integers(3, 12),
    keep_groups=st.booleans(),
    calibration=st.sampled_from(["mean", "none"]),
    class_prior=st.sampled_from([None, (0.3, 0.7)]),
)
LABELS = st.lists(st.integers(UNLABELLED, 1), min_size=12, max_size=12)


def make_objective(told: PrequentialSettings, seed: int, concept: bool) -> Prequential:
    claims, truth = make_claims(num_groups=4, per_group=3, seed=seed % 7)
    scorer = ConceptScorer(truth, TRUE_FALSE) if concept else HashScorer(TRUE_FALSE, seed=seed)
    stage = DEFAULTS.model_copy(update={"seed": seed, "objective": told})
    objective = build_problem(claims, make_task(), scorer, stage).objective
    assert isinstance(objective, Prequential)
    return objective


@given(told=OBJECTIVES, seed=st.integers(0, 1000), concept=st.booleans(), before=LABELS, after=LABELS)
@settings(max_examples=100, deadline=None)
def test_update_equals_evaluate(
    told: PrequentialSettings, seed: int, concept: bool, before: list[int], after: list[int]
) -> None:
    objective = make_objective(told, seed, concept)
    updated = objective.update(objective.evaluate(freeze(before)), freeze(after))
    evaluated = objective.evaluate(freeze(after))
    assert updated.utility == evaluated.utility
    assert (updated.predictability, updated.spread, updated.inconsistency, updated.num_violations) == (
        evaluated.predictability,
        evaluated.spread,
        evaluated.inconsistency,
        evaluated.num_violations,
    )
    assert np.array_equal(updated.conditionals, evaluated.conditionals, equal_nan=True)
    assert updated.answers.keys() == evaluated.answers.keys()


def test_an_update_reads_only_the_blocks_that_changed() -> None:
    told = PrequentialSettings(
        kind="prequential", alpha=1, num_orders=2, block_size=4, keep_groups=False, calibration="none"
    )
    objective = make_objective(told, 0, concept=False)
    labels = np.zeros(12, dtype=np.int8)
    evaluation = objective.evaluate(freeze(labels))
    asked = objective.scorer.cost.prompts
    assert asked == 2 * 12
    objective.update(evaluation, freeze(labels))
    assert objective.scorer.cost.prompts == asked
    labels[5] = 1
    objective.update(evaluation, freeze(labels))
    # One block of four in each order, unless the claim is the last of its block: that label is never shown.
    assert objective.scorer.cost.prompts - asked in (0, 4, 8)


@given(told=OBJECTIVES, seed=st.integers(0, 1000), labels=LABELS, claim=st.integers(0, 11), label=st.integers(0, 1))
@settings(max_examples=60, deadline=None)
def test_a_prediction_is_the_row_that_the_claim_has_once_it_is_labelled(
    told: PrequentialSettings, seed: int, labels: list[int], claim: int, label: int
) -> None:
    objective = make_objective(told.model_copy(update={"calibration": "none", "class_prior": None}), seed, False)
    predicted = objective.predict(freeze(labels), claim)
    labels[claim] = label
    np.testing.assert_allclose(predicted, objective.evaluate(freeze(labels)).conditionals[claim], atol=1e-12)


@given(told=OBJECTIVES, seed=st.integers(0, 1000), labels=st.lists(st.integers(0, 1), min_size=12, max_size=12))
@settings(max_examples=40, deadline=None)
def test_where_all_is_labelled_predictions_are_the_conditionals_of_the_evaluation(
    told: PrequentialSettings, seed: int, labels: list[int]
) -> None:
    objective = make_objective(told, seed, True)
    conditionals = objective.evaluate(freeze(labels)).conditionals
    np.testing.assert_array_equal(objective.predict_all(freeze(labels)), conditionals)


@pytest.mark.parametrize("num_labels", [2, 3])
@pytest.mark.parametrize("prior", [None, (0.2, 0.3, 0.5)])
def test_the_null_code_sums_to_one_over_all_labellings(num_labels: int, prior: tuple[float, ...] | None) -> None:
    shares = None if prior is None else tuple(share / sum(prior[:num_labels]) for share in prior[:num_labels])
    for num_claims in range(1, 6):
        codes = [
            null_code(np.bincount(labels, minlength=num_labels), shares)
            for labels in product(range(num_labels), repeat=num_claims)
        ]
        assert float(logsumexp(codes)) == pytest.approx(0, abs=1e-9)


def counting_rows(labels: np.ndarray, num_labels: int) -> np.ndarray:
    """Return what a reader expects who looks at no claim and counts the labels before each: (N, L)."""
    before = np.cumsum(np.eye(num_labels)[labels], axis=0) - np.eye(num_labels)[labels]
    return np.log(before + 0.5) - np.log(before.sum(axis=1, keepdims=True) + 0.5 * num_labels)


@given(labels=st.lists(st.integers(0, 2), min_size=1, max_size=40))
def test_a_reader_who_only_counts_labels_gains_nothing(labels: list[int]) -> None:
    assert gain(counting_rows(np.array(labels), 3), freeze(labels)) == pytest.approx(0, abs=1e-8)


def test_random_labels_lose_to_a_reader_who_expects_others() -> None:
    random = np.random.default_rng(0)
    rows = log_softmax(3.0 * random.normal(size=(40, 2)), axis=1)
    gains = [gain(rows, freeze(random.integers(2, size=40))) for _ in range(50)]
    assert np.mean(gains) < -20
    assert gain(rows, freeze(rows.argmax(axis=1))) > 0


@given(seed=st.integers(0, 1000), num_claims=st.integers(2, 30))
def test_matched_rows_have_the_shares_of_the_prior(seed: int, num_claims: int) -> None:
    rows = log_softmax(np.random.default_rng(seed).normal(size=(num_claims, 3)), axis=1)
    shares = (0.2, 0.3, 0.5)
    np.testing.assert_allclose(np.exp(match_prior(rows, shares)).mean(axis=0), shares, atol=1e-6)


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=12),
    size=st.integers(4, 20),
    keep_groups=st.booleans(),
    room=st.sampled_from([None, 60, 100]),
    seed=st.integers(0, 100),
)
def test_blocks_hold_every_claim_once_and_fit(
    sizes: list[int], size: int, keep_groups: bool, room: int | None, seed: int
) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    tokens = np.random.default_rng(seed).integers(3, 15, size=groups.size)
    plan = BlockPlan(seed, groups, size, keep_groups, tokens, room)
    blocks = plan.blocks(3)
    assert sorted(np.concatenate(blocks).tolist()) == list(range(groups.size))
    assert all(0 < block.size <= size for block in blocks)
    assert room is None or all(tokens[block].sum() <= room for block in blocks)
    if keep_groups:
        assert sum(np.unique(groups[block]).size for block in blocks) == len(sizes)
    assert all(np.array_equal(one, other) for one, other in zip(blocks, plan.blocks(3), strict=True))


def test_orders_differ_and_blocks_are_nearly_equal() -> None:
    plan = BlockPlan(0, np.arange(100), 32, False, np.ones(100, dtype=np.int64), None)
    assert [block.size for block in plan.blocks(0)] == [25, 25, 25, 25]
    assert not np.array_equal(plan.blocks(0)[0], plan.blocks(1)[0])
