"""What the solver works on: one component, its open labels and the best labelling so far. Knows no way to solve it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Instance(NamedTuple):
    """One component: n claims with L labels, F constraints on up to K claims.

    Attributes:
        cost: (n, L) what each label costs.
        penalty: (F,) what each violation costs.
        forbidden: (F,) uint64 masks of the violating joint assignments.
        arity: (F,) how many claims each constraint is about.
        members: (F, K) those claims.
        slot_start: (n+1,) where the slots of each claim begin in the two arrays that follow.
        slot_constraint: A constraint on the claim.
        slot_digit: The place of the claim in its scope.
        digits: (L**K, K) the labels of each joint assignment.
    """

    cost: NDArray[np.float64]
    penalty: NDArray[np.float64]
    forbidden: NDArray[np.uint64]
    arity: NDArray[np.int64]
    members: NDArray[np.int64]
    slot_start: NDArray[np.int64]
    slot_constraint: NDArray[np.int64]
    slot_digit: NDArray[np.int64]
    digits: NDArray[np.int64]


class Domains(NamedTuple):
    """The labels that are still open, and what is needed to open discarded ones again.

    Attributes:
        is_open: (n, L).
        num_open: (n,).
        discarded: (n*L,) claim * L + label of the discarded ones, in their order.
        num_discarded: (1,); an array, because compiled code changes it in place.
    """

    is_open: NDArray[np.bool_]
    num_open: NDArray[np.int64]
    discarded: NDArray[np.int64]
    num_discarded: NDArray[np.int64]


class Incumbent(NamedTuple):
    """The best labelling so far: its (n,) labels and (1,) cost, and how much less a better one must cost."""

    labels: NDArray[np.int8]
    cost: NDArray[np.float64]
    tolerance: float


class Preferences(NamedTuple):
    """What the last sweep found out about each claim.

    Attributes:
        label: (n,) the open label with the lowest bound, the lower one in a tie.
        gap: (n,) by how much the next label is worse, infinite where a single one is open.
    """

    label: NDArray[np.int8]
    gap: NDArray[np.float64]
