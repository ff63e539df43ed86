"""Table constraints, and their compilation into flat arrays. Knows no kernel and no label vector.

A constraint over k claims with L labels each lists which of the L**k joint assignments violate it, as the bits of
one integer. Joint assignment a = sum over position p of label[scope[p]] * L**p, so position 0 is the lowest digit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

# One word per table: a kernel tests a constraint with one shift, without a second array to look up.
MASK_BITS: Final = 64
"""Most joint assignments that one constraint may have: its table is one machine word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """What some claims may not be labelled at the same time.

    A constraint with an unlabelled claim in its scope is not violated.

    Attributes:
        scope: Positions of the claims, all different.
        forbidden: Bit a is set iff joint assignment a violates the constraint.
        weight: What one violation adds to the inconsistency, greater than 0.
        name: What reports call it.

    Raises:
        ValueError: The scope is empty, repeats a claim or holds a negative position, the mask does not fit 64
            bits, or the weight is not a finite positive number.
    """

    scope: tuple[int, ...]
    forbidden: int
    weight: float = 1.0
    name: str = ""

    def __post_init__(self) -> None:
        if not self.scope or min(self.scope) < 0 or len(set(self.scope)) < len(self.scope):
            raise ValueError(f"a scope is one or more different positions from 0 on, got {self.scope} ({self.name!r})")
        if not 0 <= self.forbidden < 1 << MASK_BITS:
            raise ValueError(f"a mask has {MASK_BITS} bits, got forbidden={self.forbidden} ({self.name!r})")
        if not 0 < self.weight < math.inf:
            raise ValueError(f"a weight is a finite number greater than 0, got {self.weight} ({self.name!r})")


def table_size(arity: int, num_labels: int) -> int:
    """Return L**arity, the number of joint assignments.

    Raises:
        ValueError: The table does not fit one mask.
    """
    size = num_labels**arity
    if size > MASK_BITS:
        raise ValueError(
            f"{arity} claims with {num_labels} labels have {size} joint assignments and a constraint holds at most "
            f"{MASK_BITS}; split it into constraints over fewer claims"
        )
    return size


class ConstraintArrays(NamedTuple):
    """M constraints over N claims as read-only arrays, readable from either side.

    All scopes have the width K of the widest. A narrower one repeats its first claim, and its mask allows any digit
    there: the digit is ignored, so nothing about the constraint changes. Scopes of one width need no lookup of where
    they begin and no branch on where they end, which is worth more than the bytes that the repeats cost.

    Attributes:
        num_labels: L.
        strides: (K,) the powers L**p. A tuple, so that K is a constant of the compiled kernel and loops unroll.
        scope: (K, M) uint32; `scope[:, m]` are the claims of constraint m. A recount streams K contiguous rows, and an
            unsigned index is spared the test for counting from the end.
        forbidden: (M,) uint64 masks over the L**K joint assignments of K claims.
        weight: (M,) float64.
        claim_start: (N+1,) int64; the constraints on claim i are `claim_constraints[claim_start[i]:claim_start[i+1]]`.
        claim_constraints: uint32 constraints on each claim, ascending, every constraint once.
    """

    num_labels: int
    strides: tuple[int, ...]
    scope: NDArray[np.uint32]
    forbidden: NDArray[np.uint64]
    weight: NDArray[np.float64]
    claim_start: NDArray[np.int64]
    claim_constraints: NDArray[np.uint32]


def compile_constraints(constraints: Sequence[Constraint], num_claims: int, num_labels: int) -> ConstraintArrays:
    """Lay constraints out for the kernels, in the order given.

    Raises:
        ValueError: A scope reaches beyond the claims, its joint assignments do not fit a mask, or its mask has bits
            beyond them.
    """
    for number, constraint in enumerate(constraints):
        _check_fits(number, constraint, num_claims, num_labels)
    arity = np.fromiter((len(constraint.scope) for constraint in constraints), np.int64, len(constraints))
    members = np.fromiter(chain.from_iterable(constraint.scope for constraint in constraints), np.uint32, arity.sum())
    forbidden = np.fromiter((constraint.forbidden for constraint in constraints), np.uint64, len(constraints))
    weight = np.fromiter((constraint.weight for constraint in constraints), np.float64, len(constraints))
    width = int(arity.max(initial=1))
    claim_start, claim_constraints = _by_claim(arity, members, num_claims)
    arrays = ConstraintArrays(
        num_labels=num_labels,
        strides=tuple(num_labels**position for position in range(width)),
        scope=_widen_scopes(arity, members, width),
        forbidden=_widen_masks(arity, forbidden, width, num_labels),
        weight=weight,
        claim_start=claim_start,
        claim_constraints=claim_constraints,
    )
    # The first two fields are a number and a tuple, which cannot be written to.
    for array in arrays[2:]:
        array.setflags(write=False)
    return arrays


def scope_of(arrays: ConstraintArrays, constraint: int) -> NDArray[np.uint32]:
    """Return the claims of one constraint in the order of its mask, without the repeats: (arity,)."""
    # Claims of a scope differ, so whatever equals the first one is a repeat.
    claims = arrays.scope[:, constraint]
    return claims[: 1 + np.count_nonzero(claims[1:] != claims[0])]


def _check_fits(number: int, constraint: Constraint, num_claims: int, num_labels: int) -> None:
    if max(constraint.scope) >= num_claims:
        raise ValueError(
            f"constraint {number} ({constraint.name!r}) has scope {constraint.scope}, but there are {num_claims} claims"
        )
    # A bit beyond the table would never be read, or after widening stand for another joint assignment.
    if constraint.forbidden >> table_size(len(constraint.scope), num_labels):
        raise ValueError(
            f"constraint {number} ({constraint.name!r}) forbids {constraint.forbidden:#x}, which has bits beyond the "
            f"joint assignments of {len(constraint.scope)} claims with {num_labels} labels; build it with `forbid`"
        )


def _widen_scopes(arity: NDArray[np.int64], members: NDArray[np.uint32], width: int) -> NDArray[np.uint32]:
    """Return the scopes at one width: (K, M), the first claim repeated behind the last."""
    # `members` holds all scopes end to end: scope m begins at `start[m]`, and an offset of 0 is its first claim, which
    # is what a narrower scope repeats.
    start = np.cumsum(arity) - arity
    position = np.arange(width)[:, None]
    return members[start + np.where(position < arity, position, 0)]


def _widen_masks(
    arity: NDArray[np.int64], forbidden: NDArray[np.uint64], width: int, num_labels: int
) -> NDArray[np.uint64]:
    """Return the masks over L**K joint assignments: each table repeated for every value of the ignored digits."""
    widened = forbidden.copy()
    # The ignored positions are the highest digits, so their values cut the wide table into copies of the narrow one.
    for k in range(1, width):
        size = num_labels**k
        # A product with ones that are `size` bits apart is a row of copies; they do not overlap, so nothing carries.
        copies = sum(1 << (copy * size) for copy in range(num_labels ** (width - k)))
        widened[arity == k] *= np.uint64(copies)
    return widened


def _by_claim(
    arity: NDArray[np.int64], members: NDArray[np.uint32], num_claims: int
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Return for each claim where its constraints begin, and the constraints themselves."""
    # Counting sort: the stable order of `members` by claim lists the memberships claim by claim, and within a claim by
    # constraint, since `owner` ascends.
    claim_start = np.zeros(num_claims + 1, np.int64)
    np.cumsum(np.bincount(members, minlength=num_claims), out=claim_start[1:])
    owner = np.repeat(np.arange(arity.size, dtype=np.uint32), arity)
    return claim_start, owner[np.argsort(members, kind="stable")]
