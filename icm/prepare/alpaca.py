"""Preferences: is the first of two responses the better one?

Every pair becomes two claims, one for each order, whatever order its source has: where a response stands says nothing
about its golden label. The two claims mirror each other. Knows no other task.
"""

from __future__ import annotations

from icm.files.records import RejectedRow
from icm.prepare.comparisons import FORMATS, Verdict, comparisons
from icm.prepare.items import TaskItem, TaskItems
from icm.prepare.settings import AlpacaSettings
from icm.prepare.shapes import comparison_claim
from icm.prepare.tables import Table, detect_format

Pair = tuple[str, str, str, bool | None]
"""A question, two responses to it in some order, and whether the first is the better one."""


def build(settings: AlpacaSettings, table: Table) -> TaskItems:
    """Turn a table of response pairs into claims, two for each pair.

    Raises:
        SchemaError: The table fits no format, or a value is of the wrong type.
    """
    name = detect_format(table, FORMATS, settings.format, settings.kind)
    rows: list[tuple[int, Pair]] = []
    rejected: list[RejectedRow] = []
    for row, found in comparisons(name, table):
        if found.problem is not None:
            reason, detail = found.problem
            rejected.append(RejectedRow(row=row.number, reason=reason, detail=detail))
            continue
        if found.verdict == "tie":
            detail = "the claims stay, without golden labels: neither response is the better one"
            rejected.append(RejectedRow(row=row.number, reason="tie", detail=detail))
        rows.append((row.number, (found.question, found.first, found.second, _first_is_better(found.verdict))))
    # Whole pairs with their verdicts: two rows that contradict one another must both stay, so that it is noticed.
    given = {pair for _, pair in rows}
    items = [
        _item(settings, number, ordered)
        for number, pair in rows
        for ordered in (pair, _reversed(pair))
        # A source that has both orders already gives its own row for the other one: it is not repeated.
        if ordered is pair or ordered not in given
    ]
    return TaskItems(items, rejected)


def _first_is_better(verdict: Verdict) -> bool | None:
    return None if verdict == "tie" else verdict


def _item(settings: AlpacaSettings, row: int, pair: Pair) -> TaskItem:
    question, first, second, first_is_better = pair
    claim = comparison_claim(question, first, second, settings.quality)
    label = None if first_is_better is None else int(first_is_better)
    return TaskItem(claim=claim, golden_label=label, row=row)


def _reversed(pair: Pair) -> Pair:
    question, first, second, first_is_better = pair
    return question, second, first, None if first_is_better is None else not first_is_better
