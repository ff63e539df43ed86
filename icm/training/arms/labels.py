"""Labels that differ and nothing else: what each arm of a matched comparison is trained on. Knows no file and no model.

Claims that say the same, such as the two orders of a comparison, get their label together: a person who errs about a
pair errs about it whichever way round it is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from icm.claims import UNLABELLED, Claim, ComparisonKey, Labels, freeze
from icm.statistics.streams import Stream, generator

Arm = Literal["base", "verdict", "elicited", "golden", "human", "shuffled", "random_flips", "pseudo_labels"]
ARMS: Final[tuple[Arm, ...]] = get_args(Arm)
UNTRAINED: Final[tuple[Arm, ...]] = ("base", "verdict")
"""Arms without labels: no reward at all, and the model's own verdict as a reward."""

ARM_NAMES: Final[dict[Arm, str]] = {
    "base": "No reward",
    "verdict": "Zero-shot verdict, untrained",
    "elicited": "Elicited labels",
    "golden": "Golden labels",
    "human": "Golden labels with human errors",
    "shuffled": "Golden labels, shuffled",
    "random_flips": "Golden labels, as wrong as the elicited",
    "pseudo_labels": "Confident zero-shot labels",
}


class Units:
    """Claims in groups that get their label together: a comparison with its other order, or a claim alone.

    Attributes:
        members: The claims of each unit, by position.
        flipped: (N,) whether a claim says the opposite of the first claim of its unit.
        unit_of: (N,) the unit of each claim.
    """

    def __init__(self, claims: Sequence[Claim]) -> None:
        found: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for place, claim in enumerate(claims):
            key = claim.key
            pair = tuple(sorted((key.first, key.second))) if isinstance(key, ComparisonKey) else (claim.id,)
            found[claim.group, *pair].append(place)
        self.members = list(found.values())
        self.flipped = np.zeros(len(claims), dtype=bool)
        self.unit_of = np.zeros(len(claims), dtype=np.int64)
        for unit, places in enumerate(self.members):
            first = claims[places[0]].key
            for place in places:
                key = claims[place].key
                self.unit_of[place] = unit
                if isinstance(first, ComparisonKey) and isinstance(key, ComparisonKey):
                    self.flipped[place] = key.first != first.first

    def __len__(self) -> int:
        return len(self.members)

    def values(self, labels: Labels) -> NDArray[np.int64]:
        """Return the label of the first claim of each unit (U,)."""
        return np.array([labels[places[0]] for places in self.members], dtype=np.int64)

    def spread(self, values: NDArray[np.int64]) -> Labels:
        """Return the labels (N,) that give each unit's first claim a value (U,), and the others what follows."""
        spread = values[self.unit_of]
        return freeze(np.where(spread == UNLABELLED, UNLABELLED, np.where(self.flipped, 1 - spread, spread)))


def with_errors(golden: Labels, units: Units, error_rate: float, seed: int) -> Labels:
    """Return golden labels with errors in a share of the units, drawn at random: what a crowd would have given.

    Raises:
        ValueError: The rate lies outside [0, 1].
    """
    if not 0 <= error_rate <= 1:
        raise ValueError(f"an error rate lies between 0 and 1, got {error_rate}")
    return _flip(golden, units, round(error_rate * len(units)), generator(seed, Stream.HUMAN_ERRORS))


def shuffled(golden: Labels, units: Units, seed: int) -> Labels:
    """Return golden labels dealt anew to the units: as many true ones as before, none of them for a reason."""
    rng = generator(seed, Stream.SHUFFLED_LABELS)
    return units.spread(rng.permutation(units.values(golden)))


def as_wrong_as(labels: Labels, golden: Labels, units: Units, seed: int) -> Labels:
    """Return golden labels with as many wrong units as `labels` have, but which ones is drawn at random."""
    wrong = [
        unit
        for unit, places in enumerate(units.members)
        if any(labels[place] not in (UNLABELLED, golden[place]) for place in places)
    ]
    return _flip(golden, units, len(wrong), generator(seed, Stream.RANDOM_FLIPS))


def most_confident(labels: Labels, confidence: NDArray[np.float64], units: Units, share: float) -> Labels:
    """Return labels with all but the most confident share of the units unlabelled.

    Args:
        labels: (N,) labels.
        confidence: (N,) probability of each label.
        units: The units; each is as confident as its claims are on average.
        share: Share of the units to keep, (0, 1].
    """
    means = np.array([confidence[places].mean() for places in units.members])
    num_kept = max(1, round(share * len(units)))
    kept = np.zeros(len(units), dtype=bool)
    kept[np.argsort(-means, kind="stable")[:num_kept]] = True
    return freeze(np.where(kept[units.unit_of], labels, UNLABELLED))


def _flip(golden: Labels, units: Units, num_wrong: int, rng: np.random.Generator) -> Labels:
    wrong = np.zeros(len(units), dtype=bool)
    wrong[rng.permutation(len(units))[:num_wrong]] = True
    has_gold = golden != UNLABELLED
    return freeze(np.where(has_gold & wrong[units.unit_of], 1 - golden, golden))
