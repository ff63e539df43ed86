"""The ranking of known labellings by every objective: what is summed, who is admitted, who wins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.quality.objectives import (
    LEAVE_ONE_OUT,
    PREQUENTIAL,
    TRUTH,
    Candidate,
    summarise,
    winner,
    with_consistent,
    worths_of,
    worths_read,
)
from icm.claims import TRUE_FALSE, freeze
from icm.problem import build_problem
from tests.worlds import elicit_settings, make_claims, make_task
from tests.worlds.scorers import ConceptScorer

PRIOR = (2 / 3, 1 / 3)


def problem(*overrides: str) -> Any:
    """Return U over claims whose truth the scorer knows, and the truth and some rivals of it."""
    claims, truth = make_claims(num_groups=6, per_group=3)
    objective = build_problem(
        claims, make_task(), ConceptScorer(truth, TRUE_FALSE), elicit_settings(0, *overrides)
    ).objective
    golden = freeze([truth[claim.text] for claim in claims])
    rivals = {"not truth": 1 - golden, "all true": np.ones_like(golden), "all false": np.zeros_like(golden)}
    return objective, [(TRUTH, golden), *((name, freeze(each)) for name, each in rivals.items())]


def test_what_is_summed_is_the_utility_under_each_objective() -> None:
    candidates = problem()[1]
    worths = dict(worths_of(candidates, problem()[0], PRIOR))
    assert tuple(worths) == LEAVE_ONE_OUT
    for name, of_name in worths.items():
        plain = problem(f"objective={name}")[0]
        with_prior = problem(f"objective={name}", "objective.class_prior=[0.6666666667,0.3333333333]")[0]
        for (_, labels), (predictable, inconsistency, known) in zip(candidates, of_name, strict=True):
            expected = plain.evaluate(labels)
            assert predictable - inconsistency == pytest.approx(expected.utility)
            assert inconsistency == expected.inconsistency
            gained = with_prior.evaluate(labels).utility - expected.utility
            assert known == pytest.approx(gained, abs=1e-6)


def test_the_model_is_asked_once_for_all_objectives() -> None:
    objective, candidates = problem()
    worths = worths_of(candidates, objective, PRIOR)
    next(worths)
    asked = objective.scorer.cost.prompts
    assert len(list(worths)) == len(LEAVE_ONE_OUT) - 1
    assert objective.scorer.cost.prompts == asked > 0


def test_consistent_forms_violate_nothing_and_no_labelling_comes_twice() -> None:
    objective, candidates = problem()
    both = with_consistent(candidates, objective.constraints)
    assert both[: len(candidates)] == candidates
    for name, labels in both:
        if name.endswith("repaired"):
            assert objective.evaluate(labels).num_violations == 0
    assert len({labels.tobytes() for _, labels in both}) == len(both)
    # The truth is consistent already, and so is the labelling that affirms nothing.
    assert {name for name, _ in both[len(candidates) :]} <= {"not truth, repaired", "all true, repaired"}


def labelling(name: str, *labels: int) -> Candidate:
    return name, freeze(labels)


CANDIDATES = (labelling(TRUTH, 1, 0, 0, 0), labelling("all true", 1, 1, 1, 1), labelling("half", 1, 0, 1, 0))


@pytest.mark.parametrize(
    ("form", "knows_prior", "expected"),
    [
        ("free", False, ("all true", 0.25)),
        ("free", True, ("half", 0.75)),
        ("penalised", False, ("half", 0.75)),
        ("consistent", False, (TRUTH, 1.0)),
    ],
)
def test_a_form_decides_who_is_admitted_and_what_a_violation_costs(form: Any, knows_prior: Any, expected: Any) -> None:
    worths = [(1.0, 0.0, 0.0), (9.0, 8.0, -8.0), (4.0, 2.0, 0.0)]
    assert winner(CANDIDATES, worths, form, knows_prior) == expected


def test_the_truth_wins_a_tie() -> None:
    worths = [(1.0, 0.0, 0.0)] * 3
    assert winner(CANDIDATES, worths, "penalised", False)[0] == TRUTH


def test_a_summary_counts_wins_by_task_and_by_model_and_names_what_won_otherwise() -> None:
    told = [{"task": task, "model": model, "world_seed": 0} for task in ("a", "b") for model in (None, "dir")]
    winners = [(TRUTH, 1.0), ("belief", 0.5), ("belief", 0.7), (TRUTH, 1.0)]
    rows = [{**job, "winners": {"lift/free": found}} for job, found in zip(told, winners, strict=True)]
    summary = summarise(rows, "lift/free")
    assert summary["truth_wins"] == 0.5
    assert summary["accuracy"] == pytest.approx(0.8)
    assert summary["beaten_by"] == {"belief": 2}
    assert summary["tasks"]["a"]["truth_wins"] == summary["models"]["shipped:0"]["truth_wins"] == 0.5
    assert summary["runs"] == 2 * summary["models"]["dir:0"]["runs"] == 4


def test_the_prequential_objective_is_read_in_its_own_orders_with_and_without_the_prior() -> None:
    objective, candidates = problem("objective=prequential")
    with_prior = problem("objective=prequential", "objective.class_prior=[0.6666666667,0.3333333333]")[0]
    name, worths = worths_read(candidates, objective, PRIOR)
    assert name == PREQUENTIAL
    for (_, labels), (predictable, inconsistency, known) in zip(candidates, worths, strict=True):
        expected = objective.evaluate(labels)
        assert predictable - inconsistency == pytest.approx(expected.utility)
        assert known == pytest.approx(with_prior.evaluate(labels).utility - expected.utility, abs=1e-6)
