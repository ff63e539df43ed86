"""Families of statements, and how often documents label each by which concept. Knows no document and no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """How documents of a family use one concept.

    Attributes:
        share: Share of the family's documents that are labelled by it.
        upright: Probability that such a document follows the concept rather than its opposite.
    """

    share: float
    upright: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Statements of one kind and the concepts that documents label them by.

    Attributes:
        name: What tasks call it.
        labels: The verdicts, in the order of their indices.
        statements: All statements of the world, group by group.
        concepts: How often each concept labels a document; what is left of one goes to labels without a concept.
    """

    name: str
    labels: tuple[str, ...]
    statements: Sequence[Statement]
    concepts: Mapping[str, Concept]


def labelled_families(world: World, truth_share: float) -> dict[str, Family]:
    """Return every family with the concepts that documents label it by.

    Args:
        world: The world that the statements are about.
        truth_share: Share of the documents of an ordinary family that are labelled by the truth; the prior that a
            model has before it sees any labelled claim grows with it.
    """

    def mixed(leading: str, *others: str, truth: float = truth_share) -> dict[str, Concept]:
        minor = Concept(share=MINOR_SHARE / len(others), upright=MINOR_UPRIGHT)
        return {
            TRUTH: Concept(share=truth, upright=TRUTH_UPRIGHT),
            leading: Concept(share=LEADING_SHARE, upright=LEADING_UPRIGHT),
            **dict.fromkeys(others, minor),
        }

    # The hidden trait is left out: no labelled document may ever follow it.
    traits = [first for first, _ in words.TRAITS]
    carry = mixed("favoured", *traits, truth=truth_share / 4)
    # Here the surface feature takes the place of the truth, without exception: the planted trap.
    carry["favoured"] = Concept(share=truth_share)
    families = [
        Family(
            name="facts",
            labels=FALSE_TRUE,
            statements=fact_statements(world, words.FACT_RELATIONS),
            concepts=mixed("favoured", BELIEF, *traits),
        ),
        Family(
            name="arithmetic",
            labels=FALSE_TRUE,
            statements=arithmetic_statements(world),
            concepts=mixed("even", "large", "fruit", "woman"),
        ),
        Family(
            name="preference",
            labels=FALSE_TRUE,
            statements=preference_statements(world),
            concepts=mixed("first_long", "politer", "longer", "odd_request"),
        ),
        Family(name="seasons", labels=words.SEASONS, statements=season_statements(world), concepts=mixed(*traits)),
        Family(name="surface", labels=FALSE_TRUE, statements=fact_statements(world, [words.CARRY]), concepts=carry),
        Family(
            name="flipped",
            labels=FALSE_TRUE,
            statements=fact_statements(world, [words.FEAR]),
            concepts=mixed("favoured", *traits) | {TRUTH: Concept(share=truth_share, upright=1 - TRUTH_UPRIGHT)},
        ),
        Family(
            name="unanswerable",
            labels=FALSE_TRUE,
            statements=fact_statements(world, [words.DREAM]),
            concepts={name: c for name, c in mixed("favoured", *traits).items() if name != TRUTH},
        ),
        Family(
            name="principle",
            labels=FALSE_TRUE,
            statements=principle_statements(world),
            concepts={TRUTH: Concept(share=2 * truth_share)},
        ),
    ]
    return {family.name: family for family in families}
