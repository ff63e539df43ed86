"""Which constraints bind: how much the best labelling is due to them. Knows no claims but their positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consistency.branch_and_bound import TOLERANCE, solve_components
from consistency.components import Components, find_components
from consistency.constraints import ConstraintArrays
from consistency.kernels import violated
from consistency.solve import MAX_NODES, joint_digits, likeliest, open_labels, prices, solve


@dataclass(frozen=True, slots=True)
class Tally:
    """The constraints of one name.

    Attributes:
        name: What they are called.
        num_constraints: How many there are.
        num_opposed: How many the likeliest labels violate, each claim taken on its own.
        num_violated: How many the best labelling violates.
        num_binding: How many bind: without that one constraint, all others kept, a labelling would be worth more
            than the best one is now. Every violated constraint binds. None of a component binds whose likeliest
            labels satisfy everything.
        num_undecided: How many of the rest may bind, because the search met its limit before it was known.
    """

    name: str
    num_constraints: int
    num_opposed: int
    num_violated: int
    num_binding: int
    num_undecided: int


def tally_binding(
    arrays: ConstraintArrays,
    names: Sequence[str],
    label_logprobs: NDArray[np.float64],
    penalty: float,
    fixed: NDArray[np.int8] | None = None,
    *,
    max_nodes: int = MAX_NODES,
) -> list[Tally]:
    """Return for each name how many of its constraints the best labelling violates, how many bind, and so on.

    Solves every component that is not settled by its likeliest labels once more for each of its constraints.

    Args:
        arrays: M constraints.
        names: (M,) what each is called.
        label_logprobs: As for `solve`, like all that follow.
        penalty: In nats.
        fixed: (N,), -1 where free.
        max_nodes: For each of the solves.

    Returns:
        A tally for each name, in the order of their first appearance.

    Raises:
        ValueError: As for `solve`; or the names are not one for each constraint.
    """
    if len(names) != arrays.weight.size:
        raise ValueError(f"there are {arrays.weight.size} constraints, but {len(names)} names")
    components = find_components(arrays)
    solution = solve(arrays, label_logprobs, penalty, fixed, components=components, max_nodes=max_nodes)
    price = prices(arrays, components, label_logprobs, penalty)
    is_open = open_labels(label_logprobs, fixed)
    start = likeliest(label_logprobs, is_open)
    is_opposed, is_violated = violated(arrays, start), violated(arrays, solution.labels)
    # A violated constraint binds: without it the same labels cost less by its price.
    binds = is_violated.copy()
    is_undecided = np.zeros(arrays.weight.size, np.bool_)

    def component_costs(labels: NDArray[np.int8], paid: NDArray[np.float64]) -> NDArray[np.float64]:
        given = np.take_along_axis(label_logprobs, labels[:, None].astype(np.intp), axis=1)[:, 0]
        return components.sums(-given, paid * violated(arrays, labels))

    costs = component_costs(solution.labels, price)
    # What each solve may be off by, on the scale of all the costs of a component.
    tolerance = TOLERANCE * components.sums(np.abs(label_logprobs).sum(axis=1), price)
    for chosen, left_out in _one_of_each(arrays, components, start):
        paid = price.copy()
        # Free of charge is as good as gone, and the arrays keep their layout.
        paid[left_out] = 0.0
        # From the likeliest labels, as in the first solve, so that both searches take the same way.
        labels = start.copy()
        is_exact = solve_components(
            components,
            chosen,
            joint_digits(arrays),
            -label_logprobs,
            paid,
            arrays.forbidden,
            is_open,
            max_nodes,
            labels,
        )
        # The cheapest labelling without the constraint against the best one with it, by more than the rounding.
        is_better = (component_costs(labels, paid) < costs - tolerance)[chosen]
        binds[left_out] |= is_better
        # A cheaper labelling that was found is proof enough; only where none was found does a broken-off search
        # matter.
        is_undecided[left_out] = ~(is_exact & solution.is_exact[chosen]) & ~binds[left_out]
    return [
        Tally(
            name, int(of.sum()), *(int((of & which).sum()) for which in (is_opposed, is_violated, binds, is_undecided))
        )
        for name in dict.fromkeys(names)
        for of in [np.array([other == name for other in names])]
    ]


def _one_of_each(
    arrays: ConstraintArrays, components: Components, start: NDArray[np.int8]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield components and one constraint of each, until all of those were yielded that could bind.

    Components are independent, so one solve answers for one constraint in each of them.
    """
    is_unsettled = components.sums(np.zeros(start.size), violated(arrays, start).astype(np.float64)) > 0
    num_constraints = np.diff(components.constraint_start)
    for number in range(num_constraints[is_unsettled].max(initial=0)):
        chosen = np.flatnonzero(is_unsettled & (num_constraints > number))
        yield chosen, components.constraints[components.constraint_start[chosen] + number]
