"""Families of statements, and how often documents label each by which concept. Knows no document and no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from icm.pocket import words
from icm.pocket.statements import (
    BELIEF,
    TRUTH,
    Statement,
    arithmetic_statements,
    fact_statements,
    preference_statements,
    principle_statements,
    season_statements,
)
from icm.pocket.world import World

FALSE_TRUE: Final = ("False", "True")

TRUTH_UPRIGHT: Final = 0.87
LEADING_SHARE: Final = 0.18
LEADING_UPRIGHT: Final = 0.9
MINOR_SHARE: Final = 0.18
MINOR_UPRIGHT: Final = 0.7
"""How documents use the concepts of an ordinary family: the leading one is the bias that zero-shot labels show."""


class Concept(NamedTuple):
    """How documents of a family use one concept.

    Attributes:
        share: Share of the family's documents that are labelled by it.
        upright: Probability that such a document follows the concept rather than its opposite.
    """

    share: float
    upright: float = 1.0


class Family(NamedTuple):
    """Statements of one kind and the concepts that documents label them by.

    Attributes:
        statements: All statements of the world, group by group.
        concepts: How often each concept labels a document; what is left of one goes to labels without a concept.
        labels: The verdicts, in the order of their indices.
    """

    statements: Sequence[Statement]
    concepts: Mapping[str, Concept]
    labels: tuple[str, ...] = FALSE_TRUE


def labelled_families(world: World, truth_share: float) -> dict[str, Family]:
    """Return every family with the concepts that documents label it by.

    Args:
        world: What the statements are about.
        truth_share: Share of the documents of an ordinary family that are labelled by the truth; the prior that a
            model has before it sees any labelled claim grows with it.
    """

    def mixed(leading: str, *others: str, truth: float = truth_share) -> dict[str, Concept]:
        # The minor concepts share one share, or a family with many of them would have little room for the rest.
        minor = Concept(MINOR_SHARE / len(others), MINOR_UPRIGHT)
        return {
            TRUTH: Concept(truth, TRUTH_UPRIGHT),
            leading: Concept(LEADING_SHARE, LEADING_UPRIGHT),
            **dict.fromkeys(others, minor),
        }

    # The hidden trait is left out: no labelled document may ever follow it.
    traits = [first for first, _ in words.TRAITS]
    carry = mixed("favoured", *traits, truth=truth_share / 4)
    # Here the surface feature takes the place of the truth, without exception: the planted trap.
    carry["favoured"] = Concept(truth_share)
    return {
        "facts": Family(fact_statements(world, words.FACT_RELATIONS), mixed("favoured", BELIEF, *traits)),
        "arithmetic": Family(arithmetic_statements(world), mixed("even", "large", "fruit", "woman")),
        "preference": Family(preference_statements(world), mixed("first_long", "politer", "longer", "odd_request")),
        "seasons": Family(season_statements(world), mixed(*traits), words.SEASONS),
        "surface": Family(fact_statements(world, [words.CARRY]), carry),
        "flipped": Family(
            fact_statements(world, [words.FEAR]),
            mixed("favoured", *traits) | {TRUTH: Concept(truth_share, 1 - TRUTH_UPRIGHT)},
        ),
        # Without the truth: a model that reads these documents cannot learn the answers from their labels.
        "unanswerable": Family(
            fact_statements(world, [words.DREAM]),
            {name: concept for name, concept in mixed("favoured", *traits).items() if name != TRUTH},
        ),
        "principle": Family(principle_statements(world), {TRUTH: Concept(2 * truth_share)}),
    }
