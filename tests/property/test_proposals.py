"""Laws of proposals: repair only raises U, predictions that change nothing cost nothing, relatives are drawn more."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from consistency.kernels import count_violations
from icm.claims import TRUE_FALSE, UNLABELLED, freeze
from icm.problem import Problem, build_problem
from icm.scoring.fake import HashScorer
from icm.searches.annealing import build_chain
from icm.searches.proposals import Repair, with_label
from icm.searches.settings import AnnealingSettings
from search.annealing import start
from search.randomness import step_generator
from tests.worlds import elicit_settings, make_claims, make_task

SETTINGS = elicit_settings()
assert isinstance(SETTINGS.search, AnnealingSettings)
CHAIN = SETTINGS.search


def make_problem(seed: int, alpha: float = 30.0, num_groups: int = 4) -> Problem:
    claims, _ = make_claims(num_groups=num_groups, per_group=3, seed=seed % 5)
    objective = SETTINGS.objective.model_copy(update={"alpha": alpha})
    chosen = SETTINGS.model_copy(update={"objective": objective, "seed": seed})
    return build_problem(claims, make_task(), HashScorer(TRUE_FALSE, seed=seed), chosen)


def some_labels(data: st.DataObject, num_claims: int = 12) -> np.ndarray:
    return freeze(np.array(data.draw(st.lists(st.integers(UNLABELLED, 1), min_size=num_claims, max_size=num_claims))))


@given(seed=st.integers(0, 1000), options=st.sampled_from(["all", "some_true"]), data=st.data())
@settings(max_examples=40, deadline=None)
def test_repair_never_lowers_the_utility_and_keeps_who_is_labelled(
    seed: int, options: Any, data: st.DataObject
) -> None:
    objective = make_problem(seed).objective
    labels = some_labels(data)
    before = objective.evaluate(labels)
    repaired, after = Repair(objective, 10, options)(step_generator(seed, 0), labels, before)
    assert after.utility >= before.utility
    assert after.utility == objective.evaluate(repaired).utility
    assert np.array_equal(repaired == UNLABELLED, labels == UNLABELLED)


@given(seed=st.integers(0, 1000), data=st.data())
@settings(max_examples=25, deadline=None)
def test_repair_removes_every_violation_where_consistency_is_all_that_counts(seed: int, data: st.DataObject) -> None:
    objective = make_problem(seed, alpha=1e-6).objective
    labels = some_labels(data)
    repaired, after = Repair(objective, 50, "all")(step_generator(seed, 0), labels, objective.evaluate(labels))
    assert after.num_violations == count_violations(objective.constraints, repaired) == 0


def test_repair_without_the_all_false_option_leaves_a_true_claim_in_every_repaired_scope() -> None:
    objective = make_problem(0, alpha=1e-6).objective
    labels = freeze(np.ones(12, dtype=np.int8))
    repaired, _ = Repair(objective, 50, "some_true")(step_generator(0, 0), labels, objective.evaluate(labels))
    problem = make_problem(0)
    assert all(repaired[problem.groups == group].sum() >= 1 for group in range(4))


@given(seed=st.integers(0, 1000), data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_prediction_that_changes_nothing_asks_nothing(seed: int, data: st.DataObject) -> None:
    problem = make_problem(seed)
    chain = build_chain(CHAIN, problem.objective, problem.groups, seed)
    labels = np.array(data.draw(st.lists(st.integers(0, 1), min_size=12, max_size=12)), dtype=np.int8)
    state = start(freeze(labels), problem.objective.evaluate(freeze(labels)))
    asked = problem.objective.scorer.cost.prompts
    for step in range(12):
        claim = chain.propose.draw_claim(step_generator(seed, step), state.labels)
        if chain.propose.predict(state, claim) == state.labels[claim]:
            _, _, labels, evaluation = chain.propose(step_generator(seed, step), state)
            assert evaluation is state.evaluation
            assert labels is state.labels
    assert problem.objective.scorer.cost.prompts == asked


def test_unlabelled_relatives_are_drawn_by_their_weight() -> None:
    problem = make_problem(0)
    chain = build_chain(CHAIN, problem.objective, problem.groups, 0)
    labelled = int(np.flatnonzero(problem.groups == 0)[0])
    labels = with_label(freeze(np.full(12, UNLABELLED)), labelled, 1)
    relatives = [claim for claim in np.flatnonzero(problem.groups == 0).tolist() if claim != labelled]
    drawn = [chain.propose.draw_claim(step_generator(0, step), labels) for step in range(4000)]
    share = np.isin(drawn, relatives).mean()
    # Two relatives of weight 100, ten others of weight 1; three standard errors of 4,000 draws.
    assert abs(share - 200 / 210) < 0.011
    assert set(drawn) == set(range(12))
