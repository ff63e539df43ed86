"""Laws of the annealing kernel, on objectives that are plain functions of the labels."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from search.annealing import Annealing, SearchState, accepts, keep_best, start
from search.initial import balanced_labels, random_labels
from search.randomness import step_generator
from search.schedules import geometric, logarithmic


@dataclass(frozen=True)
class Value:
    utility: float


@dataclass(frozen=True)
class Ising:
    """A random pairwise objective over binary labels."""

    couplings: np.ndarray

    def evaluate(self, labels: np.ndarray) -> Value:
        spins = 2.0 * labels - 1.0
        return Value(float(spins @ self.couplings @ spins))

    def propose(self, generator: np.random.Generator, state: SearchState[Value]) -> tuple[int, int, np.ndarray, Value]:
        claim = int(generator.integers(state.labels.size))
        labels = state.labels.copy()
        labels[claim] = 1 - labels[claim]
        return claim, int(labels[claim]), labels, self.evaluate(labels)


def make_chain(
    seed: int, num_claims: int, clock: Literal["steps", "accepted"] = "steps"
) -> tuple[Annealing[Value], SearchState[Value], Ising]:
    random = np.random.default_rng(seed)
    ising = Ising(np.triu(random.normal(size=(num_claims, num_claims)), k=1))
    kernel = Annealing(seed, ising.propose, logarithmic(3.0, 0.01, 0.99), clock)
    labels = random.integers(2, size=num_claims).astype(np.int8)
    return kernel, start(labels, ising.evaluate(labels)), ising


def walk(kernel: Annealing[Value], state: SearchState[Value], num_steps: int) -> SearchState[Value]:
    for _ in range(num_steps):
        state, _ = kernel.step(state)
    return state


@given(seed=st.integers(0, 2**32), num_claims=st.integers(1, 8))
@settings(max_examples=30)
def test_annealing_never_beats_exhaustive_search(seed: int, num_claims: int) -> None:
    kernel, state, ising = make_chain(seed, num_claims)
    everything = itertools.product((0, 1), repeat=num_claims)
    optimum = max(ising.evaluate(np.array(labels, dtype=np.int8)).utility for labels in everything)
    end = walk(kernel, state, 60)
    assert end.best_utility <= optimum
    assert end.best_utility == ising.evaluate(end.best_labels).utility
    assert end.best_utility >= max(state.evaluation.utility, end.evaluation.utility)


def test_annealing_finds_the_optimum_of_a_small_problem_nearly_always() -> None:
    found = 0
    for seed in range(20):
        kernel, state, ising = make_chain(seed, 6)
        everything = itertools.product((0, 1), repeat=6)
        optimum = max(ising.evaluate(np.array(labels, dtype=np.int8)).utility for labels in everything)
        found += walk(kernel, state, 400).best_utility == optimum
    assert found >= 19


@given(seed=st.integers(0, 2**32), stop=st.integers(0, 40), clock=st.sampled_from(["steps", "accepted"]))
@settings(max_examples=30)
def test_a_chain_continued_from_a_saved_state_is_the_same_chain(seed: int, stop: int, clock: Any) -> None:
    kernel, state, ising = make_chain(seed, 6, clock)
    whole = walk(kernel, state, 40)
    half = walk(kernel, state, stop)
    saved = SearchState(
        half.step,
        half.num_accepted,
        half.labels.copy(),
        ising.evaluate(half.labels),
        half.best_labels.copy(),
        half.best_utility,
    )
    resumed = walk(kernel, saved, 40 - stop)
    assert np.array_equal(resumed.labels, whole.labels)
    assert (resumed.evaluation, resumed.num_accepted, resumed.best_utility) == (
        whole.evaluation,
        whole.num_accepted,
        whole.best_utility,
    )


@given(
    delta=st.floats(-20, 20),
    temperature=st.floats(0.01, 20),
    draws=st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed).random(4000)),
)
@settings(max_examples=50, deadline=None)
def test_acceptance_frequency_is_the_metropolis_probability(delta: float, temperature: float, draws: Any) -> None:
    probability = min(1.0, math.exp(delta / temperature)) if delta < 0 else 1.0
    num_accepted = sum(accepts(delta, temperature, uniform) for uniform in draws)
    # The exact tail: one draw of 4,000 accepted at a probability of 5e-6 is rare, and nothing that a normal law tells.
    assert binomtest(num_accepted, draws.size, probability).pvalue > 1e-7


def test_at_temperature_zero_no_loss_is_accepted() -> None:
    assert not accepts(-1e-12, 0.0, 0.0)
    assert accepts(0.0, 0.0, 0.999)


@given(seed=st.integers(0, 2**64 - 1), step=st.integers(0, 10_000))
def test_neighbouring_steps_share_no_draws(seed: int, step: int) -> None:
    here, there = step_generator(seed, step).random(16), step_generator(seed, step + 1).random(16)
    assert not np.isin(here, there).any()
    assert np.array_equal(here, step_generator(seed, step).random(16))


def test_the_published_schedule_does_not_freeze() -> None:
    schedule = logarithmic(10.0, 0.01, 2.0)
    assert schedule(0) == schedule(1) == 10.0
    assert schedule(256) == pytest.approx(0.827, abs=1e-3)


@given(num_ticks=st.integers(1, 1000), clock=st.integers(0, 2000))
def test_the_geometric_schedule_falls_from_start_to_end(num_ticks: int, clock: int) -> None:
    schedule = geometric(10.0, 0.01, num_ticks)
    assert schedule(0) == 10.0
    assert schedule(num_ticks) == pytest.approx(0.01)
    assert schedule(clock + 1) <= schedule(clock)


@given(seed=st.integers(0, 2**32), num_claims=st.integers(1, 40), num_labels=st.integers(2, 4))
def test_first_labels_are_as_many_as_asked(seed: int, num_claims: int, num_labels: int) -> None:
    labels = random_labels(np.random.default_rng(seed), num_claims, num_labels, num_initial=8)
    assert (labels >= 0).sum() == min(8, num_claims)
    assert labels.max() < num_labels


@given(seed=st.integers(0, 2**32), num_groups=st.integers(4, 12))
def test_balanced_first_labels_fill_whole_groups_with_equal_counts(seed: int, num_groups: int) -> None:
    groups = np.repeat(np.arange(num_groups), 4)
    labels = balanced_labels(np.random.default_rng(seed), groups, num_labels=2, num_initial=8)
    assert np.bincount(labels[labels >= 0]).tolist() == [4, 4]
    assert np.unique(groups[labels >= 0]).size == 2


def test_the_best_labelling_is_the_fullest_before_it_is_the_highest() -> None:
    few, many = np.array([1, -1], dtype=np.int8), np.array([1, 1], dtype=np.int8)
    state = keep_best(SearchState(1, 1, many, Value(1.0), few, 9.0))
    assert state.best_labels is many
    assert keep_best(SearchState(2, 2, few, Value(9.0), many, 1.0)).best_labels is many
