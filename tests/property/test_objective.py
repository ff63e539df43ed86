"""Laws of U: updating equals evaluating anew, bit for bit; each option of P has the symmetry it promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from icm.claims import TRUE_FALSE, UNLABELLED, freeze
from icm.contexts import Fixed, KShot, Tree
from icm.objective import LeaveOneOutSettings, Objective, margins, mutual_predictability
from icm.problem import build_problem
from icm.scoring.fake import HashScorer
from tests.worlds import elicit_settings, make_claims, make_task
from tests.worlds.scorers import ConceptScorer

OBJECTIVES = st.builds(
    LeaveOneOutSettings,
    alpha=st.floats(0.5, 100),
    predictability=st.sampled_from(["log_prob", "margin", "centred"]),
    reduction=st.sampled_from(["sum", "mean"]),
)
DEFAULTS = elicit_settings()
CONTEXTS = st.sampled_from([Tree(), Tree(num_orders=3), Fixed(), KShot(num_shots=1), KShot(num_shots=5)])


def make_objective(objective_settings: LeaveOneOutSettings, contexts: str, seed: int, concept: bool) -> Objective:
    claims, truth = make_claims(num_groups=4, per_group=3, seed=seed % 7)
    scorer = ConceptScorer(truth, TRUE_FALSE) if concept else HashScorer(TRUE_FALSE, seed=seed)
    stage = DEFAULTS.model_copy(update={"seed": seed, "objective": objective_settings, "contexts": contexts})
    return build_problem(claims, make_task(), scorer, stage).objective


@given(objective=OBJECTIVES, contexts=CONTEXTS, seed=st.integers(0, 1000), concept=st.booleans(), data=st.data())
@settings(max_examples=120, deadline=None)
def test_update_equals_evaluate(objective: Any, contexts: str, seed: int, concept: bool, data: st.DataObject) -> None:
    objective = make_objective(objective, contexts, seed, concept)
    label_vectors = st.lists(st.integers(UNLABELLED, 1), min_size=12, max_size=12)
    before = freeze(np.array(data.draw(label_vectors)))
    after = freeze(np.array(data.draw(label_vectors)))
    updated, evaluated = objective.update(objective.evaluate(before), after), objective.evaluate(after)
    assert updated.utility == evaluated.utility
    assert (updated.predictability, updated.inconsistency, updated.num_violations) == (
        evaluated.predictability,
        evaluated.inconsistency,
        evaluated.num_violations,
    )
    assert np.array_equal(updated.label_logprobs, evaluated.label_logprobs, equal_nan=True)
    assert updated.answers.keys() == evaluated.answers.keys()


@given(contexts=CONTEXTS, seed=st.integers(0, 1000), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_prediction_is_the_row_the_claim_has_once_it_is_labelled(
    contexts: str, seed: int, data: st.DataObject
) -> None:
    objective = make_objective(
        LeaveOneOutSettings(alpha=30, predictability="margin", reduction="mean"), contexts, seed, concept=False
    )
    labels = np.array(data.draw(st.lists(st.integers(UNLABELLED, 1), min_size=12, max_size=12)), dtype=np.int8)
    claim, label = data.draw(st.integers(0, 11)), data.draw(st.integers(0, 1))
    predicted = objective.predict(freeze(labels), claim)
    labels[claim] = label
    assert np.array_equal(predicted, objective.evaluate(freeze(labels)).label_logprobs[claim])


def test_an_update_asks_only_what_changed() -> None:
    claims, _ = make_claims(num_groups=8, per_group=3)
    scorer = HashScorer(TRUE_FALSE)
    stage = elicit_settings(0, "contexts=k_shot", "contexts.num_shots=2")
    objective = build_problem(claims, make_task(), scorer, stage).objective
    labels = np.zeros(24, dtype=np.int8)
    evaluation = objective.evaluate(freeze(labels))
    asked = scorer.cost.prompts
    objective.update(evaluation, freeze(labels))
    assert scorer.cost.prompts == asked
    labels[5] = 1
    objective.update(evaluation, freeze(labels))
    # Each of the 2-shot contexts that may show claim 5 is asked again, the other twenty or so are not.
    assert 1 <= scorer.cost.prompts - asked <= 5


def rows_of(seed: int, num_claims: int, num_labels: int) -> np.ndarray:
    return log_softmax(3 * np.random.default_rng(seed).normal(size=(num_claims, num_labels)), axis=1)


@given(seed=st.integers(0, 2**32), num_claims=st.integers(1, 12), num_labels=st.integers(2, 4))
def test_margins_are_log_odds(seed: int, num_claims: int, num_labels: int) -> None:
    rows = rows_of(seed, num_claims, num_labels)
    probabilities = np.exp(rows)
    np.testing.assert_allclose(margins(rows), np.log(probabilities / (1 - probabilities)), rtol=1e-6, atol=1e-8)


def test_margins_stay_finite_where_the_model_is_certain() -> None:
    assert margins(np.array([[-1e-20, -50.0]])) == pytest.approx(np.array([[50.0, -50.0]]))


@given(seed=st.integers(0, 2**32), num_claims=st.integers(1, 12), num_labels=st.integers(2, 4), data=st.data())
def test_the_centred_margin_of_a_constant_labelling_is_zero(
    seed: int, num_claims: int, num_labels: int, data: st.DataObject
) -> None:
    label = data.draw(st.integers(0, num_labels - 1))
    labels = np.full(num_claims, label, dtype=np.int8)
    centred = LeaveOneOutSettings(alpha=1, predictability="centred", reduction="mean")
    assert abs(mutual_predictability(rows_of(seed, num_claims, num_labels), labels, centred)) < 1e-9


@given(seed=st.integers(0, 2**32), num_claims=st.integers(1, 12), data=st.data())
def test_the_sum_is_the_mean_times_the_labelled_claims_and_log_probs_never_raise_it(
    seed: int, num_claims: int, data: st.DataObject
) -> None:
    rows = rows_of(seed, num_claims, 2)
    vectors = st.lists(st.integers(UNLABELLED, 1), min_size=num_claims, max_size=num_claims)
    labels = np.array(data.draw(vectors), dtype=np.int8)
    labelled = int((labels >= 0).sum())
    for predictability in ("log_prob", "margin", "centred"):
        total, mean = (
            mutual_predictability(
                rows, labels, LeaveOneOutSettings(alpha=1, predictability=predictability, reduction=r)
            )
            for r in ("sum", "mean")
        )
        assert total == pytest.approx(mean * labelled)
    whole = LeaveOneOutSettings(alpha=1, predictability="log_prob", reduction="sum")
    assert mutual_predictability(rows, labels, whole) <= 0
