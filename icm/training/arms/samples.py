"""What the best of n samples by an arm's reward is worth to a judge. Knows samples, rewards and qualities, no label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from icm.files.records import Record
from icm.training.policy.best_of_n import best_of_n_kl, selection_weights
from icm.training.policy.samples import by_prompt


class CurvePoint(Record):
    """A policy between base and over-optimisation: best-of-n, which has an `n`, or one in training, which has a `step`.

    Attributes:
        kl: Divergence from the base, nats; of best-of-n the bound ln n − (n − 1)/n.
        proxy: Mean reward, in standard deviations of the base's rewards above their mean; `None` without a reward.
        quality: Mean golden quality, in the judge's units; `None` without a judge.
    """

    n: int | None = None
    step: int | None = None
    kl: float
    proxy: float | None
    quality: float | None


def standardised(rewards: NDArray[np.float64], base: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rewards in standard deviations of the base's rewards above their mean, so that arms can be compared."""
    # Rewards that are all the same (an arm without a reward) stand at 0.
    deviation = base.std()
    return (rewards - base.mean()) / (deviation if deviation > 0 else 1.0)


def best_of_n_curve(
    prompts: Sequence[str], rewards: NDArray[np.float64], quality: NDArray[np.float64] | None, sizes: Sequence[int]
) -> tuple[CurvePoint, ...]:
    """Return what the best of n by reward comes to for every size, exactly: the mean over all choices of n samples.

    Prompts, rewards and, with a judge, golden qualities are those of the samples, (N,) each; no size may exceed the
    samples of a prompt.
    """
    # By weights instead of draws: arms then differ by their rewards alone, not by luck.
    proxy = standardised(rewards, rewards)
    points = []
    for n in sizes:
        weights = picks(prompts, rewards, n)
        points.append(
            CurvePoint(
                n=n,
                kl=best_of_n_kl(n),
                proxy=float(weights @ proxy),
                quality=None if quality is None else float(weights @ quality),
            )
        )
    return tuple(points)


def picks(prompts: Sequence[str], rewards: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the weight (N,) of each sample in the mean over prompts of the best of n; weights sum to 1."""
    groups = by_prompt(prompts)
    weights = np.zeros(len(rewards))
    for group in groups:
        # Every prompt weighs the same, however many samples it has.
        weights[group] = selection_weights(rewards[group], n) / len(groups)
    return weights


def win_rate(
    prompts: Sequence[str], quality: NDArray[np.float64], one: NDArray[np.float64], other: NDArray[np.float64]
) -> float:
    """Return how often a judge prefers one choice of samples to another, a tie counting half.

    Prompts and golden qualities are those of the samples, (N,) each; a choice is the weights (N,) that `picks` returns.
    """
    groups = by_prompt(prompts)
    won = 0.0
    for group in groups:
        # (S, S) for the S samples of the prompt: row i, column j says whether sample i is better than sample j.
        better = quality[group][:, None] > quality[group][None, :]
        tied = quality[group][:, None] == quality[group][None, :]
        # Weights of a prompt sum to 1 / number of prompts, so their product does to that squared: one of the two is
        # the mean over prompts, the other is taken back.
        won += len(groups) * float(one[group] @ (better + tied / 2) @ other[group])
    return won
