"""Bootstrapping: random labels are the first shots, then what was predicted with shots becomes the next shots.

The simple unsupervised baseline of later work on elicitation. Knows no file and no golden label.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from icm.claims import UNLABELLED, Labels, freeze
from icm.problem import Problem
from icm.searches.decoding import Decoder, build_decoder
from icm.searches.protocol import Result
from icm.searches.sampled import SampledSearch, SampledState
from icm.searches.settings import BootstrapSettings
from search.annealing import StepInfo
from search.randomness import step_generator


@dataclass(frozen=True, slots=True)
class Bootstrap(SampledSearch):
    """A bootstrap that is ready to run; one step is one round of prediction.

    Attributes:
        settings: What it was made from.
        decoder: Makes labels of predictions.
    """

    settings: BootstrapSettings
    decoder: Decoder

    @property
    def num_evaluations(self) -> int:
        """A round asks no more than one evaluation does."""
        return self.num_steps + 1

    def start(self) -> SampledState:
        """Return random labels."""
        return self.begin(self.random_labels())

    def walk(self, state: SampledState) -> Iterator[tuple[SampledState, StepInfo]]:
        """Do the remaining rounds one by one."""
        while not self.is_done(state):
            generator = step_generator(self.seed, state.step + 1)
            shots = self._draw_shots(generator, state.labels)
            labels = self.decoder(self.problem.objective.predict_all(shots))
            changed = not np.array_equal(labels, state.labels)
            state = replace(state, step=state.step + 1, labels=labels)
            yield state, StepInfo(changed=changed)

    def result(self, state: SampledState) -> Result:
        """Return the labels of the last round."""
        return Result(state.labels)

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
    penalty = np.inf if settings.consistent else 0.0
    decoder = build_decoder(problem.objective.constraints, penalty)
    return Bootstrap(problem, seed, settings.num_rounds, settings, decoder)


def _rank_within_label(labels: Labels) -> NDArray[np.int64]:
    """Return for each label how many equal ones stand before it: (N,)."""
    rank = np.empty(labels.size, dtype=np.int64)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        rank[places] = np.arange(places.size)
    return rank
