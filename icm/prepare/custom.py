"""Any table of claims: the settings say which columns make a claim, a group, a key and a golden label."""

from __future__ import annotations

from icm.claims import AnswerKey, Claim, claim_id, group_id
from icm.errors import SchemaError
from icm.files.records import RejectedRow
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
            rejected.append(RejectedRow(row=row.number, reason="empty", detail=f"column {empty!r} is empty"))
            continue
        claim = _claim(settings, row)
        items.append(TaskItem(claim=claim, golden_label=_golden_label(settings, row), row=row.number))
    # After reading, because only the table tells which answers there are; a misspelled one would bind nothing.
    check_answers_occur(settings.relations, [item.claim for item in items])
    unused = tuple(column for column in table.columns if column not in (*settings.claim_columns, *gold))
    return TaskItems(items, rejected, settings.label_space, unused)


def _claim(settings: CustomSettings, row: Row) -> Claim:
    pieces = template_pieces(settings.template)
    text = "".join(literal + (row.text(column) if column else "") for literal, column in pieces)
    # Without group columns every claim is about itself alone, so its text names its group.
    about = [row.text(column) for column in settings.group_columns]
    group = group_id(*about) if about else group_id(text)
    answer = "" if settings.answer_column is None else row.text(settings.answer_column)
    return Claim(
        id=claim_id(group, text),
        group=group,
        text=text,
        parts={column: row.text(column) for column in settings.template_columns},
        key=AnswerKey(value=normal_answer(answer)) if answer else None,
    )


def _golden_label(settings: CustomSettings, row: Row) -> int | None:
    # An empty cell is no verdict: the claim stays and has no golden label.
    if settings.gold_column is None or row.values.get(settings.gold_column) in (None, ""):
        return None
    # As text, because CSV has no other type: 1, "1" and " 1 " are one value.
    value = str(row.values[settings.gold_column]).strip()
    for index, label in enumerate(settings.labels):
        if value in label.gold_values:
            return index
    known = ", ".join(f"{label.name} ({' or '.join(label.gold_values)})" for label in settings.labels)
    raise SchemaError(
        f"{row.where}: column {settings.gold_column!r} must hold one of the labels {known}, got {value!r}; "
        f"list the value under one of task.labels.*.gold"
    )
