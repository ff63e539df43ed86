"""Files of judged pairs that others publish: RewardBench, RM-Bench, HH-RLHF, UltraFeedback, LLMBar and others.

Their layouts are those of `icm.prepare.comparisons`; here they become prompts and responses of a reward model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from icm.claims import group_id
from icm.errors import SchemaError
from icm.files.records import RejectedRow
from icm.files.tables import read_table
from icm.prepare.comparisons import FORMATS, Comparison, comparisons
from icm.prepare.tables import Row, Table, columns_of, detect_format

ASSISTANT_TURN: Final = "\n\nAssistant:"
"""What precedes a reply in the transcripts of HH-RLHF."""

SUBSETS: Final = ("subset", "source", "hh_type")
"""The names that RewardBench, LLMBar and HH-RLHF have for the kind of a pair."""


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
    """Read a file of any type that `icm.files.tables` knows, in any layout of `icm.prepare.comparisons`.

    Return the pairs in the order of the file, and the rows that became none. Rows that are the same pair in the other
    order are listed as duplicates.

    Args:
        path: The file; JSON Lines if its name says no other type.
        prompt_template: Turns a bare question into a prompt; it names `{question}`.

    Raises:
        SchemaError: The file is missing, malformed, of none of these layouts, or holds no usable pair.
    """
    rows, lines = read_table(path, untyped=".jsonl")
    table = Table(str(path), columns_of(rows), rows, lines)
    if not rows:
        raise SchemaError(f"{path}: holds no pair of two responses; it has no rows")
    name = detect_format(table, FORMATS, "auto", "judged pairs")
    pairs: dict[JudgedPair, int] = {}
    rejected: list[RejectedRow] = []
    for row, found in comparisons(name, table):
        # Of all columns, since the layouts declare only what claims and verdicts are made of.
        subset = next((str(value) for column in SUBSETS if (value := table.rows[row.number].get(column))), "")
        made = _pair(row, found, prompt_template, subset)
        if isinstance(made, JudgedPair) and made in pairs:
            detail = f"the pair stands in row {pairs[made]} already"
            made = RejectedRow(row=row.number, reason="duplicate", detail=detail)
        if isinstance(made, RejectedRow):
            rejected.append(made)
        else:
            # A dict keeps the order of the file.
            pairs[made] = row.number
    if not pairs:
        first = f", the first: row {rejected[0].row}: {rejected[0].detail}" if rejected else ""
        raise SchemaError(f"{path}: holds no pair of two responses, {len(rejected):,} rows were rejected{first}")
    return list(pairs), rejected


def _pair(row: Row, found: Comparison, template: str, subset: str) -> JudgedPair | RejectedRow:
    """Return the pair of a comparison, or why it has none."""
    if found.problem is not None:
        reason, detail = found.problem
        return RejectedRow(row=row.number, reason=reason, detail=detail)
    if found.verdict == "tie":
        return RejectedRow(row=row.number, reason="tie", detail="neither response is the better one")
    if found.verdict is None:
        return RejectedRow(row=row.number, reason="invalid", detail="nobody said which response is the better one")
    better, worse = (found.first, found.second) if found.verdict else (found.second, found.first)
    # A transcript is a prompt as it stands; it lost the mark of its first turn as a question. Not str.format: questions
    # about code hold braces.
    prompt = (
        f"Human: {found.question}{ASSISTANT_TURN}"
        if found.transcript
        else template.replace("{question}", found.question)
    )
    return JudgedPair(group=group_id(prompt), prompt=prompt, better=f" {better}", worse=f" {worse}", subset=subset)
