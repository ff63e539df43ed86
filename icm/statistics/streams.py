"""Every random stream of the package by name: equal seeds of different purposes never draw the same numbers.

The numbers go into keys of generators and are never given anew: whoever changes one changes results. Those of the
pocket world are below 10, because the shipped weights know the world that they draw.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

import numpy as np
from pydantic import Field

from search.randomness import SEARCH, stream_generator

Seed = Annotated[int, Field(ge=0, lt=2**64)]
"""A seed in settings: one word, of 64 bits, of the key of a generator."""

LibrarySeed = Annotated[int, Field(ge=0, lt=2**32)]
"""A seed that is handed to the training libraries, whose generators take 32 bits."""


class Stream(IntEnum):
    """What is drawn; the comment says what the index counts, where it counts anything."""

    POCKET_WORLD = 0  # the step of a training on it, too: so the shipped weights were made
    POCKET_ARITHMETIC = 1
    POCKET_PREFERENCE = 2
    POCKET_PRINCIPLE = 3
    POCKET_TASK = 4
    SEARCH = SEARCH  # the step; 0 is the first labels
    CONTEXT_ORDER = 11  # the order
    SCREENED_CLAIMS = 12
    READING_ORDER = 13  # the order
    BOOTSTRAP = 20
    SHOTS = 21  # the draw
    NULL_LABELS = 22
    EXPECTED_BALANCE = 23
    POLICY_PROMPTS = 30
    PROMPT_ORDER = 31
    HUMAN_ERRORS = 32
    SHUFFLED_LABELS = 33
    RANDOM_FLIPS = 34
    RIVAL_LABELS = 40  # of the benchmarks


def generator(seed: int, stream: Stream, index: int = 0) -> np.random.Generator:
    """Return the generator of one draw of one purpose, see `search.randomness.stream_generator`."""
    # Keyed by seed, purpose and index, not by what was drawn before: a search goes on with the draws it would have had.
    return stream_generator(seed, stream, index)
