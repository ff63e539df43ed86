"""A sequential test on a finite sum: does it fall short of a bound, judging by some of its terms? Knows no labels.

The terms are seen in random order, in looks of 2, 4, 8, … of them. Each look is a t-test with finite-population
correction; the error is shared out among the looks, so that all of them together err no more often than one would.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr


def looks(num_terms: int) -> list[int]:
    """Return after how many terms to look: 2, 4, 8, … up to less than all of them."""
    return [2**power for power in range(1, num_terms.bit_length()) if 2**power < num_terms]


def falls_short(seen: NDArray[np.float64], num_terms: int, bound: float, error: float) -> bool:
    """Say whether the sum of all terms surely lies below a bound.

    Args:
        seen: (k,) a random sample of the terms, k of 2 or more, drawn without replacement.
        num_terms: How many terms there are.
        bound: What the sum is compared with.
        error: How often the test may say yes although the sum reaches the bound, over all looks; 0 never says yes.

    Returns:
        Whether a one-sided t-test on the mean term rejects "the sum reaches the bound". Equal terms say nothing
        about their spread, and decide nothing.

    Source: Korattikara, Chen and Welling 2014, "Austerity in MCMC Land", there at the level of a single look.
    """
    unseen_share = 1 - seen.size / num_terms
    width = num_terms * float(seen.std(ddof=1)) * math.sqrt(unseen_share / seen.size)
    if width == 0:
        return False
    distance = (bound - num_terms * float(seen.mean())) / width
    chance = float(stdtr(seen.size - 1, -distance))  # of a sample so low, if the sum just reached the bound
    return chance < error / len(looks(num_terms))
