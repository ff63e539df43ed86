"""The paper's main figure: accuracy on held-out claims with labelled claims as shots. Knows a scorer, no file.

In every arm the model sees the same shots in the same order before the same claims; only the labels of the shots
differ. So a difference between arms is a difference between labels. Each answer is read twice: as it is, and calibrated
by the mean over the queries, since a model may like a label's word whatever the claim says.

An evaluation is to cost less than the search: draws are cut first, then the smaller numbers of shots, then queries; and
it stops when a further draw could hardly narrow the interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy.special import log_softmax

from icm.claims import UNLABELLED, Claim, Labels, LabelSpace
from icm.evaluate.schema import ARMS, ARMS_WITH_SHOTS, Arm, ArmResult, InContext, SkippedShots
from icm.prequential import without_mean
from icm.prompts import NO_CONTEXT, Prompt, render_demo
from icm.report.progress import ProgressDisplay
from icm.scoring.protocol import LabelScorer
from icm.statistics.estimates import Resampling, estimate, share_of_draws
from icm.statistics.streams import Stream, generator

FEWEST_DRAWS: Final = 2
FEWEST_TO_JUDGE: Final = 3
"""Draws after which their spread says anything."""

FEWEST_QUERIES: Final = 32
"""With fewer an accuracy says next to nothing."""

HARDLY: Final = 0.25
"""Share of the variance that draws may have where no more are made: without it the interval would be 13 % narrower."""

Rows = NDArray[np.float64]
"""Log-probabilities (N, L) of the labels of N claims, nats, normalised."""

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
    draws: int,
    resampling: Resampling,
    most_tokens: float | None = None,
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
        draws: Random draws of shots, at the most.
        resampling: How the intervals are made, and the seed of the draws.
        most_tokens: Tokens that all of it may cost, as far as a least number of draws and queries allows; `None` for no
            limit.
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
    drawn = [draw_shots(len(candidates), largest, len(space), resampling.seed, index) for index in range(draws)]
    fit, skipped = fitting(scorer, space, candidates, drawn, asked, wanted)
    tokens = (_mean_tokens(scorer, space, candidates), _mean_tokens(scorer, space, asked))
    num_draws, counts, num_queries = affordable(draws, fit, len(asked), tokens, most_tokens)
    skipped += [
        SkippedShots(num_shots=each, reason="it would cost more than the search did")
        for each in fit
        if each not in counts
    ]
    # Claims stand in the order of their ids, which are hashes: the first are a random choice.
    asked, kept = asked[:num_queries], kept[:num_queries]
    golden, groups = query_golden[kept], [claim.group for claim in asked]
    rows: dict[tuple[Arm, int], list[Rows]] = {}
    per_batch = tokens[0] * max(counts, default=0) + tokens[1] * num_queries * len(counts)
    batches = num_draws * len(ARMS_WITH_SHOTS) if counts else 0
    total, done = round(tokens[1] * num_queries + batches * per_batch), tokens[1] * num_queries
    with ProgressDisplay(console or Console(quiet=True), "evaluating in context", "token") as display:
        display.show(0, total)
        # Asked of the same claims as the arms, so that the difference to them is paired.
        rows["zero_shot", 0] = [_logprobs(scorer, [Prompt(NO_CONTEXT, claim.text) for claim in asked])]
        display.show(round(done), total)
        for number, draw in enumerate(drawn[:num_draws] if counts else (), start=1):
            for arm in ARMS_WITH_SHOTS:
                demos = demonstrations(space, candidates, labels, draw, arm)
                for count, each in zip(counts, _ask(scorer, demos, counts, asked), strict=True):
                    rows.setdefault((arm, count), []).append(each)
                done += per_batch
                display.show(round(done), total, f"draw {number}, {arm} labels")
            if number >= FEWEST_TO_JUDGE and _is_settled(rows, counts[-1], golden, groups):
                break
    return InContext(
        num_queries=len(asked),
        num_over_context=int((has_gold & ~fits).sum()),
        num_without_gold=int((~has_gold).sum()),
        num_too_costly=int((has_gold & fits).sum()) - len(asked),
        num_candidates=len(candidates),
        skipped=tuple(sorted(skipped, key=lambda each: each.num_shots)),
        **_accuracies(rows, golden, groups, resampling),
    )


def affordable(
    draws: int, counts: Sequence[int], num_queries: int, tokens: tuple[float, float], most_tokens: float | None
) -> tuple[int, list[int], int]:
    """Return how many draws, which numbers of shots and how many queries cost no more than they may.

    Args:
        draws: Draws, at the most.
        counts: Numbers of shots, ascending.
        num_queries: Queries, at the most.
        tokens: Tokens of a shot and of a query.
        most_tokens: What all of it may cost; `None` for no limit.
    """
    counts = list(counts)
    shot, query = tokens

    def is_dear() -> bool:
        # Each draw reads its shots once and all queries behind each number of them.
        per_draw = max(counts) * shot + len(counts) * num_queries * query
        cost = num_queries * query + len(ARMS_WITH_SHOTS) * draws * per_draw
        return most_tokens is not None and cost > most_tokens

    while counts and is_dear():
        # In this order: more draws narrow an interval the least, and the largest number of shots is the headline.
        if draws > FEWEST_DRAWS:
            draws -= 1
        elif len(counts) > 1:
            counts = counts[1:]
        elif num_queries > FEWEST_QUERIES:
            num_queries -= 1
        else:
            break
    return draws, counts, num_queries


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


def _mean_tokens(scorer: LabelScorer, space: LabelSpace, claims: Sequence[Claim]) -> float:
    return float(_tokens(scorer, space, claims).mean()) if claims else 0.0


def _ask(scorer: LabelScorer, demos: Sequence[str], counts: Sequence[int], queries: Sequence[Claim]) -> Rows:
    """Return what is predicted of the queries after the first `counts` demos: (C, Q, L).

    All counts go out as one batch over one path of demos, so a scorer that shares prefixes reads each demo once.
    """
    prompts, context = [], NO_CONTEXT
    for count in counts:
        # Each context goes on from the one before, so that they are one path and not copies.
        context = context.extend(demos[context.num_segments : count])
        prompts += [Prompt(context, claim.text) for claim in queries]
    # Prompts go count by count and, within a count, query by query: the rows of the result.
    return _logprobs(scorer, prompts).reshape(len(counts), len(queries), scorer.num_labels)


def _logprobs(scorer: LabelScorer, prompts: Sequence[Prompt]) -> Rows:
    return log_softmax(scorer.label_logprobs(prompts), axis=1)


def _is_settled(
    rows: Mapping[tuple[Arm, int], Sequence[Rows]], count: int, golden: Labels, groups: Sequence[str]
) -> bool:
    """Return whether further draws could hardly narrow the interval of the two arms that are compared."""
    # Random labels differ from draw to draw by their nature and would ask for draws without end.
    correct = (np.stack(rows[arm, count]).argmax(axis=2) == golden for arm in ("elicited", "golden"))
    return all(share_of_draws(each.astype(np.float64), groups) <= HARDLY for each in correct)


def _accuracies(
    rows: Mapping[tuple[Arm, int], Sequence[Rows]], golden: Labels, groups: Sequence[str], resampling: Resampling
) -> dict[str, Any]:
    """Return the fields of `InContext` that hold accuracies, from log-probabilities by arm and number of shots."""
    predictions = {key: np.stack(each).argmax(axis=2) for key, each in rows.items()}
    correct = {key: (each == golden).astype(np.float64) for key, each in predictions.items()}
    calibrated = {
        key: np.stack([without_mean(draw).argmax(axis=1) == golden for draw in each]) for key, each in rows.items()
    }
    num_labels = rows["zero_shot", 0][0].shape[1]
    results = tuple(
        ArmResult(
            arm=arm,
            num_shots=count,
            num_draws=len(each),
            accuracy=estimate(correct[arm, count], groups, resampling),
            calibrated=estimate(calibrated[arm, count].astype(np.float64), groups, resampling),
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
