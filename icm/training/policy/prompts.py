"""Prompts and candidate completions from claims, the same whoever labelled them. Knows no label and no model."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import field_validator

from icm.claims import Claim
from icm.errors import SchemaError
from icm.files.records import Record
from icm.prepare.settings import template_pieces
from icm.training.finetune import Demonstration
from icm.training.pairs import PairSettings, render_prompt

_PAIRS = PairSettings()


class PromptSettings(Record):
    """What a policy is asked; it must be what the reward model was trained on.

    Attributes:
        comparison_prompt: Prompt of the responses of a comparison; parts of the claim in braces.
        answer_prompt: Prompt of a single answer.
        answer_part: The part of a claim that is the single answer.
    """

    comparison_prompt: str = _PAIRS.comparison_prompt
    answer_prompt: str = _PAIRS.answer_prompt
    answer_part: str = _PAIRS.answer_part

    @field_validator("comparison_prompt", "answer_prompt")
    @classmethod
    def _is_a_template(cls, template: str) -> str:
        template_pieces(template)
        if template != template.rstrip():
            raise ValueError(f"a prompt must not end in white space (the completions begin with it): {template!r}")
        return template


def candidates(claims: Sequence[Claim], settings: PromptSettings) -> list[Demonstration]:
    """Return every response and answer that claims hold, good or bad, behind its prompt, repetitions dropped.

    Raises:
        SchemaError: No claim holds one.
    """
    found: dict[Demonstration, None] = {}
    for claim in claims:
        if "response_1" in claim.parts and "response_2" in claim.parts:
            prompt = render_prompt(settings.comparison_prompt, claim)
            texts = [claim.parts["response_1"], claim.parts["response_2"]]
        elif settings.answer_part in claim.parts:
            prompt, texts = render_prompt(settings.answer_prompt, claim), [claim.parts[settings.answer_part]]
        else:
            continue
        found |= dict.fromkeys(Demonstration(prompt=prompt, completion=f" {text}") for text in texts)
    if not found:
        raise SchemaError(
            f"none of {len(claims):,} claims compares two responses or has a part {settings.answer_part!r}, so there "
            f"is nothing to ask a policy; set prompts.answer_part to one of {', '.join(claims[0].parts) or 'none'}"
        )
    return list(found)
