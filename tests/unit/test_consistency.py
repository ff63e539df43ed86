"""The builders' tables, what is refused, and the kernels without compilation."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from consistency import (
    Constraint,
    acyclic,
    compile_constraints,
    consistent_assignments,
    contradiction,
    equivalence,
    exactly_one,
    forbid,
    implication,
    kernels,
)


def allowed(mask: int, arity: int, num_labels: int = 2) -> set[tuple[int, ...]]:
    """The joint assignments that a mask does not forbid, digit p the label of claim p of the scope."""
    return {
        tuple(joint // num_labels**p % num_labels for p in range(arity))
        for joint in range(num_labels**arity)
        if not mask >> joint & 1
    }


def test_builders_forbid_what_they_say() -> None:
    assert allowed(contradiction(), 2) == {(0, 0), (0, 1), (1, 0)}
    assert allowed(implication(), 2) == {(0, 0), (0, 1), (1, 1)}
    assert allowed(exactly_one(3), 3) == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}
    assert allowed(equivalence(4), 2, 4) == {(0, 0), (1, 1), (2, 2), (3, 3)}


def test_acyclic_forbids_only_the_two_circles() -> None:
    assert allowed(acyclic((True, True, True)), 3) == allowed(0, 3) - {(1, 1, 1), (0, 0, 0)}
    # a over b, b over c, a over c: the third claim is stated against the circle
    assert allowed(acyclic((True, True, False)), 3) == allowed(0, 3) - {(1, 1, 0), (0, 0, 1)}


def test_forbid_tells_labels_in_the_order_of_the_scope() -> None:
    assert allowed(forbid(2, 3, lambda labels: labels[0] != 2), 2, 3) == {(2, 0), (2, 1), (2, 2)}


def test_largest_tables_use_all_64_bits() -> None:
    everything = 2**64 - 1
    arrays = compile_constraints([Constraint(scope=(2, 0, 1), forbidden=everything, weight=0.5)], 3, 4)
    labels = np.array([3, 3, 3], dtype=np.int8)
    assert kernels.inconsistency(arrays, labels) == 0.5
    assert consistent_assignments(arrays, labels, 0).shape == (0, 3)


def test_no_constraints_no_inconsistency() -> None:
    arrays = compile_constraints([], 3, 2)
    labels = np.zeros(3, dtype=np.int8)
    assert kernels.inconsistency(arrays, labels) == 0.0
    assert kernels.violated_constraints(arrays, labels).size == 0
    assert kernels.flip_delta(arrays, labels, 1, 1) == 0.0


def test_repair_offers_the_assignment_without_a_true_claim() -> None:
    arrays = compile_constraints([Constraint(scope=(0, 2), forbidden=contradiction())], 3, 2)
    options = consistent_assignments(arrays, np.array([1, 1, 1], dtype=np.int8), 0)
    assert options.tolist() == [[0, 1, 0], [1, 1, 0], [0, 1, 1]]


def test_compiled_arrays_are_read_only() -> None:
    arrays = compile_constraints([Constraint(scope=(0, 1), forbidden=contradiction())], 2, 2)
    for array in (arrays.scope, arrays.forbidden, arrays.weight, arrays.claim_start, arrays.claim_constraints):
        assert not array.flags.writeable


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"scope": (), "forbidden": 0}, "scope"),
        ({"scope": (1, 1), "forbidden": 0}, r"scope.*\(1, 1\)"),
        ({"scope": (0, -1), "forbidden": 0}, "scope"),
        ({"scope": (0, 1), "forbidden": -1}, "forbidden=-1"),
        ({"scope": (0, 1), "forbidden": 2**64}, "64 bits"),
        ({"scope": (0, 1), "forbidden": 8, "weight": 0.0}, "weight"),
        ({"scope": (0, 1), "forbidden": 8, "weight": float("inf")}, "weight"),
        ({"scope": (0, 1), "forbidden": 8, "weight": float("nan")}, "weight"),
    ],
)
def test_malformed_constraint_is_refused(fields: Any, problem: Any) -> None:
    with pytest.raises(ValueError, match=problem):
        Constraint(**fields)


@pytest.mark.parametrize(
    ("constraint", "num_labels", "problem"),
    [
        (Constraint(scope=(0, 3), forbidden=8), 2, "there are 3 claims"),
        (Constraint(scope=(0, 1), forbidden=16), 2, "beyond the joint assignments"),
        (Constraint(scope=(0, 1, 2), forbidden=1), 5, "125 joint assignments"),
    ],
)
def test_constraint_that_does_not_fit_is_refused(constraint: Any, num_labels: int, problem: Any) -> None:
    with pytest.raises(ValueError, match=problem):
        compile_constraints([constraint], 3, num_labels)


def test_kernels_refuse_labels_that_do_not_fit() -> None:
    arrays = compile_constraints([Constraint(scope=(0, 1), forbidden=contradiction())], 2, 2)
    for labels in ([0], [0, 2], [0, -2]):
        for kernel in (kernels.violated, kernels.count_violations, kernels.inconsistency):
            with pytest.raises(ValueError, match="label"):
                kernel(arrays, np.array(labels, dtype=np.int8))
    labels = np.zeros(2, dtype=np.int8)
    for claim, new_label in ((2, 1), (-1, 1), (0, 2), (0, -2)):
        with pytest.raises(ValueError, match=r"claim|label"):
            kernels.flip_delta(arrays, labels, claim, new_label)
    with pytest.raises(ValueError, match="one for each claim"):
        kernels.flip_delta(arrays, labels[:1], 0, 1)


UNCOMPILED = """
import numpy as np
from consistency import Constraint, acyclic, compile_constraints, equivalence, kernels, reference

generator = np.random.default_rng(0)
for num_labels in (2, 4):
    masks = {2: equivalence(num_labels), 3: 2**63 + 5 if num_labels == 4 else acyclic((True, True, True))}
    constraints = [
        Constraint(scope=tuple(generator.permutation(9)[:k].tolist()), forbidden=masks[k], weight=0.25 * k)
        for k in generator.integers(2, 4, size=60).tolist()
    ]
    arrays = compile_constraints(constraints, 9, num_labels)
    for _ in range(20):
        labels = generator.integers(-1, num_labels, size=9).astype(np.int8)
        assert kernels.violated(arrays, labels).tolist() == reference.violated(constraints, labels, num_labels)
        assert kernels.count_violations(arrays, labels) == reference.count_violations(constraints, labels, num_labels)
        assert kernels.inconsistency(arrays, labels) == reference.inconsistency(constraints, labels, num_labels)
        for new_label in range(-1, num_labels):
            expected = reference.flip_delta(constraints, labels, num_labels, 4, new_label)
            assert kernels.flip_delta(arrays, labels, 4, new_label) == expected
print(type(kernels.inconsistency).__name__)
"""


def test_kernels_equal_reference_without_compilation() -> None:
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", UNCOMPILED], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "function"), done.stderr
