"""Labels as rows that training libraries read. Knows claims, labels and pairs; no file of a run and no library.

Libraries that apply a chat template need the bare question, the others the prompt as the reward model of this package
reads it. So pairs come twice, with the same responses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledClaims:
    """What is exported.

    Attributes:
        claims: The claims, labelled or not.
        labels: Labels by claim; those of other claims are left out.
        space: What the labels mean.
        settings: How labels become pairs.
        source: The task's name.
    """

    claims: Sequence[Claim]
    labels: Mapping[ClaimId, LabelRow]
    space: LabelSpace
    settings: PairSettings
    source: str


def export_rows(labelled: LabelledClaims) -> tuple[dict[Kind, list[Row]], str | None]:
    """Return the rows of every kind, in the order of the claims or pairs, and why there are no pairs, if so.

    Raises:
        SchemaError: No claim has a label.
    """
    verdicts = _verdicts(labelled)
    if not verdicts:
        raise SchemaError(f"none of the {len(labelled.claims):,} claims has a label, so there is nothing to export")
    pairs, without_pairs = _pairs(labelled, labelled.settings)
    bare = labelled.settings.model_copy(update={"comparison_prompt": QUESTION, "answer_prompt": QUESTION})
    bare_pairs, _ = _pairs(labelled, bare)
    rows: dict[Kind, list[Row]] = {
        "sft": verdicts,
        "preference": [_preference(pair) for pair in pairs],
        "kto": _single_responses(labelled, pairs),
        "chat_preference": [_chat_preference(pair) for pair in bare_pairs],
        "prompts": _prompts(labelled),
    }
    return rows, without_pairs


def _verdicts(labelled: LabelledClaims) -> list[Row]:
    rows = ((claim, labelled.labels.get(claim.id)) for claim in labelled.claims)
    return [
        {"prompt": claim.text, "completion": labelled.space.verbalizers[row.label]}
        for claim, row in rows
        if row is not None and row.label is not None
    ]


def _pairs(labelled: LabelledClaims, settings: PairSettings) -> tuple[list[PreferencePair], str | None]:
    """Return the pairs, or none and why."""
    try:
        return build_pairs(labelled.claims, labelled.labels, labelled.space, settings)[0], None
    except SchemaError as error:
        return [], str(error)


def _preference(pair: PreferencePair) -> Row:
    return {
        "prompt": pair.prompt,
        "chosen": pair.chosen,
        "rejected": pair.rejected,
        "probability": pair.probability,
        "group": pair.group,
    }


def _single_responses(labelled: LabelledClaims, pairs: Sequence[PreferencePair]) -> list[Row]:
    """Return labelled answers as they are; where claims compare responses, the two responses of each pair."""
    part = labelled.settings.answer_part
    answers = [claim for claim in labelled.claims if part in claim.parts and "response_1" not in claim.parts]
    rows = [
        {"prompt": render_prompt(labelled.settings.answer_prompt, claim), "completion": f" {claim.parts[part]}"}
        | {"label": row.label == AFFIRMING}
        for claim in answers
        if len(labelled.space) == 2 and (row := labelled.labels.get(claim.id)) is not None and row.label is not None
    ]
    for pair in pairs if not answers else ():
        rows.append({"prompt": pair.prompt, "completion": pair.chosen, "label": True})
        rows.append({"prompt": pair.prompt, "completion": pair.rejected, "label": False})
    return rows


def _chat_preference(pair: PreferencePair) -> Row:
    return {
        "prompt": [_message("user", pair.prompt)],
        "chosen": [_message("assistant", pair.chosen)],
        "rejected": [_message("assistant", pair.rejected)],
    }


def _prompts(labelled: LabelledClaims) -> list[Row]:
    questions = dict.fromkeys(claim.parts["question"] for claim in labelled.claims if "question" in claim.parts)
    return [{"prompt": [_message("user", question)], "source": labelled.source} for question in questions]


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
