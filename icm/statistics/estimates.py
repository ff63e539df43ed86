"""Intervals around means of claims that come in groups. Knows arrays, no claim and no label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from icm.statistics.schema import Accuracy, Estimate
from icm.statistics.streams import Stream, generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How bootstrap intervals are made; `confidence_level` is the share of the resampled means inside, in (0, 1)."""

    seed: int
    num_resamples: int
    confidence_level: float


def student_half_width(values: Sequence[float], confidence_level: float) -> float:
    """Return half the width of Student's interval of the mean of independent values.

    Raises:
        ValueError: There are fewer than two values.
    """
    if len(values) < 2:
        raise ValueError(f"an interval needs at least two values, got {len(values)}")
    # ddof=1: the mean was estimated from the same values.
    standard_error = np.std(values, ddof=1) / np.sqrt(len(values))
    return float(standard_error * stdtrit(len(values) - 1, 0.5 + confidence_level / 2))


def wilson_interval(num_correct: int, num_claims: int, confidence_level: float) -> tuple[float, float]:
    """Return the Wilson score interval of a share of independent claims.

    Raises:
        ValueError: There are no claims.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if num_claims < 1:
        raise ValueError(f"a share needs at least one claim, got {num_claims}")
    share = num_correct / num_claims
    # Two-sided: half of what is left over lies beyond each end.
    z = NormalDist().inv_cdf(0.5 + confidence_level / 2)
    shrink = 1 + z * z / num_claims
    centre = (share + z * z / (2 * num_claims)) / shrink
    half = z / shrink * np.sqrt(share * (1 - share) / num_claims + z * z / (4 * num_claims**2))
    # With none or all right the end is 0 or 1 exactly; rounding would put it beside.
    low = float(centre - half) if num_correct > 0 else 0.0
    high = float(centre + half) if num_correct < num_claims else 1.0
    return min(low, share), max(high, share)


def bootstrap_interval(values: NDArray[np.float64], groups: ArrayLike, resampling: Resampling) -> tuple[float, float]:
    """Return the percentile interval of the mean of `values`, (N,) or (D, N), over resampled groups (N,) and draws.

    Whole groups are drawn with replacement, since the claims of one group stand and fall together. With D > 1 rows
    (draws of shots) the rows are drawn too, independently of the groups, so that the interval covers both sources of
    chance.

    Source: Efron 1979 (percentile bootstrap); Owen 2007, "The pigeonhole bootstrap" (two crossed sources).
    """
    rows = np.atleast_2d(values)
    _, member = np.unique(groups, return_inverse=True)
    sizes = np.bincount(member).astype(np.float64)
    # A resample weights whole groups, so their sums and sizes are all that it needs of the claims.
    sums = np.stack([np.bincount(member, weights=row) for row in rows])  # (D, G)
    num_draws, num_groups = sums.shape
    rng = generator(resampling.seed, Stream.BOOTSTRAP)
    means = np.empty(resampling.num_resamples)
    for resample in range(resampling.num_resamples):
        group_counts = np.bincount(rng.integers(num_groups, size=num_groups), minlength=num_groups)
        # With one row this is always [1], so claims without draws get the plain bootstrap over groups.
        draw_counts = np.bincount(rng.integers(num_draws, size=num_draws), minlength=num_draws)
        # Groups drawn differ in size, so each resample is divided by its own number of claims, a ratio estimate.
        means[resample] = draw_counts @ (sums @ group_counts) / (num_draws * (sizes @ group_counts))
    tail = (1 - resampling.confidence_level) / 2
    # The percentile interval: it needs no assumption of a normal mean, and stays within [0, 1] for shares.
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def estimate(values: NDArray[np.float64], groups: ArrayLike, resampling: Resampling) -> Estimate:
    """Return the mean of `values`, (N,) or (D, N), with its bootstrap interval."""
    low, high = bootstrap_interval(values, groups, resampling)
    return Estimate(value=float(np.mean(values)), low=low, high=high)


def share_of_draws(values: NDArray[np.float64], groups: ArrayLike) -> float:
    """Return the share of the variance of the mean of `values` (D, N) that comes from the choice of the draws.

    The rest comes from the choice of the groups (N,), and no number of draws takes it away.

    Raises:
        ValueError: There are fewer than two draws.
    """
    num_draws = len(values)
    if num_draws < 2:
        raise ValueError(f"a spread over draws needs at least two, got {num_draws}")
    from_draws = float(np.var(values.mean(axis=1), ddof=1)) / num_draws
    _, member = np.unique(groups, return_inverse=True)
    means = values.mean(axis=0)
    # The sum of each group's departures from the mean: the variance of a mean over clusters of unequal size.
    sums = np.bincount(member, weights=means - means.mean())
    total = from_draws + float(sums @ sums) / means.size**2
    return from_draws / total if total else 0.0


def accuracy(correct: NDArray[np.bool_], groups: ArrayLike, resampling: Resampling) -> Accuracy:
    """Return the share of right claims (N,) with its bootstrap and its Wilson interval.

    Raises:
        ValueError: There are no claims.
    """
    num_correct, num_claims = int(correct.sum()), correct.size
    wilson_low, wilson_high = wilson_interval(num_correct, num_claims, resampling.confidence_level)
    low, high = bootstrap_interval(correct.astype(np.float64), groups, resampling)
    return Accuracy(
        value=num_correct / num_claims,
        low=low,
        high=high,
        wilson_low=wilson_low,
        wilson_high=wilson_high,
        num_correct=num_correct,
        num_claims=num_claims,
        num_groups=np.unique(groups).size,
    )
