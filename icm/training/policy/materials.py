"""What a policy is trained on and asked, and what of it the model cannot read. Knows no training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from icm.errors import TrainingError
from icm.files.records import CLAIMS, HELD_OUT, Record, read_claims, read_rows
from icm.statistics.streams import Stream, generator
from icm.training.completions import Policy, fit_prompts, open_policy
from icm.training.finetune import Demonstration, fit_demonstrations
from icm.training.pairs import PAIRS, PreferencePair
from icm.training.policy.dpo import DpoSettings, fit_pairs
from icm.training.policy.prompts import candidates
from icm.training.policy.settings import PolicyConfig


class RejectedText(Record):
    """A line of `rejected.jsonl`: what the model cannot read."""

    kind: Literal["prompt", "demonstration", "pair"]
    reason: Literal["over_context"] = "over_context"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """What is trained on and asked; all of it fits the model."""

    prompts: Sequence[str]
    sampled_prompts: Sequence[str]
    candidates: Sequence[Demonstration]
    pairs: Sequence[PreferencePair]


def gather(config: PolicyConfig, prepare_dir: Path, reward_dir: Path | None) -> tuple[Materials, list[RejectedText]]:
    """Read what is trained on and asked, and part it into what the model can read and what not.

    Raises:
        TrainingError: No prompt fits, or no pair.
    """
    policy = open_policy(config.base_name, config.completion)
    found = candidates(read_claims(prepare_dir / CLAIMS), config.prompts)
    prompts, long_prompts = fit_prompts(policy, [each.prompt for each in found])
    rejected = [RejectedText(kind="prompt", text=text) for text in long_prompts]
    if not prompts:
        raise TrainingError(
            f"none of {len(long_prompts):,} prompts leaves room for {config.completion.max_tokens} tokens in the "
            f"model's context; lower completion.max_tokens, or take a model with a longer context"
        )
    demonstrations: list[Demonstration] = []
    if config.warm_start is not None:
        demonstrations, long_ones = fit_demonstrations(policy, found)
        rejected += [RejectedText(kind="demonstration", text=each.prompt) for each in long_ones]
    pairs: list[PreferencePair] = []
    if reward_dir is not None and config.needs_pairs:
        pairs, too_long = fit_pairs(policy, _wanted_pairs(config, reward_dir))
        rejected += [RejectedText(kind="pair", text=pair.id) for pair in too_long]
        if not pairs:
            raise TrainingError(
                f"none of the pairs in {reward_dir / PAIRS} can be trained on; the model's context is short"
            )
    materials = Materials(
        prompts=prompts,
        sampled_prompts=_sampled_prompts(config, policy, prepare_dir, prompts),
        candidates=demonstrations,
        pairs=pairs,
    )
    return materials, rejected


def _wanted_pairs(config: PolicyConfig, reward_dir: Path) -> list[PreferencePair]:
    pairs = read_rows(reward_dir / PAIRS, PreferencePair)
    least = config.method.min_probability if isinstance(config.method, DpoSettings) else 0.0
    return [pair for pair in pairs if pair.probability >= least]


def _sampled_prompts(
    config: PolicyConfig, policy: Policy, prepare_dir: Path, trained: Sequence[str]
) -> tuple[str, ...]:
    """Draw the prompts that base and policy are compared on, from the held-out claims where there are any."""
    prompts: Sequence[str] = trained
    if (prepare_dir / HELD_OUT).stat().st_size:
        held_out = candidates(read_claims(prepare_dir / HELD_OUT), config.prompts)
        prompts = fit_prompts(policy, [each.prompt for each in held_out])[0] or trained
    rng = generator(config.seed, Stream.POLICY_PROMPTS)
    chosen: list[int] = rng.permutation(len(prompts))[: config.sampling.num_prompts].tolist()
    return tuple(prompts[place] for place in sorted(chosen))
