"""The paper's main figure: accuracy on held-out claims with labelled claims as shots. Knows a scorer, no file.

In every arm the model sees the same shots in the same order before the same claims; only the labels of the shots
differ. So a difference between arms is a difference between labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from icm.claims import UNLABELLED, Claim, Labels, LabelSpace
from icm.evaluate.schema import ARMS_WITH_SHOTS, Arm, ArmResult, InContext, SkippedShots
from icm.prompts import NO_CONTEXT, Prompt, render_demo
from icm.scoring.protocol import LabelScorer
from icm.statistics.estimates import Resampling, estimate
from icm.statistics.schema import Estimate
from icm.statistics.streams import Stream, generator


class Candidates(NamedTuple):
    """The searched claims that shots are drawn from: those with an elicited and a golden label.

    Attributes:
        claims: The claims.
        elicited: (M,) their elicited labels.
        golden: (M,) their golden labels.
    """

    claims: Sequence[Claim]
    elicited: Labels
    golden: Labels


Draw = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Shots as positions (K,) among the candidates, and a random label (K,) for each; fewer shots are the first ones."""


def in_context_accuracy(
    scorer: LabelScorer,
    space: LabelSpace,
    candidates: Candidates,
    queries: Sequence[Claim],
    query_golden: Labels,
    *,
    shots: Sequence[int],
    num_draws: int,
    resampling: Resampling,
) -> InContext | None:
    """Ask held-out claims without shots, and after random draws of shots that carry each arm's labels.

    The prediction is the label with the highest log-probability (of equal ones the first). Returns `None` if no
    held-out claim with a golden label fits the model's context.

    Args:
        scorer: The model.
        space: The labels and their verbalizers.
        candidates: What shots are drawn from.
        queries: The held-out claims.
        query_golden: (Q,) their golden labels, `UNLABELLED` where there is none.
        shots: Numbers of shots; 0 is always asked.
        num_draws: Random draws of shots.
        resampling: How the intervals are made, and the seed of the draws.
    """
    has_gold = query_golden != UNLABELLED
    fits = _fits_without_shots(scorer, space, queries)
    kept = np.flatnonzero(has_gold & fits)
    if not kept.size:
        return None
    asked = [queries[int(k)] for k in kept]
    wanted = sorted({count for count in shots if count > 0})
    largest = min(max(wanted, default=0), len(candidates.claims))
    draws = [
        draw_shots(len(candidates.claims), largest, len(space), resampling.seed, index) for index in range(num_draws)
    ]
    counts, skipped = _fitting(scorer, space, candidates, draws, asked, wanted)
    zero_shot = _predict(scorer, [Prompt(NO_CONTEXT, claim.text) for claim in asked])[None, :]
    predictions: dict[tuple[Arm, int], NDArray[np.int64]] = {("zero_shot", 0): zero_shot}
    for arm in ARMS_WITH_SHOTS:
        by_draw = [_ask(scorer, demonstrations(space, candidates, draw, arm), counts, asked) for draw in draws]
        predictions |= {(arm, count): np.stack([each[k] for each in by_draw]) for k, count in enumerate(counts)}
    return _summarise(
        predictions,
        query_golden[kept],
        [claim.group for claim in asked],
        len(space),
        resampling,
        num_over_context=int((has_gold & ~fits).sum()),
        num_without_gold=int((~has_gold).sum()),
        num_candidates=len(candidates.claims),
        skipped=skipped,
    )


def draw_shots(num_candidates: int, num_shots: int, num_labels: int, seed: int, index: int) -> Draw:
    """Draw shots without replacement, and a random label for each."""
    rng = generator(seed, Stream.SHOTS, index)
    return rng.permutation(num_candidates)[:num_shots], rng.integers(num_labels, size=num_shots)


def demonstrations(space: LabelSpace, candidates: Candidates, draw: Draw, arm: Arm) -> list[str]:
    """Return the shots of a draw as segments with the labels of an arm."""
    order, random_labels = draw
    arm_labels = {"random": random_labels, "elicited": candidates.elicited[order], "golden": candidates.golden[order]}
    return [
        render_demo(candidates.claims[int(claim)], int(label), space)
        for claim, label in zip(order, arm_labels[arm], strict=True)
    ]


# ------------------------------------------------------------------------------------------------ what fits and asking


def _fits_without_shots(scorer: LabelScorer, space: LabelSpace, queries: Sequence[Claim]) -> NDArray[np.bool_]:
    """Return which queries (Q,) the model can be asked at all."""
    if scorer.context_length is None or not queries:
        return np.ones(len(queries), dtype=np.bool_)
    return _tokens(scorer, space, queries) <= scorer.context_length


def _fitting(
    scorer: LabelScorer,
    space: LabelSpace,
    candidates: Candidates,
    draws: Sequence[Draw],
    queries: Sequence[Claim],
    wanted: Sequence[int],
) -> tuple[list[int], list[SkippedShots]]:
    """Part the numbers of shots into those that can be asked whole, in every draw and arm, and those that cannot."""
    limit = scorer.context_length
    longest = np.zeros(max(wanted, default=0), dtype=np.int64)  # tokens of the first shots, in the longest draw
    longest_query = 0
    if limit is not None and candidates.claims:
        lengths = _tokens(scorer, space, candidates.claims)
        longest = np.max([np.cumsum(lengths[order]) for order, _ in draws], axis=0)
        longest_query = int(_tokens(scorer, space, queries).max())
    fitting, skipped = [], []
    for count in wanted:
        if count > len(candidates.claims):
            reason = f"only {len(candidates.claims)} claims have both an elicited and a golden label"
        elif limit is not None and longest[count - 1] + longest_query > limit:
            reason = f"prompts of up to {longest[count - 1] + longest_query} tokens, the model's context is {limit}"
        else:
            fitting.append(count)
            continue
        skipped.append(SkippedShots(num_shots=count, reason=reason))
    return fitting, skipped


def _tokens(scorer: LabelScorer, space: LabelSpace, claims: Sequence[Claim]) -> NDArray[np.int64]:
    """Return the tokens of each claim (N,) with its longest verbalizer."""
    by_label = [
        scorer.count_tokens([render_demo(claim, label, space) for claim in claims]) for label in range(len(space))
    ]
    return np.max(by_label, axis=0)


def _ask(
    scorer: LabelScorer, demos: Sequence[str], counts: Sequence[int], queries: Sequence[Claim]
) -> NDArray[np.int64]:
    """Return the predictions (C, Q) after the first `counts` demos.

    All counts go out as one batch over one path of demos, so a scorer that shares prefixes reads each demo once.
    """
    prompts, context = [], NO_CONTEXT
    for count in counts:
        context = context.extend(demos[context.num_segments : count])
        prompts += [Prompt(context, claim.text) for claim in queries]
    return _predict(scorer, prompts).reshape(len(counts), len(queries)) if prompts else np.zeros((0, 0), dtype=np.int64)


def _predict(scorer: LabelScorer, prompts: Sequence[Prompt]) -> NDArray[np.int64]:
    return scorer.label_logprobs(prompts).argmax(axis=1)


# ------------------------------------------------------------------------------------------------ summary


def _summarise(
    predictions: dict[tuple[Arm, int], NDArray[np.int64]],
    golden: Labels,
    groups: Sequence[str],
    num_labels: int,
    resampling: Resampling,
    *,
    num_over_context: int,
    num_without_gold: int,
    num_candidates: int,
    skipped: Sequence[SkippedShots],
) -> InContext:
    correct = {key: (each == golden).astype(np.float64) for key, each in predictions.items()}
    results = tuple(
        ArmResult(
            arm=arm,
            num_shots=count,
            num_draws=len(each),
            accuracy=estimate(correct[arm, count], groups, resampling),
            predicted_shares=tuple((np.bincount(each.ravel(), minlength=num_labels) / each.size).tolist()),
        )
        for (arm, count), each in predictions.items()
    )
    top = max(count for _, count in predictions)
    headline: dict[Arm, Estimate] = {each.arm: each.accuracy for each in results if each.num_shots in (0, top)}
    minus: dict[Arm, Estimate] = {}
    if top:
        at_top: dict[Arm, NDArray[np.float64]] = {
            arm: correct[arm, count] for arm, count in correct if count in (0, top)
        }
        minus = {
            arm: estimate(at_top["elicited"] - each, groups, resampling)
            for arm, each in at_top.items()
            if arm != "elicited"
        }
    return InContext(
        num_queries=len(groups),
        num_over_context=num_over_context,
        num_without_gold=num_without_gold,
        num_candidates=num_candidates,
        headline_shots=top or None,
        zero_shot=headline["zero_shot"],
        random=headline.get("random"),
        elicited=headline.get("elicited"),
        golden=headline.get("golden"),
        elicited_minus=minus,
        results=results,
        skipped=tuple(skipped),
    )
