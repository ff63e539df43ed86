"""Rows that compare two responses to one question, in every layout that data sets have. Knows no task and no template.

Prepared claims and files of judged pairs are both read here, so a layout means the same in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from icm.errors import SchemaError
from icm.files.tables import is_absent, shown
from icm.prepare.dialogues import (
    HUMAN,
    Turn,
    is_messages,
    parted,
    reply_text,
    turns_of_messages,
    turns_of_transcript,
    written_out,
)
from icm.prepare.tables import Columns, Row, Table

FORMATS: Final[Mapping[str, Columns]] = {
    "authors": Columns(claims=("question", "choice", "choice_2"), gold=("label",)),
    "pairs": Columns(claims=("instruction", "response_1", "response_2"), optional=("input",), gold=("label",)),
    "alpaca_farm": Columns(claims=("instruction", "output_1", "output_2"), optional=("input",), gold=("preference",)),
    "llmbar": Columns(claims=("input", "output_1", "output_2"), gold=("label",)),
    # Here the golden label is the column in which a response stands; the claims are made of both columns alike.
    "prompted": Columns(claims=("prompt", "chosen", "rejected")),
    "dialogues": Columns(claims=("chosen", "rejected")),
}

Verdict = bool | Literal["tie"] | None
"""Whether the first response is the better one; `None` where nobody said."""

_TIES: Final = frozenset({"tie", "draw", "equal", "same", "both", "neither", "0.5", "1.5"})
_VERDICTS: Final = {"true": True, "1": True, "1.0": True, "false": False, "2": False, "2.0": False}
_ZERO: Final = ("0", "0.0")


class Comparison(NamedTuple):
    """Two responses to one question.

    Attributes:
        question: What was asked, earlier turns of a dialogue included.
        first: A response; empty where there is none, as may be the second and the question.
        second: Another one.
        verdict: Which of them is better.
        problem: Why the row is no comparison, a reason of `RejectedRow` and its detail; `None` where it is one.
        transcript: Whether the row holds whole transcripts, so that `question` is one and needs no template.
    """

    question: str
    first: str
    second: str
    verdict: Verdict = None
    problem: tuple[Literal["empty", "invalid"], str] | None = None
    transcript: bool = False


def comparisons(name: str, table: Table) -> Iterator[tuple[Row, Comparison]]:
    """Yield the comparisons of a table in one of `FORMATS`, several of a row that lists responses.

    Raises:
        SchemaError: A value is of the wrong type.
    """
    rows = list(table.select(FORMATS[name]))
    zero: Verdict = "tie" if name == "alpaca_farm" or _counts_from_one(name, rows) else False
    for row in rows:
        for comparison in _of_row(name, row, zero):
            yield row, comparison


def _counts_from_one(name: str, rows: Sequence[Row]) -> bool:
    """Return whether labels name the better response by its number, so that a 0 among them is a tie."""
    gold = FORMATS[name].gold
    return bool(gold) and any(str(row.values.get(gold[0])).strip() in ("2", "2.0") for row in rows)


def _of_row(name: str, row: Row, zero: Verdict) -> Iterator[Comparison]:
    match name:
        case "authors":
            yield _labelled(row, row.text("question"), "choice", "choice_2", "label", zero)
        case "pairs":
            yield _labelled(row, _instruction(row), "response_1", "response_2", "label", zero)
        case "alpaca_farm":
            yield _labelled(row, _instruction(row), "output_1", "output_2", "preference", zero)
        case "llmbar":
            yield _labelled(row, row.text("input"), "output_1", "output_2", "label", zero)
        case _:
            yield from _chosen_and_rejected(row)


def _labelled(row: Row, question: str, first: str, second: str, label: str, zero: Verdict) -> Comparison:
    one, other = (reply_text(row.verbatim(column)) for column in (first, second))
    return _checked(Comparison(question, one, other, _verdict(row, label, zero)))


def _verdict(row: Row, column: str, zero: Verdict) -> Verdict:
    """Return what a column says: true or 1 for the first response, false or 2 for the second, or a tie."""
    value = row.values.get(column)
    if is_absent(value):
        return None
    word = str(value).strip().lower()
    if word in _ZERO:
        return zero
    if word in _TIES:
        return "tie"
    if word not in _VERDICTS:
        raise SchemaError(
            f"{row.where}: {column} must be true or false, 1 or 0, or the number 1 or 2 of the better response "
            f"(tie where neither is), got {shown(value)}"
        )
    return _VERDICTS[word]


def _instruction(row: Row) -> str:
    return "\n\n".join(part for part in (row.text("instruction"), row.text("input")) if part)


def _chosen_and_rejected(row: Row) -> Iterator[Comparison]:
    """Yield the comparisons of a row whose columns are the verdict: `chosen` is the better response."""
    chosen, rejected = (row.values.get(column) for column in ("chosen", "rejected"))
    prompt = _prompt(row)
    if is_messages(chosen) or is_messages(rejected):
        yield _of_dialogues(prompt, *(turns_of_messages(row.where, value or []) for value in (chosen, rejected)))
    elif "prompt" in row.values:
        # RM-Bench lists several responses of each kind; every one is compared with every other.
        for first in _responses(row, "chosen"):
            for second in _responses(row, "rejected"):
                yield _checked(Comparison(written_out(prompt), first, second, True))
    elif empty := [column for column in ("chosen", "rejected") if not row.text(column)]:
        yield Comparison("", "", "", problem=("empty", f"the {empty[0]} dialogue is empty"))
    else:
        both = (turns_of_transcript(row.where, column, row.verbatim(column)) for column in ("chosen", "rejected"))
        yield _of_dialogues([], *both, transcript=True)


def _prompt(row: Row) -> list[Turn]:
    """Return the turns of the column `prompt`, a text or messages; none where there is no such column."""
    value = row.values.get("prompt")
    if is_messages(value):
        return turns_of_messages(row.where, value)
    text = row.text("prompt")
    return [(HUMAN, f" {text}")] if text else []


def _responses(row: Row, column: str) -> list[str]:
    value = row.values.get(column)
    texts = value if isinstance(value, list) else [value]
    return [reply_text(Row(row.number, row.where, {column: text}).verbatim(column)) for text in texts]


def _of_dialogues(
    prompt: Sequence[Turn], chosen: Sequence[Turn], rejected: Sequence[Turn], *, transcript: bool = False
) -> Comparison:
    # Most files repeat the prompt as the first messages of both dialogues; others list the replies alone.
    one, other = (turns if _asks(turns) else [*prompt, *turns] for turns in (chosen, rejected))
    split = parted(one, other)
    if isinstance(split, str):
        return Comparison("", "", "", problem=("invalid", split))
    shared, first, second = split
    return _checked(Comparison(written_out(shared), reply_text(first), reply_text(second), True, transcript=transcript))


def _asks(turns: Sequence[Turn]) -> bool:
    return any(speaker == HUMAN for speaker, _ in turns)


def _checked(comparison: Comparison) -> Comparison:
    """Return a comparison with what keeps it from being one."""
    named = {"question": comparison.question, "first response": comparison.first, "second response": comparison.second}
    for what, text in named.items():
        if not text:
            return comparison._replace(problem=("empty", f"the {what} is empty"))
    if comparison.first == comparison.second:
        return comparison._replace(problem=("invalid", "the two responses are identical"))
    return comparison
