"""A reward model: a sequence classifier with one output, read from a directory and asked about texts. Knows no label.

The directory is an ordinary one of the transformers library, so that any reinforcement learning library can read it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, set_seed

from icm.errors import ScoringError, TrainingError
from icm.models.names import local_directory
from icm.models.whole import require_sizes, require_weights
from icm.pocket.weights import pocket_model_dir
from icm.training.libraries import quiet_libraries, save_model
from icm.training.reward.settings import EnsembleSettings, RewardModelSettings

MODEL: Final = "model"
"""Name of the model directory inside the directory of a stage."""

BATCH_TOKENS: Final = 8192
"""Tokens of a forward pass, padding included."""


@dataclass(frozen=True, slots=True)
class RewardModel:
    """A loaded reward model: a sequence classifier with one output, and its tokenizer, which has a pad token.

    It reads at most `max_length` tokens; a `fresh_head` has random weights.
    """

    model: Any
    tokenizer: Any
    max_length: int
    fresh_head: bool

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text; no end-of-text token is added, since rollouts may lack one."""
        # Not truncated: a text that is cut would get the reward of another. Split: a control token inside is text.
        how = {"truncation": False, "split_special_tokens": True, "verbose": False}
        return self.tokenizer(list(texts), **how)["input_ids"] if texts else []

    def rewards(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the reward of each text (N,): prompt and response joined.

        Raises:
            TrainingError: A text is longer than the model can read, or its reward is NaN or infinite.
        """
        return self.rewards_of_tokens(self.encode(texts))

    def rewards_of_tokens(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """Return the reward of each tokenised text (N,); see `rewards`."""
        longest = max(map(len, tokens), default=0)
        if longest > self.max_length:
            raise TrainingError(
                f"a text of {longest:,} tokens does not fit the reward model, which reads {self.max_length:,}; "
                f"leave it out"
            )
        rewards = np.empty(len(tokens))
        self.model.eval()
        for batch in _batches([len(each) for each in tokens]):
            rewards[batch] = self._forward([tokens[index] for index in batch])
        if not np.isfinite(rewards).all():
            worst = int(np.flatnonzero(~np.isfinite(rewards))[0])
            raise TrainingError(
                f"the reward of text {worst} is {rewards[worst]}: the model's weights are broken; train it again with "
                f"a lower learning_rate, or start from another base"
            )
        return rewards

    def save(self, directory: Path) -> list[str]:
        """Write the model directory whole or not at all; return the names of its files, relative to its parent."""
        save_model(self.model, self.tokenizer, directory)
        return sorted(f"{directory.name}/{path.name}" for path in directory.iterdir())

    def _forward(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        width = max(map(len, rows))
        # The mask, not the pad token, keeps padding out of the attention.
        ids = torch.full((len(rows), width), self.tokenizer.pad_token_id)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
            mask[place, : len(row)] = 1
        device = self.model.device
        with torch.inference_mode():
            logits = self.model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
        return logits.squeeze(-1).float().cpu().numpy()


def load_reward_model(directory: Path | str) -> RewardModel:
    """Load a trained reward model onto the GPU if there is one, else the CPU.

    Raises:
        TrainingError: There is none, or it lacks its head or a pad token.
    """
    reward_model = _load(str(directory), revision=None, fresh_head=False, pad_token=None, max_length=None)
    reward_model.model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    return reward_model


def open_base(settings: RewardModelSettings) -> RewardModel:
    """Load what a reward model starts from, with a head of its own or, where the settings allow it, a fresh one.

    Raises:
        TrainingError: There is no such model, it is incomplete, its head has not one output, or there is no pad token.
    """
    # A fresh head draws its weights from the global generator of torch.
    set_seed(settings.seed)
    return _load(
        settings.base or str(pocket_model_dir()),
        revision=settings.revision,
        fresh_head=settings.fresh_head,
        pad_token=settings.pad_token,
        max_length=settings.max_length,
    )


def combined_rewards(
    members: Sequence[RewardModel], settings: EnsembleSettings
) -> Callable[[Sequence[str]], NDArray[np.float64]]:
    """Return the reward of texts, (N,) to (N,), that several models agree on."""
    return lambda texts: combine(np.stack([member.rewards(texts) for member in members]), settings)


def combine(rewards: NDArray[np.float64], settings: EnsembleSettings) -> NDArray[np.float64]:
    """Combine the rewards of members, (M, N), into one of each text (N,); a lone member is left as it is.

    Source: Coste et al. 2024, arXiv 2310.02743 (worst case, and uncertainty-weighted mean).
    """
    match settings.rule:
        case "mean":
            return rewards.mean(axis=0)
        case "min":
            return rewards.min(axis=0)
        case "mean_minus_variance":
            return rewards.mean(axis=0) - settings.penalty * rewards.var(axis=0)


def _load(
    name: str, *, revision: str | None, fresh_head: bool, pad_token: str | None, max_length: int | None
) -> RewardModel:
    try:
        # Before the Hub client, which would take a mistyped path for a repository and say something about the network.
        directory = local_directory(name)
    except ScoringError as error:
        raise TrainingError(str(error)) from None
    location = str(directory or name)
    source = {"revision": revision, "local_files_only": directory is not None}
    try:
        with quiet_libraries():
            config = AutoConfig.from_pretrained(location, **source)
            _check_outputs(name, config)
            tokenizer = AutoTokenizer.from_pretrained(location, **source)
            # Pickled weights could run code of their own, so safetensors alone.
            model, report = AutoModelForSequenceClassification.from_pretrained(
                location,
                num_labels=1,
                dtype="float32",
                use_safetensors=True,
                output_loading_info=True,
                # Let through here, so that they can be named below.
                ignore_mismatched_sizes=True,
                **source,
            )
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        raise TrainingError(f"cannot load {name!r} as a reward model: {str(error).strip().splitlines()[0]}") from None
    # Sorted, since the library returns a set, and the first is named in messages.
    missing = sorted(report["missing_keys"])
    # Weights of the language model itself start with its prefix; whatever else is missing, or has no place, belongs to
    # a head: that of the reward, or that of the language model which the training starts from.
    require_weights(name, report, TrainingError, lambda key: not key.startswith(f"{model.base_model_prefix}."))
    require_sizes(name, model, tokenizer, TrainingError)
    _check_head(name, missing, fresh_head)
    _set_pad_token(name, model, tokenizer, pad_token)
    return RewardModel(model, tokenizer, _max_length(model, tokenizer, max_length), bool(missing))


def _check_outputs(name: str, config: Any) -> None:
    """Refuse a classifier of several classes: none of its outputs is a reward."""
    is_classifier = any("SequenceClassification" in each for each in config.architectures or ())
    if is_classifier and config.num_labels != 1:
        raise TrainingError(
            f"{name} is a classifier of {config.num_labels} classes, a reward model has one output; "
            f"start from a language model, or from a reward model"
        )


def _check_head(name: str, missing: list[str], fresh_head: bool) -> None:
    if missing and not fresh_head:
        raise TrainingError(
            f"{name} has no reward head ({', '.join(missing)}): it is a language model, no reward model; set "
            f"fresh_head=true to train it with a fresh one, or name the model/ directory that `icm reward` wrote"
        )


def _set_pad_token(name: str, model: Any, tokenizer: Any, pad_token: str | None) -> None:
    """Give tokenizer and model the same pad token: the reward is read at the last token that is not one."""
    if pad_token is not None:
        if pad_token not in tokenizer.get_vocab():
            raise TrainingError(f"pad_token={pad_token!r} is not in the vocabulary of {name}; choose a token that is")
        tokenizer.pad_token = pad_token
    if tokenizer.pad_token is None:
        special = ", ".join(map(repr, tokenizer.all_special_tokens)) or "none"
        raise TrainingError(
            f"the tokenizer of {name} has no pad token, so texts of different lengths cannot be read together; set "
            f"pad_token to a token that no text holds (its special tokens: {special})"
        )
    # Only with padding on the right do positions count from the first token of each text.
    tokenizer.padding_side = "right"
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id


def _max_length(model: Any, tokenizer: Any, wanted: int | None) -> int:
    # A model without learned positions states no maximum; then the tokenizer's is the only one known.
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None) or tokenizer.model_max_length
    if wanted is not None and wanted > context:
        raise TrainingError(f"max_length={wanted:,} is more than the {context:,} tokens that the model reads; lower it")
    return wanted or context


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Return the positions of texts in batches of similar length, `BATCH_TOKENS` with padding at most."""
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        # Longest first, so the first of a batch says how wide it is, and no padded batch is over the limit.
        if not batches or (len(batches[-1]) + 1) * lengths[batches[-1][0]] > BATCH_TOKENS:
            batches.append([])
        batches[-1].append(index)
    return batches
