"""The paper's main figure: accuracy on held-out claims with labelled claims as shots. Knows a scorer, no file.

In every arm the model sees the same shots in the same order before the same claims; only the labels of the shots
differ. So a difference between arms is a difference between labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from icm.claims import UNLABELLED, Claim, Labels, LabelSpace
from icm.evaluate.schema import ARMS, ARMS_WITH_SHOTS, Arm, ArmResult, InContext, SkippedShots
from icm.prompts import NO_CONTEXT, Prompt, render_demo
from icm.report.progress import ProgressDisplay
from icm.scoring.protocol import LabelScorer
from icm.statistics.estimates import Resampling, estimate
from icm.statistics.streams import Stream, generator

Draw = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Shots as positions (K,) among the candidates, and a random label (K,) for each; fewer shots are the first ones."""


def in_context_accuracy(
    scorer: LabelScorer,
    space: LabelSpace,
    candidates: Sequence[Claim],
    labels: Mapping[Arm, Labels],
    queries: Sequence[Claim],
    query_golden: Labels,
    *,
    shots: Sequence[int],
    num_draws: int,
    resampling: Resampling,
    console: Console | None = None,
) -> InContext | None:
    """Ask held-out claims without shots, and after random draws of shots that carry each arm's labels.

    The prediction is the label with the highest log-probability (of equal ones the first). Returns `None` if no
    held-out claim with a golden label fits the model's context.

    Args:
        scorer: The model.
        space: The labels and their verbalizers.
        candidates: What shots are drawn from: the searched claims that have an elicited and a golden label.
        labels: (M,) labels of the candidates, `elicited` and `golden`.
        queries: The held-out claims.
        query_golden: (Q,) their golden labels, `UNLABELLED` where there is none.
        shots: Numbers of shots; 0 is always asked.
        num_draws: Random draws of shots.
        resampling: How the intervals are made, and the seed of the draws.
        console: Where progress is shown; `None` for nowhere.
    """
    has_gold = query_golden != UNLABELLED
    fits = _fits_without_shots(scorer, space, queries)
    kept = np.flatnonzero(has_gold & fits)
    if not kept.size:
        return None
    asked = [queries[int(k)] for k in kept]
    wanted = sorted({count for count in shots if count > 0})
    # Drawn once for the largest number: a smaller number shows the first of the same shots.
    largest = min(max(wanted, default=0), len(candidates))
    draws = [draw_shots(len(candidates), largest, len(space), resampling.seed, index) for index in range(num_draws)]
    counts, skipped = fitting(scorer, space, candidates, draws, asked, wanted)
    batches: list[tuple[Arm, Draw]] = [(arm, draw) for arm in ARMS_WITH_SHOTS for draw in draws]
    with ProgressDisplay(console or Console(quiet=True), "evaluating in context", "batch") as display:
        display.show(0, 1 + len(batches))
        # Asked of the same claims as the arms, so that the difference to them is paired.
        zero_shot = _predict(scorer, [Prompt(NO_CONTEXT, claim.text) for claim in asked])[None, :]
        by_batch = []
        for number, (arm, draw) in enumerate(batches, start=1):
            display.show(number, 1 + len(batches), arm)
            by_batch.append(_ask(scorer, demonstrations(space, candidates, labels, draw, arm), counts, asked))
        display.show(1 + len(batches), 1 + len(batches))
    predictions: dict[tuple[Arm, int], NDArray[np.int64]] = {("zero_shot", 0): zero_shot}
    for place, arm in enumerate(ARMS_WITH_SHOTS):
        # The batches of an arm stand together, one for each draw: (D, C, Q).
        by_draw = by_batch[place * num_draws : (place + 1) * num_draws]
        predictions |= {(arm, count): np.stack([each[k] for each in by_draw]) for k, count in enumerate(counts)}
    return InContext(
        num_queries=len(asked),
        num_over_context=int((has_gold & ~fits).sum()),
        num_without_gold=int((~has_gold).sum()),
        num_candidates=len(candidates),
        skipped=tuple(skipped),
        **_accuracies(predictions, query_golden[kept], [claim.group for claim in asked], len(space), resampling),
    )


def draw_shots(num_candidates: int, num_shots: int, num_labels: int, seed: int, index: int) -> Draw:
    """Draw shots without replacement, and a random label for each."""
    rng = generator(seed, Stream.SHOTS, index)
    # All candidates are permuted, whatever the number of shots, so that more shots begin with the fewer ones.
    return rng.permutation(num_candidates)[:num_shots], rng.integers(num_labels, size=num_shots)


def demonstrations(
    space: LabelSpace, candidates: Sequence[Claim], labels: Mapping[Arm, Labels], draw: Draw, arm: Arm
) -> list[str]:
    """Return the shots of a draw as segments with the labels of an arm."""
    order, random_labels = draw
    of_arm = random_labels if arm == "random" else labels[arm][order]
    return [render_demo(candidates[int(i)], int(label), space) for i, label in zip(order, of_arm, strict=True)]


# ------------------------------------------------------------------------------------------------ what fits and asking


def _fits_without_shots(scorer: LabelScorer, space: LabelSpace, queries: Sequence[Claim]) -> NDArray[np.bool_]:
    """Return which queries (Q,) the model can be asked at all."""
    # A scorer without a limit (the fake one) is not asked to count tokens.
    if scorer.context_length is None or not queries:
        return np.ones(len(queries), dtype=np.bool_)
    return _tokens(scorer, space, queries) <= scorer.context_length


def fitting(
    scorer: LabelScorer,
    space: LabelSpace,
    candidates: Sequence[Claim],
    draws: Sequence[Draw],
    queries: Sequence[Claim],
    wanted: Sequence[int],
) -> tuple[list[int], list[SkippedShots]]:
    """Part the numbers of shots into those that can be asked whole, in every draw and arm, and those that cannot."""
    limit = scorer.context_length
    # Asked in one arm and not in another, a number of shots could not be compared; so it fits everywhere or nowhere.
    longest = np.zeros(max(wanted, default=0), dtype=np.int64)  # tokens of the first shots, in the longest draw
    longest_query = 0
    if limit is not None and candidates:
        lengths = _tokens(scorer, space, candidates)
        # The shots of a number are the first ones of a draw, so their tokens are a running sum; the worst draw decides.
        longest = np.max([np.cumsum(lengths[order]) for order, _ in draws], axis=0)
        longest_query = int(_tokens(scorer, space, queries).max())
    fitting, skipped = [], []
    for count in wanted:
        if count > len(candidates):
            reason = f"only {len(candidates)} claims have both an elicited and a golden label"
        # Position k - 1 holds the tokens of the first k shots.
        elif limit is not None and longest[count - 1] + longest_query > limit:
            reason = f"prompts of up to {longest[count - 1] + longest_query} tokens, the model's context is {limit}"
        else:
            fitting.append(count)
            continue
        skipped.append(SkippedShots(num_shots=count, reason=reason))
    return fitting, skipped


def _tokens(scorer: LabelScorer, space: LabelSpace, claims: Sequence[Claim]) -> NDArray[np.int64]:
    """Return the tokens of each claim (N,) with its longest verbalizer."""
    # The longest, since another arm may give the same claim another label.
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
        # Each context goes on from the one before, so that they are one path and not copies.
        context = context.extend(demos[context.num_segments : count])
        prompts += [Prompt(context, claim.text) for claim in queries]
    # Prompts go count by count and, within a count, query by query: the rows of the result.
    return _predict(scorer, prompts).reshape(len(counts), len(queries)) if prompts else np.zeros((0, 0), dtype=np.int64)


def _predict(scorer: LabelScorer, prompts: Sequence[Prompt]) -> NDArray[np.int64]:
    return scorer.label_logprobs(prompts).argmax(axis=1)


def _accuracies(
    predictions: Mapping[tuple[Arm, int], NDArray[np.int64]],
    golden: Labels,
    groups: Sequence[str],
    num_labels: int,
    resampling: Resampling,
) -> dict[str, Any]:
    """Return the fields of `InContext` that hold accuracies, from predictions (D, Q) by arm and number of shots."""
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
    # The headline: the arms with shots at the largest number that was asked, and zero-shot, which has none.
    headline = {each.arm: each.accuracy for each in results if each.num_shots in (0, top)}
    at_top = {arm: each for (arm, count), each in correct.items() if count in (0, top)}
    # Draw by draw and claim by claim: zero-shot has a single row (1, Q), which stands against every draw (D, Q).
    minus = {
        arm: estimate(at_top["elicited"] - each, groups, resampling)
        for arm, each in at_top.items()
        if top and arm != "elicited"
    }
    arms = {arm: headline.get(arm) for arm in ARMS}
    return {"headline_shots": top or None, **arms, "elicited_minus": minus, "results": results}
