"""Labelled answers with soft targets, for a reward model that judges one answer at a time. Knows no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import Field

from icm.claims import Claim, ClaimId, LabelSpace
from icm.errors import SchemaError
from icm.files.records import LabelRow, Record
from icm.training.pairs import PairSettings, probability_true, render_prompt, require_binary

ANSWERS: Final = "answers.jsonl"


class LabelledAnswer(Record):
    """A line of `answers.jsonl`: an answer to a prompt and how probable it is, by the labels, that it is right.

    Attributes:
        id: The claim that it comes from.
        group: The claim's group.
        prompt: What the answer continues.
        answer: The answer, with the space before it.
        probability: Soft target.
    """

    id: ClaimId
    group: str
    prompt: str
    answer: str
    probability: float = Field(ge=0, le=1)


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
    if len({answer.probability > 0.5 for answer in answers}) == 1:
        raise SchemaError(
            f"all {len(answers):,} answers carry the same label, so nothing can be learned from them; check the labels"
        )
    return answers
