"""Preferences: is the first of two responses the better one?

Every pair becomes two claims, one for each order, whatever order its source has: where a response stands says nothing
about its golden label. The two claims mirror each other. Knows no other task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from icm.errors import SchemaError
from icm.files.records import RejectedRow
from icm.prepare.items import TaskItem, TaskItems
from icm.prepare.settings import AlpacaSettings
from icm.prepare.shapes import comparison_claim
from icm.prepare.tables import Columns, Row, Table, detect_format

FORMATS: Final[Mapping[str, Columns]] = {
    "authors": Columns(claims=("question", "choice", "choice_2"), gold=("label",)),
    "pairs": Columns(claims=("instruction", "response_1", "response_2"), optional=("input",), gold=("label",)),
    "alpaca_farm": Columns(claims=("instruction", "output_1", "output_2"), optional=("input",), gold=("preference",)),
    # Here the golden label is the column in which a response stands; the claims are made of both columns alike.
    "prompted": Columns(claims=("prompt", "chosen", "rejected")),
    "dialogues": Columns(claims=("chosen", "rejected")),
}

_HUMAN: Final = "\n\nHuman:"
_ASSISTANT: Final = "\n\nAssistant:"
# As text, since CSV knows nothing else; a column of floats spells 1 as 1.0.
_PREFERENCES: Final = {"1": True, "1.0": True, "2": False, "2.0": False, "0": None, "0.0": None, "1.5": None}


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
    for row in table.select(FORMATS[name]):
        pair = _pair(name, row)
        problem = _problem(row.number, pair)
        if problem is None:
            rows.append((row.number, pair))
        else:
            rejected.append(problem)
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


def _item(settings: AlpacaSettings, row: int, pair: Pair) -> TaskItem:
    question, first, second, first_is_better = pair
    claim = comparison_claim(question, first, second, settings.quality)
    label = None if first_is_better is None else int(first_is_better)
    return TaskItem(claim=claim, golden_label=label, row=row)


def _reversed(pair: Pair) -> Pair:
    question, first, second, first_is_better = pair
    return question, second, first, None if first_is_better is None else not first_is_better


def _problem(row: int, pair: Pair) -> RejectedRow | None:
    # Not strict: the fourth element of a pair is its verdict, which may be missing.
    for what, text in zip(("question", "first response", "second response"), pair, strict=False):
        if not text:
            return RejectedRow(row=row, reason="empty", detail=f"the {what} is empty")
    if pair[1] == pair[2]:
        return RejectedRow(row=row, reason="invalid", detail="the two responses are identical")
    return None


def _pair(name: str, row: Row) -> Pair:
    match name:
        case "authors":
            return row.text("question"), row.text("choice"), row.text("choice_2"), row.truth("label")
        case "pairs":
            return _instruction(row), row.text("response_1"), row.text("response_2"), row.truth("label")
        case "alpaca_farm":
            return _instruction(row), row.text("output_1"), row.text("output_2"), _preference(row)
        # The column itself is the verdict: `chosen` is the better response.
        case "prompted":
            return row.text("prompt"), row.text("chosen"), row.text("rejected"), True
        case _:
            return _split_dialogues(row)


def _instruction(row: Row) -> str:
    return "\n\n".join(part for part in (row.text("instruction"), row.text("input")) if part)


def _preference(row: Row) -> bool | None:
    """Return AlpacaFarm's verdict as truth: it names the better output by its number; 0 and 1.5 are ties."""
    value = row.text("preference")
    if value and value not in _PREFERENCES:
        raise SchemaError(f"{row.where}: preference must be 1 or 2 (0 or 1.5 for a tie), got {value!r}")
    return _PREFERENCES[value] if value else None


def _split_dialogues(row: Row) -> Pair:
    """Split two dialogues where they part: the shared turns are the question, what follows are the responses."""
    chosen, rejected = _dialogue(row, "chosen"), _dialogue(row, "rejected")
    # The shared beginning may end inside a response, where both happen to begin alike: go back to the turn's start.
    length = next(
        (at for at, (one, other) in enumerate(zip(chosen, rejected, strict=False)) if one != other),
        min(len(chosen), len(rejected)),
    )
    # The last assistant turn that both share, whole or begun.
    cut = chosen.rfind(_ASSISTANT, 0, length)
    if cut < 0:
        return "", chosen, rejected, None  # no shared assistant turn: rejected as a row without a question
    begin = cut + len(_ASSISTANT)
    question = chosen[:cut].removeprefix(_HUMAN).strip()
    return question, chosen[begin:].strip(), rejected[begin:].strip(), True


def _dialogue(row: Row, column: str) -> str:
    text = row.text(column)
    # `text` comes without the blank lines that begin a dialogue; they are put back below.
    if not text.startswith(_HUMAN.strip()):
        raise SchemaError(
            f"{row.where}: column {column!r} must be a dialogue that begins with 'Human:', got {text[:40]!r}; "
            f"for single responses add a column 'prompt'"
        )
    return f"\n\n{text}"
