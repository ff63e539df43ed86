"""The labelling that log-probabilities and constraints like best together. Knows no model and draws nothing.

Solves max over y of sum_i log p_i(y_i) - penalty * I(y), one connected component at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from consistency.branch_and_bound import solve_components
from consistency.components import Components, find_components
from consistency.constraints import ConstraintArrays
from consistency.kernels import inconsistency

MAX_NODES: Final = 10_000
"""Nodes of the search tree that one component may take by default."""


@dataclass(frozen=True, slots=True)
class Solution:
    """The best labelling that was found.

    Attributes:
        labels: (N,) read-only; no claim is unlabelled.
        objective: sum_i log p_i(y_i) - penalty * I(y), nats; -inf where a hard constraint is violated.
        is_exact: (C,) for each component whether its labels are proven optimal. Where they are not, the search met
            its limit and they are the best labels it had come by, never worse than greedy improvement of the
            likeliest ones.
    """

    labels: NDArray[np.int8]
    objective: float
    is_exact: NDArray[np.bool_]

    @property
    def num_greedy(self) -> int:
        """How many components are not proven optimal."""
        return int(np.count_nonzero(~self.is_exact))


def solve(
    arrays: ConstraintArrays,
    label_logprobs: NDArray[np.float64],
    penalty: float,
    fixed: NDArray[np.int8] | None = None,
    *,
    components: Components | None = None,
    max_nodes: int = MAX_NODES,
) -> Solution:
    """Return the labelling that maximises sum_i log p_i(y_i) - penalty * I(y).

    A claim without constraints takes its likeliest label, the lower one in a tie. So do the claims of a component
    whose likeliest labels violate nothing. Every other component is searched until its optimum is proven or
    `max_nodes` nodes are visited; of several optimal labellings the one found first is kept, lower labels are tried
    first, and nothing is random: the same arguments give the same labels.

    An infinite penalty makes the constraints hard: one violation costs more than all the log-probabilities of its
    component can bring, so nothing that violates a constraint is preferred to a labelling that satisfies all. Where
    no labelling does, the violated weight is paid at that price, so as little as possible of equal weights.

    Args:
        arrays: The constraints on N claims.
        label_logprobs: (N, L) nats, finite.
        penalty: What a violated weight of 1 costs, nats; 0 or more, infinity for hard constraints.
        fixed: (N,) the labels of the claims that must keep theirs, -1 for the others.
        components: `find_components(arrays)`, where it is known from an earlier solve.
        max_nodes: Nodes that the search may visit in one component, at least 1.

    Raises:
        ValueError: An argument does not fit the constraints, or is out of range.
    """
    _check(arrays, label_logprobs, penalty, max_nodes)
    components = find_components(arrays) if components is None else components
    is_open = open_labels(label_logprobs, fixed)
    labels = likeliest(label_logprobs, is_open)
    is_exact = solve_components(
        components,
        np.arange(components.num_components),
        joint_digits(arrays),
        -np.ascontiguousarray(label_logprobs, dtype=np.float64),
        prices(arrays, components, label_logprobs, penalty),
        arrays.forbidden,
        is_open,
        max_nodes,
        labels,
    )
    # Solutions are kept and shared: nobody may change one in place.
    for array in (labels, is_exact):
        array.setflags(write=False)
    log_likelihood = float(np.take_along_axis(label_logprobs, labels[:, None].astype(np.intp), axis=1).sum())
    violated_weight = inconsistency(arrays, labels)
    # Tested, because an infinite penalty times a violated weight of 0 is not a number.
    return Solution(labels, log_likelihood - (penalty * violated_weight if violated_weight else 0.0), is_exact)


def open_labels(label_logprobs: NDArray[np.float64], fixed: NDArray[np.int8] | None) -> NDArray[np.bool_]:
    """Return which labels each claim may take: (N, L).

    Raises:
        ValueError: The fixed labels are not one for each claim, or one lies outside -1..L-1.
    """
    is_open = np.ones(label_logprobs.shape, np.bool_)
    if fixed is None:
        return is_open
    num_claims, num_labels = label_logprobs.shape
    if fixed.shape != (num_claims,):
        raise ValueError(f"fixed labels must be one for each of {num_claims} claims, got shape {fixed.shape}")
    if ((fixed < -1) | (fixed >= num_labels)).any():
        wrong = int(fixed[(fixed < -1) | (fixed >= num_labels)][0])
        raise ValueError(f"a fixed label must be -1 (free) or an index below {num_labels}, got {wrong}")
    is_fixed = fixed >= 0
    # A fixed claim has one open label; the solver then never branches on it.
    is_open[is_fixed] = np.arange(num_labels) == fixed[is_fixed, None]
    return is_open


def likeliest(label_logprobs: NDArray[np.float64], is_open: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Return the likeliest open label of each claim, the lower one in a tie: (N,)."""
    return np.argmax(np.where(is_open, label_logprobs, -np.inf), axis=1).astype(np.int8)


def prices(
    arrays: ConstraintArrays, components: Components, label_logprobs: NDArray[np.float64], penalty: float
) -> NDArray[np.float64]:
    """Return what each violation costs, nats and finite even if the penalty is not: (M,)."""
    if penalty < np.inf:
        return penalty * arrays.weight
    # One violation must cost more than all labels of its component can bring, for the lightest constraint as well.
    at_stake = components.sums(np.ptp(label_logprobs, axis=1), np.zeros(arrays.weight.size))
    lightest = np.minimum.reduceat(arrays.weight[components.constraints], components.constraint_start[:-1])
    price = np.empty(arrays.weight.size)
    # Divided by the lightest weight, since each price is multiplied by its own weight below.
    price[components.constraints] = np.repeat((1.0 + at_stake) / lightest, np.diff(components.constraint_start))
    return price * arrays.weight


def joint_digits(arrays: ConstraintArrays) -> NDArray[np.int64]:
    """Return the labels of each joint assignment, the first claim of the scope first: (L**K, K)."""
    num_joint = arrays.num_labels ** len(arrays.strides)
    return np.arange(num_joint)[:, None] // np.array(arrays.strides) % arrays.num_labels


def _check(arrays: ConstraintArrays, label_logprobs: NDArray[np.float64], penalty: float, max_nodes: int) -> None:
    expected = (arrays.claim_start.size - 1, arrays.num_labels)
    if label_logprobs.shape != expected:
        raise ValueError(
            f"log-probabilities must have the shape {expected} of the constraints' claims and labels, "
            f"got {label_logprobs.shape}"
        )
    is_finite = np.isfinite(label_logprobs).all(axis=1)
    if not is_finite.all():
        claim = int(np.argmin(is_finite))
        raise ValueError(f"log-probabilities must be finite, got {label_logprobs[claim].tolist()} for claim {claim}")
    if not penalty >= 0:
        raise ValueError(f"a penalty must be 0 or more (infinity is allowed), got {penalty}")
    if max_nodes < 1:
        raise ValueError(f"the search must be allowed at least one node, got max_nodes={max_nodes}")
