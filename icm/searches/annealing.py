"""Simulated annealing: Algorithm 1 of the paper and the authors' released chain are one kernel, set differently.

Knows the objective and the search kernel, no file and no golden label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from icm.claims import freeze
from icm.errors import ConfigError
from icm.objective import Evaluation, LeaveOneOut, Objective
from icm.searches.ahead import ask_ahead
from icm.searches.proposals import PredictAndRepair, Repair
from icm.searches.protocol import Result
from icm.searches.settings import AnnealingSettings, GeometricSettings, LogarithmicSettings
from search.annealing import Annealing, SearchState, StepInfo, start
from search.initial import balanced_labels, random_labels
from search.randomness import step_generator
from search.schedules import Schedule, geometric, logarithmic

SHORT_PERIOD: Final = 8
"""Steps between two places where a chain can be stopped: keeping keys and values for eight saves nearly all it can."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain that is ready to run.

    Attributes:
        settings: What it was made from.
        kernel: Takes its steps.
        propose: How a step proposes.
        num_steps: Its length.
    """

    settings: AnnealingSettings
    kernel: Annealing[Evaluation]
    propose: PredictAndRepair
    num_steps: int

    @property
    def num_evaluations(self) -> None:
        """None: it moves by single proposals."""
        return None

    @property
    def period(self) -> int:
        """The window in which steps are asked ahead, or a few steps."""
        return self.settings.speculation_window if self.settings.speculation_window > 1 else SHORT_PERIOD

    def start(self) -> SearchState[Evaluation]:
        """Return the state before the first step: a few labels, repaired.

        Source: Algorithm 1 of the paper, lines 1 and 2.
        """
        generator = step_generator(self.kernel.seed, 0)
        objective, groups = self.propose.objective, self.propose.groups
        num_labels = objective.scorer.num_labels
        if self.settings.initial == "balanced":
            labels = balanced_labels(generator, groups, num_labels, self.settings.num_initial)
        else:
            labels = random_labels(generator, groups.size, num_labels, self.settings.num_initial)
        labels = freeze(labels)
        return start(*self.propose.repair(generator, labels, objective.evaluate(labels)))

    def walk(self, state: SearchState[Evaluation]) -> Iterator[tuple[SearchState[Evaluation], StepInfo]]:
        """Take the remaining steps one by one, yielding where each led and what it did."""
        changed, window = True, self.settings.speculation_window
        while state.step < self.num_steps:
            # Anew after a change, since the old answers were about other labels, and where a window begins.
            if window > 1 and (changed or state.step % window == 0):
                ask_ahead(self.kernel.seed, self.propose, state, window)
            state, info = self.kernel.step(state)
            changed = info.changed
            yield state, info

    def is_done(self, state: SearchState[Evaluation]) -> bool:
        """Say whether the chain has its length."""
        return state.step >= self.num_steps

    def result(self, state: SearchState[Evaluation]) -> Result:
        """Return the labelling that the chain is asked for."""
        return Result(state.labels if self.settings.result == "final" else state.best_labels)

    def save(self, state: SearchState[Evaluation]) -> Mapping[str, Any]:
        """Return a state as plain JSON."""
        return {
            "step": state.step,
            "num_accepted": state.num_accepted,
            "labels": state.labels.tolist(),
            "best_labels": state.best_labels.tolist(),
            "best_utility": state.best_utility,
        }

    def restore(self, saved: Mapping[str, Any]) -> SearchState[Evaluation]:
        """Return a saved state; its evaluation is asked anew, which the journal answers."""
        labels = freeze(saved["labels"])
        return SearchState(
            step=saved["step"],
            num_accepted=saved["num_accepted"],
            labels=labels,
            evaluation=self.propose.objective.evaluate(labels),
            best_labels=freeze(saved["best_labels"]),
            best_utility=saved["best_utility"],
        )


def build_chain(settings: AnnealingSettings, objective: Objective, groups: NDArray[np.int64], seed: int) -> Chain:
    """Put a chain together.

    Args:
        settings: What kind of chain.
        objective: U over the claims.
        groups: (N,) the group of each claim, from 0.
        seed: Seed of everything random in the chain.

    Raises:
        ConfigError: The chain would ask ahead what its objective does not ask.
    """
    if settings.speculation_window > 1 and not isinstance(objective, LeaveOneOut):
        raise ConfigError(
            f"search.speculation_window={settings.speculation_window} asks leave-one-out prompts ahead, but the "
            f"objective is {objective.settings.kind}; set search.speculation_window=1, or objective=lift"
        )
    num_steps = settings.num_steps(groups.size)
    repair = Repair(objective, settings.repair_rounds, settings.repair_options)
    propose = PredictAndRepair(objective, repair, groups, settings.related_weight)
    kernel = Annealing(seed, propose, _schedule(settings, num_steps), settings.clock)
    return Chain(settings, kernel, propose, num_steps)


def _schedule(settings: AnnealingSettings, num_steps: int) -> Schedule:
    match settings.schedule:
        case LogarithmicSettings(initial=initial, final=final, rate=rate):
            return logarithmic(initial, final, rate)
        case GeometricSettings(initial=initial, final=final):
            return geometric(initial, final, num_steps)
