"""The cheapest labelling of each component, by branch and bound. Draws no random numbers and does no I/O.

Costs are nats to be minimised: one for each label of each claim, and one for each violated constraint. The bound
comes from moving cost between claims and constraints without changing what any labelling costs in all: a message
shifts cost from a constraint to a label of one of its claims. Whatever the messages are, what is left in each claim
and in each constraint at the least sums to a lower bound; sweeps over the claims raise it. Where the constraints form
a tree the bound becomes the optimum; elsewhere it comes near what a linear program over the tables gives.

All functions stand in one file because numba's cache does not notice when a function of another file changes.

Source: the sweeps are sequential reweighted message passing (Kolmogorov, "A New Look at Reweighted Message Passing",
2015); discarding labels by their reduced costs is usual in cost function networks (Cooper et al., "Soft arc
consistency revisited", 2010).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from consistency.compiled import compiled
from consistency.components import Components
from consistency.instance import Domains, Incumbent, Instance, Preferences

# Most pairs of sweeps before the first branch: what they raise, all nodes below inherit.
ROOT_SWEEPS: Final = 100

# Most pairs of sweeps at every other node, which begins with the messages of the node above.
NODE_SWEEPS: Final = 10

# Sweeping ends when a pair of sweeps closes less than this share of the gap between bound and incumbent.
STALLED: Final = 0.02

# Memory for the messages along a path. Nodes too deep for it share the messages of the last: valid, if weaker.
MESSAGE_BYTES: Final = 1 << 25

# Costs that differ by less than this share of all the costs of a component count as equal: sums round.
TOLERANCE: Final = 1e-12


@compiled(nogil=True)
def solve_components(
    components: Components,
    chosen: NDArray[np.int64],
    digits: NDArray[np.int64],
    cost: NDArray[np.float64],
    penalty: NDArray[np.float64],
    forbidden: NDArray[np.uint64],
    is_open: NDArray[np.bool_],
    max_nodes: int,
    labels: NDArray[np.int8],
) -> NDArray[np.bool_]:
    """Improve the labels of some components in place, and return which of these are proven optimal: (Q,).

    Args:
        components: The components of N claims and M constraints.
        chosen: (Q,) those to solve.
        digits: (L**K, K) the labels of each joint assignment.
        cost: (N, L) what each label costs.
        penalty: (M,) what each violation costs.
        forbidden: (M,) masks of the violating joint assignments.
        is_open: (N, L) the labels that a claim may take.
        max_nodes: Nodes to visit in a component at the most.
        labels: (N,) the cheapest open label of each claim.
    """
    is_exact = np.ones(chosen.size, np.bool_)
    for number, component in enumerate(chosen):
        claims = components.claims[components.claim_start[component] : components.claim_start[component + 1]]
        instance = component_instance(components, digits, cost, penalty, forbidden, component)
        best = labels[claims]
        if count_violated(instance, best) == 0:
            continue  # every claim has its cheapest label at no cost for the others: nothing can be better
        domains = open_domains(is_open[claims])
        # A good incumbent first: the lower its cost, the more labels the bound discards at the root.
        descend(instance, domains, best)
        incumbent = incumbent_of(instance, best)
        is_exact[number] = minimise(instance, domains, incumbent, max_nodes)
        labels[claims] = incumbent.labels
    return is_exact


@compiled(nogil=True)
def component_instance(
    components: Components,
    digits: NDArray[np.int64],
    cost: NDArray[np.float64],
    penalty: NDArray[np.float64],
    forbidden: NDArray[np.uint64],
    component: int,
) -> Instance:
    """Return one component on its own; the arguments are those of `solve_components`."""
    first, end = components.claim_start[component], components.claim_start[component + 1]
    first_constraint, end_constraint = (
        components.constraint_start[component],
        components.constraint_start[component + 1],
    )
    constraints = components.constraints[first_constraint:end_constraint]
    # One start more than claims, so that the last claim knows where its slots end; counted from 0 in the copies below.
    slot_start = components.slot_start[first : end + 1]
    return Instance(
        cost[components.claims[first:end]],
        penalty[constraints],
        forbidden[constraints],
        components.arity[first_constraint:end_constraint],
        components.members[first_constraint:end_constraint],
        slot_start - slot_start[0],
        components.slot_constraint[slot_start[0] : slot_start[-1]],
        components.slot_digit[slot_start[0] : slot_start[-1]],
        digits,
    )


@compiled(nogil=True)
def open_domains(is_open: NDArray[np.bool_]) -> Domains:
    """Return domains with these labels open: (n, L), at least one for each claim."""
    # Room for every label of every claim: along one path no label is discarded twice.
    return Domains(is_open, is_open.sum(axis=1), np.empty(is_open.size, np.int64), np.zeros(1, np.int64))


@compiled(nogil=True)
def incumbent_of(instance: Instance, labels: NDArray[np.int8]) -> Incumbent:
    """Return a labelling (n,) as the first incumbent; the array becomes its own."""
    cost = 0.0
    for claim in range(labels.size):
        cost += instance.cost[claim, labels[claim]]
    for constraint in range(instance.penalty.size):
        if _is_violated(instance, labels, constraint):
            cost += instance.penalty[constraint]
    scale = np.abs(instance.cost).sum() + instance.penalty.sum()
    return Incumbent(labels, np.array([cost]), TOLERANCE * scale)


@compiled(nogil=True)
def count_violated(instance: Instance, labels: NDArray[np.int8]) -> int:
    """Return how many constraints the labels (n,) violate."""
    count = 0
    for constraint in range(instance.penalty.size):
        count += _is_violated(instance, labels, constraint)
    return count


@compiled(nogil=True)
def descend(instance: Instance, domains: Domains, labels: NDArray[np.int8]) -> None:
    """Give one claim after the other its cheapest open label, in place, until none can be improved alone."""
    improved = True
    # Ends, because every change lowers the total cost and there are finitely many labellings.
    while improved:
        improved = False
        for claim in range(labels.size):
            if domains.num_open[claim] < 2:
                continue
            before = labels[claim]
            best, best_cost = before, _local_cost(instance, labels, claim)
            for label in range(instance.cost.shape[1]):
                if domains.is_open[claim, label] and label != before:
                    labels[claim] = label
                    cost = _local_cost(instance, labels, claim)
                    # A real gain, lest rounding makes two labellings take turns for ever.
                    if cost < best_cost - TOLERANCE * (1.0 + abs(best_cost)):
                        best, best_cost = np.int8(label), cost
            labels[claim] = best
            improved |= best != before


@compiled(nogil=True)
def minimise(instance: Instance, domains: Domains, incumbent: Incumbent, max_nodes: int) -> bool:
    """Improve the incumbent to the cheapest labelling within the domains; say whether it is proven to be that.

    Depth first. A node branches on the claim whose two best labels differ least: first its preferred label, then the
    same node without that label.
    """
    num_claims, num_labels = instance.cost.shape
    # Layer d holds the messages that the nodes at depth d have raised: going back up finds those of that depth again.
    message_bytes = 8 * instance.members.size * num_labels
    num_layers = max(1, min(num_claims + 1, MESSAGE_BYTES // message_bytes))
    messages = np.empty((num_layers, instance.members.shape[0], instance.members.shape[1], num_labels))
    messages[0] = 0.0
    preferences = Preferences(np.zeros(num_claims, np.int8), np.zeros(num_claims))
    branch_claim = np.empty(num_claims, np.int64)
    branch_label = np.empty(num_claims, np.int64)
    num_discarded_before = np.empty(num_claims, np.int64)
    depth = 0
    for node in range(max_nodes):
        layer = min(depth, num_layers - 1)
        num_sweeps = ROOT_SWEEPS if node == 0 else NODE_SWEEPS
        if _may_hold_better(instance, messages[layer], domains, incumbent, preferences, num_sweeps):
            # The least decided claim: deciding it moves the bound of both branches most. One with a single label has
            # gap inf.
            claim = int(np.argmin(preferences.gap))
            branch_claim[depth], branch_label[depth] = claim, preferences.label[claim]
            num_discarded_before[depth] = domains.num_discarded[0]
            # First the branch with the preferred label: a good incumbent early closes the other one sooner.
            for label in range(num_labels):
                if label != branch_label[depth]:
                    _discard(domains, claim, label)
            depth += 1
            # Beyond the last layer the messages of deeper nodes overwrite it; any messages give a valid bound.
            if depth < num_layers:
                messages[depth] = messages[layer]
        elif depth == 0:
            return True
        else:
            # The branch with the preferred label is done: take it back, forbid that label and look at the node again.
            depth -= 1
            _restore(domains, num_discarded_before[depth])
            _discard(domains, branch_claim[depth], branch_label[depth])
    return False


@compiled(nogil=True)
def _may_hold_better(
    instance: Instance,
    messages: NDArray[np.float64],
    domains: Domains,
    incumbent: Incumbent,
    preferences: Preferences,
    num_sweeps: int,
) -> bool:
    """Raise the bound of a node, improve the incumbent if that succeeds, and say whether the node must be branched on.

    While the bound rises, labels that cannot be in a better labelling are discarded.
    """
    bound = _bound(instance, messages, domains)
    for _ in range(num_sweeps):
        slack = incumbent.cost[0] - incumbent.tolerance - bound
        if slack <= 0.0:
            return False
        # There and back: a sweep moves cost towards later claims, so the way back undoes the bias.
        _sweep(instance, messages, domains, preferences, slack, True)
        _sweep(instance, messages, domains, preferences, slack, False)
        before, bound = bound, _bound(instance, messages, domains)
        if bound - before <= STALLED * slack:
            break
    # The labels that the sweeps prefer are often optimal, or one step of descent away from it.
    candidate = preferences.label.copy()
    descend(instance, domains, candidate)
    candidate_cost = incumbent_of(instance, candidate).cost[0]
    if candidate_cost < incumbent.cost[0] - incumbent.tolerance:
        incumbent.labels[:] = candidate
        incumbent.cost[0] = candidate_cost
    # With one label open in every claim, the candidate was the only labelling left.
    return bound < incumbent.cost[0] - incumbent.tolerance and preferences.gap.min() < np.inf


@compiled(nogil=True)
def _sweep(
    instance: Instance,
    messages: NDArray[np.float64],
    domains: Domains,
    preferences: Preferences,
    slack: float,
    is_forward: bool,
) -> None:
    """Let each claim take all it can from its constraints and share it out among those that reach claims yet to come.

    A label that is worse than the best of its claim by `slack`, which is positive, is discarded.
    """
    num_claims, num_labels = instance.cost.shape
    belief = np.empty(num_labels)
    for step in range(num_claims):
        claim = step if is_forward else num_claims - 1 - step
        belief[:] = instance.cost[claim]
        if domains.num_open[claim] > 1:
            # Only where labels compete: a claim with one open label has nothing to share.
            _collect(instance, messages, domains, claim, belief)
            best = _lowest_open(domains, claim, belief)
            for label in range(num_labels):
                # The bound with this label is at least bound + (belief - best), hence no better than the incumbent.
                if belief[label] - best >= slack:
                    _discard(domains, claim, label)
            _share(instance, messages, domains, claim, belief, best, is_forward)
        _prefer(domains, preferences, belief, claim)


@compiled(nogil=True)
def _collect(
    instance: Instance, messages: NDArray[np.float64], domains: Domains, claim: int, belief: NDArray[np.float64]
) -> None:
    """Move what each constraint costs at the least for a label to that label, and add it all up in the belief (L,)."""
    lowest = np.empty(belief.size)
    for slot in range(instance.slot_start[claim], instance.slot_start[claim + 1]):
        constraint, digit = instance.slot_constraint[slot], instance.slot_digit[slot]
        # After adding what the constraint costs at the least, that least is 0: the cost has moved to the claim.
        _lowest_by_label(instance, messages, domains, constraint, digit, lowest)
        for label in range(belief.size):
            if domains.is_open[claim, label]:
                messages[constraint, digit, label] += lowest[label]
            belief[label] += messages[constraint, digit, label]


@compiled(nogil=True)
def _share(
    instance: Instance,
    messages: NDArray[np.float64],
    domains: Domains,
    claim: int,
    belief: NDArray[np.float64],
    best: float,
    is_forward: bool,
) -> None:
    """Give what the labels of a claim cost beyond the best to the constraints that reach on."""
    # The share is 1 over the larger of both counts: that keeps the bound from falling in either direction.
    num_earlier = num_later = 0
    for slot in range(instance.slot_start[claim], instance.slot_start[claim + 1]):
        num_earlier += _reaches(instance, domains, instance.slot_constraint[slot], claim, False)
        num_later += _reaches(instance, domains, instance.slot_constraint[slot], claim, True)
    # What would go the other way stays with the claim, so that the sweep back can give it there.
    share = 1.0 / max(num_earlier, num_later, 1)
    for slot in range(instance.slot_start[claim], instance.slot_start[claim + 1]):
        constraint, digit = instance.slot_constraint[slot], instance.slot_digit[slot]
        if _reaches(instance, domains, constraint, claim, is_forward):
            for label in range(belief.size):
                if domains.is_open[claim, label]:
                    messages[constraint, digit, label] -= share * (belief[label] - best)


@compiled(nogil=True)
def _reaches(instance: Instance, domains: Domains, constraint: int, claim: int, is_later: bool) -> bool:
    """Say whether a constraint is also about a later (or an earlier) claim that has more than one open label."""
    for place in range(instance.arity[constraint]):
        member = instance.members[constraint, place]
        # A claim with one open label has nothing to decide, so cost sent to it would be lost to the bound.
        if member != claim and (member > claim) == is_later and domains.num_open[member] > 1:
            return True
    return False


@compiled(nogil=True)
def _prefer(domains: Domains, preferences: Preferences, belief: NDArray[np.float64], claim: int) -> None:
    best, gap = -1, np.inf
    for label in range(belief.size):
        if domains.is_open[claim, label]:
            # The first open label has nothing to be compared with, so it leaves the gap infinite.
            if best < 0:
                best = label
            elif belief[label] < belief[best]:
                best, gap = label, belief[best] - belief[label]
            else:
                gap = min(gap, belief[label] - belief[best])
    preferences.label[claim] = best
    preferences.gap[claim] = gap


@compiled(nogil=True)
def _bound(instance: Instance, messages: NDArray[np.float64], domains: Domains) -> float:
    """Return what the claims and the constraints cost at the least; infinite where a claim has no open label."""
    lowest = np.empty(instance.cost.shape[1])
    total = 0.0
    for claim in range(instance.cost.shape[0]):
        lowest[:] = instance.cost[claim]
        for slot in range(instance.slot_start[claim], instance.slot_start[claim + 1]):
            lowest += messages[instance.slot_constraint[slot], instance.slot_digit[slot]]
        total += _lowest_open(domains, claim, lowest)
    for constraint in range(instance.penalty.size):
        # Any place will do: the least over the labels of one claim is the least over all joint assignments.
        _lowest_by_label(instance, messages, domains, constraint, 0, lowest)
        total += lowest.min()
    return total


@compiled(nogil=True)
def _lowest_open(domains: Domains, claim: int, by_label: NDArray[np.float64]) -> float:
    lowest = np.inf
    for label in range(by_label.size):
        if domains.is_open[claim, label]:
            lowest = min(lowest, by_label[label])
    return lowest


@compiled(nogil=True)
def _lowest_by_label(
    instance: Instance,
    messages: NDArray[np.float64],
    domains: Domains,
    constraint: int,
    digit: int,
    lowest: NDArray[np.float64],
) -> None:
    """Write what a constraint still costs at the least for each label (L,) of one of its claims."""
    # Position 0 is the lowest digit, so the first L**arity joint assignments are those of a narrow scope, with zeros
    # at the places that it ignores.
    arity = instance.arity[constraint]
    lowest[:] = np.inf
    for joint in range(lowest.size**arity):
        left = instance.penalty[constraint] * _bit(instance.forbidden[constraint], joint)
        is_open = True
        for place in range(arity):
            label = instance.digits[joint, place]
            is_open &= domains.is_open[instance.members[constraint, place], label]
            left -= messages[constraint, place, label]
        if is_open:
            label = instance.digits[joint, digit]
            lowest[label] = min(lowest[label], left)


@compiled(nogil=True)
def _local_cost(instance: Instance, labels: NDArray[np.int8], claim: int) -> float:
    total = instance.cost[claim, labels[claim]]
    for slot in range(instance.slot_start[claim], instance.slot_start[claim + 1]):
        constraint = instance.slot_constraint[slot]
        if _is_violated(instance, labels, constraint):
            total += instance.penalty[constraint]
    return total


@compiled(nogil=True)
def _is_violated(instance: Instance, labels: NDArray[np.int8], constraint: int) -> bool:
    joint = 0  # Horner's rule from the highest digit down, the place with the largest stride
    for place in range(instance.arity[constraint] - 1, -1, -1):
        joint = joint * instance.cost.shape[1] + int(labels[instance.members[constraint, place]])
    return _bit(instance.forbidden[constraint], joint) != 0


@compiled(nogil=True)
def _bit(mask: np.uint64, place: int) -> int:
    return int(mask >> np.uint64(place)) & 1


@compiled(nogil=True)
def _discard(domains: Domains, claim: int, label: int) -> None:
    if domains.is_open[claim, label]:
        domains.is_open[claim, label] = False
        domains.num_open[claim] -= 1
        # A trail to undo: the last discarded is the first to come back.
        domains.discarded[domains.num_discarded[0]] = claim * domains.is_open.shape[1] + label
        domains.num_discarded[0] += 1


@compiled(nogil=True)
def _restore(domains: Domains, num_discarded: int) -> None:
    """Open the labels again that were discarded last, until so many discarded ones are left."""
    while domains.num_discarded[0] > num_discarded:
        # Backwards, as on a stack, down to the height that it had at the node.
        domains.num_discarded[0] -= 1
        claim, label = divmod(domains.discarded[domains.num_discarded[0]], domains.is_open.shape[1])
        domains.is_open[claim, label] = True
        domains.num_open[claim] += 1
