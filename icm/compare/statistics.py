"""Means, intervals and tests over the runs of each column. Reads no file; of golden labels it sees what was right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from icm.compare.schema import ColumnRow, RunRow
from icm.statistics.estimates import Resampling
from icm.statistics.schema import Estimate
from icm.statistics.streams import Stream, generator

SUCCESS: Final = 0.95
NUM_PERMUTATIONS: Final = 9999


def summarise(runs: Sequence[RunRow], resampling: Resampling) -> list[ColumnRow]:
    """Return a row for each task and column, in the order of the runs.

    Every column holds the same seeds of a task, in the same order.
    """
    return [
        _summarise(
            [run for run in runs if (run.task, run.column) == (task, column)],
            None if number == 0 else [run for run in runs if (run.task, run.column) == (task, columns[0])],
            resampling,
        )
        for task in dict.fromkeys(run.task for run in runs)
        for columns in [list(dict.fromkeys(run.column for run in runs if run.task == task))]
        for number, column in enumerate(columns)
    ]


def _summarise(runs: Sequence[RunRow], first: Sequence[RunRow] | None, resampling: Resampling) -> ColumnRow:
    # One value for each claim: of one seed, all columns have the same claims, so differences are paired.
    values = [np.array(run.correct, dtype=np.float64) for run in runs]
    difference = p_value = None
    if first is not None:
        less_first = [value - np.array(run.correct) for value, run in zip(values, first, strict=True)]
        difference = clustered_estimate(less_first, [run.groups for run in runs], resampling)
        # Over seeds, not over claims: claims of one seed share a search, so they are no independent evidence.
        p_value = paired_test([run.accuracy for run in runs], [run.accuracy for run in first], resampling.seed)
    return ColumnRow(
        task=runs[0].task,
        column=runs[0].column,
        num_runs=len(runs),
        accuracy=clustered_estimate(values, [run.groups for run in runs], resampling),
        difference=difference,
        p_value=p_value,
        success_rate=float(np.mean([run.accuracy >= SUCCESS for run in runs])),
        coverage=float(np.mean([run.coverage for run in runs])),
        utility=float(np.mean([run.utility for run in runs])),
        violations=float(np.mean([run.violations for run in runs])),
        tokens=float(np.mean([run.tokens for run in runs])),
        naive_tokens=float(np.mean([run.naive_tokens for run in runs])),
        # The median, since the first run of a model also loads it.
        seconds=float(np.median([run.seconds for run in runs])),
    )


def clustered_estimate(
    values: Sequence[NDArray[np.float64]], groups: Sequence[Sequence[str]], resampling: Resampling
) -> Estimate:
    """Return the mean over runs of the mean of each, with the interval of a bootstrap over runs and groups in them.

    Runs are drawn with replacement, and of each drawn run its groups: the claims of a group stand and fall together,
    and so do, more often than not, all claims of a run.

    Args:
        values: For each run (n,) one value for each claim.
        groups: For each run the group of each claim.
        resampling: How the interval is made.
    """
    # Sums and sizes of the groups are all that a resample needs, so it costs groups and not claims.
    sums, sizes = [], []
    for value, group in zip(values, groups, strict=True):
        _, member = np.unique(np.asarray(group), return_inverse=True)
        sums.append(np.bincount(member, weights=value))
        sizes.append(np.bincount(member))
    # The same draws for accuracy and difference, so that the two intervals fit together.
    random = generator(resampling.seed, Stream.BOOTSTRAP)
    means = np.empty(resampling.num_resamples)
    for resample in range(resampling.num_resamples):
        drawn_means = []
        for run in random.integers(len(values), size=len(values)):
            drawn = random.integers(sums[run].size, size=sums[run].size)
            drawn_means.append(sums[run][drawn].sum() / sizes[run][drawn].sum())
        means[resample] = np.mean(drawn_means)
    tail = (1 - resampling.confidence_level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(value=float(np.mean([value.mean() for value in values])), low=float(low), high=float(high))


def paired_test(one: Sequence[float], other: Sequence[float], seed: int) -> float | None:
    """Return the p-value, two-sided, of the mean paired difference under random exchanges within the pairs.

    Exact for few pairs. `None` for fewer than two.

    Source: Fisher 1935, "The Design of Experiments" (the randomisation test of paired differences).
    """
    if len(one) < 2:
        return None
    # "samples" exchanges the two values of a pair, never values of different seeds.
    result = stats.permutation_test(
        (np.array(one), np.array(other)),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=NUM_PERMUTATIONS,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)
