"""Labels that differ and nothing else: what each arm of a matched comparison is trained on. Knows no file and no model.

The two orders of a comparison are one judgement and get their labels together: a person who errs about a pair errs
about both of its orders.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from icm.claims import UNLABELLED, Claim, ComparisonKey, Labels, freeze
from icm.statistics.streams import Stream, generator

Arm = Literal["base", "verdict", "elicited", "golden", "human", "shuffled", "random_flips", "pseudo_labels"]
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


class Judgements:
    """Claims grouped by the one judgement that labels them: a comparison with its other order, or a claim alone.

    Attributes:
        members: (J,) for each judgement the positions of its claims.
        flipped: (N,) whether a claim says the opposite of the first claim of its judgement.
        judgement_of: (N,) the judgement of each claim.
    """

    def __init__(self, claims: Sequence[Claim]) -> None:
        places_of: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for place, claim in enumerate(claims):
            key = claim.key
            pair = tuple(sorted((key.first, key.second))) if isinstance(key, ComparisonKey) else (claim.id,)
            # With the group: the same two responses to another question are another judgement.
            places_of[claim.group, *pair].append(place)
        self.members = list(places_of.values())
        self.flipped = np.zeros(len(claims), dtype=bool)
        self.judgement_of = np.zeros(len(claims), dtype=np.int64)
        for number, places in enumerate(self.members):
            first = claims[places[0]].key
            for place in places:
                key = claims[place].key
                self.judgement_of[place] = number
                if isinstance(first, ComparisonKey) and isinstance(key, ComparisonKey):
                    # Claims of one comparison name the same two responses, so another first one is the other order.
                    self.flipped[place] = key.first != first.first

    def __len__(self) -> int:
        return len(self.members)

    def values(self, labels: Labels) -> NDArray[np.int64]:
        """Return the label of the first claim of each judgement (J,)."""
        return np.array([labels[places[0]] for places in self.members], dtype=np.int64)

    def spread(self, values: NDArray[np.int64]) -> Labels:
        """Return the labels (N,) that follow from the labels of the first claims (J,)."""
        # The other order of a comparison says the opposite, so its label is the other one.
        spread = values[self.judgement_of]
        return freeze(np.where(spread == UNLABELLED, UNLABELLED, np.where(self.flipped, 1 - spread, spread)))


def with_errors(golden: Labels, judgements: Judgements, error_rate: float, seed: int) -> Labels:
    """Return golden labels with errors in a share of the judgements, drawn at random: what a crowd would have given.

    Raises:
        ValueError: The rate lies outside [0, 1].
    """
    if not 0 <= error_rate <= 1:
        raise ValueError(f"an error rate lies between 0 and 1, got {error_rate}")
    # A number rather than a coin for each judgement: every seed errs equally often, only elsewhere.
    return _flip(golden, judgements, round(error_rate * len(judgements)), generator(seed, Stream.HUMAN_ERRORS))


def shuffled(golden: Labels, judgements: Judgements, seed: int) -> Labels:
    """Return golden labels dealt anew to the judgements: as many true ones as before, at random."""
    # The values of first claims are dealt, not of all claims, so that the two orders go on agreeing.
    rng = generator(seed, Stream.SHUFFLED_LABELS)
    return judgements.spread(rng.permutation(judgements.values(golden)))


def as_wrong_as(labels: Labels, golden: Labels, judgements: Judgements, seed: int) -> Labels:
    """Return golden labels with as many wrong judgements as `labels` have, drawn at random."""
    # Elicited labels may contradict themselves in the two orders; one wrong order makes the judgement wrong.
    wrong = [
        number
        for number, places in enumerate(judgements.members)
        if any(labels[place] not in (UNLABELLED, golden[place]) for place in places)
    ]
    return _flip(golden, judgements, len(wrong), generator(seed, Stream.RANDOM_FLIPS))


def most_confident(labels: Labels, confidence: NDArray[np.float64], judgements: Judgements, share: float) -> Labels:
    """Return labels (N,) with all but the most confident share, (0, 1], of the judgements unlabelled.

    A judgement is as confident as its claims are on average, given the probability (N,) of each label.
    """
    means = np.array([confidence[places].mean() for places in judgements.members])
    num_kept = max(1, round(share * len(judgements)))
    kept = np.zeros(len(judgements), dtype=bool)
    # Stable, so that ties are broken by the order of the claims on every machine.
    kept[np.argsort(-means, kind="stable")[:num_kept]] = True
    return freeze(np.where(kept[judgements.judgement_of], labels, UNLABELLED))


def _flip(golden: Labels, judgements: Judgements, num_wrong: int, rng: np.random.Generator) -> Labels:
    wrong = np.zeros(len(judgements), dtype=bool)
    wrong[rng.permutation(len(judgements))[:num_wrong]] = True
    # A claim without a golden label has no other one that it could be given by mistake.
    has_gold = golden != UNLABELLED
    return freeze(np.where(has_gold & wrong[judgements.judgement_of], 1 - golden, golden))
