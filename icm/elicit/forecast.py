"""What a search will cost, before the model is asked anything. Knows prompts and token counts, no model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icm.claims import Claim, Labels, LabelSpace, freeze
from icm.errors import ScoringError
from icm.objective import LeaveOneOut, Objective
from icm.prequential import Prequential
from icm.prompts import Context, Prompt, render_demo
from icm.searches.proposals import with_label


@dataclass(frozen=True, slots=True)
class Forecast:
    """Cost of a search, estimated.

    Attributes:
        num_steps: Steps of the chain.
        evaluation_prompts: Prompts of one evaluation of U with every claim labelled.
        demos: The fewest and the most labelled claims that stand before a query.
        evaluation_tokens: Tokens of these prompts, shared beginnings counted once.
        naive_tokens: Tokens of these prompts, each in full.
        longest_prompt: Tokens of the longest prompt, its verdict included.
        labelling_tokens: Tokens to label every claim once, evaluating U each time.
        most_tokens: Tokens if every step changed a label, without repair.
        num_evaluations: Evaluations of whole labellings, at the most; `None` for a chain of single proposals.
    """

    num_steps: int
    evaluation_prompts: int
    demos: tuple[int, int]
    evaluation_tokens: int
    naive_tokens: int
    longest_prompt: int
    labelling_tokens: int
    most_tokens: int
    num_evaluations: int | None

    def __str__(self) -> str:
        fewest, most = self.demos
        shown = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
        return (
            f"one evaluation of U: {self.evaluation_prompts:,} prompts with {shown} labelled claims before the query, "
            f"{self.evaluation_tokens:,} tokens "
            f"({self.naive_tokens:,} without sharing), the longest {self.longest_prompt:,}; {self._steps()}"
        )

    def _steps(self) -> str:
        if self.num_evaluations is None:
            return (
                f"{self.num_steps:,} steps: from about {self.labelling_tokens:,} tokens if every claim is labelled "
                f"once to {self.most_tokens:,} if every step changes a label, plus repairs"
            )
        most = self.num_evaluations * self.evaluation_tokens
        return f"{self.num_steps:,} steps with at most {self.num_evaluations:,} evaluations: about {most:,} tokens"


@dataclass(frozen=True, slots=True)
class ReadingForecast:
    """Cost of a search that reads the claims one after the other, estimated.

    Attributes:
        num_steps: Steps of the search, at the most.
        num_claims: Claims.
        num_orders: Orders that one evaluation of U reads them in.
        blocks: Blocks that each order is cut into.
        order_tokens: Tokens of one reading of all claims.
        longest: Tokens of the longest block.
        num_evaluations: Evaluations of whole labellings, at the most; `None` for a chain of single proposals.
    """

    num_steps: int
    num_claims: int
    num_orders: int
    blocks: int
    order_tokens: int
    longest: int
    num_evaluations: int | None

    def __str__(self) -> str:
        evaluation_tokens = self.num_orders * self.order_tokens
        blocks = f"{self.blocks} block{'' if self.blocks == 1 else 's'}"
        told = (
            f"one evaluation of U: {self.num_claims:,} claims read in {self.num_orders} orders of {blocks}, "
            f"{evaluation_tokens:,} tokens, the longest block {self.longest:,}; "
        )
        if self.num_evaluations is None:
            # A changed label of one claim has one block read again in each order.
            most = self.num_steps * self.num_orders * self.longest
            return told + f"{self.num_steps:,} steps: about {most:,} tokens if every step changes a label, plus repairs"
        reads = self.num_evaluations * self.num_orders
        return told + (
            f"{self.num_steps:,} steps that read every claim at most {reads:,} times: about "
            f"{self.num_evaluations * evaluation_tokens:,} tokens"
        )


def forecast(
    objective: Objective,
    claims: Sequence[Claim],
    space: LabelSpace,
    num_steps: int,
    num_evaluations: int | None = None,
) -> Forecast | ReadingForecast:
    """Count what one evaluation of U with every claim labelled asks, and what a search may come to.

    Args:
        objective: U; its scorer counts tokens.
        claims: The claims.
        space: Their labels.
        num_steps: Steps of the search.
        num_evaluations: How many labellings it evaluates whole, at the most; `None` for a chain of single proposals.

    Raises:
        ScoringError: The longest prompt does not fit the model's context.
    """
    if isinstance(objective, Prequential):
        return _forecast_reading(objective, num_steps, num_evaluations)
    assert isinstance(objective, LeaveOneOut)
    # (L, N): verdicts differ in length, so each claim is counted with every label.
    demo_tokens = np.stack(
        [
            objective.scorer.count_tokens([render_demo(claim, label, space) for claim in claims])
            for label in range(len(space))
        ]
    )
    longest_label = int(np.argmax(demo_tokens.sum(axis=1)))
    # All claims with the label that is longest in all, so that hardly any labelling of the search costs more.
    labels = freeze(np.full(len(claims), longest_label))
    tokens = demo_tokens[longest_label].tolist()
    demos = [render_demo(claim, longest_label, space) for claim in claims]
    prompts = objective.prompts(labels)
    path_tokens, shared_tokens = _path_lengths(
        [prompt.context for prompt in prompts.values()], dict(zip(demos, tokens, strict=True))
    )
    # A query with its verdict is as long as the demo that it becomes.
    queries = [tokens[claim] for _, claim in prompts]
    prompt_tokens = [
        path_tokens[prompt.context] + query for prompt, query in zip(prompts.values(), queries, strict=True)
    ]
    num_demos = [prompt.context.num_segments for prompt in prompts.values()]
    # Queries count in full: a prompt shares what stands before its claim, and ends in a path of its own.
    evaluation_tokens = shared_tokens + sum(queries)
    changed = _changed_share(objective, labels, prompts)
    result = Forecast(
        num_steps=num_steps,
        evaluation_prompts=len(prompts),
        demos=(min(num_demos), max(num_demos)),
        evaluation_tokens=evaluation_tokens,
        naive_tokens=sum(prompt_tokens),
        longest_prompt=max(prompt_tokens),
        labelling_tokens=math.ceil(changed * _growth(evaluation_tokens, len(claims))),
        most_tokens=math.ceil(changed * evaluation_tokens * num_steps),
        num_evaluations=num_evaluations,
    )
    _check_context(result, demo_tokens.max(axis=0), objective.scorer.context_length)
    return result


def _forecast_reading(objective: Prequential, num_steps: int, num_evaluations: int | None) -> ReadingForecast:
    """Count what one order costs; another one is cut otherwise, but holds the same claims."""
    tokens = objective.plan.tokens
    blocks = objective.plan.blocks(0)
    return ReadingForecast(
        num_steps=num_steps,
        num_claims=tokens.size,
        num_orders=objective.num_orders,
        blocks=len(blocks),
        order_tokens=int(tokens.sum()),
        longest=max(int(tokens[block].sum()) for block in blocks),
        num_evaluations=num_evaluations,
    )


def _path_lengths(contexts: Sequence[Context], tokens_of: Mapping[str, int]) -> tuple[dict[Context, int], int]:
    """Return the tokens of each path of segments, and of all paths together when shared runs count once."""
    path: dict[Context, int] = {}
    shared = 0
    for context in contexts:
        # Up to the first node that has been counted, then down again: a path is as long as its parent and its own run.
        ahead: list[Context] = []
        node: Context | None = context
        while node is not None and node not in path:
            ahead.append(node)
            node = node.parent
        for node in reversed(ahead):
            run = sum(tokens_of[segment] for segment in node.run)
            path[node] = run + (path[node.parent] if node.parent else 0)
            shared += run
    return path, shared


def _changed_share(objective: LeaveOneOut, labels: Labels, prompts: Mapping[tuple[int, int], Prompt]) -> float:
    """Return which share of the prompts another label of one claim changes, on average over some claims."""
    changed = []
    # At most 16 claims, spread evenly: each of them costs the prompts of all claims, and a mean needs no more.
    for claim in np.linspace(0, labels.size - 1, num=min(labels.size, 16), dtype=int).tolist():
        other = objective.prompts(with_label(labels, claim, (int(labels[claim]) + 1) % objective.scorer.num_labels))
        changed.append(np.mean([other[place].digest != prompt.digest for place, prompt in prompts.items()]))
    # At the least the claim itself is asked before it is labelled.
    return max(float(np.mean(changed)), 1 / labels.size)


def _growth(evaluation_tokens: int, num_claims: int) -> int:
    """Sum the cost of evaluating U with 1, 2, …, N labels, when one with n labels costs as n * log2(2n)."""
    sizes = np.arange(1, num_claims + 1)
    relative = sizes * np.log2(2 * sizes)
    return math.ceil(evaluation_tokens * float(relative.sum() / relative[-1]))


def _check_context(result: Forecast, demo_tokens: NDArray[np.int64], context_length: int | None) -> None:
    if context_length is None or result.longest_prompt <= context_length:
        return
    # The longest first: so many claims fit whichever of them a context holds.
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
