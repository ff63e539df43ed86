"""Supervised fine-tuning on completions: of a policy that never learned to complete, or on what labels prefer.

Knows no reward and no label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset
from rich.console import Console
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from icm.claims import Claim
from icm.errors import SchemaError, TrainingError
from icm.training.completions import Policy, context_length, refuse_control_tokens
from icm.training.loop import LoopSettings, library_arguments, run_policy_training
from icm.training.pairs import PromptSettings, render_prompt

Demonstration = tuple[str, str]
"""A prompt and a completion to learn, with the space before it."""


class SftSettings(LoopSettings):
    """How a policy is fine-tuned on completions."""

    kind: Literal["sft"] = "sft"


def candidates(claims: Sequence[Claim], settings: PromptSettings) -> list[Demonstration]:
    """Return every response and answer that claims hold, good or bad, behind its prompt, repetitions dropped.

    Raises:
        SchemaError: No claim holds one.
    """
    # A dict rather than a set: the order of the claims decides what is trained on in which step.
    found: dict[Demonstration, None] = {}
    for claim in claims:
        if "response_1" in claim.parts and "response_2" in claim.parts:
            prompt = render_prompt(settings.comparison_prompt, claim)
            texts = [claim.parts["response_1"], claim.parts["response_2"]]
        elif settings.answer_part in claim.parts:
            prompt, texts = render_prompt(settings.answer_prompt, claim), [claim.parts[settings.answer_part]]
        else:
            continue
        found |= dict.fromkeys((prompt, f" {text}") for text in texts)
    if not found:
        raise SchemaError(
            f"none of {len(claims):,} claims compares two responses or has a part {settings.answer_part!r}, so there "
            f"is nothing to ask a policy; set prompts.answer_part to one of {', '.join(claims[0].parts) or 'none'}"
        )
    return list(found)


def require_ending(policy: Policy) -> str:
    """Return what closes a completion in training.

    Raises:
        TrainingError: Neither the model nor the settings name such a token.
    """
    if policy.ending is None:
        examples = ", ".join(repr(policy.tokenizer.decode([token])) for token in policy.stop_ids[:4])
        raise TrainingError(
            f"the model has no end-of-sequence token, so completions must be closed by another one in training; set "
            f"completion.ending to a token that contains completion.stop={policy.settings.stop!r}, such as {examples}"
        )
    return policy.ending


def fit_demonstrations(
    policy: Policy, demonstrations: Sequence[Demonstration]
) -> tuple[list[Demonstration], list[Demonstration]]:
    """Return the demonstrations that the model can read with their ending, and the others; repetitions are dropped.

    Raises:
        TrainingError: A demonstration holds a control token of the model.
    """
    refuse_control_tokens(policy, [prompt + completion for prompt, completion in demonstrations])
    ending, limit = require_ending(policy), context_length(policy.model)
    kept: list[Demonstration] = []
    too_long: list[Demonstration] = []
    for prompt, completion in dict.fromkeys(demonstrations):
        # With its ending, which is trained on too; cut off, it would never be learned.
        tokens = policy.tokenizer(prompt + completion + ending, verbose=False)["input_ids"]
        (kept if len(tokens) <= limit else too_long).append((prompt, completion))
    return kept, too_long


def fine_tune(
    policy: Policy,
    demonstrations: Sequence[Demonstration],
    settings: SftSettings,
    out_dir: Path,
    seed: int,
    console: Console,
) -> None:
    """Fine-tune a policy on completions that fit its context; see `train_on_completions`.

    Raises:
        TrainingError: Nothing closes a completion.
    """
    ending = require_ending(policy)
    # The ending is learned with the rest, or the policy would never stop.
    rows = [{"prompt": prompt, "completion": completion + ending} for prompt, completion in demonstrations]
    # All rows fit; the library would otherwise cut them at a length of its own.
    arguments = library_arguments(settings, out_dir, seed) | {"max_length": context_length(policy.model)}
    train_on_completions(policy, rows, arguments, out_dir, console, settings.kind)


def train_on_completions(
    policy: Policy, rows: list[dict[str, Any]], arguments: Mapping[str, Any], out_dir: Path, console: Console, what: str
) -> None:
    """Train a policy on rows of which the completion alone carries the loss, and write it to `out_dir/model`.

    The policy's model is changed. Rows have a form that the library reads: texts, or tokens with a mask.
    """

    def trainer() -> SFTTrainer:
        return SFTTrainer(
            model=policy.model,
            args=SFTConfig(**arguments, completion_only_loss=True),
            train_dataset=Dataset.from_list(rows),
            processing_class=policy.tokenizer,
        )

    run_policy_training(policy, trainer, out_dir, console, what, _measures)


def _measures(logs: Mapping[str, Any]) -> dict[str, float]:
    return {"loss": float(logs["loss"]), "token_accuracy": logs["mean_token_accuracy"], "entropy": logs["entropy"]}
