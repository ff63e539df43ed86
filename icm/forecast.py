"""What a search will cost, before the model is asked anything. Knows prompts and token counts, no model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from icm.claims import Claim, LabelSpace
from icm.errors import ScoringError
from icm.objective import Objective
from icm.prompts import Context, render_demo


@dataclass(frozen=True, slots=True)
class Forecast:
    """Cost of a search, estimated.

    Attributes:
        num_steps: Steps of the chain.
        evaluation_prompts: Prompts of one evaluation of U with every claim labelled.
        evaluation_tokens: Tokens of these prompts, shared beginnings counted once.
        naive_tokens: Tokens of these prompts, each in full.
        longest_prompt: Tokens of the longest prompt, its verdict included.
        labelling_tokens: Tokens to label every claim once, evaluating U each time.
        most_tokens: Tokens if every step changed a label, without repair.
    """

    num_steps: int
    evaluation_prompts: int
    evaluation_tokens: int
    naive_tokens: int
    longest_prompt: int
    labelling_tokens: int
    most_tokens: int

    def __str__(self) -> str:
        return (
            f"one evaluation of U: {self.evaluation_prompts:,} prompts, {self.evaluation_tokens:,} tokens "
            f"({self.naive_tokens:,} without sharing), the longest {self.longest_prompt:,}; "
            f"{self.num_steps:,} steps: from about {self.labelling_tokens:,} tokens if every claim is labelled once "
            f"to {self.most_tokens:,} if every step changes a label, plus repairs"
        )


def forecast(objective: Objective, claims: Sequence[Claim], space: LabelSpace, num_steps: int) -> Forecast:
    """Count what one evaluation of U with every claim labelled asks, and what a chain may come to.

    Raises:
        ScoringError: The longest prompt does not fit the model's context.
    """
    scorer = objective.scorer
    demo_tokens = np.stack(
        [scorer.count_tokens([render_demo(claim, label, space) for claim in claims]) for label in range(len(space))]
    )
    longest_label = int(np.argmax(demo_tokens.sum(axis=1)))
    labels = np.full(len(claims), longest_label, dtype=np.int8)
    tokens_of = {
        render_demo(claim, longest_label, space): int(count)
        for claim, count in zip(claims, demo_tokens[longest_label], strict=True)
    }
    lengths: dict[Context, int] = {}
    shared = 0

    def length(context: Context) -> int:
        nonlocal shared
        if context not in lengths:
            run = sum(tokens_of[segment] for segment in context.run)
            lengths[context] = run + (length(context.parent) if context.parent else 0)
            shared += run
        return lengths[context]

    # A query with its verdict is as long as the demo that it becomes.
    query_tokens = demo_tokens[longest_label].tolist()
    prompt_tokens = [
        length(prompt.context) + query_tokens[claim] for (_, claim), prompt in objective.prompts(labels).items()
    ]
    evaluation_tokens = shared + len(objective.contexts) * sum(query_tokens)
    result = Forecast(
        num_steps=num_steps,
        evaluation_prompts=len(prompt_tokens),
        evaluation_tokens=evaluation_tokens,
        naive_tokens=sum(prompt_tokens),
        longest_prompt=max(prompt_tokens),
        labelling_tokens=_growth(evaluation_tokens, len(claims)),
        most_tokens=evaluation_tokens * num_steps,
    )
    _check_context(result, demo_tokens.max(axis=0), scorer.context_length)
    return result


def _growth(evaluation_tokens: int, num_claims: int) -> int:
    """Sum the cost of evaluating U with 1, 2, …, N labels, when one with n labels costs as n * log2(2n)."""
    sizes = np.arange(1, num_claims + 1)
    relative = sizes * np.log2(2 * sizes)
    return math.ceil(evaluation_tokens * float(relative.sum() / relative[-1]))


def _check_context(result: Forecast, demo_tokens: np.ndarray, context_length: int | None) -> None:
    if context_length is None or result.longest_prompt <= context_length:
        return
    fitting = int(np.searchsorted(np.cumsum(np.sort(demo_tokens)[::-1]), context_length, side="right"))
    raise ScoringError(
        f"the longest prompt has {result.longest_prompt:,} tokens, the model's context holds {context_length:,}. "
        f"{fitting} claims of this set always fit one prompt: "
        + (
            f"set contexts=k_shot contexts.num_shots={fitting - 1}, or task.num_claims={fitting}"
            if fitting > 1
            else "leave long claims out with task.max_claim_tokens"
        )
    )
