"""Sweeps from several starts, halved by U; the distinct labellings they end in are returned beside the best one.

A coherent labelling need not be the only one. Which others exist, how much lower their U is and how many starts ended
there says more about a result than its U alone. Knows no file and no golden label.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from icm.claims import Labels, freeze
from icm.objective import Evaluation
from icm.problem import Problem
from icm.searches.decoding import Decoder, build_decoder
from icm.searches.protocol import Alternative, Result
from icm.searches.settings import MultistartSettings
from icm.searches.starts import draw_starts
from search.annealing import StepInfo
from search.population import Halving, Member, Population, falling, halving_plan

SAME_BASIN: Final = 0.95
"""Labellings that agree on this share of the claims count as one."""


@dataclass(frozen=True, slots=True)
class MultistartState:
    """A population and its leader."""

    population: Population[Evaluation]

    @property
    def step(self) -> int:
        """Rounds done."""
        return self.population.step

    @property
    def labels(self) -> Labels:
        """(N,) the best labelling so far."""
        return self.population.leader.best_labels

    @property
    def evaluation(self) -> Evaluation:
        """The evaluation of the best labelling so far."""
        return self.population.leader.best


@dataclass(frozen=True, slots=True)
class Multistart:
    """A population that is ready to run.

    Attributes:
        settings: What it was made from.
        problem: What is searched.
        decoder: Makes labellings consistent.
        kernel: Does the rounds.
        seed: Seed of the starts and of all sweeps.
    """

    settings: MultistartSettings
    problem: Problem
    decoder: Decoder
    kernel: Halving[Evaluation]
    seed: int

    @property
    def num_steps(self) -> int:
        """The most rounds it takes."""
        return len(self.kernel.plan)

    @property
    def num_evaluations(self) -> int:
        """The starts, all sweeps, the opposite, and the result."""
        return self.settings.num_starts + sum(self.kernel.plan) + 2

    @property
    def period(self) -> int:
        """One: every round is one batch."""
        return 1

    def start(self) -> MultistartState:
        """Return the starts, evaluated."""
        starts = draw_starts(
            self.problem.objective,
            self.decoder,
            self.settings.starts,
            self.seed,
            start_temperature=self.settings.start_temperature,
            num_shots=self.settings.num_shots,
        )
        return MultistartState(self.kernel.start(starts))

    def walk(self, state: MultistartState) -> Iterator[tuple[MultistartState, StepInfo]]:
        """Do the remaining rounds one by one; the leader's opposite joins when the screening is over."""
        num_finalists_from = self.num_steps - self.settings.final_rounds
        while not self.is_done(state):
            before = state
            population = self.kernel.step(state.population)
            if self.settings.flip and population.step == num_finalists_from:
                population = self._with_opposite(population)
            state = MultistartState(population)
            yield (
                state,
                StepInfo(
                    temperature=self.kernel.schedule(before.step),
                    delta_utility=state.evaluation.utility - before.evaluation.utility,
                    changed=state.labels is not before.labels,
                ),
            )

    def is_done(self, state: MultistartState) -> bool:
        """Say whether nothing moves any more."""
        if self.settings.flip and state.step < self.num_steps - self.settings.final_rounds:
            return False
        return self.kernel.is_done(state.population)

    def result(self, state: MultistartState) -> Result:
        """Return the labelling with the highest U, the share of starts that agree, and what else was found."""
        members = state.population.members
        votes = np.stack([member.best_labels for member in members])
        return Result(
            labels=state.labels,
            stability=np.mean(votes == state.labels, axis=0),
            alternatives=_basins(members),
        )

    def save(self, state: MultistartState) -> Mapping[str, Any]:
        """Return a state as plain JSON."""
        members = [
            {
                "origin": member.origin,
                "labels": member.labels.tolist(),
                "best_labels": member.best_labels.tolist(),
                "settled": member.settled,
            }
            for member in state.population.members
        ]
        return {"step": state.step, "members": members}

    def restore(self, saved: Mapping[str, Any]) -> MultistartState:
        """Return a saved state; its evaluations are asked anew, which the journal answers."""
        labels = [freeze(member["labels"]) for member in saved["members"]]
        best_labels = [freeze(member["best_labels"]) for member in saved["members"]]
        evaluate_all = self.problem.objective.evaluate_all
        members = tuple(
            Member(member["origin"], now, evaluation, best, best_evaluation, member["settled"])
            for member, now, evaluation, best, best_evaluation in zip(
                saved["members"], labels, evaluate_all(labels), best_labels, evaluate_all(best_labels), strict=True
            )
        )
        return MultistartState(Population(saved["step"], members))

    def _with_opposite(self, population: Population[Evaluation]) -> Population[Evaluation]:
        """Add the labelling in which every label of the leader is turned round, made consistent.

        Consistency tells most concepts from their opposite, but not all: of a mirrored pair exactly one is true either
        way. U does tell them apart, so the opposite is worth one evaluation.
        """
        turned = 1 - population.leader.best_labels
        labels = self.decoder(np.log(np.where(np.eye(2)[turned] > 0, 0.9, 0.1)))
        (member,) = self.kernel.start([("opposite", labels)]).members
        return replace(population, members=(*population.members, member))


def build_multistart(settings: MultistartSettings, problem: Problem, seed: int) -> Multistart:
    """Put a population together.

    Args:
        settings: What kind of population.
        problem: What is searched.
        seed: Seed of everything random in it.
    """
    objective = problem.objective
    binary = len(problem.task.label_space) == 2
    decoder = build_decoder(objective.constraints, settings.violation_penalty)
    plan = halving_plan(settings.num_starts, settings.screening_rounds, settings.num_finalists, settings.final_rounds)
    schedule = falling(settings.sweep_temperature, settings.cooling_rounds)
    kernel = Halving(seed, objective.evaluate_all, decoder, plan, schedule)
    return Multistart(settings.model_copy(update={"flip": settings.flip and binary}), problem, decoder, kernel, seed)


def _basins(members: tuple[Member[Evaluation], ...]) -> list[Alternative]:
    """Return the distinct labellings of a population by falling U, with the origins of those that ended there."""
    found: dict[int, list[str]] = defaultdict(list)
    ranked = sorted(range(len(members)), key=lambda index: -members[index].best.utility)
    for index in ranked:
        labels = members[index].best_labels
        home = next((one for one in found if np.mean(members[one].best_labels == labels) >= SAME_BASIN), index)
        found[home].append(members[index].origin)
    return [
        Alternative(members[index].best_labels, members[index].best.utility, tuple(origins))
        for index, origins in found.items()
    ]
