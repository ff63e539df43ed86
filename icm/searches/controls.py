"""Labellings that need no search: what a search must beat. Knows no file and no golden label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from icm.claims import Labels, freeze
from icm.errors import ConfigError
from icm.searches.decoding import build_decoder
from icm.searches.protocol import Result
from icm.searches.sampled import SampledSearch, SampledState
from icm.searches.settings import ControlSettings
from icm.surface import SURFACE_RULES, NotApplicable
from search.annealing import StepInfo
from search.randomness import step_generator


@dataclass(frozen=True, slots=True)
class Control(SampledSearch):
    """A rule that labels everything at once: a search of no steps.

    Attributes:
        settings: Which rule.
    """

    settings: ControlSettings

    @property
    def num_evaluations(self) -> int:
        """The result."""
        return 1

    def start(self) -> SampledState:
        """Return the labels.

        Raises:
            ConfigError: The surface rule says nothing about such claims.
        """
        return self.begin(self._labels())

    def walk(self, state: SampledState) -> Iterator[tuple[SampledState, StepInfo]]:
        """Take no step: all is done at the start."""
        del state
        return iter(())

    def result(self, state: SampledState) -> Result:
        """Return the labels."""
        return Result(state.labels)

    def _labels(self) -> Labels:
        objective = self.problem.objective
        decoder = build_decoder(objective.constraints, np.inf if self.settings.consistent else 0.0)
        match self.settings.rule:
            case "zero_shot":
                return decoder(objective.zero_shot())
            case "random":
                return decoder.draw(step_generator(self.seed, 0), objective.evidence, 1.0)
            case "majority":
                verdicts = objective.zero_shot().argmax(axis=1)
                return freeze(np.full(verdicts.size, np.bincount(verdicts).argmax()))
            case "length" | "keywords" | "answer_frequency":
                return self._by_surface()
            case _:
                assert_never(self.settings.rule)

    def _by_surface(self) -> Labels:
        (rule,) = [rule for rule in SURFACE_RULES if rule.name == self.settings.rule]
        labels = rule.label(self.problem.claims)
        if isinstance(labels, NotApplicable):
            raise ConfigError(f"search.rule={rule.name} says nothing about this task: {labels.reason}")
        return labels
