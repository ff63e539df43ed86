"""In which orders, and in which blocks of one pass each, the claims are read. Knows no model and no text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icm.statistics.streams import Stream, generator


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """Random orders of N claims, each cut into blocks of nearly equal size that fit the model's context.

    Attributes:
        seed: Seed of the orders.
        groups: (N,) the group of each claim, from 0.
        size: Most claims of a block.
        keep_groups: Whether the claims of a group stand in one block, next to one another.
        tokens: (N,) tokens of each claim with its longest verdict.
        room: Tokens that a block may have; `None` where there is no limit.
    """

    seed: int
    groups: NDArray[np.int64]
    size: int
    keep_groups: bool
    tokens: NDArray[np.int64]
    room: int | None

    def blocks(self, number: int) -> list[NDArray[np.int64]]:
        """Return the blocks of one order, each in the order in which its claims are read.

        Args:
            number: Which order; each is independent of the others.
        """
        order, units = self._order(number)
        # As few blocks as the size allows: then each label is read after as many others as possible.
        for num_blocks in range(max(1, -(-order.size // self.size)), order.size + 1):
            blocks = _cut(order, units, num_blocks)
            if self._fit(blocks):
                return blocks
        # Only without claims, or where a single unit is too large, which `icm.problem` refuses beforehand.
        return _cut(order, units, order.size)

    def _order(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return a random permutation of the claims, and for each place the number of what must not be cut apart."""
        random = generator(self.seed, Stream.READING_ORDER, number)
        if not self.keep_groups:
            return random.permutation(self.groups.size), np.arange(self.groups.size)
        group_rank = random.permutation(self.groups.max(initial=-1) + 1)[self.groups]
        # The last key of `lexsort` counts most: groups in random order, and in each group its claims.
        order = np.lexsort((random.permutation(self.groups.size), group_rank))
        return order, group_rank[order]

    def _fit(self, blocks: list[NDArray[np.int64]]) -> bool:
        if max((block.size for block in blocks), default=0) > self.size:
            return False
        return self.room is None or max((self.tokens[block].sum() for block in blocks), default=0) <= self.room


def _cut(order: NDArray[np.int64], units: NDArray[np.int64], num_blocks: int) -> list[NDArray[np.int64]]:
    """Cut an order into blocks as equal as units allow; blocks without a claim are left out."""
    # A unit goes, whole, to the block that the place of its first claim falls into.
    # Units ascend along the order, so searching them in themselves gives where each of them begins.
    starts = np.searchsorted(units, units) if units.size else units
    # Place p of n falls into block p * b // n, so blocks of single claims differ by one claim at most.
    block_of = starts * num_blocks // max(order.size, 1)
    return [order[block_of == block] for block in np.unique(block_of)]
