"""Sweeps from several starts, halved by U; the distinct labellings they end in are returned beside the best one.

The starts compete on some of the claims, where an evaluation costs little; the finalists are extended to all. A
coherent labelling need not be the only one: which others exist, how much lower their U is and how many starts ended
there says more about a result than its U alone. Knows no file and no golden label.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icm.claims import UNLABELLED, freeze
from icm.objective import Evaluation
from icm.problem import Problem
from icm.searches.decoding import Decoder, build_decoder
from icm.searches.protocol import Alternative, Result
from icm.searches.settings import MultistartSettings
from icm.searches.starts import draw_screened, draw_starts
from search.annealing import StepInfo
from search.population import Halving, Member, Population, falling, same_basin, screening_plan


@dataclass(frozen=True, slots=True)
class Multistart:
    """A population that is ready to run.

    Attributes:
        settings: What it was made from.
        problem: What is searched.
        decoder: Makes labellings consistent.
        kernel: Does the rounds.
        screened: (N,) the claims that the starts compete on.
        num_screening_rounds: Rounds until the finalists are extended to all claims.
        seed: Seed of the starts and of all sweeps.
    """

    settings: MultistartSettings
    problem: Problem
    decoder: Decoder
    kernel: Halving[Evaluation]
    screened: NDArray[np.bool_]
    num_screening_rounds: int
    seed: int

    @property
    def num_steps(self) -> int:
        """The most rounds it takes."""
        return len(self.kernel.plan)

    @property
    def num_evaluations(self) -> int:
        """The starts, all sweeps, the opposite, the extended finalists, and the result."""
        screening = self.settings.num_starts + sum(self.kernel.plan[: self.num_screening_rounds]) + 1
        final = self.settings.num_finalists + sum(self.kernel.plan[self.num_screening_rounds :]) + 1
        # An evaluation of the screened claims alone costs about their share of a whole one.
        return math.ceil(screening * self.screened.mean()) + final

    @property
    def period(self) -> int:
        """One: every round is one batch."""
        return 1

    def start(self) -> Population[Evaluation]:
        """Return the starts, evaluated."""
        starts = draw_starts(
            self.problem.objective,
            self._screening_decoder,
            self.settings.starts,
            self.seed,
        )
        return self.kernel.start(starts)

    def walk(self, state: Population[Evaluation]) -> Iterator[tuple[Population[Evaluation], StepInfo]]:
        """Do the remaining rounds one by one; those that screen end with the finalists on all claims."""
        while not self.is_done(state):
            before = state
            state = self._screen(state) if state.step < self.num_screening_rounds else self.kernel.step(state)
            yield (
                state,
                StepInfo(
                    temperature=self.kernel.schedule(before.step),
                    delta_utility=state.evaluation.utility - before.evaluation.utility,
                    changed=state.labels is not before.labels,
                ),
            )

    def is_done(self, state: Population[Evaluation]) -> bool:
        """Say whether nothing moves any more."""
        # Screening goes to its end even if all have settled: there the finalists are extended to all claims.
        return state.step >= self.num_screening_rounds and self.kernel.is_done(state)

    def result(self, state: Population[Evaluation]) -> Result:
        """Return the labelling with the highest U, the share of starts that agree, and what else was found."""
        # Starts that were dropped have labels for the screened claims alone, and vote on no others.
        votes = np.stack([member.best_labels for member in (*state.members, *state.dropped)])
        agreeing = np.sum(votes == state.labels, axis=0)
        return Result(
            labels=state.labels,
            stability=agreeing / np.sum(votes != UNLABELLED, axis=0),
            alternatives=basins(state),
        )

    def save(self, state: Population[Evaluation]) -> Mapping[str, Any]:
        """Return a state as plain JSON."""
        return {
            "step": state.step,
            "members": [_saved(member) for member in state.members],
            "dropped": [_saved(member) for member in state.dropped],
        }

    def restore(self, saved: Mapping[str, Any]) -> Population[Evaluation]:
        """Return a saved state; its evaluations are asked anew, which the journal answers."""
        return Population(saved["step"], self._restored(saved["members"]), self._restored(saved["dropped"]))

    def _restored(self, saved: Sequence[Mapping[str, Any]]) -> tuple[Member[Evaluation], ...]:
        labels = [freeze(member["labels"]) for member in saved]
        best_labels = [freeze(member["best_labels"]) for member in saved]
        evaluate_all = self.problem.objective.evaluate_all
        return tuple(
            Member(member["origin"], now, evaluation, best, best_evaluation, member["settled"])
            for member, now, evaluation, best, best_evaluation in zip(
                saved, labels, evaluate_all(labels), best_labels, evaluate_all(best_labels), strict=True
            )
        )

    @property
    def _screening_decoder(self) -> Decoder:
        return self.decoder.restricted(self.screened)

    def _screen(self, population: Population[Evaluation]) -> Population[Evaluation]:
        population = replace(self.kernel, decode=self._screening_decoder).step(population)
        if population.step < self.num_screening_rounds:
            return population
        if self.settings.flip:
            population = self._with_opposite(population)
        # Where all claims were screened the members have all their labels, and none need be left behind.
        return population if self.screened.all() else self._extended(population)

    def _with_opposite(self, population: Population[Evaluation]) -> Population[Evaluation]:
        """Add the labelling in which every label of the leader is turned round, made consistent.

        Consistency tells most concepts from their opposite, but not all: of a mirrored pair exactly one is true either
        way. U does tell them apart, so the opposite is worth one evaluation.
        """
        labels = self._screening_decoder.nearest(freeze(1 - population.leader.best_labels))
        (member,) = self.kernel.start([("opposite", labels)]).members
        return replace(population, members=(*population.members, member))

    def _extended(self, population: Population[Evaluation]) -> Population[Evaluation]:
        """Extend the best members to all claims: each label as predicted from the labels there are."""
        chosen = self.kernel.survivors(population)
        finalists = [population.members[index] for index in chosen]
        dropped = tuple(member for index, member in enumerate(population.members) if index not in chosen)
        predict_all = self.problem.objective.predict_all
        extended = [(member.origin, self.decoder(predict_all(member.best_labels))) for member in finalists]
        return Population(population.step, self.kernel.start(extended).members, dropped)


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
    screening = screening_plan(settings.num_starts, settings.screening_rounds, settings.num_finalists)
    final = (settings.num_finalists,) * settings.final_rounds
    schedule = falling(settings.sweep_temperature, settings.cooling_rounds)
    kernel = Halving(seed, objective.evaluate_all, decoder, screening + final, schedule)
    # With no more starts than finalists nobody is dropped, so all claims are labelled from the beginning.
    screened = draw_screened(problem.groups, settings.screening_claims if screening else None, seed)
    # Of more than two labels there is no opposite.
    settings = settings.model_copy(update={"flip": settings.flip and binary})
    return Multistart(settings, problem, decoder, kernel, screened, len(screening), seed)


def _saved(member: Member[Evaluation]) -> Mapping[str, Any]:
    return {
        "origin": member.origin,
        "labels": member.labels.tolist(),
        "best_labels": member.best_labels.tolist(),
        "settled": member.settled,
    }


def basins(state: Population[Any]) -> list[Alternative]:
    """Return the distinct labellings of the finalists by falling U, with the origins of all that ended there.

    Args:
        state: Members whose best evaluations compare; those that were dropped only add their origins.
    """
    found: dict[int, list[str]] = defaultdict(list)
    members = state.members
    ranked = sorted(range(len(members)), key=lambda index: -members[index].best.utility)
    for index in ranked:
        # Members are ranked, so the one that opens a basin is the best in it.
        home = next((one for one in found if same_basin(members[one].best_labels, members[index].best_labels)), index)
        found[home].append(members[index].origin)
    for member in state.dropped:
        homes = [one for one in found if same_basin(members[one].best_labels, member.best_labels)]
        # A dropped start opens no basin: its U was measured on other claims or orders than theirs.
        if homes:
            found[homes[0]].append(member.origin)
    return [
        Alternative(members[index].best_labels, members[index].best.utility, tuple(origins))
        for index, origins in found.items()
    ]
