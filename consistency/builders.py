"""Masks of the usual constraints, for `Constraint.forbidden`. Knows no claims, only how many labels they may have.

The builders for two labels read label 1 as true.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Final

from consistency.constraints import table_size

TRUE: Final = 1
"""The label that affirms a claim; with two labels the other one is 0."""


def forbid(arity: int, num_labels: int, is_forbidden: Callable[[tuple[int, ...]], bool]) -> int:
    """Return the mask of the joint assignments that a predicate forbids.

    The predicate is told the labels in the order of the scope.

    Raises:
        ValueError: The table does not fit one mask.
    """
    table_size(arity, num_labels)
    mask = 0
    # `product` turns its last digit fastest and a joint index its first: hence the reversal.
    for joint, digits in enumerate(product(range(num_labels), repeat=arity)):
        if is_forbidden(digits[::-1]):
            mask |= 1 << joint
    return mask


def contradiction() -> int:
    """Forbid that both of two claims are true."""
    return forbid(2, 2, lambda labels: labels == (TRUE, TRUE))


def implication() -> int:
    """Forbid that the first claim is true and the second is not."""
    # False implies anything: one joint assignment of four is forbidden.
    return forbid(2, 2, lambda labels: labels[0] == TRUE and labels[1] != TRUE)


def exactly_one(arity: int) -> int:
    """Forbid that none, or more than one, of the claims is true."""
    # A table of its own, not pairs of contradictions: these would allow that none is true.
    return forbid(arity, 2, lambda labels: labels.count(TRUE) != 1)


def equivalence(num_labels: int) -> int:
    """Forbid that two claims differ in their labels, of any number."""
    return forbid(2, num_labels, lambda labels: labels[0] != labels[1])


def acyclic(along: tuple[bool, bool, bool]) -> int:
    """Forbid that three comparisons of a with b, b with c and c with a put the three in a circle.

    A comparison that is not true says the reverse: there are no ties.

    Args:
        along: Whether each claim is stated along the circle (a over b, b over c, c over a) or against it.
    """
    return forbid(
        3, 2, lambda labels: len({(label == TRUE) == same for label, same in zip(labels, along, strict=True)}) == 1
    )
