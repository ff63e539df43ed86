"""Metamorphic laws of the exact solver and of its tally, and grouped problems against exhaustive search."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from consistency import (
    Constraint,
    ConstraintArrays,
    acyclic,
    compile_constraints,
    consistent_assignments,
    contradiction,
    equivalence,
    exactly_one,
    implication,
    reference,
    scope_of,
)
from consistency.binding import tally_binding
from consistency.components import find_components
from consistency.kernels import count_violations, flip_delta, inconsistency, violated_constraints
from consistency.solve import solve

Problem = tuple[list[Constraint], NDArray[np.float64]]
FEW = settings(max_examples=25)
NATS = st.integers(-40, 0).map(lambda eighths: eighths / 8)


@st.composite
def grouped(draw: st.DrawFn) -> Problem:
    """Groups of claims as tasks have them: one true answer, contradictions, orders of responses, implications."""
    constraints: list[Constraint] = []
    num_claims = 0
    for _ in range(draw(st.integers(1, 3))):
        size = draw(st.integers(1, 4))
        scope = tuple(range(num_claims, num_claims + size))
        match draw(st.sampled_from(["one", "contradict", "same", "imply", "order"])):
            case "one":
                constraints.append(Constraint(scope=scope, forbidden=exactly_one(size), name="one"))
            case "order" if size >= 3:
                constraints.append(Constraint(scope=scope[:3], forbidden=acyclic((True, True, False)), name="order"))
            case kind:
                mask = {"same": equivalence(2), "imply": implication()}.get(kind, contradiction())
                constraints += [
                    Constraint(scope=(i, j), forbidden=mask, weight=draw(st.sampled_from([0.5, 1.0, 2.0])), name=kind)
                    for i, j in pairwise(scope)
                ]
        num_claims += size
    rows = st.lists(NATS, min_size=2, max_size=2)
    return constraints, np.array(draw(st.lists(rows, min_size=num_claims, max_size=num_claims)))


def value(problem: Problem, penalty: float, labels: Sequence[int]) -> float:
    constraints, logprobs = problem
    likelihood = sum(float(row[label]) for row, label in zip(logprobs, labels, strict=True))
    return likelihood - penalty * reference.inconsistency(constraints, labels, logprobs.shape[1])


def compiled(problem: Problem) -> tuple[ConstraintArrays, NDArray[np.float64]]:
    constraints, logprobs = problem
    return compile_constraints(constraints, *logprobs.shape), logprobs


def best(problem: Problem, penalty: float) -> float:
    return solve(*compiled(problem), penalty).objective


PENALTIES = st.sampled_from([0.25, 1.0, 4.0])


@FEW
@given(grouped(), PENALTIES)
def test_grouped_problems_are_solved_to_the_optimum(problem: Problem, penalty: float) -> None:
    arrays, logprobs = compiled(problem)
    solution = solve(arrays, logprobs, penalty)
    everything = [value(problem, penalty, labels) for labels in product((0, 1), repeat=len(logprobs))]
    assert solution.objective == pytest.approx(max(everything))
    assert value(problem, penalty, solution.labels.tolist()) == pytest.approx(max(everything))
    assert solution.num_greedy == 0
    assert solution.is_exact.all()


@FEW
@given(grouped(), PENALTIES, st.randoms(use_true_random=False))
def test_permuting_the_claims_changes_no_optimum(problem: Problem, penalty: float, random: Random) -> None:
    constraints, logprobs = problem
    order = list(range(len(logprobs)))
    random.shuffle(order)
    place = {claim: at for at, claim in enumerate(order)}
    moved = [
        Constraint(
            scope=tuple(place[claim] for claim in each.scope),
            forbidden=each.forbidden,
            weight=each.weight,
            name=each.name,
        )
        for each in constraints
    ]
    assert best((moved, logprobs[order]), penalty) == pytest.approx(best(problem, penalty))


@FEW
@given(grouped(), PENALTIES)
def test_the_order_of_the_constraints_changes_no_optimum(problem: Problem, penalty: float) -> None:
    constraints, logprobs = problem
    assert best((constraints[::-1], logprobs), penalty) == pytest.approx(best(problem, penalty))


@FEW
@given(grouped(), PENALTIES)
def test_renaming_the_labels_changes_no_optimum(problem: Problem, penalty: float) -> None:
    constraints, logprobs = problem
    swapped = []
    for each in constraints:
        size = 2 ** len(each.scope)
        # With both labels exchanged the joint assignment a becomes its complement: the mask is read backwards.
        mask = sum(1 << (size - 1 - joint) for joint in range(size) if each.forbidden >> joint & 1)
        swapped.append(Constraint(scope=each.scope, forbidden=mask, weight=each.weight, name=each.name))
    assert best((swapped, logprobs[:, ::-1].copy()), penalty) == pytest.approx(best(problem, penalty))


@FEW
@given(grouped(), PENALTIES, st.lists(NATS, min_size=12, max_size=12))
def test_what_all_labels_of_a_claim_gain_alike_moves_the_objective_alone(
    problem: Problem, penalty: float, shifts: list[float]
) -> None:
    constraints, logprobs = problem
    shift = np.array(shifts[: len(logprobs)])
    one = solve(*compiled(problem), penalty)
    other = solve(*compiled((constraints, logprobs + shift[:, None])), penalty)
    assert other.objective == pytest.approx(one.objective + shift.sum())


@FEW
@given(grouped(), PENALTIES)
def test_heavier_constraints_at_a_lower_price_cost_the_same(problem: Problem, penalty: float) -> None:
    constraints, logprobs = problem
    heavier = [
        Constraint(scope=each.scope, forbidden=each.forbidden, weight=2 * each.weight, name=each.name)
        for each in constraints
    ]
    assert best((heavier, logprobs), penalty / 2) == pytest.approx(best(problem, penalty))


@FEW
@given(grouped(), PENALTIES)
def test_a_constraint_more_never_helps_and_a_label_fixed_never_helps(problem: Problem, penalty: float) -> None:
    constraints, logprobs = problem
    optimum = best(problem, penalty)
    assert best((constraints[:-1], logprobs), penalty) >= optimum - 1e-9
    arrays, _ = compiled(problem)
    for label in (0, 1):
        fixed = np.full(len(logprobs), -1, np.int8)
        fixed[0] = label
        solution = solve(arrays, logprobs, penalty, fixed)
        assert solution.labels[0] == label
        assert solution.objective <= optimum + 1e-9


@FEW
@given(grouped(), PENALTIES)
def test_fixing_the_optimum_gives_it_back(problem: Problem, penalty: float) -> None:
    arrays, logprobs = compiled(problem)
    first = solve(arrays, logprobs, penalty)
    again = solve(arrays, logprobs, penalty, first.labels)
    assert again.labels.tolist() == first.labels.tolist()
    assert again.objective == first.objective


@FEW
@given(grouped(), grouped(), PENALTIES)
def test_problems_side_by_side_are_solved_as_each_alone(one: Problem, other: Problem, penalty: float) -> None:
    shift = len(one[1])
    moved = [
        Constraint(
            scope=tuple(claim + shift for claim in each.scope),
            forbidden=each.forbidden,
            weight=each.weight,
            name=each.name,
        )
        for each in other[0]
    ]
    both = (one[0] + moved, np.concatenate([one[1], other[1]]))
    solution = solve(*compiled(both), penalty)
    apart = [solve(*compiled(each), penalty) for each in (one, other)]
    assert solution.labels.tolist() == [label for each in apart for label in each.labels.tolist()]
    assert solution.objective == pytest.approx(sum(each.objective for each in apart))


@FEW
@given(grouped())
def test_hard_constraints_hold_wherever_they_can(problem: Problem) -> None:
    arrays, logprobs = compiled(problem)
    solution = solve(arrays, logprobs, np.inf)
    satisfying = [
        labels for labels in product((0, 1), repeat=len(logprobs)) if value((problem[0], logprobs * 0), 1, labels) == 0
    ]
    assert satisfying  # every kind of constraint drawn here can hold
    assert solution.labels.tolist() in [list(labels) for labels in satisfying]
    assert solution.objective == pytest.approx(max(value(problem, 0, labels) for labels in satisfying))


@FEW
@given(grouped(), PENALTIES)
def test_the_tally_counts_every_constraint_once_and_agrees_with_brute_force(problem: Problem, penalty: float) -> None:
    constraints, logprobs = problem
    if not constraints:
        return
    arrays, _ = compiled(problem)
    names = [each.name for each in constraints]
    tallies = tally_binding(arrays, names, logprobs, penalty)
    assert [tally.name for tally in tallies] == list(dict.fromkeys(names))
    assert sum(tally.num_constraints for tally in tallies) == len(constraints)
    optimum = max(value(problem, penalty, labels) for labels in product((0, 1), repeat=len(logprobs)))
    for tally in tallies:
        num_binding = 0
        for left_out, each in enumerate(constraints):
            if each.name == tally.name:
                rest = (constraints[:left_out] + constraints[left_out + 1 :], logprobs)
                without = max(value(rest, penalty, labels) for labels in product((0, 1), repeat=len(logprobs)))
                num_binding += without > optimum + 1e-9
        assert tally.num_binding == num_binding
        assert tally.num_undecided == 0
        assert tally.num_violated <= tally.num_binding <= tally.num_constraints


@FEW
@given(grouped(), st.data())
def test_flips_add_up_along_any_path_of_labels(problem: Problem, data: st.DataObject) -> None:
    arrays, logprobs = compiled(problem)
    labels = np.full(len(logprobs), -1, np.int8)
    total = 0.0
    for _ in range(8):
        claim = data.draw(st.integers(0, len(logprobs) - 1))
        label = data.draw(st.integers(-1, 1))
        total += flip_delta(arrays, labels, claim, label)
        labels[claim] = label
    assert total == pytest.approx(inconsistency(arrays, labels))
    assert count_violations(arrays, labels) == violated_constraints(arrays, labels).size


@FEW
@given(grouped(), st.data())
def test_a_repair_satisfies_its_constraint_and_touches_its_scope_alone(problem: Problem, data: st.DataObject) -> None:
    constraints, logprobs = problem
    if not constraints:
        return
    arrays, _ = compiled(problem)
    constraint = data.draw(st.integers(0, len(constraints) - 1))
    labels = np.array(data.draw(st.lists(st.integers(-1, 1), min_size=len(logprobs), max_size=len(logprobs))), np.int8)
    options = consistent_assignments(arrays, labels, constraint)
    scope = scope_of(arrays, constraint).tolist()
    outside = [claim for claim in range(len(labels)) if claim not in scope]
    assert scope == list(constraints[constraint].scope)
    assert len({tuple(option) for option in options.tolist()}) == len(options)
    for option in options:
        assert not reference.is_violated(constraints[constraint], option.tolist(), 2)
        assert option[outside].tolist() == labels[outside].tolist()


@FEW
@given(grouped())
def test_components_split_the_constrained_claims_and_sum_what_is_theirs(problem: Problem) -> None:
    constraints, logprobs = problem
    arrays, _ = compiled(problem)
    components = find_components(arrays)
    constrained = sorted({claim for each in constraints for claim in each.scope})
    assert sorted(components.claims.tolist()) == constrained
    assert sorted(components.constraints.tolist()) == list(range(len(constraints)))
    per_claim = np.arange(1, len(logprobs) + 1, dtype=np.float64)
    per_constraint = 100 * np.arange(1, len(constraints) + 1, dtype=np.float64)
    sums = components.sums(per_claim, per_constraint)
    assert len(sums) == components.num_components
    assert sums.sum() == per_claim[constrained].sum() + per_constraint.sum()
