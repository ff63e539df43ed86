"""Preference pairs with soft targets from labelled claims, of any label file. Knows no model.

Pairs are made inside a group only: the responses of a pair answer the same question. A comparison is labelled in up to
two orders, which are averaged; claims about single answers are paired where exactly one of two was labelled true.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from icm.claims import AFFIRMING, Claim, ClaimId, LabelSpace, group_id
from icm.errors import SchemaError
from icm.files.records import LabelRow, Record
from icm.prepare.settings import template_pieces

PAIRS: Final = "pairs.jsonl"
NO_COUNTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "claims": 0,
        "unlabelled": 0,
        "without_parts": 0,  # labelled claims that are neither a comparison nor an answer to a question
        "groups": 0,
        "groups_without_pairs": 0,
        "pairs": 0,
        "both_orders": 0,  # comparisons labelled in both orders
        "one_sided": 0,  # comparisons labelled in one order only
        "contradicting": 0,  # comparisons whose two orders prefer different responses
        "undecided": 0,  # pairs without a preference: the orders cancel out, or both answers are equally probable
        "same_label": 0,  # pairs of answers that carry the same label, of which nothing follows
        "overruled": 0,  # pairs of answers whose probabilities prefer the one that is labelled false
    }
)
"""What is counted while labels become pairs."""


class PreferencePair(Record):
    """A line of `pairs.jsonl`: two responses to one prompt, of which the labels prefer the first.

    Attributes:
        id: Content hash of prompt and responses, the same whichever response is preferred.
        group: The group of the claims that the pair was made from.
        prompt: What a response continues; prompt and response joined are what a model reads.
        chosen: The preferred response, with the space before it.
        rejected: The other one.
        probability: Soft target: the probability, by the labels, that `chosen` is the better one; above 0.5.
    """

    id: str
    group: str
    prompt: str
    chosen: str
    rejected: str
    probability: float = Field(gt=0.5, le=1)


class PairSettings(BaseModel):
    """How labels become pairs.

    Attributes:
        targets: `soft` takes the probabilities of the labels where they have any, `hard` the labels alone.
        one_sided: Whether a comparison labelled in one order only is kept: its label may follow the order alone.
        clip: Probabilities of single answers are kept this far from 0 and 1 before their log-odds are compared.
        comparison_prompt: Prompt of the responses of a comparison; columns of the claim in braces.
        answer_prompt: Prompt of a single answer.
        answer_part: The part of a claim that is the single answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    targets: Literal["soft", "hard"] = "soft"
    one_sided: Literal["keep", "drop"] = "keep"
    clip: float = Field(default=0.01, gt=0, lt=0.5)
    comparison_prompt: str = "Human: {question}\nAssistant:"
    answer_prompt: str = "Question: {question}\nClaim:"
    answer_part: str = "answer"

    @field_validator("comparison_prompt", "answer_prompt")
    @classmethod
    def _is_a_template(cls, template: str) -> str:
        template_pieces(template)
        if template != template.rstrip():
            raise ValueError(f"a prompt must not end in white space (the responses begin with it): {template!r}")
        return template


def build_pairs(
    claims: Sequence[Claim], labels: Mapping[ClaimId, LabelRow], space: LabelSpace, settings: PairSettings
) -> tuple[list[PreferencePair], dict[str, int]]:
    """Return the pairs that follow from labels, in the order of their ids, and what was counted (`NO_COUNTS`).

    Labels of other claims are ignored.

    Raises:
        SchemaError: The labels are not binary, no claim has a label, or no pair follows from them.
    """
    require_binary(space)
    counts = dict(NO_COUNTS)
    by_group: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        by_group[claim.group].append(claim)
    pairs: dict[str, PreferencePair] = {}
    for group in by_group.values():
        made = [*_from_comparisons(group, labels, settings, counts), *_from_answers(group, labels, settings, counts)]
        counts["groups_without_pairs"] += not made
        # The same responses may stand in several groups; each group is its own evidence, so each keeps its pair.
        pairs |= {f"{pair.id}/{pair.group}": pair for pair in made}
    counts |= {"claims": len(claims), "groups": len(by_group), "pairs": len(pairs)}
    counts["unlabelled"] = sum(probability_true(labels.get(claim.id), settings) is None for claim in claims)
    if not pairs:
        raise SchemaError(_why_no_pairs(counts))
    return [pairs[key] for key in sorted(pairs)], counts


def require_pairable(claims: Sequence[Claim], space: LabelSpace, settings: PairSettings) -> None:
    """Check that some labelling of the claims would make a pair, before anyone labels them.

    Raises:
        SchemaError: None would.
    """
    require_binary(space)
    answers: dict[str, set[str]] = defaultdict(set)
    for claim in claims:
        if "response_1" in claim.parts:
            if claim.parts["response_1"] != claim.parts.get("response_2"):
                return
        elif settings.answer_part in claim.parts:
            answers[claim.group].add(claim.parts[settings.answer_part])
    if all(len(texts) < 2 for texts in answers.values()):
        raise SchemaError(
            f"no preference pair can follow from these {len(claims):,} claims, whatever their labels: none compares "
            f"two responses, and no group holds two different answers (part {settings.answer_part!r}); leave the "
            f"training out (stages=labels), or name the column that groups the answers to a question"
        )


def require_binary(space: LabelSpace) -> None:
    """Check that labels affirm or deny a claim.

    Raises:
        SchemaError: There are more than two of them.
    """
    if len(space) != 2:
        raise SchemaError(
            f"a reward needs labels that affirm or deny a claim, but the label space is {list(space.names)}; "
            f"train on a task whose claims are true or false"
        )


def probability_true(row: LabelRow | None, settings: PairSettings) -> float | None:
    """Return how probable a label makes its claim, `None` if there is no label."""
    if row is None or row.label is None:
        return None
    probability = 1.0 if settings.targets == "hard" or row.probability is None else row.probability
    return probability if row.label == AFFIRMING else 1 - probability


def render_prompt(template: str, claim: Claim) -> str:
    """Return the prompt of a claim's responses.

    Raises:
        SchemaError: The claim lacks a part that the template names.
    """
    try:
        return template.format_map(claim.parts)
    except KeyError as error:
        raise SchemaError(
            f"claim {claim.id!r} has no part {error.args[0]!r} for the prompt {template!r}; it has "
            f"{', '.join(claim.parts) or 'none'}: write a prompt of these"
        ) from None


def _from_comparisons(
    group: Sequence[Claim],
    labels: Mapping[ClaimId, LabelRow],
    settings: PairSettings,
    counts: dict[str, int],
) -> list[PreferencePair]:
    """Return one pair for each two responses that were compared, averaged over the labelled orders."""
    orders: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for claim in group:
        probability = probability_true(labels.get(claim.id), settings)
        first, second = claim.parts.get("response_1"), claim.parts.get("response_2")
        if first is None or second is None or probability is None:
            continue
        prompt = render_prompt(settings.comparison_prompt, claim)
        if first <= second:
            orders[prompt, first, second].append(probability)
        else:
            orders[prompt, second, first].append(1 - probability)
    pairs = []
    for (prompt, first, second), probabilities in orders.items():
        if len(probabilities) == 1:
            counts["one_sided"] += 1
            if settings.one_sided == "drop":
                continue
        else:
            counts["both_orders"] += 1
            counts["contradicting"] += min(probabilities) < 0.5 < max(probabilities)
        pairs += _decided(group[0].group, prompt, first, second, sum(probabilities) / len(probabilities), counts)
    return pairs


def _from_answers(
    group: Sequence[Claim],
    labels: Mapping[ClaimId, LabelRow],
    settings: PairSettings,
    counts: dict[str, int],
) -> list[PreferencePair]:
    """Return a pair for each two answers to a question of which one is labelled true and one is not.

    Given that exactly one of the two is true, the log-odds that it is the first is the difference of their log-odds.
    """
    answers = []
    for claim in group:
        row = labels.get(claim.id)
        probability = probability_true(row, settings)
        if "response_1" in claim.parts or probability is None or row is None:
            continue
        if settings.answer_part not in claim.parts:
            counts["without_parts"] += 1
            continue
        clipped = min(max(probability, settings.clip), 1 - settings.clip)
        answers.append((claim, row.label, math.log(clipped / (1 - clipped))))
    pairs = []
    for (one, label_one, odds_one), (two, label_two, odds_two) in itertools.combinations(answers, 2):
        if label_one == label_two:
            counts["same_label"] += 1
            continue
        margin = odds_one - odds_two
        counts["overruled"] += (margin > 0) != (label_one == AFFIRMING) and margin != 0
        responses = (one.parts[settings.answer_part], two.parts[settings.answer_part])
        prompt = render_prompt(settings.answer_prompt, one)
        pairs += _decided(one.group, prompt, *responses, 1 / (1 + math.exp(-margin)), counts)
    return pairs


def _decided(
    group: str, prompt: str, first: str, second: str, probability: float, counts: dict[str, int]
) -> list[PreferencePair]:
    """Return the pair with its preferred response first, none if neither is preferred."""
    if probability == 0.5 or first == second:
        counts["undecided"] += 1
        return []
    if probability < 0.5:
        first, second, probability = second, first, 1 - probability
    pair_id = group_id(prompt, *sorted((first, second)))
    return [
        PreferencePair(
            id=pair_id, group=group, prompt=prompt, chosen=f" {first}", rejected=f" {second}", probability=probability
        )
    ]


def _why_no_pairs(counts: Mapping[str, int]) -> str:
    labelled = counts["claims"] - counts["unlabelled"]
    listed = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count)
    if not labelled:
        total = counts["claims"]
        return f"none of the {total:,} claims has a label, so there is nothing to train on; check the labels file"
    return (
        f"the labels have no preference structure: no pair follows from {labelled:,} labelled claims ({listed}). "
        f"Pairs need comparisons of two responses, or questions with both true and false answers"
    )
