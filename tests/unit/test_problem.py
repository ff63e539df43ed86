"""What does not fit the claims is said before a model is loaded, or at the latest before it is asked."""

from __future__ import annotations

import numpy as np
import pytest

from icm.claims import TRUE_FALSE, freeze
from icm.config import load
from icm.errors import ConfigError
from icm.problem import build_problem, check_problem
from icm.scoring.fake import HashScorer
from icm.searches.build import build_search
from tests.worlds import make_claims, make_task

CLAIMS, _ = make_claims(num_groups=4, per_group=3)
READ = ("search=shuffled_sweeps", "objective=prequential")


@pytest.mark.parametrize(
    ("overrides", "num_claims", "message"),
    [
        (("objective.block_size=2", "objective.keep_groups=true"), 12, r"block_size=2 is smaller than .* of 3 claims"),
        (("objective.class_prior=[0.2,0.3,0.5]",), 12, r"needs one share for each of the 2 labels"),
        ((), 1, r"the task has 1 claims; give at least two"),
    ],
)
def test_settings_that_do_not_fit_the_claims_are_refused_without_a_model(
    overrides: tuple[str, ...], num_claims: int, message: str
) -> None:
    settings = load(*READ, *overrides).for_elicit()
    with pytest.raises(ConfigError, match=message):
        check_problem(CLAIMS[:num_claims], make_task(), settings)


@pytest.mark.parametrize(
    ("overrides", "context_length", "message"),
    [
        ((), 4, r"4 of the longest claims have 4 tokens, but the model's context holds 4"),
        (("objective.keep_groups=true",), 5, None),
    ],
)
def test_a_context_that_holds_fewer_than_four_claims_is_refused(
    overrides: tuple[str, ...], context_length: int, message: str | None
) -> None:
    scorer = HashScorer(TRUE_FALSE)  # a segment counts as one token
    scorer.context_length = context_length
    settings = load(*READ, *overrides).for_elicit()
    if message is None:
        build_problem(CLAIMS, make_task(), scorer, settings)
        return
    with pytest.raises(ConfigError, match=message):
        build_problem(CLAIMS, make_task(), scorer, settings)


def test_shuffled_sweeps_need_an_objective_that_reads() -> None:
    settings = load("search=shuffled_sweeps", "objective=lift").for_elicit()
    problem = build_problem(CLAIMS, make_task(), HashScorer(TRUE_FALSE), settings)
    with pytest.raises(ConfigError, match="add objective=prequential"):
        build_search(settings.search, problem, 0)


def test_a_chain_that_asks_ahead_needs_leave_one_out_prompts() -> None:
    settings = load("search=annealing", "search.speculation_window=8", "objective=prequential").for_elicit()
    problem = build_problem(CLAIMS, make_task(), HashScorer(TRUE_FALSE), settings)
    with pytest.raises(ConfigError, match=r"search\.speculation_window=1"):
        build_search(settings.search, problem, 0)


@pytest.mark.parametrize("objective", ["lift", "prequential"])
def test_other_orders_are_other_contexts_of_the_same_claims(objective: str) -> None:
    settings = load(f"objective={objective}").for_elicit()
    problem = build_problem(CLAIMS, make_task(), HashScorer(TRUE_FALSE), settings)
    labels = freeze(np.arange(12) % 2)
    here, there = (problem.reordered(draw).evaluate(labels).utility for draw in (0, 1))
    assert here == problem.objective.evaluate(labels).utility
    assert here != there
