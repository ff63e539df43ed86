"""Reinforcement learning of a policy against a reward, by RLOO or GRPO. Knows no label.

The policy is pulled back to where it started by `kl_weight`, and the training ends when it has strayed by `kl_budget`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
from datasets import Dataset
from pydantic import Field, model_validator
from rich.console import Console
from transformers import Trainer, TrainerState
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_config import RLOOConfig
from trl.trainer.rloo_trainer import RLOOTrainer

from icm.errors import TrainingError
from icm.files.curves import append_rows
from icm.statistics.streams import Stream, generator
from icm.training.completions import Policy, read_completion, sample
from icm.training.loop import CURVE, LoopSettings, library_arguments, run_policy_training
from icm.training.policy.rewards import Reward, require_informative

ROLLOUTS: Final = "rollouts.jsonl"
PROBE_PROMPTS: Final = 32
PROBE_SAMPLES: Final = 4


class RlSettings(LoopSettings):
    """How a policy is trained against a reward; each key is explained in conf/method/rloo.yaml.

    RLOO subtracts from each reward the mean of the other completions of its prompt, and the divergence; GRPO divides by
    their deviation as well, clips, and puts the divergence into the loss.

    Source: Ahmadian et al. 2024, "Back to Basics" (RLOO); Shao et al. 2024, "DeepSeekMath" (GRPO).
    """

    kind: Literal["rloo", "grpo"]
    num_generations: int = Field(default=8, ge=2)
    kl_weight: float = Field(gt=0)
    kl_budget: float | None = Field(default=None, gt=0)
    kl_window: int = Field(default=5, ge=1)
    mask_truncated: bool = True
    rollouts_every: int = Field(default=10, ge=1)

    @model_validator(mode="after")
    def _groups_are_whole(self) -> Self:
        if (self.batch_size * self.gradient_accumulation) % self.num_generations:
            raise ValueError(
                f"batch_size * gradient_accumulation must be a multiple of num_generations={self.num_generations}, "
                f"got {self.batch_size} * {self.gradient_accumulation}"
            )
        return self


def probe(policy: Policy, prompts: Sequence[str], reward: Reward, seed: int) -> None:
    """Check on a few samples that completions end and that the reward tells them apart, before any training.

    Raises:
        TrainingError: No completion ended, or the reward is constant, or it is no finite number.
    """
    # A training of hours must not find out in the end that its reward says nothing.
    completions = sample(policy, prompts[:PROBE_PROMPTS], PROBE_SAMPLES, seed)
    if not any(completion.ended for completion in completions):
        raise TrainingError(
            f"none of {len(completions)} probe completions ended within completion.max_tokens="
            f"{policy.settings.max_tokens}; raise it, name the text that ends one (completion.stop), or begin with a "
            f"warm_start on completions that end. The first was {completions[0].text[:80]!r}"
        )
    probed = [completion.prompt for completion in completions]
    require_informative(reward(probed, [completion.text for completion in completions]), probed)


def train_policy(
    policy: Policy,
    prompts: Sequence[str],
    reward: Reward,
    settings: RlSettings,
    out_dir: Path,
    seed: int,
    console: Console,
) -> None:
    """Train a policy, whose model is changed, and write it to `out_dir/model`, its curve and some rollouts beside it.

    An interrupted training goes on at its last checkpoint and ends with the weights it would have had.

    Raises:
        TrainingError: A reward is no finite number.
    """
    rewards = _reward_function(policy, reward, settings, out_dir / ROLLOUTS)
    run_policy_training(
        policy,
        lambda: _trainer(policy, prompts, rewards, settings, out_dir, seed),
        out_dir,
        console,
        settings.kind,
        lambda logs: _measures(logs, settings),
        lambda history: budget_spent([_measures(logs, settings)["kl"] for logs in history if "kl" in logs], settings),
        (CURVE, ROLLOUTS),
    )


def _trainer(
    policy: Policy,
    prompts: Sequence[str],
    rewards: Callable[..., list[float]],
    settings: RlSettings,
    out_dir: Path,
    seed: int,
) -> Trainer:
    arguments = library_arguments(settings, out_dir, seed) | {
        "num_generations": settings.num_generations,
        "max_completion_length": policy.settings.max_tokens,
        "temperature": policy.settings.temperature,
        "beta": settings.kl_weight,
        "mask_truncated_completions": settings.mask_truncated,
        "shuffle_dataset": False,  # see `prompt_order`
    }
    common = {
        "model": policy.model,
        "reward_funcs": rewards,
        "train_dataset": Dataset.from_dict({"prompt": prompt_order(prompts, settings, seed)}),
        "processing_class": policy.tokenizer,
    }
    if settings.kind == "rloo":
        return RLOOTrainer(args=RLOOConfig(**arguments), **common)
    return GRPOTrainer(args=GRPOConfig(**arguments), **common)


def prompt_order(prompts: Sequence[str], settings: RlSettings, seed: int) -> list[str]:
    """Return the prompts of all steps, one after the other: every prompt once before any comes again.

    The library would shuffle anew in every pass, but after a resumption from the first pass on: one long pass has
    the same order whether it was interrupted or not.
    """
    # A batch holds each prompt num_generations times in a row; the library repeats them itself.
    needed = settings.steps * settings.batch_size * settings.gradient_accumulation // settings.num_generations
    num_passes = -(-needed // len(prompts))
    rng = generator(seed, Stream.PROMPT_ORDER)
    places: list[int] = np.concatenate([rng.permutation(len(prompts)) for _ in range(num_passes)]).tolist()
    return [prompts[place] for place in places[:needed]]


def _reward_function(policy: Policy, reward: Reward, settings: RlSettings, path: Path) -> Callable[..., list[float]]:
    """Return what TRL asks for rewards; it writes down the completions of some steps."""

    def rollout_rewards(
        prompts: list[str], completion_ids: list[list[int]], trainer_state: TrainerState, **_: Any
    ) -> list[float]:
        # TRL would decode up to the end of the row, with what follows the stop text.
        texts = [read_completion(policy, *row).text for row in zip(prompts, completion_ids, strict=True)]
        rewards = reward(prompts, texts).tolist()
        # Rewards are asked for before the step is counted.
        step = trainer_state.global_step + 1
        if step == 1 or step % settings.rollouts_every == 0:
            columns = ("step", "prompt", "completion", "reward")
            rows = zip([step] * len(texts), prompts, texts, rewards, strict=True)
            append_rows(path, [dict(zip(columns, row, strict=True)) for row in rows])
        return rewards

    return rollout_rewards


def _measures(logs: Mapping[str, Any], settings: RlSettings) -> dict[str, float]:
    """Return the measures of a step: divergence and length are those of a completion, nats and tokens."""
    # The library logs the divergence per token that counts; truncated completions count only if they teach.
    counted = "mean_terminated_length" if settings.mask_truncated else "mean_length"
    return {
        "reward": logs["reward"],
        "reward_deviation": logs["reward_std"],
        "kl": logs["kl"] * logs[f"completions/{counted}"],
        "length": logs["completions/mean_length"],
        "truncated": logs["completions/clipped_ratio"],
        "entropy": logs["entropy"],
    }


def budget_spent(divergences: Sequence[float], settings: RlSettings) -> bool:
    """Say whether the divergences of the steps so far, nats per completion, have spent the budget."""
    # The median, because GRPO's estimate of a divergence has wild outliers.
    window = divergences[-settings.kl_window :]
    return (
        settings.kl_budget is not None
        and len(window) == settings.kl_window
        and float(np.median(window)) > settings.kl_budget
    )
