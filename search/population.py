"""Many labellings improved side by side, the worse half dropped now and then. Knows neither what U is nor who decodes.

A member moves by sweeps: all its labels at once are drawn from the conditionals of its labelling (what is each label,
given all the others?) under whatever `decode` guarantees. All members of a round are evaluated in one batch. Each
round draws from the seed and its own number alone, so a population continued from any round is the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from search.annealing import Evaluated
from search.randomness import step_generator
from search.schedules import Schedule

Labels = NDArray[np.int8]

# Labellings that agree on this share of the claims count as one.
SAME_BASIN: Final = 0.9

Decode: TypeAlias = Callable[[NDArray[np.float64]], Labels]
"""(N, L) log-potentials -> the (N,) labelling with the highest sum of them among those that are allowed."""


class Conditioned(Evaluated, Protocol):
    """An evaluated labelling that also says what each label would be, given all the others."""

    @property
    def conditionals(self) -> NDArray[np.float64]:
        """(N, L) log-probabilities."""
        ...


E = TypeVar("E", bound=Conditioned)


@dataclass(frozen=True, slots=True)
class Member(Generic[E]):
    """One labelling on its way: (N,) the labels now and the best so far, each with its evaluation.

    Attributes:
        origin: What kind of start it grew from.
        settled: Whether a sweep at temperature 0 would leave it as it is.
    """

    origin: str
    labels: Labels
    evaluation: E
    best_labels: Labels
    best: E
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Population(Generic[E]):
    """All members after some rounds, in the order of their starts; those that no longer move keep their labelling.

    Attributes:
        dropped: Members that have left for good.
    """

    step: int
    members: tuple[Member[E], ...]
    dropped: tuple[Member[E], ...] = ()

    @property
    def leader(self) -> Member[E]:
        """The member with the highest U so far, of equals the first."""
        return max(self.members, key=lambda member: member.best.utility)

    @property
    def labels(self) -> Labels:
        """(N,) the best labelling so far."""
        return self.leader.best_labels

    @property
    def evaluation(self) -> E:
        """The evaluation of the best labelling so far."""
        return self.leader.best


@dataclass(frozen=True, slots=True)
class Halving(Generic[E]):
    """Sweeps over a population that shrinks to its best members.

    Attributes:
        plan: How many members move in each round.
        schedule: Temperature of each round, nats; at 0 a sweep takes the likeliest labelling.
    """

    seed: int
    evaluate_all: Callable[[Sequence[Labels]], Sequence[E]]
    decode: Decode
    plan: tuple[int, ...]
    schedule: Schedule

    def start(self, starts: Sequence[tuple[str, Labels]]) -> Population[E]:
        """Return the population before the first round; each member begins with its origin and labelling (N,)."""
        evaluations = self.evaluate_all([labels for _, labels in starts])
        return Population(
            0,
            tuple(
                Member(origin, labels, evaluation, labels, evaluation)
                for (origin, labels), evaluation in zip(starts, evaluations, strict=True)
            ),
        )

    def step(self, population: Population[E]) -> Population[E]:
        """Do one round: the best members move, all others stay as they are."""
        temperature = self.schedule(population.step)
        generator = step_generator(self.seed, population.step + 1)
        # Drawn for every member, whoever moves: a member's noise depends on its place and the round, not on the others.
        draws = generator.gumbel(size=(len(population.members), *population.members[0].evaluation.conditionals.shape))
        movers = [index for index in self.survivors(population) if not population.members[index].settled]
        proposed = {}
        for index in movers:
            potentials = population.members[index].evaluation.conditionals + temperature * draws[index]
            proposed[index] = self.decode(potentials)
        moved = {index for index in movers if not np.array_equal(proposed[index], population.members[index].labels)}
        # Ascending, so that the batch, and with it the journal, is the same in every run: a set has no order.
        evaluations = dict(
            zip(sorted(moved), self.evaluate_all([proposed[index] for index in sorted(moved)]), strict=True)
        )
        members = list(population.members)
        for index in movers:
            if index in moved:
                members[index] = _moved(members[index], proposed[index], evaluations[index])
            # With noise a labelling that stays may still move later; without it, it is a fixed point.
            elif temperature == 0:
                members[index] = replace(members[index], settled=True)
        # The step is the clock of schedule, plan and random draws, so it also counts rounds without a move.
        return replace(population, step=population.step + 1, members=tuple(members))

    def survivors(self, population: Population[E], number: int | None = None) -> list[int]:
        """Return the best members by U, no two in the same basin: those that may move next, or so many."""
        members = population.members
        # Ties go to the earlier start, or equal members would trade places from run to run.
        ranked = sorted(range(len(members)), key=lambda i: (-members[i].best.utility, i))
        distinct: list[int] = []
        # Against the better ones only: of members in one basin the best stays.
        for index in ranked:
            if not any(same_basin(members[index].labels, members[other].labels) for other in distinct):
                distinct.append(index)
        return sorted(distinct[: self.plan[population.step] if number is None else number])

    def is_done(self, population: Population[E]) -> bool:
        """Say whether no member can move any more."""
        if population.step >= len(self.plan):
            return True
        return all(population.members[index].settled for index in self.survivors(population))


def screening_plan(num_starts: int, rounds: int, num_finalists: int) -> tuple[int, ...]:
    """Return how many members move in each round until few enough are left: after every few rounds half are dropped.

    Source: successive halving (Jamieson and Talwalkar 2016, "Non-stochastic best arm identification").
    """
    plan: list[int] = []
    moving = num_starts
    while moving > num_finalists:
        plan += [moving] * rounds
        # Rounded up: of an odd number the one in the middle stays.
        moving = max(num_finalists, (moving + 1) // 2)
    return tuple(plan)


def same_basin(one: Labels, other: Labels) -> bool:
    """Say whether two labellings agree on nearly all claims that both label, so that sweeps would make them one."""
    both = (one >= 0) & (other >= 0)
    # Labellings without a claim in common have not been shown to be alike.
    return bool(np.mean(one[both] == other[both]) >= SAME_BASIN) if both.any() else False


def falling(initial: float, num_rounds: int) -> Schedule:
    """Return the schedule that falls in a straight line from `initial` to 0 after a number of rounds."""

    def temperature(clock: int) -> float:
        # No rounds to cool in means cold from the start, and no division by 0.
        return initial * max(0.0, 1.0 - clock / num_rounds) if num_rounds else 0.0

    return temperature


def _moved(member: Member[E], labels: Labels, evaluation: E) -> Member[E]:
    # Noise may lower U on the way, so the best is kept beside the current one.
    if evaluation.utility > member.best.utility:
        return Member(member.origin, labels, evaluation, labels, evaluation)
    return replace(member, labels=labels, evaluation=evaluation)
