"""Preference pairs and single answers with soft targets, from labelled claims of any label file. Knows no model.

Pairs are made inside a group only: the responses of a pair answer the same question. A comparison is labelled in up to
two orders, which are averaged; claims about single answers are paired where exactly one of two was labelled true.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from pydantic import Field, field_validator

from icm.claims import AFFIRMING, Claim, ClaimId, LabelSpace, group_id
from icm.errors import SchemaError
from icm.files.records import LabelRow, Record
from icm.prepare.settings import ReadText, template_pieces

PAIRS: Final = "pairs.jsonl"
ANSWERS: Final = "answers.jsonl"
COUNTED: Final[tuple[str, ...]] = (
    "claims",
    "unlabelled",
    "without_parts",  # labelled claims that are neither a comparison nor an answer to a question
    "groups",
    "groups_without_pairs",
    "pairs",
    "both_orders",  # comparisons labelled in both orders
    "one_sided",  # comparisons labelled in one order only
    "contradicting",  # comparisons whose two orders prefer different responses
    "undecided",  # pairs without a preference: the orders cancel out, or both answers are equally probable
    "same_label",  # pairs of answers that carry the same label, of which nothing follows
    "overruled",  # pairs of answers whose probabilities prefer the one that is labelled false
)
"""What is counted while labels become pairs."""


class PreferencePair(Record):
    """A line of `pairs.jsonl`: two responses to one prompt, of which the labels prefer the first.

    Prompt and response joined are what a model reads, so responses begin with the space between the two.

    Attributes:
        id: Content hash of prompt and responses, the same whichever response is preferred.
        group: The group of the claims that the pair was made from.
        probability: Soft target: the probability, by the labels, that `chosen` is the better one.
    """

    id: str
    group: str
    prompt: str
    chosen: str
    rejected: str
    probability: float = Field(gt=0.5, le=1)


class LabelledAnswer(Record):
    """A line of `answers.jsonl`: an answer, with the space before it, and how probable it is by the labels to be right.

    `id` and `group` are those of its claim.
    """

    id: ClaimId
    group: str
    prompt: str
    answer: str
    probability: float = Field(ge=0, le=1)


class PromptSettings(Record):
    """What responses continue, in pairs and where a policy is asked; each key is explained in conf/prompts."""

    comparison_prompt: ReadText
    answer_prompt: ReadText
    answer_part: str

    @field_validator("comparison_prompt", "answer_prompt")
    @classmethod
    def _is_a_template(cls, template: str) -> str:
        template_pieces(template)
        if template != template.rstrip():
            raise ValueError(f"a prompt must not end in white space (the responses begin with it): {template!r}")
        return template


class PairSettings(PromptSettings):
    """How labels become pairs; each key is explained in conf/pairs."""

    targets: Literal["soft", "hard"]
    one_sided: Literal["keep", "drop"]
    clip: float = Field(gt=0, lt=0.5)


def build_pairs(
    claims: Sequence[Claim], labels: Mapping[ClaimId, LabelRow], space: LabelSpace, settings: PairSettings
) -> tuple[list[PreferencePair], dict[str, int]]:
    """Return the pairs that follow from labels, in the order of their ids, and what was counted (`COUNTED`).

    Labels of other claims are ignored.

    Raises:
        SchemaError: The labels are not binary, no claim has a label, or no pair follows from them.
    """
    require_binary(space)
    counts: dict[str, int] = dict.fromkeys(COUNTED, 0)
    by_group: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        by_group[claim.group].append(claim)
    pairs: dict[str, PreferencePair] = {}
    for group in by_group.values():
        # A group may hold comparisons and single answers; each kind makes its own pairs.
        made = [*_from_comparisons(group, labels, settings, counts), *_from_answers(group, labels, settings, counts)]
        counts["groups_without_pairs"] += not made
        # The same responses may stand in several groups; each group is its own evidence, so each keeps its pair.
        pairs |= {f"{pair.id}/{pair.group}": pair for pair in made}
    counts |= {"claims": len(claims), "groups": len(by_group), "pairs": len(pairs)}
    counts["unlabelled"] = sum(probability_true(labels.get(claim.id), settings) is None for claim in claims)
    if not pairs:
        raise SchemaError(_why_no_pairs(counts))
    return [pairs[key] for key in sorted(pairs)], counts


def build_answers(
    claims: Sequence[Claim], labels: Mapping[ClaimId, LabelRow], space: LabelSpace, settings: PairSettings
) -> list[LabelledAnswer]:
    """Return the labelled answers in the order of the claims; claims without a label are left out.

    Raises:
        SchemaError: The labels are not binary, no claim is a single answer, or all answers carry the same label.
    """
    require_binary(space)
    answers = [
        LabelledAnswer(
            id=claim.id,
            group=claim.group,
            prompt=render_prompt(settings.answer_prompt, claim),
            answer=f" {claim.parts[settings.answer_part]}",
            probability=probability,
        )
        for claim in claims
        if settings.answer_part in claim.parts
        and (probability := probability_true(labels.get(claim.id), settings)) is not None
    ]
    if not answers:
        raise SchemaError(
            f"none of the {len(claims):,} claims is a labelled single answer (part {settings.answer_part!r}), so there "
            f"is nothing to judge one at a time; for comparisons of two responses use kind=pairs"
        )
    # With one label everywhere the loss is least at an infinite reward for everything.
    if len({answer.probability > 0.5 for answer in answers}) == 1:
        raise SchemaError(
            f"all {len(answers):,} answers carry the same label, so nothing can be learned from them; check the labels"
        )
    return answers


def require_pairable(claims: Sequence[Claim], space: LabelSpace, settings: PairSettings) -> None:
    """Check that some labelling of the claims would make a pair, before anyone labels them.

    Raises:
        SchemaError: None would.
    """
    require_binary(space)
    answers: dict[str, set[str]] = defaultdict(set)
    for claim in claims:
        if "response_1" in claim.parts:
            # One comparison of different responses is enough: any label of it prefers one of them.
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
    group: Sequence[Claim], labels: Mapping[ClaimId, LabelRow], settings: PairSettings, counts: dict[str, int]
) -> list[PreferencePair]:
    """Return one pair for each two responses that were compared, averaged over the labelled orders."""
    # By prompt and responses in alphabetical order, so that both orders of a comparison meet under one key.
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
            # Such a pair says more about the place of a response than about the response.
            counts["contradicting"] += min(probabilities) < 0.5 < max(probabilities)
        pairs += _decided(group[0].group, prompt, first, second, sum(probabilities) / len(probabilities), counts)
    return pairs


def _from_answers(
    group: Sequence[Claim], labels: Mapping[ClaimId, LabelRow], settings: PairSettings, counts: dict[str, int]
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
        # Log-odds of a certain label would be infinite, and of two certain labels no number.
        clipped = min(max(probability, settings.clip), 1 - settings.clip)
        answers.append((claim, row.label, math.log(clipped / (1 - clipped))))
    pairs = []
    for (one, label_one, odds_one), (two, label_two, odds_two) in itertools.combinations(answers, 2):
        # Two true answers are equally right as far as labels go, whatever their probabilities.
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
    # What follows reads `chosen` first, so a pair is turned round rather than kept with a target below a half.
    if probability < 0.5:
        first, second, probability = second, first, 1 - probability
    # Sorted, so that the id does not tell which response is preferred.
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
