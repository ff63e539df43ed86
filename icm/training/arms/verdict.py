"""A language model's own verdict as labels and as a reward, without training: log P(True) - log P(False).

Knows a scorer and texts, and no other label.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from icm.claims import AFFIRMING, Claim, LabelSpace
from icm.files.records import LabelRow
from icm.prompts import NO_CONTEXT, Prompt
from icm.scoring.protocol import LabelScorer
from icm.training.pairs import require_binary

CLAIM_ENDING = "\nI think this claim is"
"""What follows an answer before the verdict on it."""


def verdict_margins(scorer: LabelScorer, texts: Sequence[str]) -> NDArray[np.float64]:
    """Return log P(True) - log P(False) after each text (N,), nats; the label space must be binary."""
    logprobs = scorer.label_logprobs([Prompt(NO_CONTEXT, text) for text in texts])
    return logprobs[:, AFFIRMING] - logprobs[:, 1 - AFFIRMING]


def verdict_labels(scorer: LabelScorer, claims: Sequence[Claim], space: LabelSpace) -> list[LabelRow]:
    """Label claims by the model's verdict on each alone; pairs made from these average both orders of a comparison.

    Raises:
        SchemaError: The label space is not binary.
    """
    require_binary(space)
    margins = verdict_margins(scorer, [claim.text for claim in claims])
    labels = np.where(margins > 0, AFFIRMING, 1 - AFFIRMING)
    # Of two labels, the one that was chosen is this probable; the sign was taken by the choice.
    probabilities = expit(np.abs(margins))
    return [
        LabelRow(
            id=claim.id,
            group=claim.group,
            label=int(label),
            name=space.names[int(label)],
            probability=float(probability),
            margin=float(abs(margin)),
            last_changed=0,
        )
        for claim, label, probability, margin in zip(claims, labels, probabilities, margins, strict=True)
    ]


def round_robin(scorer: LabelScorer, template: str, question: str, responses: Sequence[str]) -> NDArray[np.float64]:
    """Return how much better each response (R,) is than the others on average, by verdicts on every two of them, nats.

    Both orders of two responses are asked and averaged, so position bias cancels.

    Args:
        scorer: The model, bound to a binary label space.
        template: The claim that a first response is better than a second, up to its verdict; it names `{question}`,
            `{response_1}` and `{response_2}`.
        question: What the responses answer.
        responses: Different responses.
    """
    # Alone, a response is neither better nor worse, and the mean over no others would be 0 / 0.
    if len(responses) == 1:
        return np.zeros(1)
    # All in one call, so that the scorer can share the question among them.
    places = list(itertools.permutations(range(len(responses)), 2))
    texts = [
        template.format(question=question, response_1=responses[one], response_2=responses[two]) for one, two in places
    ]
    margins = np.zeros((len(responses), len(responses)))
    for (one, two), margin in zip(places, verdict_margins(scorer, texts), strict=True):
        margins[one, two] = margin
    # Row i holds the margins in which i stands first, column i those in which it stands second, where less is better.
    return (margins - margins.T).sum(axis=1) / 2 / (len(responses) - 1)
