"""From settings to a chain: Algorithm 1 of the paper and the authors' released chain are one kernel, set differently.

Knows the objective and the search kernel, no file and no golden label.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from icm.claims import Labels, freeze
from icm.objective import Evaluation, Objective
from icm.proposals import PredictAndRepair, Repair
from icm.speculation import Speculation
from search.annealing import Annealing, SearchState, StepInfo, start
from search.initial import balanced_labels, random_labels
from search.randomness import step_generator
from search.schedules import Schedule, geometric, logarithmic


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _FallingTemperature(_Settings):
    initial: float = Field(gt=0)
    final: float = Field(gt=0)

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.final > self.initial:
            raise ValueError(f"the temperature must not rise: initial {self.initial}, final {self.final}")
        return self


class LogarithmicSettings(_FallingTemperature):
    """The published schedule: max(final, initial / (1 + rate * ln n)).

    Attributes:
        initial: T at the start, in the unit of U.
        final: The floor.
        rate: Cooling rate (beta).
    """

    kind: Literal["logarithmic"]
    rate: float = Field(ge=0)


class GeometricSettings(_FallingTemperature):
    """A schedule that reaches its end: falls by a constant factor per tick, over the steps of the chain.

    Attributes:
        initial: T at the start, in the unit of U.
        final: T at the end.
    """

    kind: Literal["geometric"]


class AnnealingSettings(_Settings):
    """A simulated-annealing chain.

    Attributes:
        name: How reports call this setting of the chain.
        steps_per_claim: Length of the chain, in steps per claim.
        num_initial: Claims labelled at the start (K).
        initial: `random` claims with random labels, or whole groups with `balanced` labels.
        schedule: The temperature.
        clock: What the schedule counts: `steps`, or `accepted` changes.
        related_weight: How much likelier an unlabelled claim is drawn when its group has a label.
        repair_rounds: Violated constraints tried after each proposal (M).
        repair_options: Consistent assignments tried: `all`, or `some_true` (never all false).
        speculation_window: Steps whose questions are asked at once, as long as none of them changes the labels; 1
            asks step by step. The chain is the same.
        result: The labelling returned: the `final` one, or the `best` by U among those with the most labels.
    """

    kind: Literal["annealing"]
    name: str
    steps_per_claim: float = Field(gt=0)
    num_initial: int = Field(ge=1)
    initial: Literal["random", "balanced"]
    schedule: Annotated[LogarithmicSettings | GeometricSettings, Field(discriminator="kind")]
    clock: Literal["steps", "accepted"]
    related_weight: float = Field(ge=1)
    repair_rounds: int = Field(ge=0)
    repair_options: Literal["all", "some_true"]
    speculation_window: int = Field(ge=1)
    result: Literal["final", "best"]

    def num_steps(self, num_claims: int) -> int:
        """Return the length of the chain for a number of claims."""
        return math.ceil(self.steps_per_claim * num_claims)


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain that is ready to run.

    Attributes:
        settings: What it was made from.
        kernel: Takes its steps.
        objective: U.
        repair: Repairs the first labels.
        propose: How a step proposes.
        speculation: Asks ahead of the steps; `None` to ask step by step.
        num_steps: Its length.
        groups: (N,) the group of each claim.
    """

    settings: AnnealingSettings
    kernel: Annealing[Evaluation]
    objective: Objective
    repair: Repair
    propose: PredictAndRepair
    speculation: Speculation | None
    num_steps: int
    groups: NDArray[np.int64]

    def start(self) -> SearchState[Evaluation]:
        """Return the state before the first step: a few labels, repaired.

        Source: Algorithm 1 of the paper, lines 1 and 2.
        """
        generator = step_generator(self.kernel.seed, 0)
        num_labels = self.objective.scorer.num_labels
        if self.settings.initial == "balanced":
            labels = balanced_labels(generator, self.groups, num_labels, self.settings.num_initial)
        else:
            labels = random_labels(generator, self.groups.size, num_labels, self.settings.num_initial)
        labels = freeze(labels)
        return start(*self.repair(generator, labels, self.objective.evaluate(labels)))

    def walk(self, state: SearchState[Evaluation]) -> Iterator[tuple[SearchState[Evaluation], StepInfo]]:
        """Take the remaining steps one by one, yielding where each led and what it did."""
        changed = True
        while state.step < self.num_steps:
            if self.speculation and (changed or state.step % self.speculation.window == 0):
                self.speculation.ask_ahead(state)
            state, info = self.kernel.step(state)
            changed = info.changed
            yield state, info

    def result(self, state: SearchState[Evaluation]) -> Labels:
        """Return the labelling that the chain is asked for."""
        return state.labels if self.settings.result == "final" else state.best_labels


def build_chain(settings: AnnealingSettings, objective: Objective, groups: NDArray[np.int64], seed: int) -> Chain:
    """Put a chain together.

    Args:
        settings: What kind of chain.
        objective: U over the claims.
        groups: (N,) the group of each claim, from 0.
        seed: Seed of everything random in the chain.
    """
    num_steps = settings.num_steps(groups.size)
    repair = Repair(objective, settings.repair_rounds, settings.repair_options)
    propose = PredictAndRepair(objective, repair, groups, settings.related_weight)
    kernel = Annealing(seed, propose, _schedule(settings, num_steps), settings.clock)
    window = settings.speculation_window
    speculation = Speculation(seed, propose, objective, window) if window > 1 else None
    return Chain(settings, kernel, objective, repair, propose, speculation, num_steps, groups)


def _schedule(settings: AnnealingSettings, num_steps: int) -> Schedule:
    match settings.schedule:
        case LogarithmicSettings(initial=initial, final=final, rate=rate):
            return logarithmic(initial, final, rate)
        case GeometricSettings(initial=initial, final=final):
            return geometric(initial, final, num_steps)
