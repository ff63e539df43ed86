"""The solver in cases that are clear by hand, what it refuses, and that it needs no compilation."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from consistency import Constraint, acyclic, compile_constraints, contradiction, equivalence, exactly_one
from consistency.binding import Tally, tally_binding
from consistency.components import find_components
from consistency.solve import solve


def log_odds(*values: float) -> np.ndarray:
    """The log-probabilities of claims whose log-odds of being true are given: (N, 2)."""
    odds = np.array(values)
    return np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], axis=1)


def pairs(mask: int, *scopes: tuple[int, int], weight: float = 1.0) -> list[Constraint]:
    return [Constraint(scope=scope, forbidden=mask, weight=weight, name="pair") for scope in scopes]


def test_claims_without_constraints_take_their_likeliest_label_and_the_lower_one_in_a_tie() -> None:
    label_logprobs = np.log([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4], [0.1, 0.1, 0.8]])
    solution = solve(compile_constraints([], 3, 3), label_logprobs, np.inf)
    assert solution.labels.tolist() == [1, 0, 2]
    assert solution.labels.dtype == np.int8
    assert solution.is_exact.size == 0


def test_a_penalty_of_nothing_changes_nothing() -> None:
    arrays = compile_constraints(pairs(contradiction(), (0, 1)), 2, 2)
    assert solve(arrays, log_odds(1.0, 2.0), 0.0).labels.tolist() == [1, 1]


def test_a_constraint_wins_where_its_penalty_outweighs_the_model() -> None:
    arrays = compile_constraints(pairs(contradiction(), (0, 1), weight=2.0), 2, 2)
    label_logprobs = log_odds(1.0, 3.0)
    assert solve(arrays, label_logprobs, 0.4).labels.tolist() == [1, 1]
    assert solve(arrays, label_logprobs, 0.6).labels.tolist() == [0, 1]


def test_a_hard_constraint_outweighs_any_model() -> None:
    arrays = compile_constraints(pairs(contradiction(), (0, 1), weight=1e-6), 2, 2)
    solution = solve(arrays, log_odds(500.0, 400.0), np.inf)
    assert solution.labels.tolist() == [1, 0]
    assert np.isfinite(solution.objective)


def test_hard_constraints_that_cannot_all_hold_are_violated_as_little_as_can_be() -> None:
    triangle = pairs(exactly_one(2), (0, 1), (1, 2), (0, 2))
    solution = solve(compile_constraints(triangle, 3, 2), log_odds(9.0, 8.0, 7.0), np.inf)
    assert solution.labels.tolist() == [1, 1, 0]
    assert solution.objective == -np.inf
    assert solution.num_greedy == 0


def test_all_claims_of_a_group_can_be_false() -> None:
    clique = pairs(contradiction(), (0, 1), (0, 2), (1, 2))
    solution = solve(compile_constraints(clique, 3, 2), log_odds(-1.0, -0.5, -2.0), np.inf)
    assert solution.labels.tolist() == [0, 0, 0]


def test_fixed_labels_are_kept_and_bear_on_the_others() -> None:
    arrays = compile_constraints(pairs(equivalence(3), (0, 1), (1, 2)), 4, 3)
    fixed = np.array([2, -1, -1, 1], dtype=np.int8)
    label_logprobs = np.log(np.tile([0.7, 0.2, 0.1], (4, 1)))
    assert solve(arrays, label_logprobs, 50.0, fixed).labels.tolist() == [2, 2, 2, 1]


def test_ties_are_resolved_alike_every_time() -> None:
    arrays = compile_constraints(pairs(exactly_one(2), (0, 1), (1, 2), (2, 3)), 4, 2)
    found = {tuple(solve(arrays, log_odds(0.0, 0.0, 0.0, 0.0), 1.0).labels.tolist()) for _ in range(5)}
    assert len(found) == 1
    assert solve(arrays, log_odds(0.0, 0.0, 0.0, 0.0), 1.0).objective == pytest.approx(4 * np.log(0.5))


def test_components_are_solved_apart() -> None:
    constraints = pairs(contradiction(), (3, 0), (1, 4))
    components = find_components(compile_constraints(constraints, 6, 2))
    assert components.num_components == 2
    assert components.claims.tolist() == [0, 3, 1, 4]
    assert components.constraints.tolist() == [0, 1]
    assert not components.members.flags.writeable


def comparisons(num_responses: int) -> list[tuple[int, int]]:
    return [(a, b) for a in range(num_responses) for b in range(a)]


def ranking(num_responses: int, noise: float, seed: int) -> tuple[list[Constraint], np.ndarray]:
    """All comparisons of some responses with a hidden order, their log-odds noisy, and no circles."""
    generator = np.random.default_rng(seed)
    scopes = {pair: i for i, pair in enumerate(comparisons(num_responses))}
    constraints = [
        Constraint(scope=(scopes[a, b], scopes[b, c], scopes[a, c]), forbidden=acyclic((True, True, False)))
        for a in range(num_responses)
        for b in range(a)
        for c in range(b)
    ]
    return constraints, log_odds(*(1.0 + noise * generator.standard_normal(len(scopes))))


def test_a_search_that_meets_its_limit_is_counted() -> None:
    constraints, label_logprobs = ranking(12, noise=6.0, seed=0)
    arrays = compile_constraints(constraints, len(label_logprobs), 2)
    cut_short = solve(arrays, label_logprobs, 2.0, max_nodes=1)
    assert cut_short.num_greedy == 1
    to_the_end = solve(arrays, label_logprobs, 2.0)
    assert to_the_end.num_greedy == 0
    assert to_the_end.objective >= cut_short.objective


def test_two_hundred_comparisons_are_put_in_their_best_order() -> None:
    constraints, label_logprobs = ranking(20, noise=2.0, seed=0)
    arrays = compile_constraints(constraints, len(label_logprobs), 2)
    solution = solve(arrays, label_logprobs, np.inf)
    assert solution.num_greedy == 0
    wins = np.zeros((20, 20), dtype=bool)
    for label, (a, b) in zip(solution.labels, comparisons(20), strict=True):
        wins[(a, b) if label else (b, a)] = True
    assert sorted(wins.sum(axis=1).tolist()) == list(range(20))


def test_only_constraints_that_cost_something_bind() -> None:
    clique = pairs(contradiction(), (0, 1), (0, 2), (1, 2))
    idle = [Constraint(scope=(3, 4), forbidden=contradiction(), name="idle")]
    arrays = compile_constraints([*clique, *idle], 5, 2)
    names = ["pair"] * 3 + ["idle"]
    # Claims 0 and 1 want to be true: only their own contradiction stands in the way.
    label_logprobs = log_odds(2.0, 1.0, -1.0, 2.0, -2.0)
    assert tally_binding(arrays, names, label_logprobs, 5.0) == [
        Tally("pair", 3, 1, 0, 1, 0),
        Tally("idle", 1, 0, 0, 0, 0),
    ]
    # Half a nat does not outweigh the one that claim 1 is sure of: the contradiction is violated, and binds.
    assert tally_binding(arrays, names, label_logprobs, 0.5)[0] == Tally("pair", 3, 1, 1, 1, 0)


def test_what_may_bind_after_a_search_cut_short_is_called_undecided() -> None:
    constraints, label_logprobs = ranking(12, noise=6.0, seed=0)
    arrays = compile_constraints(constraints, len(label_logprobs), 2)
    (tally,) = tally_binding(arrays, [""] * len(constraints), label_logprobs, 2.0, max_nodes=1)
    assert tally.num_undecided > 0
    assert tally.num_binding + tally.num_undecided <= tally.num_constraints == len(constraints)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"label_logprobs": np.zeros((2, 3))}, r"shape \(2, 2\).*\(2, 3\)"),
        ({"label_logprobs": np.array([[0.0, -1.0], [np.nan, 0.0]])}, r"finite, got \[nan, 0.0\] for claim 1"),
        ({"label_logprobs": np.array([[0.0, -np.inf], [0.0, 0.0]])}, "finite"),
        ({"penalty": -1.0}, "0 or more.*-1.0"),
        ({"penalty": np.nan}, "0 or more"),
        ({"fixed": np.zeros(3, dtype=np.int8)}, "each of 2 claims"),
        ({"fixed": np.array([0, 2], dtype=np.int8)}, "below 2, got 2"),
        ({"fixed": np.array([-2, 0], dtype=np.int8)}, "got -2"),
        ({"max_nodes": 0}, "max_nodes=0"),
    ],
)
def test_malformed_arguments_are_refused(change: Any, problem: Any) -> None:
    arrays = compile_constraints(pairs(contradiction(), (0, 1)), 2, 2)
    with pytest.raises(ValueError, match=problem):
        solve(arrays, **({"label_logprobs": np.zeros((2, 2)), "penalty": 1.0} | change))


def test_a_tally_needs_a_name_for_each_constraint() -> None:
    arrays = compile_constraints(pairs(contradiction(), (0, 1)), 2, 2)
    with pytest.raises(ValueError, match="1 constraints, but 2 names"):
        tally_binding(arrays, ["a", "b"], np.zeros((2, 2)), 1.0)


UNCOMPILED = """
import itertools
import numpy as np
from consistency import Constraint, compile_constraints, equivalence, exactly_one, reference
from consistency import branch_and_bound
from consistency.solve import solve

generator = np.random.default_rng(0)
for num_labels in (2, 3):
    for trial in range(12):
        constraints = [
            Constraint(
                scope=tuple(generator.permutation(6)[:k].tolist()),
                forbidden=int(generator.integers(1, 2 ** (num_labels**k - 1))),
                weight=0.5 * k,
            )
            for k in generator.integers(1, 4, size=6).tolist()
        ]
        label_logprobs = np.log(generator.dirichlet(np.ones(num_labels), size=6))
        solution = solve(compile_constraints(constraints, 6, num_labels), label_logprobs, 1.5)
        best = max(
            sum(label_logprobs[range(6), labels]) - 1.5 * reference.inconsistency(constraints, labels, num_labels)
            for labels in itertools.product(range(num_labels), repeat=6)
        )
        assert solution.num_greedy == 0
        assert abs(solution.objective - best) < 1e-9
print(type(branch_and_bound.minimise).__name__)
"""


def test_solver_equals_exhaustive_search_without_compilation() -> None:
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", UNCOMPILED], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "function"), done.stderr
