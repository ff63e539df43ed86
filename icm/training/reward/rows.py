"""What a reward model reads in training: tokenised texts with soft targets, and what had to be left out. Asks no model.

TRL's trainer drops rows that are too long without a word, and adds an end-of-text token that rollouts may lack; so
texts are cut into tokens here, and every row that cannot be used is listed with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from icm.files.records import Record
from icm.training.reward.model import RewardModel

TrainingRow = tuple[str, tuple[str, ...], float]
"""An id, the chosen and the rejected text of a pair (or the one text of an answer), and the probability that the first
text is the better one (or that the answer is right)."""

EncodedRow = tuple[tuple[tuple[int, ...], ...], float]
"""The tokens of each text of a row, and its probability."""


class RejectedExample(Record):
    """A pair or an answer that a reward model cannot be trained on.

    `over_context`: it has more tokens than the model may read; `unknown_words`: the tokenizer lacks a word of it;
    `pad_inside`: it holds the pad token; `same_tokens`: both responses have the same tokens.
    """

    id: str
    reason: Literal["over_context", "unknown_words", "pad_inside", "same_tokens"]
    detail: str


def encode_rows(
    reward_model: RewardModel, rows: Sequence[TrainingRow]
) -> tuple[list[EncodedRow], list[RejectedExample]]:
    """Cut rows into tokens and part them into those that the model can read and those that it cannot."""
    encoded: list[EncodedRow] = []
    rejected: list[RejectedExample] = []
    for row_id, texts, probability in rows:
        tokens = tuple(map(tuple, reward_model.encode(texts)))
        if problem := _problem(reward_model, row_id, tokens):
            rejected.append(problem)
        else:
            encoded.append((tokens, probability))
    return encoded, rejected


def _problem(reward_model: RewardModel, row_id: str, tokens: Sequence[Sequence[int]]) -> RejectedExample | None:
    tokenizer = reward_model.tokenizer
    longest = max(map(len, tokens))
    if longest > reward_model.max_length:
        detail = f"{longest:,} tokens, at most {reward_model.max_length:,} are allowed"
        return RejectedExample(id=row_id, reason="over_context", detail=detail)
    if tokenizer.unk_token_id is not None and any(tokenizer.unk_token_id in text for text in tokens):
        return RejectedExample(id=row_id, reason="unknown_words", detail=f"reads as {tokenizer.unk_token} in part")
    # The classifier reads its reward at the last token that is no padding, so one inside would cut the text short.
    if any(tokenizer.pad_token_id in text for text in tokens):
        detail = f"{tokenizer.pad_token} would end the text where the reward is read"
        return RejectedExample(id=row_id, reason="pad_inside", detail=detail)
    # Equal rewards whatever the weights, so the pair could teach nothing.
    if len(set(tokens)) < len(tokens):
        return RejectedExample(id=row_id, reason="same_tokens", detail="the tokenizer cannot tell the responses apart")
    return None
