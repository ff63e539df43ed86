"""What searches share that follow one labelling and never ask for its U. Knows none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icm.claims import Labels, freeze
from icm.problem import Problem
from search.randomness import step_generator


@dataclass(frozen=True, slots=True)
class SampledState:
    """A labelling after some steps, and how often each claim has had each label.

    Attributes:
        step: Steps taken.
        labels: (N,) the labelling now.
        votes: (N, L) how often each label was seen in the steps that count; zeros where nobody counts.
    """

    step: int
    labels: Labels
    votes: NDArray[np.int64]

    @property
    def evaluation(self) -> None:
        """Nothing: such a search does not need U."""
        return None


@dataclass(frozen=True, slots=True)
class SampledSearch:
    """A search of so many steps that can be stopped after each.

    Attributes:
        problem: What is labelled.
        seed: Seed of everything random in it.
        num_steps: Its length.
    """

    problem: Problem
    seed: int
    num_steps: int

    @property
    def period(self) -> int:
        """One step."""
        return 1

    def begin(self, labels: Labels) -> SampledState:
        """Return the state before the first step."""
        return SampledState(0, labels, np.zeros(self.problem.objective.evidence.shape, dtype=np.int64))

    def random_labels(self) -> Labels:
        """Return a random label for every claim: (N,)."""
        num_claims, num_labels = self.problem.objective.evidence.shape
        return freeze(step_generator(self.seed, 0).integers(num_labels, size=num_claims))

    def is_done(self, state: SampledState) -> bool:
        """Say whether no step is left."""
        return state.step >= self.num_steps

    def save(self, state: SampledState) -> Mapping[str, Any]:
        """Return a state as plain JSON."""
        return {"step": state.step, "labels": state.labels.tolist(), "votes": state.votes.tolist()}

    def restore(self, saved: Mapping[str, Any]) -> SampledState:
        """Return a saved state."""
        return SampledState(saved["step"], freeze(saved["labels"]), np.array(saved["votes"], dtype=np.int64))
