"""What a reward model reads in training: tokenised texts with soft targets, and what had to be left out. Asks no model.

TRL's trainer drops rows that are too long without a word, and adds an end-of-text token that rollouts may lack; so
texts are cut into tokens here, and every row that cannot be used is listed with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from icm.errors import TrainingError
from icm.files.records import Record
from icm.training.answers import LabelledAnswer
from icm.training.pairs import PreferencePair
from icm.training.reward.model import RewardModel


class RejectedExample(Record):
    """A pair or an answer that a reward model cannot be trained on.

    Attributes:
        id: Its id.
        reason: `over_context`: it has more tokens than the model may read; `unknown_words`: the tokenizer lacks a
            word of it; `pad_inside`: it holds the pad token; `same_tokens`: both responses have the same tokens.
        detail: What exactly was wrong, for a person.
    """

    id: str
    reason: Literal["over_context", "unknown_words", "pad_inside", "same_tokens"]
    detail: str


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One example: the texts that are read together, and the soft target.

    Attributes:
        id: Of the pair or answer.
        texts: The chosen and the rejected text of a pair; the one text of an answer.
        probability: That the first text is the better one; of an answer, that it is right.
    """

    id: str
    texts: tuple[str, ...]
    probability: float


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """A `TrainingRow` with tokens in place of texts."""

    tokens: tuple[tuple[int, ...], ...]
    probability: float


def pair_row(pair: PreferencePair) -> TrainingRow:
    """Return a pair as a training example."""
    return TrainingRow(pair.id, (pair.prompt + pair.chosen, pair.prompt + pair.rejected), pair.probability)


def answer_row(answer: LabelledAnswer) -> TrainingRow:
    """Return a labelled answer as a training example."""
    return TrainingRow(answer.id, (answer.prompt + answer.answer,), answer.probability)


def encode_rows(
    reward_model: RewardModel, rows: Sequence[TrainingRow]
) -> tuple[list[EncodedRow], list[RejectedExample]]:
    """Cut rows into tokens and part them into those that the model can read and those that it cannot.

    Raises:
        TrainingError: It can read none.
    """
    tokens = [_tokens(reward_model, row) for row in rows]
    problems = [_problem(reward_model, row.id, each) for row, each in zip(rows, tokens, strict=True)]
    encoded = [
        EncodedRow(each, row.probability)
        for row, each, problem in zip(rows, tokens, problems, strict=True)
        if problem is None
    ]
    rejected = [problem for problem in problems if problem is not None]
    if not encoded:
        raise TrainingError(
            f"the model can read none of the {len(rows):,} examples; the first: {rejected[0].reason}: "
            f"{rejected[0].detail}"
        )
    return encoded, rejected


def find_unusable(reward_model: RewardModel, rows: Sequence[TrainingRow]) -> list[RejectedExample]:
    """Return what the model cannot read."""
    problems = (_problem(reward_model, row.id, _tokens(reward_model, row)) for row in rows)
    return [problem for problem in problems if problem is not None]


def _tokens(reward_model: RewardModel, row: TrainingRow) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(ids) for ids in reward_model.encode(row.texts))


def _problem(reward_model: RewardModel, row_id: str, tokens: Sequence[Sequence[int]]) -> RejectedExample | None:
    tokenizer = reward_model.tokenizer
    longest = max(map(len, tokens))
    if longest > reward_model.max_length:
        detail = f"{longest:,} tokens, at most {reward_model.max_length:,} are allowed"
        return RejectedExample(id=row_id, reason="over_context", detail=detail)
    if tokenizer.unk_token_id is not None and any(tokenizer.unk_token_id in text for text in tokens):
        return RejectedExample(id=row_id, reason="unknown_words", detail=f"reads as {tokenizer.unk_token} in part")
    if any(tokenizer.pad_token_id in text for text in tokens):
        detail = f"{tokenizer.pad_token} would end the text where the reward is read"
        return RejectedExample(id=row_id, reason="pad_inside", detail=detail)
    if len(set(tokens)) < len(tokens):
        return RejectedExample(id=row_id, reason="same_tokens", detail="the tokenizer cannot tell the responses apart")
    return None
