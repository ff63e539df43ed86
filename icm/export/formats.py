"""Labels as rows that training libraries read. Knows claims, labels and pairs; no file of a run and no library.

Libraries that apply a chat template need the bare question, the others the prompt as the reward model of this package
reads it. So pairs come twice, with the same responses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from icm.claims import AFFIRMING, Claim, ClaimId, LabelSpace
from icm.errors import SchemaError
from icm.files.records import LabelRow
from icm.training.pairs import PairSettings, PreferencePair, build_pairs, render_prompt

Row = dict[str, Any]
Kind = Literal["sft", "preference", "kto", "chat_preference", "prompts"]
"""A claim with its verdict; a prompt with two responses; a prompt with one, desirable or not; pairs as messages; the
questions as messages, for reinforcement learning."""

QUESTION: Final = "{question}"
PREFERENCE: Final = ("prompt", "chosen", "rejected", "probability", "group")
"""The columns of a pair that is exported as text."""


def export_rows(
    claims: Sequence[Claim], labels: Mapping[ClaimId, LabelRow], space: LabelSpace, settings: PairSettings, source: str
) -> tuple[dict[Kind, list[Row]], str | None]:
    """Return the rows of every kind, in the order of the claims or pairs, and why there are no pairs, if so.

    Args:
        claims: The claims, labelled or not.
        labels: Labels by claim; those of other claims are left out.
        space: What the labels mean.
        settings: How labels become pairs.
        source: The task's name.

    Raises:
        SchemaError: No claim has a label.
    """
    labelled = [(claim, row.label) for claim in claims if (row := labels.get(claim.id)) and row.label is not None]
    if not labelled:
        raise SchemaError(f"none of the {len(claims):,} claims has a label, so there is nothing to export")
    pairs, without_pairs = _pairs_or_why_none(claims, labels, space, settings)
    # Libraries that apply a chat template bring their own words around the question.
    bare = settings.model_copy(update={"comparison_prompt": QUESTION, "answer_prompt": QUESTION})
    bare_pairs, _ = _pairs_or_why_none(claims, labels, space, bare)
    # Several claims are about one question; each question is one prompt, in the order of the claims.
    questions = dict.fromkeys(claim.parts["question"] for claim in claims if "question" in claim.parts)
    rows: dict[Kind, list[Row]] = {
        "sft": [{"prompt": claim.text, "completion": space.verbalizers[label]} for claim, label in labelled],
        "preference": [{name: getattr(pair, name) for name in PREFERENCE} for pair in pairs],
        "kto": _single_responses(claims, labelled, space, settings, pairs),
        "chat_preference": [_chat_preference(pair) for pair in bare_pairs],
        "prompts": [{"prompt": [_message("user", question)], "source": source} for question in questions],
    }
    return rows, without_pairs


def _pairs_or_why_none(
    claims: Sequence[Claim], labels: Mapping[ClaimId, LabelRow], space: LabelSpace, settings: PairSettings
) -> tuple[list[PreferencePair], str | None]:
    # Labels without a preference structure can be exported as verdicts all the same; the card says why.
    try:
        return build_pairs(claims, labels, space, settings)[0], None
    except SchemaError as error:
        return [], str(error)


def _single_responses(
    claims: Sequence[Claim],
    labelled: Sequence[tuple[Claim, int]],
    space: LabelSpace,
    settings: PairSettings,
    pairs: Sequence[PreferencePair],
) -> list[Row]:
    """Return labelled answers as they are; where claims compare responses, the two responses of each pair."""

    def is_answer(claim: Claim) -> bool:
        return settings.answer_part in claim.parts and "response_1" not in claim.parts

    # Claims with answers are exported only as such, even if no answer is labelled: their pairs would repeat them.
    if any(map(is_answer, claims)):
        answers = ((claim, label) for claim, label in labelled if is_answer(claim) and len(space) == 2)
        return [
            {
                "prompt": render_prompt(settings.answer_prompt, claim),
                "completion": f" {claim.parts[settings.answer_part]}",
                "label": label == AFFIRMING,
            }
            for claim, label in answers
        ]
    return [
        {"prompt": pair.prompt, "completion": response, "label": desirable}
        for pair in pairs
        for response, desirable in ((pair.chosen, True), (pair.rejected, False))
    ]


def _chat_preference(pair: PreferencePair) -> Row:
    return {
        "prompt": [_message("user", pair.prompt)],
        "chosen": [_message("assistant", pair.chosen)],
        "rejected": [_message("assistant", pair.rejected)],
    }


def _message(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text.strip()}


def axolotl_row(row: Row) -> Row:
    """Return a chat pair as axolotl's `chat_template.default` reads it."""
    return {"messages": row["prompt"], "chosen": row["chosen"][0], "rejected": row["rejected"][0]}


def verl_row(index: int, row: Row) -> Row:
    """Return a prompt as verl reads it, to be rewarded by a model: there is no ground truth."""
    return {
        "data_source": row["source"],
        "prompt": row["prompt"],
        "ability": "assistant",
        "reward_model": {"style": "model", "ground_truth": ""},
        "extra_info": {"index": index, "split": "train"},
    }
