"""Completions of a language model: where one ends, sampling them, their log-probabilities. Knows no reward.

A completion ends with an end-of-sequence token or, for a model that never learned one, before a text (`stop`): every
token of the vocabulary that contains this text ends a completion too, and the text of the completion is what stands
before it. What has not ended after `max_tokens` is truncated, and counted as such.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from icm.errors import TrainingError
from icm.files.records import Record
from icm.models.identity import digest_of_directory
from icm.models.names import local_directory
from icm.pocket.weights import pocket_model_dir
from icm.prepare.settings import ReadText
from icm.scoring.local.loading import load_model
from icm.scoring.local.segments import control_tokens

SAMPLING_BATCH = 256
"""Completions that are sampled at a time; the seed decides over each batch, so another size gives other samples."""


class CompletionSettings(Record):
    """How completions are sampled and where they end; each key is explained in conf/completion."""

    stop: ReadText | None = Field(min_length=1)
    ending: ReadText | None = Field(min_length=1)
    max_tokens: int = Field(ge=1)
    temperature: float = Field(gt=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A language model that completes prompts.

    Attributes:
        model: The model, in evaluation mode.
        tokenizer: Its tokenizer for sampling and training: it pads on the left and has an end-of-sequence token.
        plain_tokenizer: The tokenizer as it came with the model.
        stop_ids: The tokens that end a completion.
        ending: The token that closes a completion in supervised training, `None` if none is known.
    """

    name: str | Path
    model: Any
    tokenizer: Any
    plain_tokenizer: Any
    stop_ids: tuple[int, ...]
    ending: str | None
    settings: CompletionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A prompt, its completion up to where it ends, and the tokens of that with the one that ended it, if one did."""

    prompt: str
    text: str
    tokens: tuple[int, ...]
    ended: bool


def base_name(base: str | None) -> str:
    """Return the model directory or Hub id that a setting `base` means: `None` is the embedded pocket model.

    Raises:
        ScoringError: There is no such model, or it has not been fetched.
    """
    return str(pocket_model_dir() if base is None else local_directory(base) or base)


def identity_of_base(base: str | None) -> dict[str, str]:
    """Return the content hash of a model that a training starts from, as a part of what its result follows from.

    A directory may change under its name; a Hub id is recorded by name alone.
    """
    directory = Path(base_name(base)).expanduser()
    return {"base": digest_of_directory(directory)} if directory.is_dir() else {}


def open_policy(name: str | Path, settings: CompletionSettings) -> Policy:
    """Load a language model, by directory or Hub id, to sample from or to train, in float32.

    Raises:
        ScoringError: There is no such model.
        TrainingError: Its tokenizer cannot pad, nothing ends a completion, or the ending is no token.
    """
    # float32: the updates of a small learning rate would vanish in the rounding of half precision.
    model, plain_tokenizer, _ = load_model(name, revision=None, dtype="float32", device="auto")
    # A copy: it is changed below, and the plain one is what is written beside a trained model.
    tokenizer = copy.deepcopy(plain_tokenizer)
    if tokenizer.pad_token_id is None:
        raise TrainingError(
            f"{name}: the tokenizer has no padding token, and completions of different length cannot be batched "
            f"without; set pad_token in its tokenizer_config.json (to the end-of-sequence token, say)"
        )
    # The next token is read at the last place of a row, which padding must not take.
    tokenizer.padding_side = "left"
    stop_ids = _stop_ids(name, model, tokenizer, settings.stop)
    ending = _ending(name, tokenizer, stop_ids, settings.ending)
    # TRL cannot do without an end-of-sequence token; what it is only matters where completions are written.
    tokenizer.eos_token = ending or tokenizer.decode([stop_ids[0]])
    # generate() and TRL read there where completions end.
    model.generation_config.eos_token_id = list(stop_ids)
    return Policy(
        name=name,
        model=model,
        tokenizer=tokenizer,
        plain_tokenizer=plain_tokenizer,
        stop_ids=stop_ids,
        ending=ending,
        settings=settings,
    )


def _stop_ids(name: str | Path, model: Any, tokenizer: Any, stop: str | None) -> tuple[int, ...]:
    """Return the end-of-sequence tokens and those that contain the stop text."""
    # A model may declare one such token, several, or none, and its tokenizer yet another.
    declared = model.generation_config.eos_token_id
    ids = [*(declared if isinstance(declared, list) else [declared]), tokenizer.eos_token_id]
    ends = [token for token in ids if token is not None]
    if stop is None:
        if not ends:
            raise TrainingError(
                f"{name} has no end-of-sequence token, so no completion would ever end; set completion.stop to "
                f"the text before which one ends (a line break, say)"
            )
        return tuple(dict.fromkeys(ends))
    # Sampling is stopped by tokens, not by text, and the text may stand inside many of them (a line break, say).
    found = [token for token in range(len(tokenizer)) if stop in tokenizer.decode([token])]
    if not found:
        raise TrainingError(
            f"completion.stop={stop!r}: no single token of {name} contains it, so sampling would not stop there; "
            f"take a shorter text, such as a line break"
        )
    return tuple(dict.fromkeys((*ends, *found)))


def _ending(name: str | Path, tokenizer: Any, stop_ids: Sequence[int], ending: str | None) -> str | None:
    """Return the token that closes a completion in supervised training, `None` if none is known."""
    if ending is None:
        return tokenizer.eos_token
    tokens = tokenizer.encode(ending, add_special_tokens=False)
    if len(tokens) != 1 or tokens[0] not in stop_ids:
        raise TrainingError(
            f"completion.ending={ending!r} must be one token of {name} that ends a completion, but it is "
            f"{len(tokens)} token(s): {[tokenizer.decode([token]) for token in tokens]}"
        )
    return ending


def fit_prompts(policy: Policy, prompts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the prompts that leave room for a completion of full length, and the others; repetitions are dropped.

    Raises:
        TrainingError: A prompt holds a control token of the model.
    """
    refuse_control_tokens(policy, prompts)
    different = list(dict.fromkeys(prompts))
    room = context_length(policy.model) - policy.settings.max_tokens
    # Quiet, because the tokenizer would warn of each text that is too long, and these are looked for here.
    lengths = [len(tokens) for tokens in policy.tokenizer(different, verbose=False)["input_ids"]] if different else []
    kept = [prompt for prompt, length in zip(different, lengths, strict=True) if length <= room]
    return kept, [prompt for prompt, length in zip(different, lengths, strict=True) if length > room]


def refuse_control_tokens(policy: Policy, texts: Sequence[str]) -> None:
    """Make sure that no text holds what the tokenizer would take for a command: the library reads texts so in training.

    Raises:
        TrainingError: One does; the message names it.
    """
    # Of the plain tokenizer: what closes completions here may be a token of ordinary text.
    for control in control_tokens(policy.plain_tokenizer):
        if found := [text for text in texts if control in text]:
            raise TrainingError(
                f"{len(found):,} texts hold {control!r}, a control token of {policy.name}, which would be trained on "
                f"as a command; the first: {found[0][:100]!r}; write it otherwise in the source, or leave these rows "
                f"out"
            )


def context_length(model: Any) -> int:
    """Return how many tokens a model can read."""
    # A model that states no maximum is taken to read anything.
    return int(getattr(model.config.get_text_config(), "max_position_embeddings", 2**31))


def sample(policy: Policy, prompts: Sequence[str], num_samples: int, seed: int) -> list[Completion]:
    """Sample completions, `num_samples` in a row for each prompt; equal seeds give equal samples."""
    repeated = [prompt for prompt in prompts for _ in range(num_samples)]
    completions: list[Completion] = []
    # Forked, so that sampling in the middle of a stage moves no draw of a training after it.
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for start in range(0, len(repeated), SAMPLING_BATCH):
            completions += _sample_batch(policy, repeated[start : start + SAMPLING_BATCH])
    return completions


@torch.inference_mode()
def _sample_batch(policy: Policy, prompts: list[str]) -> list[Completion]:
    settings, tokenizer = policy.settings, policy.tokenizer
    encoded = tokenizer(prompts, return_tensors="pt", padding=True, return_token_type_ids=False).to(policy.model.device)
    generated = policy.model.generate(
        **encoded,
        do_sample=True,
        temperature=settings.temperature,
        top_k=0,  # the library's default of 50 would sample from another distribution than the one measured
        top_p=1.0,
        max_new_tokens=settings.max_tokens,
        eos_token_id=list(policy.stop_ids),
        pad_token_id=tokenizer.pad_token_id,
    )
    rows = generated[:, encoded["input_ids"].shape[1] :].tolist()
    return [read_completion(policy, prompt, row) for prompt, row in zip(prompts, rows, strict=True)]


def read_completion(policy: Policy, prompt: str, row: Sequence[int]) -> Completion:
    """Return the completion that a row of generated tokens holds, without what follows its end."""
    # The first one: rows of a batch go on, padded or sampled, until the longest of them has ended.
    end = next((place for place, token in enumerate(row) if token in policy.stop_ids), None)
    tokens = row if end is None else row[: end + 1]
    stop = policy.settings.stop
    # A token that ends a completion may begin with text that still belongs to it, but only if a text ends one.
    readable = row[:end] if stop is None else tokens
    text = policy.tokenizer.decode(readable, skip_special_tokens=True)
    text = text if stop is None else text.split(stop, 1)[0]
    return Completion(prompt=prompt, text=text, tokens=tuple(tokens), ended=end is not None)


@torch.inference_mode()
def log_probabilities(policy: Policy, completions: Sequence[Completion]) -> NDArray[np.float64]:
    """Return log p(completion | prompt) under a policy, (N,) nats, summed over the tokens of each completion."""
    sums = np.empty(len(completions))
    for start in range(0, len(completions), SAMPLING_BATCH):
        batch = completions[start : start + SAMPLING_BATCH]
        sums[start : start + len(batch)] = _batch_log_probabilities(policy, batch)
    return sums


def _batch_log_probabilities(policy: Policy, completions: Sequence[Completion]) -> NDArray[np.float64]:
    prompts = policy.tokenizer([completion.prompt for completion in completions])["input_ids"]
    lengths = [len(prompt) + len(completion.tokens) for prompt, completion in zip(prompts, completions, strict=True)]
    tokens = torch.full((len(completions), max(lengths)), policy.tokenizer.pad_token_id)
    attended, counted = torch.zeros_like(tokens), torch.zeros_like(tokens, dtype=torch.bool)
    for row, (prompt, completion, length) in enumerate(zip(prompts, completions, lengths, strict=True)):
        # On the right here: places then count from the first token, and what follows the length is masked.
        tokens[row, :length] = torch.tensor([*prompt, *completion.tokens])
        attended[row, :length] = 1
        counted[row, len(prompt) : length] = True
    # The logits at place i predict the token at i + 1, so the last place is dropped, and the first token below.
    device = policy.model.device
    logits = policy.model(tokens.to(device), attention_mask=attended.to(device)).logits[:, :-1].float()
    # At the temperature of sampling: the divergence is that of what is really drawn.
    scaled = (logits / policy.settings.temperature).log_softmax(-1).cpu()
    picked = scaled.gather(-1, tokens[:, 1:, None])[..., 0]
    return (picked * counted[:, 1:]).sum(1).double().numpy()
