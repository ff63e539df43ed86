"""What every search owes: determinism, resuming at any step, labels in the label space, and U where it promises it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from consistency.kernels import count_violations
from icm.claims import TRUE_FALSE, UNLABELLED
from icm.config import load
from icm.errors import ConfigError
from icm.problem import Problem, build_problem
from icm.scoring.fake import HashScorer
from icm.searches.build import build_search
from icm.searches.drive import drive
from icm.searches.protocol import Search
from tests.worlds import make_claims, make_task
from tests.worlds.scorers import ConceptScorer

SEARCHES = {
    "annealing": ("search=annealing", "search.steps_per_claim=1"),
    "reference": ("search=reference", "search.steps_per_claim=1"),
    "multistart": ("search=multistart",),
    "sweeps": ("search=sweeps",),
    "sweeps from random labels": ("search=sweeps", "search.start=random"),
    "shuffled_sweeps": ("search=shuffled_sweeps", "objective=prequential", "search.starts.random=2"),
    "shuffled_sweeps in blocks": ("search=shuffled_sweeps", "objective=prequential", "objective.block_size=5"),
    "annealing of the gain": (
        "search=annealing",
        "objective=prequential",
        "search.speculation_window=1",
        "search.steps_per_claim=1",
    ),
    "gibbs": ("search=gibbs", "search.num_scans=4", "search.burn_in=1"),
    "bootstrap": ("search=bootstrap", "search.num_rounds=4", "search.num_shots=6"),
    "bootstrap alone": ("search=bootstrap", "search.consistent=false", "search.balanced=false", "search.num_rounds=3"),
    "zero_shot": ("search=zero_shot",),
    "random": ("search=random", "search.consistent=true"),
    "majority": ("search=majority",),
    "length": ("search=length",),
}


def make_problem(overrides: tuple[str, ...], seed: int = 0, *, knows: bool = True) -> tuple[Search[Any], Problem, Any]:
    claims, truth = make_claims(num_groups=6, per_group=3, seed=seed)
    settings = load(f"seed={seed}", *overrides).for_elicit()
    scorer = ConceptScorer(truth, TRUE_FALSE) if knows else HashScorer(TRUE_FALSE, seed=seed)
    problem = build_problem(claims, make_task(), scorer, settings)
    golden = np.array([truth[claim.text] for claim in claims])
    return build_search(settings.search, problem, seed), problem, golden


def course(search: Search[Any], state: Any) -> list[str]:
    """Return all states from one to the end, as they save themselves."""
    return [json.dumps(search.save(after)) for after, _ in search.walk(state)]


def finished(search: Search[Any], problem: Problem) -> Any:
    """Return the last state of a search from its start."""
    *_, (state, _) = drive(search, problem.objective.scorer)
    return state


@pytest.mark.parametrize("overrides", SEARCHES.values(), ids=SEARCHES)
def test_equal_seeds_give_equal_courses(overrides: tuple[str, ...]) -> None:
    courses = []
    for _ in range(2):
        search, _, _ = make_problem(overrides, knows=False)
        courses.append(course(search, search.start()))
    assert courses[0] == courses[1]


@pytest.mark.parametrize("overrides", SEARCHES.values(), ids=SEARCHES)
def test_a_search_continued_from_any_step_is_the_same_search(overrides: tuple[str, ...]) -> None:
    search, problem, _ = make_problem(overrides, knows=False)
    states = [state for state, _ in drive(search, problem.objective.scorer)]
    saved = [json.dumps(search.save(state)) for state in states]
    for number, state in enumerate(states):
        other, _, _ = make_problem(overrides, knows=False)
        resumed = other.restore(json.loads(saved[number]))
        assert resumed.step == state.step
        assert np.array_equal(resumed.labels, state.labels)
        assert course(other, resumed) == saved[number + 1 :]
    assert search.is_done(states[-1])


@pytest.mark.parametrize("overrides", SEARCHES.values(), ids=SEARCHES)
def test_results_are_labels_and_alternatives_fall_in_utility(overrides: tuple[str, ...]) -> None:
    search, problem, _ = make_problem(overrides)
    steps = list(drive(search, problem.objective.scorer))
    assert all(info.changed or info.delta_utility in (None, 0.0) or not info.accepted for _, info in steps)
    result = search.result(steps[-1][0])
    assert result.labels.shape == (len(problem.claims),)
    assert set(result.labels.tolist()) <= {UNLABELLED, 0, 1}
    utilities = [alternative.utility for alternative in result.alternatives]
    assert utilities == sorted(utilities, reverse=True)
    if result.alternatives:
        assert np.array_equal(result.alternatives[0].labels, result.labels)
    if result.stability is not None:
        assert ((result.stability >= 0) & (result.stability <= 1)).all()


@pytest.mark.parametrize("name", ["multistart", "sweeps", "sweeps from random labels"])
@pytest.mark.parametrize("seed", range(3))
def test_sweeps_never_lower_the_utility_of_the_claims_they_label(name: str, seed: int) -> None:
    search, problem, _ = make_problem(SEARCHES[name], seed, knows=False)
    state = search.start()
    for after, info in search.walk(state):
        assert info.delta_utility is not None
        assert info.delta_utility == after.evaluation.utility - state.evaluation.utility
        assert info.delta_utility >= 0 or np.sum(after.labels >= 0) > np.sum(state.labels >= 0)
        assert after.evaluation.utility == problem.objective.evaluate(after.labels).utility
        state = after
    assert (state.labels >= 0).all()


@pytest.mark.parametrize("name", ["multistart", "shuffled_sweeps", "sweeps", "bootstrap", "random"])
def test_consistent_searches_return_consistent_labels(name: str) -> None:
    search, problem, _ = make_problem(SEARCHES[name], knows=False)
    state = finished(search, problem)
    assert count_violations(problem.objective.constraints, search.result(state).labels) == 0


@pytest.mark.parametrize("name", ["multistart", "shuffled_sweeps"])
@pytest.mark.parametrize("seed", range(3))
def test_searches_find_the_truth_of_a_scorer_that_learns_it(name: str, seed: int) -> None:
    search, problem, golden = make_problem(SEARCHES[name], seed)
    state = finished(search, problem)
    assert np.mean(search.result(state).labels == golden) >= 0.95


def test_finalists_that_ended_elsewhere_are_reported_on_all_claims() -> None:
    search, problem, _ = make_problem(("search=multistart",), knows=False)
    result = search.result(finished(search, problem))
    origins = [origin for alternative in result.alternatives for origin in alternative.origins]
    assert set(origins) <= {"zero_shot", "tempered", "grown", "opposite"}
    assert len(result.alternatives) > 1
    for alternative in result.alternatives:
        assert (alternative.labels >= 0).all()
        assert alternative.utility == problem.objective.evaluate(alternative.labels).utility


def test_shuffled_sweeps_report_what_they_compared_in_the_orders_of_the_objective() -> None:
    search, problem, _ = make_problem(SEARCHES["shuffled_sweeps"], knows=False)
    state = finished(search, problem)
    result = search.result(state)
    assert 1 <= len(result.alternatives) <= 2
    for alternative in result.alternatives:
        assert set(alternative.origins) <= {"zero_shot", "opposite", "random"}
        assert alternative.utility == problem.objective.evaluate(alternative.labels).utility
    assert state.step <= search.num_steps


def test_without_relations_shuffled_sweeps_start_from_zero_shot_labels_alone() -> None:
    claims, truth = make_claims(num_groups=6, per_group=3)
    settings = load("search=shuffled_sweeps", "objective=prequential").for_elicit()
    task = make_task().model_copy(update={"relations": ()})
    problem = build_problem(claims, task, ConceptScorer(truth, TRUE_FALSE), settings)
    search = build_search(settings.search, problem, 0)
    assert {member.origin for member in search.start().population.members} == {"zero_shot"}


def test_shuffled_sweeps_read_no_claim_more_often_than_they_say() -> None:
    search, problem, _ = make_problem(SEARCHES["shuffled_sweeps"], knows=False)
    finished(search, problem)
    objective = problem.objective
    zero_shot_again = search.num_steps * len(problem.claims)  # a journal answers it, but here is none
    assert search.num_evaluations is not None
    most = search.num_evaluations * objective.num_orders * len(problem.claims)
    assert objective.scorer.cost.prompts <= most + zero_shot_again


def test_starts_compete_on_whole_groups_of_some_claims() -> None:
    search, problem, _ = make_problem(("search=multistart", "search.screening_claims=7"), knows=False)
    labelled = search.start().labels >= 0
    groups = problem.groups
    assert labelled.sum() == 9  # three groups of three
    assert set(groups[labelled]).isdisjoint(groups[~labelled])


def test_a_surface_rule_that_says_nothing_is_refused() -> None:
    search, _, _ = make_problem(("search=keywords",))
    with pytest.raises(ConfigError, match=r"search.rule=keywords says nothing"):
        search.start()
