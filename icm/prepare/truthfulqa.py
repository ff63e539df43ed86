"""TruthfulQA: is this answer to the question true?

Several answers to one question may be true, and often are, so hardly anything follows from the meaning alone. What
does: one question cannot be answered rightly with both "Yes" and "No". Two answers that both begin with "Yes" may
differ in what follows, and neither a "Yes" nor a "No" need be true.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from icm.claims import AnswerKey
from icm.errors import SchemaError
from icm.files.records import RejectedRow
from icm.prepare.items import TaskItem, TaskItems
from icm.prepare.settings import TruthfulqaSettings
from icm.prepare.shapes import answer_claim
from icm.prepare.tables import Columns, Row, Table, detect_format, shown

FORMATS: Final[Mapping[str, Columns]] = {
    "authors": Columns(claims=("question", "choice"), gold=("label",)),
    # Here the golden label is the column in which an answer stands; the claims are made of both columns alike.
    "csv": Columns(claims=("Question", "Correct Answers", "Incorrect Answers")),
    "generation": Columns(claims=("question", "correct_answers", "incorrect_answers")),
    "multiple_choice": Columns(claims=("question", "mc2_targets")),
    "answers": Columns(claims=("question", "answer"), gold=("label",)),
}

# A question that begins with one of these asks for yes or no.
_AUXILIARIES: Final = "am|are|can|could|did|do|does|had|has|have|is|may|might|must|shall|should|was|were|will|would"
_POLAR_QUESTION: Final = re.compile(rf"(?:{_AUXILIARIES})\b[^?]*\?*\s*", re.IGNORECASE)
_ALTERNATIVES: Final = re.compile(r"\bor\b", re.IGNORECASE)
_POLAR_ANSWER: Final = re.compile(r"(yes|no)\s*(?:[,.;:!]|$)", re.IGNORECASE)


Answer = tuple[Row, str, str, bool | None]
"""A row, its question, one answer to it, and whether the source calls that answer true."""


def build(settings: TruthfulqaSettings, table: Table) -> TaskItems:
    """Turn a table of questions and answers into claims.

    Raises:
        SchemaError: The table fits no format, or a value is of the wrong type.
    """
    # The authors' comparison files share `question` and `choice` with these; their second answer must not be lost.
    if "choice_2" in table.columns:
        raise SchemaError(f"{table.name}: the rows compare two answers (choice, choice_2); read them with task=alpaca")
    name = detect_format(table, FORMATS, settings.format, settings.kind)
    items: list[TaskItem] = []
    rejected: list[RejectedRow] = []
    for row, question, answer, golden_label in _answers(name, table):
        if not question or not answer:
            lacking = "answer" if question else "question"
            rejected.append(RejectedRow(row=row.number, reason="empty", detail=f"the {lacking} is empty"))
            continue
        claim = answer_claim(question, answer, polarity(question, answer))
        label = None if golden_label is None else int(golden_label)
        items.append(TaskItem(claim=claim, golden_label=label, row=row.number))
    return TaskItems(items, rejected)


def polarity(question: str, answer: str) -> AnswerKey | None:
    """Return "yes" or "no" for an answer that begins so to a question that asks for one of the two, else `None`."""
    # `or` offers other answers than yes and no, even after an auxiliary: "Is it red or blue?"
    asked = _POLAR_QUESTION.fullmatch(question) and not _ALTERNATIVES.search(question)
    given = _POLAR_ANSWER.match(answer)
    return AnswerKey(value=given.group(1).lower()) if asked and given else None


def _answers(name: str, table: Table) -> Iterator[Answer]:
    for row in table.select(FORMATS[name]):
        match name:
            case "csv":
                question = row.text("Question")
                yield from _listed(row, question, _split(row.text("Correct Answers")), True)
                yield from _listed(row, question, _split(row.text("Incorrect Answers")), False)
            case "generation":
                question = row.text("question")
                yield from _listed(row, question, row.texts("correct_answers"), True)
                yield from _listed(row, question, row.texts("incorrect_answers"), False)
            case "multiple_choice":
                yield from _multiple_choice(row)
            case _:
                answer = row.text("choice" if name == "authors" else "answer")
                yield row, row.text("question"), answer, row.truth("label")


def _listed(row: Row, question: str, answers: list[str], golden_label: bool) -> Iterator[Answer]:
    for answer in answers:
        yield row, question, answer, golden_label


def _split(answers: str) -> list[str]:
    """Return the answers of a CSV field; the last one may end in a semicolon too."""
    return [answer for part in answers.split(";") if (answer := part.strip())]


def _multiple_choice(row: Row) -> Iterator[Answer]:
    targets = row.values["mc2_targets"]
    if not isinstance(targets, dict) or "choices" not in targets:
        raise SchemaError(f"{row.where}: column 'mc2_targets' must be an object with 'choices', got {shown(targets)}")
    choices = Row(row.number, row.where, targets).texts("choices")
    # The labels are golden: without them the choices are still claims.
    labels = targets.get("labels") or [None] * len(choices)
    if len(labels) != len(choices):
        raise SchemaError(f"{row.where}: mc2_targets holds {len(choices)} choices and {len(labels)} labels")
    for choice, label in zip(choices, labels, strict=True):
        yield row, row.text("question"), choice, Row(row.number, row.where, {"labels": label}).truth("labels")
