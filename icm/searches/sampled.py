"""Where a search stands that follows one labelling and never asks for its U. Knows no search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icm.claims import Labels, freeze


@dataclass(frozen=True, slots=True)
class SampledState:
    """A labelling after some steps, and how often each claim has had each label.

    Attributes:
        step: Steps taken.
        labels: (N,) the labelling now.
        votes: (N, L) how often each label was seen in the steps that count.
    """

    step: int
    labels: Labels
    votes: NDArray[np.int64]

    @property
    def evaluation(self) -> None:
        """Nothing: such a search does not need U."""
        return None

    def save(self) -> Mapping[str, Any]:
        """Return the state as plain JSON."""
        return {"step": self.step, "labels": self.labels.tolist(), "votes": self.votes.tolist()}


def restore_sampled(saved: Mapping[str, Any]) -> SampledState:
    """Return a saved state."""
    return SampledState(saved["step"], freeze(saved["labels"]), np.array(saved["votes"], dtype=np.int64))


def one_vote_each(labels: Labels, num_labels: int) -> NDArray[np.int64]:
    """Return (N, L) votes, one from every claim for the label it has."""
    return np.eye(num_labels, dtype=np.int64)[labels]
