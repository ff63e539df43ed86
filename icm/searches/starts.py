"""First labellings of every claim. Knows the problem and a decoder, no search.

Four origins: `zero_shot`, the model's verdicts without context, made consistent; `tempered`, draws around them;
`random`, consistent labels without any model; `grown`, a few random labels and what the model makes of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from icm.claims import UNLABELLED, Labels, freeze
from icm.objective import Objective
from icm.searches.decoding import Decoder
from icm.searches.settings import Origin
from icm.statistics.streams import Stream, generator
from search.randomness import step_generator

# How far tempered starts stray from the zero-shot labels: as far as the model's own uncertainty.
TEMPERED_NATS: Final = 1.0

# Claims with random labels that grown starts begin with: the K of the paper's chain.
GROWN_SHOTS: Final = 8


def draw_screened(groups: NDArray[np.int64], number: int | None, seed: int) -> NDArray[np.bool_]:
    """Return which claims starts are compared on, (N,): whole groups, drawn until they hold a number of claims.

    `groups` (N,) numbers the group of each claim from 0; a number of `None` takes all.
    """
    screened = np.full(groups.size, number is None)
    for group in generator(seed, Stream.SCREENED_CLAIMS).permutation(groups.max(initial=-1) + 1):
        if number is None or screened.sum() >= number:
            break
        # Whole groups: constraints hold within a group, and a part of one would not feel them.
        screened |= groups == group
    return screened


def draw_starts(
    objective: Objective, decoder: Decoder, origins: Mapping[Origin, int], seed: int
) -> list[tuple[str, Labels]]:
    """Return origin and labelling (N,) of every start, as many of each origin as asked for.

    The decoder makes them consistent, and says which claims are labelled at all.
    """
    draws = step_generator(seed, 0)
    shape = objective.evidence.shape
    potentials = objective.evidence.copy()
    # The model is asked only where a start needs its verdicts: `random` and `grown` begin without them.
    if origins.get("zero_shot", 0) + origins.get("tempered", 0):
        competing = np.arange(shape[0]) if decoder.labelled is None else np.flatnonzero(decoder.labelled)
        potentials[competing] = objective.zero_shot(competing)
    starts: list[tuple[str, Labels]] = []
    for origin, number in origins.items():
        for _ in range(number):
            match origin:
                case "zero_shot":
                    labels = decoder(potentials)
                case "tempered":
                    labels = decoder.draw(draws, potentials, TEMPERED_NATS)
                case "random":
                    labels = decoder.draw(draws, np.zeros(shape), 1.0)
                case "grown":
                    labels = _grow(draws, objective, decoder)
            starts.append((origin, labels))
    return starts


def _grow(generator: np.random.Generator, objective: Objective, decoder: Decoder) -> Labels:
    # Consistent labels, so that the shots do not contradict one another.
    drawn = decoder.draw(generator, np.zeros(objective.evidence.shape), 1.0)
    (labelled,) = np.nonzero(drawn != UNLABELLED)
    shots = generator.choice(labelled, size=min(GROWN_SHOTS, labelled.size), replace=False)
    labels = np.full(drawn.size, UNLABELLED, dtype=np.int8)
    labels[shots] = drawn[shots]
    potentials = np.zeros(objective.evidence.shape)
    # Asked for the claims that the decoder labels; on the others an answer would be lost.
    potentials[labelled] = objective.predict_all(freeze(labels), labelled)
    return decoder(potentials)
