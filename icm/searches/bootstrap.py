"""Bootstrapping: random labels are the first shots, then what was predicted with shots becomes the next shots.

The simple unsupervised baseline of later work on elicitation. Knows no file and no golden label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icm.claims import UNLABELLED, Labels, freeze
from icm.problem import Problem
from icm.searches.decoding import Decoder, build_decoder
from icm.searches.protocol import Result
from icm.searches.sampled import SampledState, one_vote_each, restore_sampled
from icm.searches.settings import BootstrapSettings
from search.annealing import StepInfo
from search.randomness import step_generator

HARD: float = np.inf


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """A bootstrap that is ready to run; one step is one round of prediction.

    Attributes:
        settings: What it was made from.
        problem: What is labelled.
        decoder: Makes labels of predictions.
        seed: Seed of everything random in it.
    """

    settings: BootstrapSettings
    problem: Problem
    decoder: Decoder
    seed: int

    @property
    def num_steps(self) -> int:
        """Rounds."""
        return self.settings.num_rounds

    @property
    def num_evaluations(self) -> int:
        """A round asks no more than one evaluation does."""
        return self.num_steps + 1

    @property
    def period(self) -> int:
        """One round."""
        return 1

    def start(self) -> SampledState:
        """Return random labels."""
        num_claims, num_labels = self.problem.objective.evidence.shape
        labels = freeze(step_generator(self.seed, 0).integers(num_labels, size=num_claims))
        return SampledState(0, labels, one_vote_each(labels, num_labels))

    def walk(self, state: SampledState) -> Iterator[tuple[SampledState, StepInfo]]:
        """Do the remaining rounds one by one."""
        while not self.is_done(state):
            generator = step_generator(self.seed, state.step + 1)
            shots = self._draw_shots(generator, state.labels)
            labels = self.decoder(self.problem.objective.predict_all(shots))
            changed = not np.array_equal(labels, state.labels)
            state = SampledState(state.step + 1, labels, one_vote_each(labels, state.votes.shape[1]))
            yield state, StepInfo(changed=changed)

    def is_done(self, state: SampledState) -> bool:
        """Say whether all rounds are done."""
        return state.step >= self.num_steps

    def result(self, state: SampledState) -> Result:
        """Return the labels of the last round."""
        return Result(state.labels)

    def save(self, state: SampledState) -> Mapping[str, Any]:
        """Return a state as plain JSON."""
        return state.save()

    def restore(self, saved: Mapping[str, Any]) -> SampledState:
        """Return a saved state."""
        return restore_sampled(saved)

    def _draw_shots(self, generator: np.random.Generator, labels: Labels) -> Labels:
        """Return a labelling of the shots alone."""
        order = generator.permutation(labels.size)
        if self.settings.balanced:
            rank = _rank_within_label(labels[order])
            order = order[np.argsort(rank, kind="stable")]
        shots = np.full(labels.size, UNLABELLED, dtype=np.int8)
        chosen = order[: self.settings.num_shots]
        shots[chosen] = labels[chosen]
        return freeze(shots)


def build_bootstrap(settings: BootstrapSettings, problem: Problem, seed: int) -> Bootstrap:
    """Put a bootstrap together."""
    penalty = HARD if settings.consistent else 0.0
    return Bootstrap(settings, problem, build_decoder(problem.objective.constraints, penalty), seed)


def _rank_within_label(labels: Labels) -> NDArray[np.int64]:
    """Return for each label how many equal ones stand before it: (N,)."""
    rank = np.empty(labels.size, dtype=np.int64)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        rank[places] = np.arange(places.size)
    return rank
