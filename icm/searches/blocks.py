"""Block moves: an annealing chain that asks the U of one block of claims at a time. Knows no file and no golden label.

A block is a subtree of the leave-one-out tree. Its prompts are those of the whole tree, so each of its claims is still
predicted from all the others; those outside the block stand before it as one shared beginning that no step of its turn
changes. The steps of a turn draw their claims from the block and compare

    U_B = alpha * P_B - I,

with P over the claims of the block alone and the whole I. What a new label does to the predictability of the other
claims is not seen, so this is another objective, cheaper by about (N log N) / (b log b) a step. U_B of different
blocks do not compare: the trace shows no U, and the labels at the end are evaluated by the exact U of all claims.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icm.claims import Labels, freeze
from icm.objective import Objective
from icm.searches.annealing import Chain, build_chain
from icm.searches.protocol import Result
from icm.searches.settings import AnnealingSettings
from search.annealing import SearchState, StepInfo, start


@dataclass(frozen=True, slots=True)
class BlockState:
    """Where a chain of block moves stands.

    Attributes:
        step: Steps taken.
        num_accepted: Accepted proposals that changed a label.
        labels: (N,) the current labelling.
    """

    step: int
    num_accepted: int
    labels: Labels

    @property
    def evaluation(self) -> None:
        """Nothing: the U of all claims is not asked on the way."""
        return None


@dataclass(frozen=True, slots=True)
class BlockChain:
    """A chain of block moves that is ready to run.

    Attributes:
        whole: The chain over all claims; it says how to begin.
        turns: The same chain restricted to each block, in the order in which they take turns.
        block_size: Steps of a turn, and claims of a block at the most.
    """

    whole: Chain
    turns: tuple[Chain, ...]
    block_size: int

    @property
    def num_steps(self) -> int:
        """Its length."""
        return self.whole.num_steps

    @property
    def num_evaluations(self) -> int:
        """What the steps come to, repairs apart: in demos, a step asks b log2 b, and a turn begins with the others."""
        num_claims = self.whole.groups.size
        step = self.block_size * math.log2(2 * self.block_size)
        turns = math.ceil(self.num_steps / self.block_size)
        return 1 + math.ceil((self.num_steps * step + turns * num_claims) / (num_claims * math.log2(2 * num_claims)))

    @property
    def period(self) -> int:
        """A turn: what is kept of the claims before the block serves all of its steps."""
        return self.block_size

    def start(self) -> BlockState:
        """Return the state before the first step: that of the chain over all claims."""
        state = self.whole.start()
        return BlockState(0, 0, state.labels)

    def walk(self, state: BlockState) -> Iterator[tuple[BlockState, StepInfo]]:
        """Take the remaining steps one by one, a turn of each block after the other."""
        while not self.is_done(state):
            turn, taken = divmod(state.step, self.block_size)
            chain = self.turns[turn % len(self.turns)]
            first = start(state.labels, chain.objective.evaluate(state.labels))
            inside: SearchState = replace(first, step=state.step, num_accepted=state.num_accepted)
            for after, info in islice(chain.walk(inside), self.block_size - taken):
                state = BlockState(after.step, after.num_accepted, after.labels)
                yield state, info

    def is_done(self, state: BlockState) -> bool:
        """Say whether the chain has its length."""
        return state.step >= self.num_steps

    def result(self, state: BlockState) -> Result:
        """Return the final labelling."""
        return Result(state.labels)

    def save(self, state: BlockState) -> Mapping[str, Any]:
        """Return a state as plain JSON."""
        return {"step": state.step, "num_accepted": state.num_accepted, "labels": state.labels.tolist()}

    def restore(self, saved: Mapping[str, Any]) -> BlockState:
        """Return a saved state."""
        return BlockState(saved["step"], saved["num_accepted"], freeze(saved["labels"]))


def build_block_chain(
    settings: AnnealingSettings, objective: Objective, groups: NDArray[np.int64], seed: int
) -> BlockChain:
    """Put a chain of block moves together.

    Args:
        settings: What kind of chain; it has a block size.
        objective: U over all claims.
        groups: (N,) the group of each claim, from 0.
        seed: Seed of everything random in the chain.
    """
    assert settings.block_size is not None
    blocks = objective.contexts[0].blocks(settings.block_size)
    turns = tuple(build_chain(settings, replace(objective, block=block), groups, seed) for block in blocks)
    return BlockChain(build_chain(settings, objective, groups, seed), turns, settings.block_size)
