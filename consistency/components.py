"""Connected components of the constraints, laid out for the solver. Knows no label vector and no penalty.

Two claims are connected when a constraint is about both. Components are independent, so
each can be solved on its own. The components depend on the constraints alone and are found once for many solves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consistency.compiled import compiled
from consistency.constraints import ConstraintArrays


class Components(NamedTuple):
    """C components of the claims that have constraints, as read-only arrays.

    The claims of a component are in breadth-first order, so that neighbours are near one another; `a position` below
    counts them from 0 within their component, and so does `a number` with its constraints.

    Attributes:
        claims: The constrained claims, component after component.
        claim_start: (C+1,) where the claims of each component begin.
        constraints: (M,) the constraints, component after component, each component's ascending.
        constraint_start: (C+1,) where the constraints of each component begin.
        arity: (M,) how many claims each is about, in the order of `constraints`.
        members: (M, K) the positions of those claims; beyond the arity they repeat the first.
        slot_start: For each of `claims`, where its slots begin; one more at the end.
        slot_constraint: The number of a constraint on the claim.
        slot_digit: Which place the claim has in the scope of that constraint.
    """

    claims: NDArray[np.int64]
    claim_start: NDArray[np.int64]
    constraints: NDArray[np.int64]
    constraint_start: NDArray[np.int64]
    arity: NDArray[np.int64]
    members: NDArray[np.int64]
    slot_start: NDArray[np.int64]
    slot_constraint: NDArray[np.int64]
    slot_digit: NDArray[np.int64]

    @property
    def num_components(self) -> int:
        """C."""
        return self.claim_start.size - 1

    def sums(self, per_claim: NDArray[np.float64], per_constraint: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum a quantity of the claims (N,) and one of the constraints (M,) over each component: (C,)."""
        # `reduceat` needs a value at every start, and the last component may have none behind it: hence the zero.
        of_claims = np.add.reduceat(np.append(per_claim[self.claims], 0.0), self.claim_start[:-1])
        of_constraints = np.add.reduceat(np.append(per_constraint[self.constraints], 0.0), self.constraint_start[:-1])
        return of_claims + of_constraints


def find_components(arrays: ConstraintArrays) -> Components:
    """Return the connected components of the constraints, in the order of their lowest claims."""
    component, claims = _breadth_first(arrays.scope, arrays.claim_start, arrays.claim_constraints)
    num_components = int(component.max(initial=-1)) + 1
    claim_start = _starts(component[claims], num_components)
    # Where each claim stands within its component: its place in `claims` less the place of the component's first.
    position = np.zeros(component.size, np.int64)
    position[claims] = np.arange(claims.size) - claim_start[component[claims]]

    # All claims of a constraint are connected by it, so the first one tells its component.
    component_of_constraint = component[arrays.scope[0]]
    # Stable, so that the constraints of a component stay in ascending order.
    constraints = np.argsort(component_of_constraint, kind="stable")
    constraint_start = _starts(component_of_constraint, num_components)
    # The same for constraints: their place within the component, by their number in the whole.
    number = np.empty(constraints.size, np.int64)
    number[constraints] = np.arange(constraints.size) - constraint_start[component_of_constraint[constraints]]

    # The slots of a claim are one stretch of `claim_constraints`. The stretches are gathered in the order of `claims`:
    # repeating how far each has moved turns a running count into indices of the old array.
    num_slots = np.diff(arrays.claim_start)[claims]
    slot_start = np.concatenate(([0], np.cumsum(num_slots)))
    slots = np.repeat(arrays.claim_start[claims] - slot_start[:-1], num_slots) + np.arange(slot_start[-1])
    constraint_of_slot = arrays.claim_constraints[slots]
    # The first claim of a narrow scope is repeated behind the last: `argmax` finds its true place, the first.
    is_here = arrays.scope[:, constraint_of_slot] == np.repeat(claims, num_slots)
    components = Components(
        claims=claims,
        claim_start=claim_start,
        constraints=constraints,
        constraint_start=constraint_start,
        arity=1 + np.count_nonzero(arrays.scope[1:] != arrays.scope[0], axis=0)[constraints],
        # All claims of a constraint are in its component, so a position within it says which claim is meant.
        members=np.ascontiguousarray(position[arrays.scope].T[constraints]),
        slot_start=slot_start,
        slot_constraint=number[constraint_of_slot],
        slot_digit=np.argmax(is_here, axis=0),
    )
    for array in components:
        array.setflags(write=False)
    return components


def _starts(component_of: NDArray[np.int64], num_components: int) -> NDArray[np.int64]:
    """Return where each component begins when things are sorted by the components they belong to: (C+1,)."""
    return np.concatenate(([0], np.cumsum(np.bincount(component_of, minlength=num_components))))


@compiled()
def _breadth_first(
    scope: NDArray[np.uint32], claim_start: NDArray[np.int64], claim_constraints: NDArray[np.uint32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the component of each claim, -1 where it has no constraint, and the constrained claims in order."""
    num_claims = claim_start.size - 1
    component = np.full(num_claims, -1, np.int64)
    queue = np.empty(num_claims, np.int64)
    num_components = num_found = num_visited = 0
    for root in range(num_claims):
        if component[root] >= 0 or claim_start[root] == claim_start[root + 1]:
            continue
        # The queue is never emptied: what was visited stays, component after component, and is the order of claims.
        component[root] = num_components
        queue[num_found] = root
        num_found += 1
        while num_visited < num_found:
            claim = queue[num_visited]
            num_visited += 1
            for slot in range(claim_start[claim], claim_start[claim + 1]):
                for member in scope[:, claim_constraints[slot]]:
                    if component[member] < 0:
                        component[member] = num_components
                        queue[num_found] = member
                        num_found += 1
        num_components += 1
    return component, queue[:num_found]
