"""Laws of the sequential acceptance test: exact at error 0, errs no more often than it may, accepts by the exact U."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icm.acceptance import SequentialAcceptance
from icm.claims import TRUE_FALSE, UNLABELLED
from icm.config import load
from icm.errors import ConfigError
from icm.problem import Problem, build_problem
from icm.scoring.fake import ConceptScorer, HashScorer
from icm.searches.annealing import NUM_PARTS, Chain, build_chain
from icm.searches.settings import AnnealingSettings
from search.annealing import SearchState, StepInfo, accepts, least_accepted
from search.randomness import step_generator
from search.sequential import falls_short, looks
from tests.worlds import elicit_settings, make_claims, make_task


def make_chain(seed: int, error: float, temperature: float, scorer: str = "hash") -> tuple[Chain, Problem]:
    claims, truth = make_claims(num_groups=12, per_group=2, seed=seed % 7)
    told = elicit_settings(
        seed,
        f"search.acceptance_error={error}",
        f"search.schedule.initial={temperature}",
        f"search.schedule.final={temperature}",
    )
    model = HashScorer(TRUE_FALSE, seed=seed) if scorer == "hash" else ConceptScorer(truth, TRUE_FALSE, seed=seed)
    problem = build_problem(claims, make_task(), model, told)
    assert isinstance(told.search, AnnealingSettings)
    return build_chain(told.search, problem.objective, problem.groups, seed), problem


def walk(chain: Chain) -> list[tuple[SearchState, StepInfo]]:
    return list(chain.walk(chain.start()))


@given(seed=st.integers(0, 1000), temperature=st.floats(0.1, 10), scorer=st.sampled_from(["hash", "concept"]))
@settings(max_examples=8, deadline=None)
def test_at_error_zero_the_steps_are_those_of_the_plain_chain(seed: int, temperature: float, scorer: str) -> None:
    plain, _ = make_chain(seed, 0.0, temperature, scorer)
    # An error so small that none of the looks decides, although all of the parts are asked one after the other.
    tested, _ = make_chain(seed, 1e-300, temperature, scorer)
    assert isinstance(tested.kernel.weigh, SequentialAcceptance)
    for (one, one_info), (other, other_info) in zip(walk(plain), walk(tested), strict=True):
        assert plain.save(one) == tested.save(other)
        assert one.evaluation.utility == other.evaluation.utility
        assert one_info == other_info


@given(seed=st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_the_test_only_rejects_early_and_the_state_is_always_exact(seed: int) -> None:
    chain, problem = make_chain(seed, 0.4, 1.0)
    state = chain.start()
    for after, info in chain.walk(state):
        if info.delta_utility is None:
            assert not info.accepted
            assert after.evaluation is state.evaluation
        assert after.evaluation.utility == problem.objective.evaluate(after.labels).utility
        state = after


def test_an_early_rejection_asks_less_than_the_whole_labelling() -> None:
    chain, problem = make_chain(3, 0.4, 0.05)
    state, early = chain.start(), 0
    scorer = problem.objective.scorer
    asked = scorer.cost.prompts
    for after, info in chain.walk(state):
        if info.delta_utility is None:
            early += 1
            assert scorer.cost.prompts - asked < (state.labels != UNLABELLED).sum()
        asked, state = scorer.cost.prompts, after
    assert early > 0


@given(
    seed=st.integers(0, 2**32),
    num_terms=st.integers(6, 40),
    error=st.sampled_from([0.02, 0.05, 0.2]),
)
@settings(max_examples=10, deadline=None)
def test_decisions_are_wrong_no_more_often_than_the_error(seed: int, num_terms: int, error: float) -> None:
    random = np.random.default_rng(seed)
    draws, wrong = 1000, 0
    for _ in range(draws):
        terms = random.normal(size=num_terms)
        # The hardest case: the sum reaches the bound exactly.
        bound = float(terms.sum())
        wrong += any(falls_short(terms[:look], num_terms, bound, error) for look in looks(num_terms))
    assert wrong / draws <= error + 4 * math.sqrt(error * (1 - error) / draws)


@given(seed=st.integers(0, 2**32), num_terms=st.integers(6, 40))
@settings(max_examples=30, deadline=None)
def test_a_sum_far_below_the_bound_is_told_from_a_part_and_one_above_it_is_not(seed: int, num_terms: int) -> None:
    terms = np.random.default_rng(seed).normal(size=num_terms)
    last = looks(num_terms)[-1]
    assert falls_short(terms[:last], num_terms, float(terms.sum()) + 1e4 * num_terms, 0.05)
    assert not falls_short(terms[:last], num_terms, float(terms.sum()) - 1e4 * num_terms, 0.05)
    assert not falls_short(terms[:last], num_terms, float(terms.sum()) + 1e4 * num_terms, 0.0)
    assert not falls_short(np.ones(last), num_terms, 1e4 * num_terms, 0.05)


def test_looks_double_and_leave_something_unseen() -> None:
    assert looks(16) == [2, 4, 8]
    assert looks(17) == [2, 4, 8, 16]
    assert looks(2) == looks(1) == looks(0) == []


@given(delta=st.floats(-20, 20), temperature=st.floats(0.01, 20), uniform=st.floats(1e-9, 1, exclude_max=True))
def test_the_needed_utility_is_where_acceptance_begins(delta: float, temperature: float, uniform: float) -> None:
    margin = delta - least_accepted(0.0, temperature, uniform)
    if abs(margin) > 1e-6:
        assert accepts(delta, temperature, uniform) == (margin > 0)
    assert least_accepted(delta, temperature, 0.0) == -math.inf


@pytest.mark.parametrize(
    ("predictability", "reduction"), [("margin", "mean"), ("margin", "sum"), ("lift", "mean"), ("log_prob", "sum")]
)
def test_the_bound_is_where_the_exact_utility_reaches_what_is_needed(predictability: str, reduction: str) -> None:
    """With all parts seen, the changes come to the bound exactly when U comes to what is needed."""
    claims, _ = make_claims(num_groups=8, per_group=3)
    told = elicit_settings(0, f"objective.predictability={predictability}", f"objective.reduction={reduction}")
    objective = build_problem(claims, make_task(), HashScorer(TRUE_FALSE), told).objective
    labels = step_generator(0, 0).integers(-1, 2, size=24).astype(np.int8)
    changed = labels.copy()
    changed[:2] = [1 - max(int(labels[0]), 0), 1]
    evaluation, after = objective.evaluate(labels), objective.evaluate(changed)
    acceptance = SequentialAcceptance(objective, objective.contexts[0].blocks(4), 0.05)
    total = acceptance._total_needed(changed, after.utility)
    everyone = np.arange(24)
    state = SearchState(0, 0, labels, evaluation, labels, evaluation.utility)
    assert math.isclose(total, float(np.nansum(acceptance._ask(state, changed, everyone))), rel_tol=1e-9)


def test_a_utility_that_is_no_sum_over_claims_is_refused() -> None:
    for overrides in (("objective=centred",), ("objective=released_code", "contexts.num_orders=2")):
        told = load("search=annealing", "search.acceptance_error=0.05", *overrides).for_elicit()
        claims, _ = make_claims(num_groups=2, per_group=2)
        problem = build_problem(claims, make_task(), HashScorer(TRUE_FALSE), told)
        assert isinstance(told.search, AnnealingSettings)
        with pytest.raises(ConfigError, match=r"search.acceptance_error=0.05 needs a P that is a sum over claims"):
            build_chain(told.search, problem.objective, problem.groups, 0)


@pytest.mark.parametrize(
    "override",
    [
        "search.speculation_window=4 search.acceptance_error=0.1",
        "search.block_size=8 search.acceptance_error=0.1",
        "search.block_size=8 search.speculation_window=3",
        "search.block_size=8 search.result=best",
    ],
)
def test_experiments_that_do_not_go_together_are_refused(override: str) -> None:
    with pytest.raises(ConfigError, match=r"acceptance_error=|block_size="):
        load("search=annealing", *override.split())


def test_the_parts_are_about_as_many_as_named() -> None:
    claims, _ = make_claims(num_groups=32, per_group=2)
    told = elicit_settings(0, "search.acceptance_error=0.05")
    problem = build_problem(claims, make_task(), HashScorer(TRUE_FALSE), told)
    assert isinstance(told.search, AnnealingSettings)
    weigh = build_chain(told.search, problem.objective, problem.groups, 0).kernel.weigh
    assert isinstance(weigh, SequentialAcceptance)
    assert len(weigh.parts) == NUM_PARTS
