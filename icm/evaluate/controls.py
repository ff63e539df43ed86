"""The same claims labelled by other means: zero-shot, and with golden labels as context, calibrated in the usual ways.

They are what an elicited label has to beat, or to reach. Knows a scorer, no file. A calibration takes out of every row
what the model likes of a label's word whatever the claim says; the ways differ in what they take that liking from:

- contextual: claims without content ("N/A") in the same prompt. Zhao et al. 2021, "Calibrate before use";
- pmi: the end of the prompt alone ("Sentiment:"). Holtzman et al. 2021, "Surface form competition";
- batch: the mean over the claims themselves. Zhou et al. 2023, "Batch calibration";
- prior: whatever makes the mean over the claims equal the shares of the labels, here those of the golden shots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

import numpy as np
from rich.console import Console
from scipy.special import log_softmax, logsumexp

from icm.claims import UNLABELLED, Claim, Labels, LabelSpace
from icm.errors import ScoringError
from icm.evaluate.in_context import Rows, demonstrations, draw_shots, fitting
from icm.evaluate.schema import Calibrated, ControlResult
from icm.prequential import match_prior, without_mean
from icm.prompts import NO_CONTEXT, Prompt
from icm.report.progress import ProgressDisplay
from icm.scoring.protocol import LabelScorer
from icm.statistics.estimates import Resampling, estimate

CONTENT_FREE: Final = ("N/A", "[MASK]", "")
"""What stands in place of a claim's content; those of Zhao et al."""


NO_SHOTS: Final = "no claim apart from the labelled ones has a golden label and fits the context"


def controls(
    scorer: LabelScorer,
    space: LabelSpace,
    claims: Sequence[Claim],
    golden: Labels,
    shown: Sequence[Claim],
    shown_golden: Labels,
    *,
    num_shots: int,
    draws: int,
    resampling: Resampling,
    console: Console | None = None,
) -> tuple[ControlResult, ...]:
    """Label claims without shots and after shots with golden labels, with each calibration.

    Args:
        scorer: The model.
        space: The labels and their verbalizers.
        claims: The claims.
        golden: (N,) their golden labels, `UNLABELLED` where there is none.
        shown: Other claims, of which shots are drawn.
        shown_golden: (M,) their golden labels.
        num_shots: Shots, if so many have golden labels and fit the context.
        draws: Random draws of shots.
        resampling: How the intervals are made, and the seed of the draws.
        console: Where progress is shown; `None` for nowhere.
    """
    results = []
    with ProgressDisplay(console or Console(quiet=True), "asking by other means", "reading") as display:
        # All claims are read once without shots and once after each draw of them.
        display.show(0, 1 + draws)
        rows, missing = zero_shot(scorer, claims)
        display.show(1, 1 + draws)
        results += _results("zero_shot", 0, rows, missing, golden, claims, resampling)
        rows, asked = golden_context(
            scorer,
            space,
            claims,
            shown,
            shown_golden,
            num_shots,
            draws,
            resampling.seed,
            tell=lambda done: display.show(1 + done, 1 + draws),
        )
    lacking: dict[Calibrated, str] = {} if rows else {"none": NO_SHOTS}
    results += _results("golden", asked, rows, lacking, golden, claims, resampling)
    return tuple(results)


def zero_shot(scorer: LabelScorer, claims: Sequence[Claim]) -> tuple[dict[Calibrated, Rows], dict[Calibrated, str]]:
    """Return what the model says of each claim with nothing before it, by calibration, and why one cannot be had."""
    rows = log_softmax(scorer.label_logprobs([Prompt(NO_CONTEXT, claim.text) for claim in claims]), axis=1)
    found: dict[Calibrated, Rows] = {"none": rows, "batch": without_mean(rows)}
    missing: dict[Calibrated, str] = {}
    liked: tuple[tuple[Calibrated, list[str]], ...] = (
        ("contextual", content_free(claims)),
        ("pmi", common_ending(claims)),
    )
    for calibration, texts in liked:
        liking = _liking(scorer, texts)
        if isinstance(liking, str):
            missing[calibration] = liking
        else:
            found[calibration] = log_softmax(rows - liking, axis=1)
    return found, missing


def golden_context(
    scorer: LabelScorer,
    space: LabelSpace,
    claims: Sequence[Claim],
    shown: Sequence[Claim],
    shown_golden: Labels,
    num_shots: int,
    draws: int,
    seed: int,
    tell: Callable[[int], None] = lambda _: None,
) -> tuple[dict[Calibrated, Rows], int]:
    """Return what the model says of each claim after shots with golden labels, by calibration, and how many shots.

    All claims stand behind one shared path of shots in each draw. There is nothing where no shot can be shown. `tell`
    is called after each draw with the number of draws that are done.
    """
    chosen = np.flatnonzero(shown_golden != UNLABELLED)
    candidates, labels = [shown[int(k)] for k in chosen], shown_golden[chosen]
    count = min(num_shots, len(candidates))
    drawn = [draw_shots(len(candidates), count, len(space), seed, draw) for draw in range(draws)]
    # Halved until they fit: a smaller number still tells something.
    while count and not fitting(scorer, space, candidates, drawn, claims, [count])[0]:
        count //= 2
    if not count:
        return {}, 0
    found: dict[Calibrated, list[Rows]] = {"none": [], "batch": [], "prior": []}
    for number, (order, noise) in enumerate(drawn, start=1):
        draw = (order[:count], noise[:count])
        demos = demonstrations(space, candidates, {"golden": labels}, draw, "golden")
        context = NO_CONTEXT.extend(demos)
        rows = log_softmax(scorer.label_logprobs([Prompt(context, claim.text) for claim in claims]), axis=1)
        found["none"].append(rows)
        found["batch"].append(without_mean(rows))
        found["prior"].append(match_prior(rows, _shares(labels[draw[0]], len(space))))
        tell(number)
    return {calibration: np.stack(each) for calibration, each in found.items()}, count


def content_free(claims: Sequence[Claim]) -> list[str]:
    """Return the first claim's text with its parts replaced by words without content; nothing if it shows no part."""
    first = claims[0]
    # The longest first: a short part may stand inside a long one.
    parts = sorted((part for part in first.parts.values() if part and part in first.text), key=len, reverse=True)
    texts = []
    for words in CONTENT_FREE if parts else ():
        text = first.text
        for part in parts:
            text = text.replace(part, words, 1)
        texts.append(text)
    return texts


def common_ending(claims: Sequence[Claim]) -> list[str]:
    """Return the words in which the texts of all claims end, after the last line break if there is one in them."""
    ending = claims[0].text
    for claim in claims:
        # As long as it takes for this text to end so; the endings of all texts only get shorter.
        while not claim.text.endswith(ending):
            ending = ending[1:]
    # Without a line break the ending may begin inside a word, which is left out.
    line = (ending.rpartition("\n")[2] if "\n" in ending else ending.partition(" ")[2]).strip()
    return [line] if line else []


def _liking(scorer: LabelScorer, texts: Sequence[str]) -> Rows | str:
    """Return log of the mean probability of each label after texts that say nothing, (L,); or why it cannot be had."""
    if not texts:
        return "the prompts of these claims do not part into content and the words around it"
    try:
        rows = log_softmax(scorer.label_logprobs([Prompt(NO_CONTEXT, text) for text in texts]), axis=1)
    except ScoringError as error:
        # A model of a closed vocabulary has no word for nothing. The claims themselves it has answered, so that is an
        # outcome, which the report tells; what to do about a claim, after the semicolon, does not apply.
        return str(error).partition(";")[0]
    return logsumexp(rows, axis=0) - np.log(len(texts))


def _shares(labels: Labels, num_labels: int) -> list[float]:
    """Return the share of each label among shots, with half a shot added for each so that none is 0."""
    counts = np.bincount(labels, minlength=num_labels) + 0.5
    return (counts / counts.sum()).tolist()


def _results(
    context: Literal["zero_shot", "golden"],
    num_shots: int,
    rows: Mapping[Calibrated, Rows],
    missing: Mapping[Calibrated, str],
    golden: Labels,
    claims: Sequence[Claim],
    resampling: Resampling,
) -> list[ControlResult]:
    scored = np.flatnonzero(golden != UNLABELLED)
    groups = [claims[int(k)].group for k in scored]
    found = [
        ControlResult(
            context=context,
            calibration=calibration,
            num_shots=num_shots,
            accuracy=estimate((each.argmax(axis=-1) == golden)[..., scored].astype(np.float64), groups, resampling),
        )
        for calibration, each in rows.items()
    ]
    return found + [
        ControlResult(context=context, calibration=calibration, num_shots=num_shots, accuracy=None, missing=reason)
        for calibration, reason in missing.items()
    ]
