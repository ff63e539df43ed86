"""Simulated annealing over label vectors as a pure step function. Knows neither what U is nor who proposes.

`step(state) -> (state, info)` draws all its randomness from the seed and the number of the step, and the state
carries the evaluation of its labels. A chain stopped after any step and continued from the saved state is the same
chain, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from search.randomness import step_generator
from search.schedules import Schedule

Labels = NDArray[np.int8]


class Evaluated(Protocol):
    """What a search needs to know of an evaluated labelling."""

    @property
    def utility(self) -> float:
        """U, to be maximised."""
        ...


E = TypeVar("E", bound=Evaluated)


@dataclass(frozen=True, slots=True)
class SearchState(Generic[E]):
    """Where a chain stands.

    Attributes:
        step: Steps taken.
        num_accepted: Accepted proposals that changed a label.
        labels: (N,) the current labelling.
        evaluation: Its evaluation.
        best_labels: The best labelling seen: the highest U among those with the most labelled claims.
        best_utility: Its U.
    """

    step: int
    num_accepted: int
    labels: Labels
    evaluation: E
    best_labels: Labels
    best_utility: float


@dataclass(frozen=True, slots=True)
class StepInfo:
    """What one step did.

    Attributes:
        claim: The claim whose label was proposed; `None` for a step that moves many.
        label: The label proposed for it.
        temperature: Temperature of the decision, where there was one.
        delta_utility: U of the proposal less U of the state before.
        accepted: Whether the proposal became the state.
        changed: Whether the labels changed.
    """

    claim: int | None = None
    label: int | None = None
    temperature: float | None = None
    delta_utility: float | None = None
    accepted: bool = True
    changed: bool = True


Propose = Callable[[np.random.Generator, SearchState[E]], tuple[int, int, Labels, E]]
"""Generator and state -> the claim whose label is proposed, that label, the proposed labelling (N,) after repair, and
its evaluation: the very object of the state where nothing would change."""


@dataclass(frozen=True, slots=True)
class Annealing(Generic[E]):
    """The kernel of a chain: everything a step depends on besides the state.

    Attributes:
        seed: Seed of the chain.
        propose: Draws a labelling to move to; pure in generator and state.
        schedule: Temperature as a function of the clock.
        clock: What the schedule counts: `steps` (the paper) or `accepted` changes (the released code).
    """

    seed: int
    propose: Propose[E]
    schedule: Schedule
    clock: Literal["steps", "accepted"]

    def temperature(self, state: SearchState[E]) -> float:
        """Return the temperature of the step that follows a state."""
        # The paper counts its steps from 1; of accepted changes there are none at the first step.
        return self.schedule(state.step + 1 if self.clock == "steps" else state.num_accepted)

    def step(self, state: SearchState[E]) -> tuple[SearchState[E], StepInfo]:
        """Take one step.

        Source: Algorithm 1 of the paper, lines 3 to 12.
        """
        generator = step_generator(self.seed, state.step + 1)
        claim, label, labels, evaluation = self.propose(generator, state)
        temperature = self.temperature(state)
        delta = evaluation.utility - state.evaluation.utility
        accepted = accepts(delta, temperature, generator.random())
        # By identity, as `Propose` promises: comparing labels would cost N at every step.
        changed = accepted and evaluation is not state.evaluation
        info = StepInfo(claim, label, temperature, delta, accepted, changed)
        stays = replace(state, step=state.step + 1)
        if not changed:
            return stays, info
        moved = replace(stays, num_accepted=state.num_accepted + 1, labels=labels, evaluation=evaluation)
        return keep_best(moved), info


def start(labels: Labels, evaluation: E) -> SearchState[E]:
    """Return the state of a chain that has taken no step yet."""
    return SearchState(0, 0, labels, evaluation, labels, evaluation.utility)


def accepts(delta: float, temperature: float, uniform: float) -> bool:
    """Decide by the Metropolis rule: accept with probability min(1, exp(delta / temperature)).

    Args:
        delta: Change of U.
        temperature: Temperature, in the unit of U; at 0 only changes that do not lower U are accepted.
        uniform: A draw from [0, 1).
    """
    if delta >= 0:
        return True
    # Below 0 the exponential cannot overflow; where it underflows to 0 the proposal is refused.
    return temperature > 0 and uniform < math.exp(delta / temperature)


def keep_best(state: SearchState[E]) -> SearchState[E]:
    """Return the state with its current labelling as the best one, if it is.

    More labelled claims come before a higher U: a mean over few well-fitting claims is no better labelling.
    """
    labelled, best_labelled = (int((labels >= 0).sum()) for labels in (state.labels, state.best_labels))
    # Strictly above, so that of equally good labellings the first one stays.
    if (labelled, state.evaluation.utility) > (best_labelled, state.best_utility):
        return replace(state, best_labels=state.labels, best_utility=state.evaluation.utility)
    return state
