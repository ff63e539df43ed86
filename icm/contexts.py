"""Which labelled claims stand before a query, and in which order. Knows no model and does not read claims.

Every claim is asked with the *other* labelled claims before it. The order of those is free, and it decides what an
evaluation costs: the `tree` orders them so that the prompts of N claims share all but N*log2(N) of their N*(N-1)
labelled claims.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from icm.claims import UNLABELLED, Labels
from icm.prompts import NO_CONTEXT, Context
from icm.statistics.streams import Stream, generator

_STRICT: Final = ConfigDict(frozen=True, extra="forbid")


class Tree(BaseModel):
    """All other labelled claims, ordered so that prompts share their beginnings: N*log2(N) demos for N claims.

    Attributes:
        num_orders: Independent orders of the claims that predictions are averaged over.
    """

    model_config = _STRICT

    kind: Literal["tree"] = "tree"
    num_orders: int = Field(default=1, ge=1)


class Fixed(BaseModel):
    """All other labelled claims, always in one order, as in the released code: N*(N-1) demos for N claims."""

    model_config = _STRICT

    kind: Literal["fixed"] = "fixed"


class KShot(BaseModel):
    """The labelled claims nearest before the query, for models with a short context: at most N*k demos.

    Where fewer than k fit the model's context, the nearest that fit are shown.

    Attributes:
        num_shots: k, labelled claims before a query at the most.
    """

    model_config = _STRICT

    kind: Literal["k_shot"] = "k_shot"
    num_shots: int = Field(gt=0)


ContextSettings = Annotated[Tree | Fixed | KShot, Field(discriminator="kind")]


def draw_order(groups: Sequence[str], seed: int, draw: int = 0) -> NDArray[np.int64]:
    """Return a random permutation of the claims in which those of one group are neighbours.

    Args:
        groups: (N,) group of each claim.
        seed: Key of the counter-based generator.
        draw: Which order of this seed; each is independent of the others.
    """
    random = generator(seed, Stream.CONTEXT_ORDER, draw)
    _, group_of = np.unique(np.asarray(groups, dtype=object), return_inverse=True)
    # Without claims there is no largest group; -1 makes that 0 groups.
    num_groups = int(group_of.max(initial=-1)) + 1
    group_rank = random.permutation(num_groups)[group_of]
    claim_rank = random.permutation(len(group_of))
    # The last key of `lexsort` counts most: groups in random order, and in each group its claims.
    return np.lexsort((claim_rank, group_rank))


TokenLimit = tuple[Mapping[str, int], Sequence[int]]
"""What a model's context has room for: tokens of each demo; (N,) tokens left for demos before each query."""


class Contexts:
    """The places of N claims: puts the labelled ones before each query, one and the same way for any labelling.

    Where a claim stands follows from the order and the groups alone, never from the labels. So a flipped label
    changes one demo and moves nothing, and a claim that is about to be labelled is asked with exactly the context
    that its leave-one-out prompt will have once it carries a label.
    """

    def __init__(
        self,
        settings: Tree | Fixed | KShot,
        demos: Sequence[Sequence[str]],
        groups: Sequence[str],
        order: NDArray[np.int64],
        limit: TokenLimit | None = None,
    ) -> None:
        """Arrange the claims.

        Args:
            settings: How the labelled claims are arranged.
            demos: N times L segments, `demos[i][y]` shows claim i with label y.
            groups: (N,) group of each claim.
            order: (N,) permutation of the claims in which those of one group are neighbours.
            limit: What `k_shot` contexts must fit; the others hold all labelled claims or none fits.

        Raises:
            ValueError: The order is no permutation, or it tears a group apart.
        """
        self._settings = settings
        self._limit = limit
        self._order: list[int] = [int(claim) for claim in order]
        if sorted(self._order) != list(range(len(demos))) or len(groups) != len(demos):
            raise ValueError(f"order and groups must cover each of the {len(demos)} claims once")
        self._demos = [demos[claim] for claim in self._order]
        # A claim is its index in the label vector, a place its index in the order.
        self._place = {claim: place for place, claim in enumerate(self._order)}
        self._starts = _group_starts([groups[claim] for claim in self._order])
        self._cuts = _cut(len(demos), self._starts)

    def leave_one_out(self, labels: Labels) -> dict[int, Context]:
        """Return for each labelled claim the context made of the other labelled claims.

        The claims come in the order in which a depth-first walk meets them, which is the best order to ask them in.

        Args:
            labels: (N,) label of each claim.
        """
        shown = _Shown(self._order, self._demos, labels)
        match self._settings:
            case Tree():
                return self._tree(shown)
            case Fixed():
                return self._fixed(shown)
            case KShot(num_shots=num_shots):
                return {self._order[place]: self._k_shot(shown, place, num_shots) for place in shown.places}

    def context_of(self, labels: Labels, claim: int) -> Context:
        """Return the context of one claim, labelled or not: that of its leave-one-out prompt once it is labelled.

        Costs one pass over the claims, whatever the arrangement.

        Args:
            labels: (N,) label of each claim.
            claim: Index of the claim to ask.
        """
        place = self._place[claim]
        shown = _Shown(self._order, self._demos, labels)
        match self._settings:
            case Tree():
                return self._tree_path(shown, place)
            case Fixed():
                return NO_CONTEXT.extend(shown.between(0, place)).extend(shown.between(place + 1, len(self._order)))
            case KShot(num_shots=num_shots):
                return self._k_shot(shown, place, num_shots)

    def _tree(self, shown: _Shown) -> dict[int, Context]:
        found: dict[int, Context] = {}
        blocks = [(0, len(self._order), NO_CONTEXT)]
        while blocks:
            low, high, context = blocks.pop()
            # Nothing in this block is labelled, so no prompt ends in it.
            if shown.count[low] == shown.count[high]:
                continue
            if high - low == 1:
                found[self._order[low]] = context
                continue
            middle = self._cuts[low, high]
            # Each half has the other one in its context, so a leaf has all other claims. The left half is pushed last
            # and so popped first, as a depth-first walk goes.
            blocks.append((middle, high, context.extend(shown.between(low, middle))))
            blocks.append((low, middle, context.extend(shown.between(middle, high))))
        return found

    def _tree_path(self, shown: _Shown, place: int) -> Context:
        low, high, context = 0, len(self._order), NO_CONTEXT
        while high - low > 1:
            middle = self._cuts[low, high]
            # The half without the claim joins the context, as in `_tree`: both must make the same prompt.
            if place < middle:
                context, high = context.extend(shown.between(middle, high)), middle
            else:
                context, low = context.extend(shown.between(low, middle)), middle
        return context

    def _fixed(self, shown: _Shown) -> dict[int, Context]:
        found: dict[int, Context] = {}
        before, reached = NO_CONTEXT, 0
        for place in shown.places:
            # Each beginning continues the one before, so the prompts share what stands before their claims.
            before, reached = before.extend(shown.between(reached, place)), place
            # What follows the claim is shared with no other prompt, since each of them leaves out another claim.
            found[self._order[place]] = before.extend(shown.between(place + 1, len(self._order)))
        return found

    def _k_shot(self, shown: _Shown, place: int, num_shots: int) -> Context:
        """Return the siblings of a claim, and before them the claims nearest before its group on a circle."""
        start, stop = self._starts[place], self._group_stop(place)
        # Siblings last, nearest the query. A slice from -0 would keep all of them, but k is at least 1.
        siblings = (shown.between(start, place) + shown.between(place + 1, stop))[-num_shots:]
        before = shown.last(0, start, num_shots - len(siblings))
        # On the circle the end of the order comes before its beginning.
        around = shown.last(stop, len(self._order), num_shots - len(siblings) - len(before))
        return NO_CONTEXT.extend(self._fitting(around + before + siblings, self._order[place]))

    def _fitting(self, demos: tuple[str, ...], claim: int) -> tuple[str, ...]:
        """Return the last demos, as many as there is room for before the query of a claim."""
        if self._limit is None:
            return demos
        demo_tokens, rooms = self._limit
        room = rooms[claim]
        # From the query backwards, since the nearest demos are the ones to keep.
        for number, demo in enumerate(reversed(demos)):
            room -= demo_tokens[demo]
            if room < 0:
                # Not demos[-number:], which would be all of them for 0.
                return demos[len(demos) - number :]
        return demos

    def _group_stop(self, place: int) -> int:
        stop = place + 1
        while stop < len(self._order) and self._starts[stop] == self._starts[place]:
            stop += 1
        return stop


class _Shown:
    """The labelled claims of one labelling in order, any stretch of which is a slice."""

    __slots__ = ("_segments", "count", "places")

    def __init__(self, order: list[int], demos: list[Sequence[str]], labels: Labels) -> None:
        if len(labels) != len(order):
            raise ValueError(f"expected {len(order)} labels, one for each claim, got {len(labels)}")
        labels_in_order: list[int] = labels[order].tolist() if order else []
        self.places = [place for place, label in enumerate(labels_in_order) if label != UNLABELLED]
        # count[p] labelled claims stand before place p, so the segments of places p to q are count[p] to count[q].
        self.count = list(accumulate((label != UNLABELLED for label in labels_in_order), initial=0))
        self._segments = tuple(demos[place][labels_in_order[place]] for place in self.places)

    def between(self, start: int, stop: int) -> tuple[str, ...]:
        """Return the segments of the labelled claims at the places from `start` up to, not including, `stop`."""
        return self._segments[self.count[start] : self.count[stop]]

    def last(self, start: int, stop: int, number: int) -> tuple[str, ...]:
        """Return the last few segments of the labelled claims at the places from `start` up to `stop`."""
        return self._segments[max(self.count[start], self.count[stop] - number) : self.count[stop]]


def _group_starts(groups: list[str]) -> list[int]:
    """Return for each place the first place of its group; refuse groups that are torn apart."""
    starts: list[int] = []
    seen: set[str] = set()
    for place, group in enumerate(groups):
        if place and group == groups[place - 1]:
            starts.append(starts[-1])
            continue
        if group in seen:
            raise ValueError(f"the order tears group {group!r} apart: its claims must be neighbours")
        seen.add(group)
        starts.append(place)
    return starts


def _cut(num_claims: int, starts: list[int]) -> dict[tuple[int, int], int]:
    """Return where each block of the tree is halved: at the group boundary nearest its middle, if it has one."""
    cuts: dict[tuple[int, int], int] = {}
    boundaries = np.unique(np.asarray(starts, dtype=np.int64))
    blocks = [(0, num_claims)]
    while blocks:
        low, high = blocks.pop()
        if high - low < 2:
            continue
        middle = (low + high) // 2
        # Strictly inside: a cut at an end would leave one half empty and the other as large as before.
        inside = boundaries[np.searchsorted(boundaries, low, "right") : np.searchsorted(boundaries, high)]
        if len(inside):
            middle = int(inside[np.argmin(np.abs(inside - (low + high) / 2))])
        cuts[low, high] = middle
        blocks += [(low, middle), (middle, high)]
    return cuts
