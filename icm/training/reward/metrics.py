"""How good a reward is on pairs of which the better response is known. Knows arrays, neither model nor file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit

from icm.files.records import Record
from icm.statistics.estimates import Resampling, estimate
from icm.statistics.schema import Calibration, Estimate
from icm.statistics.scores import calibration


class LengthBias(Record):
    """Whether a reward likes long responses, over the pairs whose responses differ in length (characters).

    `prefers_longer` and `better_is_longer` are the shares in which the longer response has the higher reward, and is
    the better one; `rank_correlation` is Spearman's, of the difference of rewards with that of lengths; the accuracies
    are over the pairs whose better response is the longer, and the shorter one, `None` if there is no such pair.
    """

    num_pairs: int
    prefers_longer: float
    better_is_longer: float
    rank_correlation: float
    accuracy_better_longer: float | None
    accuracy_better_shorter: float | None


class RewardSpread(Record):
    """How rewards vary: a reward that is accurate but hardly varies gives a policy nothing to climb.

    `within_prompts` is the square root of the mean variance among the responses to one prompt.
    """

    mean: float
    standard_deviation: float
    within_prompts: float


class RewardMetrics(Record):
    """A reward on pairs whose better response is known.

    Attributes:
        num_ties: Pairs whose responses have the same reward; each counts half a right one in the `accuracy`.
        calibration: Of σ(difference of rewards) as the probability that a response is the better one.
        length_bias: `None` if all pairs have responses of one length.
        spread: `None` where single responses were not looked at.
        by_subset: Accuracy in each subset, where the pairs have subsets.
    """

    num_pairs: int
    num_groups: int
    num_ties: int
    accuracy: Estimate
    calibration: Calibration
    length_bias: LengthBias | None
    spread: RewardSpread | None
    by_subset: dict[str, Estimate]


def reward_metrics(
    margins: NDArray[np.float64],
    length_differences: NDArray[np.int64],
    groups: Sequence[str],
    resampling: Resampling,
    *,
    num_bins: int = 10,
    subsets: Sequence[str] = (),
    spread: RewardSpread | None = None,
) -> RewardMetrics:
    """Judge a reward by its differences.

    Margins (N,) are rewards of the better responses less those of the worse ones, length differences (N,) likewise, in
    characters; groups (N,) are what is resampled; subsets are (N,) names, or none.

    Raises:
        ValueError: There are no pairs.
    """
    if len(margins) == 0:
        raise ValueError("a reward cannot be judged on no pairs")
    right = _right(margins)
    # Confidence in the response that is preferred; at a tie both are, and either is as right as wrong.
    calibrated = calibration(expit(np.abs(margins)), margins > 0, num_bins)
    assert calibrated is not None
    names = np.array(subsets)
    group_names = np.array(groups)
    return RewardMetrics(
        num_pairs=len(margins),
        num_groups=len(set(groups)),
        num_ties=int((margins == 0).sum()),
        accuracy=estimate(right, group_names, resampling),
        calibration=calibrated,
        length_bias=length_bias(margins, length_differences),
        spread=spread,
        by_subset={
            str(name): estimate(right[names == name], group_names[names == name], resampling)
            for name in np.unique(names)
        },
    )


def length_bias(margins: NDArray[np.float64], length_differences: NDArray[np.int64]) -> LengthBias | None:
    """Return how a reward stands to length, `None` if there are no two responses of different length."""
    differ = length_differences != 0
    if not differ.any():
        return None
    margins, lengths = margins[differ], length_differences[differ]
    right, longer = _right(margins), lengths > 0
    # Every pair in both orders, since which response stands first must not matter.
    both_margins, both_lengths = np.concatenate([margins, -margins]), np.concatenate([lengths, -lengths])
    ranks = stats.rankdata(both_margins), stats.rankdata(both_lengths)
    # A correlation with a constant is 0 / 0.
    constant = np.ptp(both_margins) == 0
    return LengthBias(
        num_pairs=int(differ.sum()),
        prefers_longer=float(np.where(longer, right, 1 - right).mean()),
        better_is_longer=float(longer.mean()),
        rank_correlation=0.0 if constant else float(np.corrcoef(*ranks)[0, 1]),
        accuracy_better_longer=float(right[longer].mean()) if longer.any() else None,
        accuracy_better_shorter=float(right[~longer].mean()) if (~longer).any() else None,
    )


def reward_spread(rewards: NDArray[np.float64], prompts: Sequence[str]) -> RewardSpread:
    """Return how the rewards (R,) of responses to prompts (R,) vary."""
    _, member = np.unique(np.array(prompts), return_inverse=True)
    sizes = np.bincount(member)
    means = np.bincount(member, weights=rewards) / sizes
    # A prompt with one response says nothing about the spread among responses, so only larger ones are averaged below.
    within = np.bincount(member, weights=(rewards - means[member]) ** 2) / sizes
    return RewardSpread(
        mean=float(rewards.mean()),
        standard_deviation=float(rewards.std()),
        within_prompts=float(np.sqrt(within[sizes > 1].mean())) if (sizes > 1).any() else 0.0,
    )


def _right(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    # A tie is half right: a constant reward must come out at chance.
    return np.where(margins == 0, 0.5, (margins > 0).astype(np.float64))
