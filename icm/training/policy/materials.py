"""What a policy is trained on and asked, and what of it the model cannot read. Knows no training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from icm.errors import TrainingError
from icm.files.records import CLAIMS, HELD_OUT, read_claims, read_rows
from icm.statistics.streams import Stream, generator
from icm.training.completions import Policy, base_name, fit_prompts, open_policy
from icm.training.finetune import Demonstration, candidates, fit_demonstrations
from icm.training.pairs import PAIRS, PreferencePair
from icm.training.policy.dpo import DpoSettings, fit_pairs
from icm.training.policy.settings import PolicyConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """What is trained on and asked; all of it fits the model."""

    prompts: Sequence[str]
    sampled_prompts: Sequence[str]
    candidates: Sequence[Demonstration]
    pairs: Sequence[PreferencePair]


def gather(config: PolicyConfig, prepare_dir: Path, reward_dir: Path | None) -> tuple[Materials, list[tuple[str, str]]]:
    """Read what is trained on and asked; return what the model can read, and of all else its kind and text.

    Raises:
        TrainingError: No prompt fits, or no pair.
    """
    policy = open_policy(base_name(config.base), config.completion)
    found = candidates(read_claims(prepare_dir / CLAIMS), config.prompts)
    prompts, long_prompts = fit_prompts(policy, [prompt for prompt, _ in found])
    rejected = [("prompt", text) for text in long_prompts]
    if not prompts:
        raise TrainingError(
            f"none of {len(long_prompts):,} prompts leaves room for {config.completion.max_tokens} tokens in the "
            f"model's context; lower completion.max_tokens, or take a model with a longer context"
        )
    # Without a warm start nothing closes a completion, and some bases have nothing to close one with.
    demonstrations: list[Demonstration] = []
    if config.warm_start is not None:
        demonstrations, long_ones = fit_demonstrations(policy, found)
        rejected += [("demonstration", prompt) for prompt, _ in long_ones]
    pairs: list[PreferencePair] = []
    # A directory is always named (it follows from the run); most methods do not read it.
    if reward_dir is not None and config.needs_pairs:
        wanted = read_rows(reward_dir / PAIRS, PreferencePair)
        if isinstance(config.method, DpoSettings):
            wanted = [pair for pair in wanted if pair.probability >= config.method.min_probability]
        pairs, too_long = fit_pairs(policy, wanted)
        rejected += [("pair", pair.id) for pair in too_long]
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


def _sampled_prompts(
    config: PolicyConfig, policy: Policy, prepare_dir: Path, trained: Sequence[str]
) -> tuple[str, ...]:
    """Draw the prompts that base and policy are compared on, from the held-out claims where there are any."""
    # Held-out prompts that are all too long leave the trained ones: a comparison on fewer is better than on none.
    prompts: Sequence[str] = trained
    if (prepare_dir / HELD_OUT).stat().st_size:
        held_out = candidates(read_claims(prepare_dir / HELD_OUT), config.prompts)
        prompts = fit_prompts(policy, [prompt for prompt, _ in held_out])[0] or trained
    rng = generator(config.seed, Stream.POLICY_PROMPTS)
    chosen: list[int] = rng.permutation(len(prompts))[: config.sampling.num_prompts].tolist()
    # Back in the order of the claims, so that samples.jsonl can be read beside them.
    return tuple(prompts[place] for place in sorted(chosen))
