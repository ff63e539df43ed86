"""Files of judged pairs that others publish: RewardBench, RM-Bench, HH-RLHF, LLMBar and Alpaca comparisons.

Knows their layouts, not what is done with the pairs.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from icm.claims import group_id
from icm.errors import SchemaError
from icm.files.records import RejectedRow

ASSISTANT_TURN: Final = "\n\nAssistant:"
"""What precedes a reply in the transcripts of HH-RLHF."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPair:
    """Two responses to one prompt, each with the space before it, of which somebody judged the first to be better.

    `group` is a content hash of the prompt; `subset` the file's own name for the kind of pair, empty if it has none.
    """

    group: str
    prompt: str
    better: str
    worse: str
    subset: str = ""


def read_judged_pairs(path: Path, prompt_template: str) -> tuple[list[JudgedPair], list[RejectedRow]]:
    """Read a JSON Lines file (`.gz` or not) or a JSON list of any of the known layouts, told apart by their columns.

    Return the pairs in the order of the file, and the rows that became none.

    - `prompt`, `chosen`, `rejected` (RewardBench); lists of responses give every pair of the two lists (RM-Bench).
    - `chosen`, `rejected` without a prompt: transcripts that differ in their last reply (HH-RLHF).
    - `instruction`, `response_1`, `response_2`, `label` (LLMBar, PandaLM …): whether the first is better.
    - `question`, `choice`, `choice_2`, `label` (the paper's Alpaca file).

    Rows that are the same pair in the other order are listed as duplicates.

    Args:
        path: The file.
        prompt_template: Turns a bare question into a prompt; it names `{question}`.

    Raises:
        SchemaError: The file is missing, no JSON, of none of these layouts, or holds no usable pair.
    """
    pairs: dict[JudgedPair, int] = {}
    rejected: list[RejectedRow] = []
    for number, row in enumerate(_rows(path)):
        made = _pairs_of(row, prompt_template, f"{path}:{number + 1}")
        if isinstance(made, str):
            rejected.append(RejectedRow(row=number, reason="empty", detail=made))
            continue
        for pair in made:
            if pair in pairs:
                detail = f"the pair stands in row {pairs[pair]} already"
                rejected.append(RejectedRow(row=number, reason="duplicate", detail=detail))
            # The first row keeps the pair; a dict keeps the order of the file.
            pairs.setdefault(pair, number)
    if not pairs:
        raise SchemaError(f"{path}: holds no pair of two responses, {len(rejected):,} rows were rejected")
    return list(pairs), rejected


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    except FileNotFoundError:
        raise SchemaError(f"{path}: no such file") from None
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise SchemaError(f"{path}: cannot be read as text: {error}") from None
    try:
        # A JSON list begins with a bracket, JSON Lines with an object.
        rows = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
    except json.JSONDecodeError as error:
        raise SchemaError(f"{path}: no JSON, nor JSON Lines: {error}") from None
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise SchemaError(f"{path}:{number}: a row must be an object, got {str(row)[:60]!r}")
        yield row


def _pairs_of(row: Mapping[str, Any], template: str, where: str) -> list[JudgedPair] | str:
    """Return the pairs of a row, or why it has none."""
    # RewardBench, LLMBar and HH-RLHF each have a name of their own for the kind of a pair.
    subset = str(row.get("subset") or row.get("source") or row.get("hh_type") or "")
    if {"prompt", "chosen", "rejected"} <= row.keys():
        prompt = _asked(template, row["prompt"], where)
        chosen, rejected = _texts(row["chosen"], where), _texts(row["rejected"], where)
        candidates = [(better, worse) for better in chosen for worse in rejected]
    elif {"chosen", "rejected"} <= row.keys():
        prompt, better, worse = _split_transcripts(*_texts([row["chosen"], row["rejected"]], where))
        if not prompt:
            return "the two transcripts do not differ in their last reply alone"
        candidates = [(better, worse)]
    else:
        prompt, candidates = _labelled_comparison(row, template, where)
    made = [
        JudgedPair(group=group_id(prompt), prompt=prompt, better=f" {b.strip()}", worse=f" {w.strip()}", subset=subset)
        for b, w in candidates
        if b.strip() and w.strip() and b.strip() != w.strip()
    ]
    return made or "a response is empty, or both are the same"


def _labelled_comparison(row: Mapping[str, Any], template: str, where: str) -> tuple[str, list[tuple[str, str]]]:
    for question, first, second in (("instruction", "response_1", "response_2"), ("question", "choice", "choice_2")):
        if {question, first, second, "label"} <= row.keys():
            # True and false are 1 and 0 in Python, so one check covers both spellings.
            if row["label"] not in (0, 1):
                raise SchemaError(f"{where}: label must be true, false, 1 or 0, got {row['label']!r}")
            responses = _texts([row[first], row[second]], where)
            better, worse = responses if row["label"] else responses[::-1]
            return _asked(template, row[question], where), [(better, worse)]
    raise SchemaError(
        f"{where}: no known layout of judged pairs: needs prompt, chosen and rejected; or chosen and rejected; or "
        f"instruction, response_1, response_2 and label; or question, choice, choice_2 and label; "
        f"got {', '.join(row) or 'no columns'}"
    )


def _split_transcripts(better: str, worse: str) -> tuple[str, str, str]:
    """Return what two transcripts share up to their last reply, and the replies; an empty prompt if they differ."""
    prompt, mark, reply = better.rpartition(ASSISTANT_TURN)
    other_prompt, other_mark, other_reply = worse.rpartition(ASSISTANT_TURN)
    # Transcripts that differ earlier are two dialogues, and say nothing about a reply to one prompt.
    if not mark or not other_mark or prompt != other_prompt:
        return "", "", ""
    return (prompt + mark).strip(), reply, other_reply


def _asked(template: str, question: Any, where: str) -> str:
    # Not str.format: questions about code hold braces.
    return template.replace("{question}", _texts(question, where)[0])


def _texts(value: Any, where: str) -> list[str]:
    """Return a text, or a list of them, as a list."""
    texts = value if isinstance(value, list) else [value]
    for text in texts:
        if not isinstance(text, str):
            raise SchemaError(f"{where}: prompts and responses must be text, got {str(text)[:60]!r}")
    return texts
