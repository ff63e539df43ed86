"""Labelling rules that ask no model and see no golden label: they read the parts and keys of claims.

An elicited labelling says something about a model only where it beats these. A rule fixes its polarity by
definition: it is not flipped where that would fit golden labels better.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Final

from icm.claims import AFFIRMING, UNLABELLED, AnswerKey, Claim, Labels, freeze

NEGATION: Final = re.compile(
    r"\b(?:no|not|none|nothing|nobody|nowhere|never|neither|nor|cannot|without)\b|n['\u2019]t\b", re.IGNORECASE
)
HEDGE: Final = re.compile(
    r"\b(?:may|might|could|can|some|sometimes|often|usually|generally|typically|likely|probably|possibly|perhaps"
    r"|depends?|unclear|unknown|many|most|vary|varies|various)\b",
    re.IGNORECASE,
)


Rule = Callable[[Sequence[Claim]], Labels | str]
"""Claims to labels (N,), `UNLABELLED` where it says nothing about a claim; or to why it says nothing about any."""


def answer_frequency(claims: Sequence[Claim]) -> Labels | str:
    """Affirm a claim whose answer at least one other claim of its group gives too. Claims without an answer: nothing.

    "At least twice" instead of "most often" leaves no ties to break.
    """
    answers = Counter((claim.group, claim.key.value) for claim in claims if isinstance(claim.key, AnswerKey))
    if not answers:
        return "the claims have no answer keys"
    # All answers alone would all be denied: a constant labelling, which says nothing of the rule.
    if max(answers.values()) < 2:
        return "no answer stands twice in any group"
    return _as_labels(
        [answers[claim.group, claim.key.value] >= 2 if isinstance(claim.key, AnswerKey) else None for claim in claims]
    )


def length(claims: Sequence[Claim]) -> Labels | str:
    """Affirm that the longer response is better, or an answer longer than the median of its group (characters).

    Equal lengths are not longer. An answer alone in its group has nothing to be compared with: nothing.
    """
    in_group: dict[str, list[int]] = defaultdict(list)
    for claim in claims:
        if "answer" in claim.parts:
            in_group[claim.group].append(len(claim.parts["answer"]))

    def verdict(claim: Claim) -> bool | None:
        parts = claim.parts
        if "response_1" in parts and "response_2" in parts:
            return len(parts["response_1"]) > len(parts["response_2"])
        # One answer alone is its own median, and would always be denied.
        lengths = in_group.get(claim.group, [])
        return len(parts["answer"]) > median(lengths) if "answer" in parts and len(lengths) > 1 else None

    verdicts = [verdict(claim) for claim in claims]
    if all(each is None for each in verdicts):
        return "no claim has two responses, or an answer beside another of its group"
    return _as_labels(verdicts)


def keywords(claims: Sequence[Claim]) -> Labels | str:
    """Affirm an answer with a negation or hedge word: truths are hedged, misconceptions flat. No answer: nothing."""
    answers = [claim.parts.get("answer") for claim in claims]
    if all(answer is None for answer in answers):
        return "the claims have no single answer"
    # Either word counts: both mark answers that claim less than a flat statement.
    verdicts = [None if answer is None else bool(NEGATION.search(answer) or HEDGE.search(answer)) for answer in answers]
    if not any(verdicts):
        return "no answer holds a negation or hedge word"
    return _as_labels(verdicts)


SURFACE_RULES: Final[Mapping[str, tuple[str, Rule]]] = {
    "answer_frequency": ("true iff the answer stands twice in its group", answer_frequency),
    "length": ("true iff longer (an answer: than its group's median)", length),
    "keywords": ("true iff it holds a negation or hedge word", keywords),
}
"""Of each rule, by its name in `metrics.json`, what it labels how, and the rule."""


def _as_labels(verdicts: Sequence[bool | None]) -> Labels:
    return freeze(
        [UNLABELLED if affirmed is None else AFFIRMING if affirmed else 1 - AFFIRMING for affirmed in verdicts]
    )
