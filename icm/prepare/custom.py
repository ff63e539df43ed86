"""Any table of claims: the settings say which columns make a claim, a group, a key and a golden label."""

from __future__ import annotations

import re

from icm.claims import AnswerKey, Claim, claim_id, group_id
from icm.errors import SchemaError
from icm.files.records import RejectedRow
from icm.files.tables import is_absent, shown
from icm.prepare.items import TaskItem, TaskItems
from icm.prepare.settings import CustomSettings, template_pieces
from icm.prepare.tables import Columns, Row, Table
from icm.relations import check_answers_occur, check_label_space, normal_answer


def build(settings: CustomSettings, table: Table) -> TaskItems:
    """Turn a table into claims by a template.

    Raises:
        SchemaError: A column is missing, or a golden value is outside the alphabet.
        ConfigError: A relation does not fit the alphabet, or names an answer that no claim gives.
    """
    check_label_space(settings.relations, len(settings.labels))
    # Read beside the claims' columns, never as one of them: the settings refuse a template that names it.
    gold = () if settings.gold_column is None else (settings.gold_column,)
    if gold:
        table.require(gold)
    items: list[TaskItem] = []
    rejected: list[RejectedRow] = []
    for row in table.select(Columns(claims=settings.claim_columns, gold=gold)):
        empty = next((column for column in settings.template_columns if not row.text(column)), None)
        if empty is not None:
            detail = f"column {empty!r} is empty: {shown(row.values[empty])}"
            rejected.append(RejectedRow(row=row.number, reason="empty", detail=detail))
            continue
        if settings.group_columns and not any(map(row.text, settings.group_columns)):
            named = " and ".join(map(repr, settings.group_columns))
            detail = f"{named} is empty: the claim stays, a group of its own, since nothing relates it to others"
            rejected.append(RejectedRow(row=row.number, reason="no_group", detail=detail))
        claim = _claim(settings, row)
        items.append(TaskItem(claim=claim, golden_label=_golden_label(settings, row), row=row.number))
    # After reading, because only the table tells which answers there are; a misspelled one would bind nothing.
    check_answers_occur(settings.relations, [item.claim for item in items])
    unused = tuple(column for column in table.columns if column not in (*settings.claim_columns, *gold))
    return TaskItems(items, rejected, settings.label_space, unused)


def _claim(settings: CustomSettings, row: Row) -> Claim:
    pieces = template_pieces(settings.template)
    # As it stands in the file, since white space may be meant (code); not at the end, where verbalizers begin with it.
    text = "".join(literal + (row.verbatim(column) if column else "") for literal, column in pieces).rstrip()
    # Without a group every claim is about itself alone, so its text names its group.
    about = [row.text(column) for column in settings.group_columns]
    group = group_id(*about) if any(about) else group_id(text)
    answer = "" if settings.answer_column is None else row.text(settings.answer_column)
    return Claim(
        id=claim_id(group, text),
        group=group,
        text=text,
        parts={column: row.verbatim(column) for column in settings.template_columns},
        key=AnswerKey(value=normal_answer(answer)) if answer else None,
    )


def _golden_label(settings: CustomSettings, row: Row) -> int | None:
    if settings.gold_column is None:
        return None
    given = row.values.get(settings.gold_column)
    # As text, because CSV has no other type: 1, "1" and " 1 " are one value, and so is the 1.0 of a data frame.
    spellings = (str(given).strip(), re.sub(r"(?<=\d)\.0+$", "", str(given).strip()))
    for value in spellings:
        for index, label in enumerate(settings.labels):
            if value in label.gold_values:
                return index
    # No value is no verdict: the claim stays and has no golden label. A label may still be called so.
    if is_absent(given):
        return None
    known = ", ".join(f"{label.name} ({' or '.join(label.gold_values)})" for label in settings.labels)
    raise SchemaError(
        f"{row.where}: column {settings.gold_column!r} must hold one of the labels {known}, got {shown(spellings[0])}; "
        f"list the value under one of task.labels.*.gold"
    )
