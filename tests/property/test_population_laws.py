"""Laws of the population search: it is a pure function of seed and state, and drops the worse labellings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from search.annealing import Labels
from search.initial import balanced_labels, random_labels
from search.population import (
    Halving,
    Member,
    Population,
    falling,
    same_basin,
    screening_plan,
)
from search.randomness import step_generator
from search.schedules import geometric, logarithmic

NUM_CLAIMS, NUM_LABELS = 12, 3


FEW = settings(max_examples=25)


@dataclass(frozen=True, slots=True)
class Evaluation:
    utility: float
    conditionals: NDArray[np.float64]


class World:
    """Labellings are worth what they agree with a hidden one; conditionals lean to their majority and to it."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.hidden = rng.integers(NUM_LABELS, size=NUM_CLAIMS)
        self.noise = rng.normal(size=(NUM_CLAIMS, NUM_LABELS))
        self.asked: list[int] = []

    def evaluate_all(self, labellings: Sequence[Labels]) -> list[Evaluation]:
        self.asked.append(len(labellings))
        return [self._evaluate(labels) for labels in labellings]

    def _evaluate(self, labels: Labels) -> Evaluation:
        agreement = float(np.mean(labels == self.hidden))
        logits = self.noise + 4 * agreement * np.eye(NUM_LABELS)[self.hidden]
        return Evaluation(agreement, logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))


def decode(potentials: NDArray[np.float64]) -> Labels:
    return potentials.argmax(axis=1).astype(np.int8)


def halving(world: World, plan: tuple[int, ...], initial: float = 2.0, seed: int = 0) -> Halving[Evaluation]:
    return Halving(seed, world.evaluate_all, decode, plan, falling(initial, len(plan)))


def starts(num: int, seed: int = 0) -> list[tuple[str, Labels]]:
    return [
        (f"start {number}", random_labels(step_generator(seed, number), NUM_CLAIMS, NUM_LABELS, NUM_CLAIMS))
        for number in range(num)
    ]


def shown(population: Population[Evaluation]) -> list[tuple[Any, ...]]:
    return [
        (m.origin, m.labels.tolist(), m.evaluation.utility, m.best_labels.tolist(), m.best.utility, m.settled)
        for m in population.members
    ]


@FEW
@given(st.integers(0, 20), st.integers(1, 6), st.integers(0, 8))
def test_a_population_continued_from_any_round_is_the_same(seed: int, num_starts: int, stop: int) -> None:
    plan = screening_plan(num_starts, 2, 1) + (1,) * 4
    kernel = halving(World(seed), plan, seed=seed)
    whole = kernel.start(starts(num_starts, seed))
    saved = None
    while not kernel.is_done(whole):
        if whole.step == stop:
            saved = whole
        whole = kernel.step(whole)
    if saved is None:
        return
    # The saved state alone is enough: another kernel, another cache, the same rounds.
    again = halving(World(seed), plan, seed=seed)
    continued = Population(saved.step, tuple(replace(member) for member in saved.members))
    while not again.is_done(continued):
        continued = again.step(continued)
    assert shown(continued) == shown(whole)
    assert continued.step == whole.step


@FEW
@given(st.integers(0, 20), st.integers(1, 6))
def test_the_best_never_gets_worse_and_the_leader_is_the_best(seed: int, num_starts: int) -> None:
    kernel = halving(World(seed), screening_plan(num_starts, 2, 2) + (2,) * 3)
    population = kernel.start(starts(num_starts, seed))
    while not kernel.is_done(population):
        before, population = population, kernel.step(population)
        for old, new in zip(before.members, population.members, strict=True):
            assert new.origin == old.origin
            assert new.best.utility >= max(old.best.utility, old.evaluation.utility)
        assert population.leader.best.utility == max(member.best.utility for member in population.members)


@FEW
@given(st.integers(0, 20), st.integers(1, 6))
def test_only_survivors_move_and_no_more_of_them_than_the_plan_says(seed: int, num_starts: int) -> None:
    kernel = halving(World(seed), (*screening_plan(num_starts, 1, 1), 1, 1))
    population = kernel.start(starts(num_starts, seed))
    while not kernel.is_done(population):
        survivors = kernel.survivors(population)
        assert len(survivors) <= kernel.plan[population.step]
        for one in survivors:
            for other in survivors:
                same = same_basin(population.members[one].labels, population.members[other].labels)
                assert one == other or not same
        after = kernel.step(population)
        for index, (old, new) in enumerate(zip(population.members, after.members, strict=True)):
            assert index in survivors or new is old
        population = after


def test_a_round_is_asked_in_one_batch_of_those_that_moved() -> None:
    world = World(3)
    kernel = halving(world, (4, 4, 2))
    population = kernel.start(starts(4))
    assert world.asked == [4]
    after = kernel.step(population)
    moved = sum(
        old.labels.tolist() != new.labels.tolist() for old, new in zip(population.members, after.members, strict=True)
    )
    assert world.asked == [4, moved]


def test_at_temperature_zero_a_fixed_point_is_settled_and_ends_the_search() -> None:
    world = World(1)
    kernel = halving(world, (1,) * 50, initial=0.0)
    population = kernel.start(starts(1))
    while not kernel.is_done(population):
        population = kernel.step(population)
    assert population.step < 50
    member = population.members[0]
    assert member.settled
    assert decode(member.evaluation.conditionals).tolist() == member.labels.tolist()


@FEW
@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 6))
def test_a_plan_halves_and_never_goes_below_the_finalists(num_starts: int, rounds: int, finalists: int) -> None:
    plan = screening_plan(num_starts, rounds, finalists)
    assert (plan == ()) == (num_starts <= finalists)
    assert all(finalists < moving <= num_starts for moving in plan)
    assert len(plan) % rounds == 0
    steps = plan[::rounds]
    assert all(later == max(finalists, (earlier + 1) // 2) for earlier, later in pairwise(steps))


LABELLING = st.lists(st.integers(-1, 2), min_size=10, max_size=10).map(lambda values: np.array(values, np.int8))


@FEW
@given(LABELLING, LABELLING)
def test_basins_are_mutual_and_look_at_what_both_label(one: Labels, other: Labels) -> None:
    assert same_basin(one, other) == same_basin(other, one)
    both = [(a, b) for a, b in zip(one.tolist(), other.tolist(), strict=True) if a >= 0 and b >= 0]
    expected = bool(both) and sum(a == b for a, b in both) / len(both) >= 0.9
    assert same_basin(one, other) == expected


@FEW
@given(st.floats(0.1, 10), st.integers(0, 30))
def test_the_falling_schedule_is_a_straight_line_to_zero(initial: float, num_rounds: int) -> None:
    schedule = falling(initial, num_rounds)
    temperatures = [schedule(clock) for clock in range(num_rounds + 3)]
    assert temperatures[num_rounds:] == [0.0] * 3
    assert temperatures[:num_rounds] == pytest.approx(
        [initial * (num_rounds - clock) / num_rounds for clock in range(num_rounds)]
    )


@FEW
@given(st.floats(1, 20), st.floats(0.001, 0.9), st.floats(0.1, 3), st.integers(0, 300))
def test_temperatures_never_rise(initial: float, final: float, rate: float, clock: int) -> None:
    for schedule in (logarithmic(initial, final, rate), geometric(initial, final, 100), falling(initial, 100)):
        assert schedule(clock + 1) <= schedule(clock) + 1e-12
        assert schedule(0) == pytest.approx(initial)
    assert logarithmic(initial, final, rate)(clock) >= final


@FEW
@given(st.integers(0, 99), st.integers(1, 9), st.integers(2, 4), st.integers(0, 20))
def test_first_labels_depend_on_the_generator_alone(seed: int, num_claims: int, num_labels: int, num: int) -> None:
    one, other = (random_labels(step_generator(seed, 1), num_claims, num_labels, num) for _ in range(2))
    assert one.tolist() == other.tolist()
    assert (one >= 0).sum() == min(num, num_claims)
    groups = np.arange(num_claims) // 2
    balanced = balanced_labels(step_generator(seed, 2), groups, num_labels, num)
    counts = np.bincount(balanced[balanced >= 0], minlength=num_labels)
    assert counts.max() - counts.min() <= 1


def test_a_member_keeps_its_best_labelling_when_a_sweep_makes_it_worse() -> None:
    class Falling(World):
        def _evaluate(self, labels: Labels) -> Evaluation:
            evaluation = super()._evaluate(labels)
            return replace(evaluation, utility=-float(len(self.asked)))

    kernel = halving(Falling(0), (1, 1, 1), initial=5.0)
    first = population = kernel.start(starts(1))
    while not kernel.is_done(population):
        population = kernel.step(population)
    member: Member[Evaluation] = population.members[0]
    assert member.best is first.members[0].evaluation
    assert member.best_labels.tolist() == first.members[0].labels.tolist()
    assert member.labels.tolist() != member.best_labels.tolist()
