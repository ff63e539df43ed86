"""Compiled counting of violations. Draws no random numbers, does no I/O and changes no argument.

Labels are (N,) int8, -1 where a claim is unlabelled. `consistency.reference` says in plain Python what these functions
mean, and the sums run in the order of the constraints, so both agree to the last bit. One thread only: numba's
parallel threads do not survive a fork.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from consistency.compiled import compiled
from consistency.constraints import ConstraintArrays


@compiled()
def violated(arrays: ConstraintArrays, labels: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Return which constraints the labels violate: (M,).

    Raises:
        ValueError: The labels are not one for each claim, or one lies outside -1..L-1.
    """
    _check_labels(arrays, labels)
    result = np.empty(arrays.weight.size, np.bool_)
    for constraint in range(arrays.weight.size):
        result[constraint] = _is_violated(arrays, labels, constraint)
    return result


@compiled()
def count_violations(arrays: ConstraintArrays, labels: NDArray[np.int8]) -> int:
    """Return the number of violated constraints.

    Raises:
        ValueError: The labels are not one for each claim, or one lies outside -1..L-1.
    """
    _check_labels(arrays, labels)
    count = 0
    for constraint in range(arrays.weight.size):
        count += _is_violated(arrays, labels, constraint)
    return count


@compiled()
def inconsistency(arrays: ConstraintArrays, labels: NDArray[np.int8]) -> float:
    """Return I, the summed weight of the violated constraints.

    Every constraint counts once, where a double sum over pairs of claims would count a symmetric one twice.

    Raises:
        ValueError: The labels are not one for each claim, or one lies outside -1..L-1.

    Source: the paper's I(D), with weights.
    """
    _check_labels(arrays, labels)
    total = 0.0
    for constraint in range(arrays.weight.size):
        # Multiplied, not tested: a branch that is taken now and then costs more than the product.
        total += arrays.weight[constraint] * _is_violated(arrays, labels, constraint)
    return total


@compiled()
def flip_delta(arrays: ConstraintArrays, labels: NDArray[np.int8], claim: int, new_label: int) -> float:
    """Return what the inconsistency gains when one claim gets another label.

    Reads only the constraints on that claim; labels of other claims are trusted to lie in -1..L-1.

    Raises:
        ValueError: The labels are not one for each claim, there is no such claim, or the new label lies outside
            -1..L-1.
    """
    # Checked here, because compiled code reads beyond the end of an array without an error.
    if labels.size != arrays.claim_start.size - 1:
        raise ValueError("the labels must be one for each claim of the constraints")
    if not 0 <= claim < labels.size:
        raise ValueError("the claim must be a position in the labels")
    if not -1 <= new_label < arrays.num_labels:
        raise ValueError("the new label must be -1 (unlabelled) or an index into the label space")
    delta = 0.0
    for slot in range(arrays.claim_start[claim], arrays.claim_start[claim + 1]):
        constraint = int(arrays.claim_constraints[slot])
        after = _is_violated_with(arrays, labels, constraint, claim, new_label)
        before = _is_violated(arrays, labels, constraint)
        # Every constraint stands once among those of a claim, so no difference is counted twice.
        delta += arrays.weight[constraint] * (int(after) - int(before))
    return delta


def violated_constraints(arrays: ConstraintArrays, labels: NDArray[np.int8]) -> NDArray[np.intp]:
    """Return the violated constraints, ascending.

    Raises:
        ValueError: The labels are not one for each claim, or one lies outside -1..L-1.
    """
    return np.flatnonzero(violated(arrays, labels))


@compiled()
def _is_violated(arrays: ConstraintArrays, labels: NDArray[np.int8], constraint: int) -> bool:
    # Or-ing keeps the sign bit of any -1, which tells an unlabelled claim without a branch in the loop. A repeat of the
    # first claim brings its label once more: harmless to the signs, and the widened mask ignores its digit.
    joint = 0
    signs = 0  # negative as soon as one claim of the scope is unlabelled
    for position in range(len(arrays.strides)):
        label = int(labels[arrays.scope[position, constraint]])
        joint += label * arrays.strides[position]
        signs |= label
    return _is_forbidden(arrays.forbidden[constraint], joint, signs)


@compiled()
def _is_violated_with(
    arrays: ConstraintArrays, labels: NDArray[np.int8], constraint: int, claim: int, new_label: int
) -> bool:
    joint = 0
    signs = 0
    for position in range(len(arrays.strides)):
        member = arrays.scope[position, constraint]
        # The claim may be the first of a narrow scope and so stand in it several times: all change together.
        label = int(new_label if member == claim else labels[member])
        joint += label * arrays.strides[position]
        signs |= label
    return _is_forbidden(arrays.forbidden[constraint], joint, signs)


@compiled()
def _is_forbidden(forbidden: np.uint64, joint: int, signs: int) -> bool:
    # The joint index means nothing next to an unlabelled claim; `& 63` keeps the shift defined even then.
    bit = int(forbidden >> np.uint64(joint & 63)) & 1
    return (bit & int(signs >= 0)) != 0


@compiled()
def _check_labels(arrays: ConstraintArrays, labels: NDArray[np.int8]) -> None:
    if labels.size != arrays.claim_start.size - 1:
        raise ValueError("the labels must be one for each claim of the constraints")
    # Counted and tested once at the end: a loop without a way out is vectorised.
    outside = 0
    for label in labels:
        outside += (label < -1) | (label >= arrays.num_labels)
    if outside:
        raise ValueError("every label must be -1 (unlabelled) or an index into the label space")
