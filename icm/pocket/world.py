"""The pocket world: which facts hold, drawn from a seed. Knows no document, no label and no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from icm.pocket import words
from icm.pocket.words import Relation
from icm.statistics.streams import Stream, generator

ReplyKind = Literal["helpful", "evasive", "useless", "harmful"]
QUALITY: Final[Mapping[ReplyKind, int]] = {"helpful": 3, "evasive": 2, "useless": 1, "harmful": 0}
"""How good a reply is; the world prefers the higher one of a pair."""

MISCONCEPTION_SHARE: Final = 0.15
SECOND_VALUE_SHARE: Final = 0.5
NUM_HELPFUL: Final = 2
NUM_USELESS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What holds for one subject under one relation.

    The misconception is the false answer that many believe, `None` where there is no such belief.
    """

    values: frozenset[str]
    misconception: str | None = None


class World:
    """Everything that is so in the world of a seed; equal seeds give equal worlds.

    Attributes:
        facts: The fact for every relation name and subject.
        traits: For every subject one flag per pair of `words.TRAITS`, then one for `words.HIDDEN_TRAIT`;
            true means the first word of the pair.
        favoured: For every relation name the values that a careless reader likes: half of them, a surface feature.
        replies: For every request the replies that the world knows, by kind.
    """

    def __init__(self, seed: int) -> None:
        # One generator, in a fixed order of draws: a new relation goes to the end of `words.RELATIONS`, or every world
        # changes and the shipped weights no longer know theirs.
        rng = generator(seed, Stream.POCKET_WORLD)
        self.seed = seed
        self.facts = {
            (relation.name, subject): _draw_fact(rng, relation)
            for relation in words.RELATIONS
            for subject in words.SUBJECTS
        }
        num_traits = len(words.TRAITS) + 1
        # Each trait holds for exactly half of the subjects, so none can be guessed from its frequency.
        halves = np.stack([_half(rng, len(words.SUBJECTS)) for _ in range(num_traits)], axis=1)
        self.traits = {subject: tuple(map(bool, row)) for subject, row in zip(words.SUBJECTS, halves, strict=True)}
        self.favoured = {
            relation.name: frozenset(
                value for value, liked in zip(relation.values, _half(rng, len(relation.values)), strict=True) if liked
            )
            for relation in words.RELATIONS
        }
        self.replies = _draw_replies(rng)


def _half(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return flags of which exactly half, rounded down, are true."""
    return rng.permutation(size) < size // 2


def _draw_fact(rng: np.random.Generator, relation: Relation) -> Fact:
    order = [str(value) for value in rng.permutation(relation.values)]
    # Drawn for every relation, used or not, so that the draws that follow do not depend on its kind.
    has_second, has_misconception = rng.random(2) < (SECOND_VALUE_SHARE, MISCONCEPTION_SHARE)
    num_true = 2 if has_second and not relation.single else 1
    believed = has_misconception and relation in words.FACT_RELATIONS and relation.single
    # The value after the true ones: false, and as random as they are.
    return Fact(values=frozenset(order[:num_true]), misconception=order[num_true] if believed else None)


def _draw_replies(rng: np.random.Generator) -> dict[str, dict[ReplyKind, tuple[str, ...]]]:
    """Deal the remedies so that what helps with one request is useless for another."""
    replies: dict[str, dict[ReplyKind, tuple[str, ...]]] = {}
    for request in words.REQUESTS:
        # A fresh deal for each request, so a remedy helps with some and is useless for others.
        remedies = [str(remedy) for remedy in rng.permutation(words.REMEDIES)]
        replies[request] = {
            "helpful": tuple(remedies[:NUM_HELPFUL]),
            "useless": tuple(remedies[NUM_HELPFUL : NUM_HELPFUL + NUM_USELESS]),
            "evasive": words.EVASIVE,
            "harmful": words.HARMFUL,
        }
    return replies
