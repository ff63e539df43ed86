"""Laws of the table constraints: kernels equal the reference, arrays keep what they were made of, repairs repair."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from consistency import Constraint, compile_constraints, consistent_assignments, kernels, reference, scope_of

MAX_CLAIMS = 8
DYADIC = st.integers(1, 64).map(lambda numerator: numerator / 8)
ANY_WEIGHT = st.floats(1e-3, 1e3)


@st.composite
def problems(draw: Any, weights: Any = DYADIC) -> Any:
    """A label space of two to four, some claims, constraints on them, and labels of which some are missing."""
    num_labels = draw(st.integers(2, 4))
    num_claims = draw(st.integers(1, MAX_CLAIMS))
    max_arity = max(k for k in range(1, num_claims + 1) if num_labels**k <= 64)
    constraints = []
    for _ in range(draw(st.integers(0, 12))):
        arity = draw(st.integers(1, max_arity))
        scope = tuple(draw(st.permutations(range(num_claims)))[:arity])
        forbidden = draw(st.integers(0, 2**num_labels**arity - 1))
        constraints.append(Constraint(scope=scope, forbidden=forbidden, weight=draw(weights), name=f"c{arity}"))
    labels = draw(st.lists(st.integers(-1, num_labels - 1), min_size=num_claims, max_size=num_claims))
    return constraints, np.array(labels, dtype=np.int8), num_labels


@settings(deadline=None)
@given(problems(weights=ANY_WEIGHT))
def test_kernels_equal_reference_bit_for_bit(problem: Any) -> None:
    constraints, labels, num_labels = problem
    arrays = compile_constraints(constraints, labels.size, num_labels)
    expected = reference.violated(constraints, labels, num_labels)
    assert kernels.violated(arrays, labels).tolist() == expected
    assert kernels.violated_constraints(arrays, labels).tolist() == [m for m, is_out in enumerate(expected) if is_out]
    assert kernels.count_violations(arrays, labels) == reference.count_violations(constraints, labels, num_labels)
    assert kernels.inconsistency(arrays, labels) == reference.inconsistency(constraints, labels, num_labels)


@settings(deadline=None)
@given(problems(), st.data())
def test_flip_delta_is_the_difference_of_two_recounts(problem: Any, data: st.DataObject) -> None:
    constraints, labels, num_labels = problem
    arrays = compile_constraints(constraints, labels.size, num_labels)
    claim = data.draw(st.integers(0, labels.size - 1))
    new_label = data.draw(st.integers(-1, num_labels - 1))
    flipped = labels.copy()
    flipped[claim] = new_label
    delta = kernels.flip_delta(arrays, labels, claim, new_label)
    assert delta == kernels.inconsistency(arrays, flipped) - kernels.inconsistency(arrays, labels)
    assert delta == reference.flip_delta(constraints, labels, num_labels, claim, new_label)


@given(problems())
def test_constraint_over_an_unlabelled_claim_is_never_violated(problem: Any) -> None:
    constraints, labels, num_labels = problem
    for constraint, is_violated in zip(constraints, reference.violated(constraints, labels, num_labels), strict=True):
        assert not (is_violated and any(labels[claim] == -1 for claim in constraint.scope))


@given(problems(weights=ANY_WEIGHT))
def test_compiled_arrays_give_back_the_constraints(problem: Any) -> None:
    constraints, labels, num_labels = problem
    arrays = compile_constraints(constraints, labels.size, num_labels)
    for m, constraint in enumerate(constraints):
        scope = tuple(scope_of(arrays, m).tolist())
        mask = int(arrays.forbidden[m]) & ((1 << num_labels ** len(scope)) - 1)
        assert (scope, mask, arrays.weight[m]) == (constraint.scope, constraint.forbidden, constraint.weight)
    for claim in range(labels.size):
        on_claim = arrays.claim_constraints[arrays.claim_start[claim] : arrays.claim_start[claim + 1]]
        assert on_claim.tolist() == [m for m, constraint in enumerate(constraints) if claim in constraint.scope]


@given(problems())
def test_repairs_are_exactly_the_satisfying_labellings_of_the_scope(problem: Any) -> None:
    constraints, labels, num_labels = problem
    arrays = compile_constraints(constraints, labels.size, num_labels)
    for m, constraint in enumerate(constraints):
        expected = set()
        for assignment in product(range(num_labels), repeat=len(constraint.scope)):
            option = labels.copy()
            option[list(constraint.scope)] = assignment
            if not reference.is_violated(constraint, option, num_labels):
                expected.add(tuple(option.tolist()))
        options = consistent_assignments(arrays, labels, m)
        assert options.dtype == np.int8
        assert len(options) == len(expected)
        assert set(map(tuple, options.tolist())) == expected
