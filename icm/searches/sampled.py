"""The search that follows one labelling and never asks for its U. Knows neither what labels first nor what a step does.

`bootstrap`, `controls` and `gibbs` say that, each in a function from its settings to such a search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icm.claims import Labels, freeze
from icm.problem import Problem
from icm.searches.protocol import Result
from search.annealing import StepInfo
from search.randomness import step_generator


@dataclass(frozen=True, slots=True)
class SampledState:
    """A labelling (N,) after some steps, and how often each claim had each label in the steps that count (N, L)."""

    step: int
    labels: Labels
    votes: NDArray[np.int64]

    @property
    def evaluation(self) -> None:
        """Nothing: such a search does not need U."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledSearch:
    """A search of so many steps that can be stopped after each.

    Attributes:
        shape: N and L.
        num_evaluations: The whole evaluations of U that it may cost, the result's included.
        first: Gives the labelling before the first step, (N,).
        advance: From a state to the labelling of the next step, (N,), and its temperature, if it has one.
        counts: Whether the labelling of a step, counted from 0, votes on the result.
    """

    shape: tuple[int, int]
    num_steps: int
    num_evaluations: int
    first: Callable[[], Labels]
    advance: Callable[[SampledState], tuple[Labels, float | None]]
    counts: Callable[[int], bool] = lambda _step: False

    @property
    def period(self) -> int:
        """One step."""
        return 1

    def start(self) -> SampledState:
        """Return the state before the first step."""
        return SampledState(0, self.first(), np.zeros(self.shape, dtype=np.int64))

    def walk(self, state: SampledState) -> Iterator[tuple[SampledState, StepInfo]]:
        """Take the remaining steps one by one, yielding where each led and what it did."""
        while not self.is_done(state):
            labels, temperature = self.advance(state)
            votes = state.votes
            if self.counts(state.step):
                # Row l of the identity is one vote for label l.
                # A new array, as the state before keeps its own counts.
                votes = votes + np.eye(self.shape[1], dtype=np.int64)[labels]
            changed = not np.array_equal(labels, state.labels)
            state = SampledState(state.step + 1, labels, votes)
            yield state, StepInfo(temperature=temperature, changed=changed)

    def is_done(self, state: SampledState) -> bool:
        """Say whether no step is left."""
        return state.step >= self.num_steps

    def result(self, state: SampledState) -> Result:
        """Return the most frequent labels, of equally frequent ones the lower; the last ones where nothing voted."""
        if not state.votes.any():
            return Result(state.labels)
        # Every claim has voted equally often, so the row of any claim tells how many votes there were.
        stability = state.votes.max(axis=1) / int(state.votes[0].sum())
        return Result(freeze(state.votes.argmax(axis=1)), stability=stability)

    def save(self, state: SampledState) -> Mapping[str, Any]:
        """Return a state as plain JSON."""
        return {"step": state.step, "labels": state.labels.tolist(), "votes": state.votes.tolist()}

    def restore(self, saved: Mapping[str, Any]) -> SampledState:
        """Return a saved state."""
        return SampledState(saved["step"], freeze(saved["labels"]), np.array(saved["votes"], dtype=np.int64))


def random_labels(problem: Problem, seed: int) -> Labels:
    """Return a random label for every claim: (N,)."""
    num_claims, num_labels = problem.objective.evidence.shape
    return freeze(step_generator(seed, 0).integers(num_labels, size=num_claims))
