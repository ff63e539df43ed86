"""Randomness as a function of seed and step, so that a chain can be continued from any step."""

from __future__ import annotations

import numpy as np


def step_generator(seed: int, step: int) -> np.random.Generator:
    """Return the generator of one step of one chain.

    The step stands in the high word of the counter: a step draws from the words below it, so the draws of two steps
    never overlap (in the low word neighbouring steps would share all but a few).
    """
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, step]))
