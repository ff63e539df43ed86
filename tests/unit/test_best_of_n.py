from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icm.training.policy.best_of_n import best_of_n_kl, selection_weights

REWARDS = st.lists(st.integers(-3, 3), min_size=1, max_size=7)


def _by_enumeration(rewards: Any, n: Any) -> Any:
    """Pick the best of every subset of n samples; equally good ones share."""
    weights = np.zeros(len(rewards))
    subsets = list(itertools.combinations(range(len(rewards)), n))
    for subset in subsets:
        best = max(rewards[place] for place in subset)
        winners = [place for place in subset if rewards[place] == best]
        for place in winners:
            weights[place] += 1 / len(winners) / len(subsets)
    return weights


@given(REWARDS, st.data())
def test_weights_are_those_of_all_subsets_up_to_shares_of_ties(rewards: Any, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(rewards)))
    weights = selection_weights(rewards, n)
    expected = _by_enumeration(rewards, n)
    for value in set(rewards):
        tied = np.array(rewards) == value
        assert weights[tied].sum() == pytest.approx(expected[tied].sum())
        assert np.ptp(weights[tied]) == 0


@given(REWARDS, st.data())
def test_the_expected_reward_never_falls_with_n(rewards: Any, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(rewards)))
    values = [selection_weights(rewards, size) @ np.array(rewards) for size in range(1, n + 1)]
    assert all(later >= earlier - 1e-12 for earlier, later in itertools.pairwise(values))


def test_best_of_one_is_the_mean_and_best_of_all_the_best() -> None:
    rewards = [0.5, -1.0, 2.0, 2.0]
    assert selection_weights(rewards, 1).tolist() == [0.25] * 4
    assert selection_weights(rewards, 4).tolist() == [0.0, 0.0, 0.5, 0.5]


def test_more_than_the_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="1 <= n <= 3 samples, got n=4"):
        selection_weights([1.0, 2.0, 3.0], 4)


def test_divergence_is_that_of_picking_the_best_of_n_different_samples() -> None:
    # Ranks are uniform; the best of n has density n·u^(n-1), whose divergence from uniform is ln n - (n-1)/n.
    u = (np.arange(200_000) + 0.5) / 200_000
    for n in (1, 2, 7):
        density = n * u ** (n - 1)
        assert best_of_n_kl(n) == pytest.approx(np.mean(density * np.log(density)), abs=1e-4)
    assert best_of_n_kl(1) == 0
    assert best_of_n_kl(16) == pytest.approx(math.log(16) - 15 / 16)
