"""Best of n: what the best of n samples by reward is worth, and how far it strays from the policy. Knows no model."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def selection_weights(rewards: ArrayLike, n: int) -> NDArray[np.float64]:
    """Return the probability (N,) that each of N samples is the best by reward of n drawn without replacement.

    Samples of equal reward share their chances. The weighted mean of any value of the samples is an unbiased estimate
    of its expectation under best-of-n, with less variance than picking once.

    Args:
        rewards: (N,) rewards of independent samples for one prompt.
        n: How many samples the best is picked from, 1 to N.

    Raises:
        ValueError: There are fewer than n samples.

    Source: Nakano et al. 2021, "WebGPT", appendix on best-of-n estimation.
    """
    values = np.asarray(rewards, dtype=np.float64)
    if not 1 <= n <= values.size:
        raise ValueError(f"best of n needs 1 <= n <= {values.size} samples, got n={n}")
    # The sample of rank r (from 0) is the best if the other n - 1 lie among the r below it.
    # math.comb is exact for any n; the ratio is taken at the end, in floats.
    by_rank = np.array([math.comb(rank, n - 1) for rank in range(values.size)], dtype=np.float64)
    _, tied, sizes = np.unique(values, return_inverse=True, return_counts=True)
    # Ranks of equal rewards follow one another, so each group of ties is one stretch of `by_rank`.
    totals = np.add.reduceat(by_rank, np.cumsum(sizes) - sizes) / math.comb(values.size, n)
    return (totals / sizes)[tied]


def best_of_n_kl(n: int) -> float:
    """Return the divergence of best-of-n from the policy it picks from, nats: ln n − (n − 1)/n.

    It is an upper bound that is met when no two completions have the same reward; a policy with few different
    completions strays less.

    Source: Stiennon et al. 2020, "Learning to summarize from human feedback"; the bound: Beirami et al. 2024.
    """
    return math.log(n) - (n - 1) / n
