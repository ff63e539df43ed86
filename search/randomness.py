"""Randomness as a function of seed, stream and index, so that a chain can be continued from any step.

Who draws from which stream is said in one table, `icm.statistics.streams`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

SEARCH: Final = 10
"""The stream of the steps of a search; its number stands here because searches know no other module."""


def stream_generator(seed: int, stream: int, index: int = 0) -> np.random.Generator:
    """Return the generator of one draw of one purpose.

    Seed and stream are the two words of the key of a Philox generator, so streams never overlap. The index stands in
    the high word of its counter: a draw counts up from the words below it, so neighbouring indices never overlap
    either (in the low word they would share all but a few draws).

    Args:
        seed: Seed of whoever draws, below 2**64.
        stream: What is drawn.
        index: Which draw of that: the step of a chain, the number of an order.

    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
    """
    # As a list of Python integers the key would become floating-point numbers where a seed is above 2**63.
    key = np.array([seed, stream], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, index]))


def step_generator(seed: int, step: int) -> np.random.Generator:
    """Return the generator of one step of one search; step 0 draws the first labels."""
    return stream_generator(seed, SEARCH, step)
