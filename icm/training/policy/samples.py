"""Samples of a policy beside those of the model it came from, and what they say. Knows no golden label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from icm.files.records import Record
from icm.statistics.estimates import Resampling, estimate
from icm.statistics.schema import Estimate
from icm.training.completions import Policy, log_probabilities, sample
from icm.training.policy.best_of_n import best_of_n_kl, selection_weights
from icm.training.policy.rewards import Reward

SAMPLES: Final = "samples.jsonl"


class SampleRow(Record):
    """A line of `samples.jsonl`: a completion by the base, where the training started, or by the policy.

    Attributes:
        ended: Whether it ended by itself; otherwise it was truncated.
        tokens: Its length.
        log_ratio: log p(completion | prompt) under the policy less that under the base, nats; 0 for the base's own.
        reward: `None` where there is no reward.
    """

    source: Literal["base", "policy"]
    prompt: str
    completion: str
    ended: bool
    tokens: int
    log_ratio: float
    reward: float | None


class SampleMeasures(Record):
    """What the samples of one source say; intervals are over prompts.

    Attributes:
        kl: Mean log-ratio: the divergence from the base, nats per completion.
        reward_deviation: Standard deviation of the rewards within a prompt, mean over prompts; a policy has nothing
            to climb where it is 0.
        tokens: Mean length.
        ended: Share that ended by itself.
    """

    num_prompts: int
    num_samples: int
    kl: Estimate
    reward: Estimate | None
    reward_deviation: float | None
    tokens: float
    ended: float


class BestOfN(Record):
    """What the best of n completions of the base by reward would be worth: expected reward and length.

    `kl` is ln n − (n − 1)/n, a bound on the divergence from the base, nats.
    """

    n: int
    kl: float
    reward: float
    tokens: float


class PolicyMetrics(Record):
    """`metrics.json` of the policy stage.

    `policy` is `None` where nothing was trained, `best_of_n` empty where there is no reward; `kl_budget_spent` says
    that the divergence ended the training before its last step.
    """

    base: SampleMeasures
    policy: SampleMeasures | None
    best_of_n: tuple[BestOfN, ...]
    steps: int
    kl_budget_spent: bool


def sample_rows(
    policy: Policy, base: Policy, prompts: Sequence[str], samples_per_prompt: int, reward: Reward | None, seed: int
) -> list[SampleRow]:
    """Sample a policy, or the base itself, and measure each completion; the samples of a prompt follow one another."""
    completions = sample(policy, prompts, samples_per_prompt, seed)
    # Exactly 0 for the base: the difference of two forward passes would leave a rounding error.
    ratios = np.zeros(len(completions))
    if policy is not base:
        ratios = log_probabilities(policy, completions) - log_probabilities(base, completions)
    asked, texts = [each.prompt for each in completions], [each.text for each in completions]
    rewards = [None] * len(completions) if reward is None else reward(asked, texts).tolist()
    return [
        SampleRow(
            source="base" if policy is base else "policy",
            prompt=each.prompt,
            completion=each.text,
            ended=each.ended,
            tokens=len(each.tokens),
            log_ratio=float(ratio),
            reward=one,
        )
        for each, ratio, one in zip(completions, ratios, rewards, strict=True)
    ]


def measure(rows: Sequence[SampleRow], resampling: Resampling) -> SampleMeasures:
    """Return what the samples of one source say."""
    prompts = np.array([row.prompt for row in rows])
    rewards = _rewards(rows)
    groups = by_prompt(prompts.tolist())
    return SampleMeasures(
        num_prompts=len(groups),
        num_samples=len(rows),
        # By prompt, as samples of one prompt are no independent evidence.
        kl=estimate(np.array([row.log_ratio for row in rows]), prompts, resampling),
        reward=None if rewards is None else estimate(rewards, prompts, resampling),
        reward_deviation=None if rewards is None else float(np.mean([rewards[group].std() for group in groups])),
        tokens=float(np.mean([row.tokens for row in rows])),
        ended=float(np.mean([row.ended for row in rows])),
    )


def best_of_n(rows: Sequence[SampleRow], sizes: Sequence[int]) -> tuple[BestOfN, ...]:
    """Return what the best of n is worth for every size, from more samples than that; none without rewards."""
    rewards = _rewards(rows)
    if rewards is None:
        return ()
    lengths = np.array([row.tokens for row in rows], dtype=np.float64)
    return tuple(
        BestOfN(
            n=n,
            kl=best_of_n_kl(n),
            reward=float(expected_best_of_n(rows, rewards, n).mean()),
            tokens=float(expected_best_of_n(rows, lengths, n).mean()),
        )
        for n in sizes
    )


def expected_best_of_n(rows: Sequence[SampleRow], values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return for each prompt (P,) what a value (N,) of samples is expected to be for the best of n by reward.

    Raises:
        ValueError: A sample has no reward, or a prompt has fewer than n samples.
    """
    rewards = _rewards(rows)
    if rewards is None:
        raise ValueError("best of n picks by reward, and the samples have none")
    return np.array(
        [selection_weights(rewards[group], n) @ values[group] for group in by_prompt([row.prompt for row in rows])]
    )


def _rewards(rows: Sequence[SampleRow]) -> NDArray[np.float64] | None:
    # All or none: one source of rewards gives a finite number to every completion.
    rewards = [row.reward for row in rows]
    return None if None in rewards else np.array(rewards, dtype=np.float64)


def by_prompt(prompts: Sequence[str]) -> list[NDArray[np.int64]]:
    """Return the places of the samples of each prompt, given the prompt (N,) of each sample."""
    # In the order of first appearance, which sorting by np.unique would not keep: the sums over prompts depend on it.
    places: dict[str, list[int]] = {}
    for place, prompt in enumerate(prompts):
        places.setdefault(prompt, []).append(place)
    return [np.array(group) for group in places.values()]
