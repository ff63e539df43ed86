"""What the kernels mean, in plain Python: the yardstick of their tests and of their speed. Knows no array layout."""

from __future__ import annotations

from collections.abc import Sequence

from consistency.constraints import Constraint


def is_violated(constraint: Constraint, labels: Sequence[int], num_labels: int) -> bool:
    """Say whether all claims of the scope are labelled and their joint assignment is forbidden."""
    joint = 0
    for position, claim in enumerate(constraint.scope):
        # An unlabelled claim may still get a label that satisfies the constraint.
        if labels[claim] < 0:
            return False
        joint += int(labels[claim]) * num_labels**position
    return bool(constraint.forbidden >> joint & 1)


def violated(constraints: Sequence[Constraint], labels: Sequence[int], num_labels: int) -> list[bool]:
    """Say for every constraint whether the labels violate it."""
    return [is_violated(constraint, labels, num_labels) for constraint in constraints]


def count_violations(constraints: Sequence[Constraint], labels: Sequence[int], num_labels: int) -> int:
    """Return the number of violated constraints."""
    return sum(violated(constraints, labels, num_labels))


def inconsistency(constraints: Sequence[Constraint], labels: Sequence[int], num_labels: int) -> float:
    """Return the summed weight of the violated constraints."""
    total = 0.0
    for constraint in constraints:
        if is_violated(constraint, labels, num_labels):
            total += constraint.weight
    return total


def flip_delta(
    constraints: Sequence[Constraint], labels: Sequence[int], num_labels: int, claim: int, new_label: int
) -> float:
    """Return what the inconsistency gains when one claim gets another label."""
    flipped = list(labels)
    flipped[claim] = new_label
    return inconsistency(constraints, flipped, num_labels) - inconsistency(constraints, labels, num_labels)
