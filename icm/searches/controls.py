"""Labellings that need no search: what a search must beat. Knows no file and no golden label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np

from icm.claims import UNLABELLED, Labels, freeze
from icm.errors import ConfigError
from icm.problem import Problem
from icm.searches.decoding import build_decoder
from icm.searches.protocol import Result
from icm.searches.sampled import SampledState, one_vote_each, restore_sampled
from icm.searches.settings import ControlSettings
from icm.surface import SURFACE_RULES, NotApplicable
from search.annealing import StepInfo
from search.randomness import step_generator


@dataclass(frozen=True, slots=True)
class Control:
    """A rule that labels everything at once.

    Attributes:
        settings: Which rule.
        problem: What is labelled.
        seed: Seed of random labels.
    """

    settings: ControlSettings
    problem: Problem
    seed: int

    @property
    def num_steps(self) -> int:
        """No step is needed."""
        return 0

    @property
    def num_evaluations(self) -> int:
        """The result."""
        return 1

    @property
    def period(self) -> int:
        """One: there is nothing to stop."""
        return 1

    def start(self) -> SampledState:
        """Return the labels.

        Raises:
            ConfigError: The surface rule says nothing about such claims.
        """
        labels = self._labels()
        known = np.maximum(labels, 0)
        return SampledState(0, labels, one_vote_each(known, self.problem.objective.evidence.shape[1]))

    def walk(self, state: SampledState) -> Iterator[tuple[SampledState, StepInfo]]:
        """Take no step."""
        for _ in range(state.step, self.num_steps):
            yield state, StepInfo()

    def is_done(self, state: SampledState) -> bool:
        """Say yes: there is nothing to do."""
        return state.step >= self.num_steps

    def result(self, state: SampledState) -> Result:
        """Return the labels."""
        return Result(state.labels)

    def save(self, state: SampledState) -> Mapping[str, Any]:
        """Return a state as plain JSON."""
        return state.save()

    def restore(self, saved: Mapping[str, Any]) -> SampledState:
        """Return a saved state."""
        return restore_sampled(saved)

    def _labels(self) -> Labels:
        objective = self.problem.objective
        decoder = build_decoder(objective.constraints, np.inf if self.settings.consistent else 0.0)
        match self.settings.rule:
            case "zero_shot":
                return decoder(objective.zero_shot())
            case "random":
                return decoder.draw(step_generator(self.seed, 0), objective.evidence, 1.0)
            case "majority":
                said = objective.zero_shot().argmax(axis=1)
                return freeze(np.full(said.size, np.bincount(said).argmax()))
            case "length" | "keywords" | "answer_frequency":
                return self._by_surface()
            case _:
                assert_never(self.settings.rule)

    def _by_surface(self) -> Labels:
        (rule,) = [rule for rule in SURFACE_RULES if rule.name == self.settings.rule]
        labels = rule.label(self.problem.claims)
        if isinstance(labels, NotApplicable):
            raise ConfigError(f"search.rule={rule.name} says nothing about this task: {labels.reason}")
        return freeze(np.where(labels == UNLABELLED, UNLABELLED, labels))
