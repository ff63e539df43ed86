"""Laws of the solver: its optimum is the one that exhaustive search and an independent solver find."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import milp

from consistency import (
    Constraint,
    acyclic,
    compile_constraints,
    contradiction,
    equivalence,
    exactly_one,
    implication,
    reference,
)
from consistency.binding import tally_binding
from consistency.components import find_components
from consistency.solve import solve

PENALTIES = st.sampled_from([0.0, 0.3, 2.0, 30.0, np.inf])
NATS = st.integers(-40, 0).map(lambda eighths: eighths / 8)
WEIGHTS = st.sampled_from([0.25, 1.0, 1.0, 3.0])


@st.composite
def problems(draw: Any) -> Any:
    """Two or three labels, a few claims, constraints on them with any tables, log-probabilities, fixed labels."""
    num_labels = draw(st.integers(2, 3))
    num_claims = draw(st.integers(1, 7 if num_labels == 2 else 5))
    max_arity = min(num_claims, 6 if num_labels == 2 else 3)
    constraints = []
    for _ in range(draw(st.integers(0, 10))):
        arity = draw(st.integers(1, max_arity))
        scope = tuple(draw(st.permutations(range(num_claims)))[:arity])
        forbidden = draw(st.integers(0, 2**num_labels**arity - 1))
        constraints.append(Constraint(scope=scope, forbidden=forbidden, weight=draw(WEIGHTS), name=f"of {arity}"))
    rows = st.lists(NATS, min_size=num_labels, max_size=num_labels)
    label_logprobs = np.array(draw(st.lists(rows, min_size=num_claims, max_size=num_claims)))
    free_or_not = st.sampled_from([-1, -1, -1, *range(num_labels)])
    fixed = draw(st.lists(free_or_not, min_size=num_claims, max_size=num_claims))
    return constraints, label_logprobs, np.array(fixed, dtype=np.int8)


def value(constraints: Any, label_logprobs: Any, penalty: float, labels: Any) -> float:
    """The objective in plain Python."""
    violated_weight = reference.inconsistency(constraints, labels, label_logprobs.shape[1])
    likelihood = sum(float(row[label]) for row, label in zip(label_logprobs, labels, strict=True))
    return likelihood - (penalty * violated_weight if violated_weight else 0.0)


def optimum(constraints: Any, label_logprobs: Any, penalty: float, fixed: Any) -> float:
    """The highest objective among all labellings with the fixed labels."""
    choices = [range(label_logprobs.shape[1]) if label < 0 else [int(label)] for label in fixed]
    return max(value(constraints, label_logprobs, penalty, labels) for labels in product(*choices))


@settings(deadline=None, max_examples=300)
@given(problems(), PENALTIES)
def test_solver_equals_exhaustive_search(problem: Any, penalty: float) -> None:
    constraints, label_logprobs, fixed = problem
    solution = solve(compile_constraints(constraints, *label_logprobs.shape), label_logprobs, penalty, fixed)
    assert solution.num_greedy == 0
    assert solution.objective == value(constraints, label_logprobs, penalty, solution.labels)
    assert solution.objective == pytest.approx(optimum(constraints, label_logprobs, penalty, fixed), abs=1e-9)
    assert ((fixed < 0) | (solution.labels == fixed)).all()


@settings(deadline=None)
@given(problems(), PENALTIES)
def test_known_components_change_nothing(problem: Any, penalty: float) -> None:
    constraints, label_logprobs, fixed = problem
    arrays = compile_constraints(constraints, *label_logprobs.shape)
    anew = solve(arrays, label_logprobs, penalty, fixed)
    again = solve(arrays, label_logprobs, penalty, fixed, components=find_components(arrays))
    assert (anew.labels == again.labels).all()
    assert (anew.objective, anew.is_exact.tolist()) == (again.objective, again.is_exact.tolist())


@settings(deadline=None)
@given(problems())
def test_components_are_what_constraints_connect(problem: Any) -> None:
    constraints, label_logprobs, _ = problem
    components = find_components(compile_constraints(constraints, *label_logprobs.shape))
    expected = {frozenset([claim]) for constraint in constraints for claim in constraint.scope}
    for constraint in constraints:
        joined = [part for part in expected if part & set(constraint.scope)]
        expected = expected.difference(joined) | {frozenset().union(*joined)}
    found = [
        components.claims[start:end].tolist()
        for start, end in zip(components.claim_start, components.claim_start[1:], strict=False)
    ]
    assert [min(part) for part in found] == sorted(min(part) for part in found)
    assert set(map(frozenset, found)) == expected
    for part, start, end in zip(found, components.constraint_start, components.constraint_start[1:], strict=False):
        for row in range(start, end):
            scope = constraints[components.constraints[row]].scope
            members = components.members[row, : components.arity[row]]
            assert tuple(part[member] for member in members) == scope


@settings(deadline=None)
@given(problems(), PENALTIES)
def test_a_search_cut_short_says_so_and_is_never_worse_than_the_likeliest_labels(problem: Any, penalty: float) -> None:
    constraints, label_logprobs, fixed = problem
    arrays = compile_constraints(constraints, *label_logprobs.shape)
    solution = solve(arrays, label_logprobs, penalty, fixed, max_nodes=1)
    highest = optimum(constraints, label_logprobs, penalty, fixed)
    likeliest = np.where(fixed < 0, label_logprobs.argmax(axis=1), fixed)
    assert solution.objective >= value(constraints, label_logprobs, penalty, likeliest)
    assert solution.num_greedy > 0 or solution.objective == pytest.approx(highest, abs=1e-9)


@settings(deadline=None)
@given(problems(), st.sampled_from([0.3, 2.0, 30.0]))
def test_a_binding_constraint_is_one_without_which_more_could_be_had(problem: Any, penalty: float) -> None:
    constraints, label_logprobs, fixed = problem
    arrays = compile_constraints(constraints, *label_logprobs.shape)
    highest = optimum(constraints, label_logprobs, penalty, fixed)
    labels = solve(arrays, label_logprobs, penalty, fixed).labels
    likeliest = np.where(fixed < 0, label_logprobs.argmax(axis=1), fixed)
    names = [constraint.name for constraint in constraints]
    tallies = {tally.name: tally for tally in tally_binding(arrays, names, label_logprobs, penalty, fixed)}
    assert list(tallies) == list(dict.fromkeys(names))
    for name, tally in tallies.items():
        alike = [m for m, constraint in enumerate(constraints) if constraint.name == name]
        without = [optimum(constraints[:m] + constraints[m + 1 :], label_logprobs, penalty, fixed) for m in alike]

        def num_violated(labels: Any, alike: Any = alike) -> Any:
            return sum(reference.is_violated(constraints[m], labels.tolist(), label_logprobs.shape[1]) for m in alike)

        assert tally.num_constraints == len(alike)
        assert tally.num_violated == num_violated(labels)
        assert tally.num_opposed == num_violated(likeliest)
        assert tally.num_binding == sum(other > highest + 1e-9 for other in without)
        assert tally.num_undecided == 0


def milp_optimum(constraints: Any, label_logprobs: Any, penalty: float) -> float:
    """The optimum by HiGHS: a 0/1 variable for each label of a claim, and one for each violation.

    A forbidden joint assignment of k labels forces the violation: the sum of their variables is at most k - 1 more.
    """
    num_claims, num_labels = label_logprobs.shape
    num_chosen = num_claims * num_labels
    size = num_chosen + len(constraints)
    weights = [constraint.weight for constraint in constraints]
    rows, lower, upper = [], [], []
    for claim in range(num_claims):
        row = np.zeros(size)
        row[claim * num_labels : (claim + 1) * num_labels] = 1
        rows.append(row)
        lower.append(1.0)
        upper.append(1.0)
    for m, constraint in enumerate(constraints):
        for joint in range(num_labels ** len(constraint.scope)):
            if constraint.forbidden >> joint & 1:
                row = np.zeros(size)
                for place, claim in enumerate(constraint.scope):
                    row[claim * num_labels + joint // num_labels**place % num_labels] = 1
                row[num_chosen + m] = -1
                rows.append(row)
                lower.append(-np.inf)
                upper.append(len(constraint.scope) - 1.0)
    cost = np.concatenate([-label_logprobs.ravel(), penalty * np.array(weights)])
    found = milp(
        cost,
        constraints=(np.array(rows), lower, upper),
        integrality=np.ones(size),
        bounds=(0, 1),
        options={"mip_rel_gap": 0.0},
    )
    assert found.success
    return -float(found.fun)


def random_logprobs(generator: Any, num_claims: int, num_labels: int, spread: Any) -> Any:
    logits = spread * generator.standard_normal((num_claims, num_labels))
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(12))
def test_solver_equals_an_independent_solver_on_weighted_tables(seed: int) -> None:
    generator = np.random.default_rng(seed)
    num_labels = 2 + seed % 3
    num_claims = 24 if num_labels == 2 else 10
    masks = {2: [equivalence(num_labels)], 3: []}
    if num_labels == 2:
        masks = {2: [contradiction(), implication(), equivalence(2)], 3: [exactly_one(3)], 4: [exactly_one(4)]}
    constraints = []
    for _ in range(40 if num_labels == 2 else 16):
        arity = int(generator.integers(2, 4 if num_labels > 2 else 5))
        scope = tuple(generator.permutation(num_claims)[:arity].tolist())
        table = int("".join(map(str, generator.integers(0, 2, num_labels**arity))), 2)
        forbidden = int(generator.choice(masks[arity])) if masks[arity] and generator.random() < 0.7 else table
        constraints.append(Constraint(scope=scope, forbidden=forbidden, weight=float(generator.uniform(0.2, 3))))
    label_logprobs = random_logprobs(generator, num_claims, num_labels, 2.0)
    arrays = compile_constraints(constraints, num_claims, num_labels)
    for penalty in (0.5, 4.0):
        solution = solve(arrays, label_logprobs, penalty)
        assert solution.num_greedy == 0
        assert solution.objective == pytest.approx(milp_optimum(constraints, label_logprobs, penalty), abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_solver_equals_an_independent_solver_on_transitive_comparisons(seed: int) -> None:
    generator = np.random.default_rng(seed)
    num_responses = 8
    pairs = [(a, b) for a in range(num_responses) for b in range(a)]
    position = {pair: i for i, pair in enumerate(pairs)}
    constraints = [
        Constraint(scope=(position[a, b], position[b, c], position[a, c]), forbidden=acyclic((True, True, False)))
        for a in range(num_responses)
        for b in range(a)
        for c in range(b)
    ]
    label_logprobs = random_logprobs(generator, len(pairs), 2, 2.0)
    arrays = compile_constraints(constraints, len(pairs), 2)
    for penalty in (0.8, 10.0):
        solution = solve(arrays, label_logprobs, penalty)
        assert solution.num_greedy == 0
        assert solution.objective == pytest.approx(milp_optimum(constraints, label_logprobs, penalty), abs=1e-6)
