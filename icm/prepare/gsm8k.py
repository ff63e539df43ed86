"""GSM8K verification: is this worked solution of a grade-school problem correct?

A claim is the worked solution; its key is the final answer that it reaches. Knows no other task.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from typing import Final

from icm.claims import AnswerKey
from icm.errors import SchemaError
from icm.files.records import RejectedRow
from icm.prepare.answers import final_answer, normalise_number, strip_calculator_marks
from icm.prepare.items import TaskItem, TaskItems
from icm.prepare.settings import Gsm8kSettings
from icm.prepare.shapes import answer_claim
from icm.prepare.tables import Columns, Row, Table, detect_format, shown

GENERATORS: Final = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
"""The columns of OpenAI's file that hold a model's solution and the verdict on it."""

FORMATS: Final[Mapping[str, Columns]] = {
    "authors": Columns(claims=("question", "cot"), optional=("answer",), gold=("label", "ref_answer")),
    "model_solutions": Columns(claims=("question", *GENERATORS), gold=("ground_truth",)),
    "solutions": Columns(claims=("question", "solution"), gold=("label", "answer")),
}


Candidate = tuple[Row, str, str, AnswerKey | None, Mapping[str, int | None], str | None]
"""A row, its problem, a solution that it proposes, the answer reached, a golden label for each kind of gold, and what
of the answers cannot be read."""


def build(settings: Gsm8kSettings, table: Table) -> TaskItems:
    """Turn a table of solutions into claims.

    Raises:
        SchemaError: The table fits no format, a value is of the wrong type, or the golden labels asked for are
            not in it.
    """
    name = detect_format(table, FORMATS, settings.format, settings.kind)
    candidates = list(_candidates(name, table))
    # Before any claim is built: a whole data set without the gold asked for is a mistake of the settings.
    _require_gold(settings, table.name, candidates)
    items: list[TaskItem] = []
    rejected: list[RejectedRow] = []
    for row, question, solution, key, golden_labels, unreadable in candidates:
        if not question or not solution:
            lacking = "solution" if question else "question"
            rejected.append(RejectedRow(row=row.number, reason="empty", detail=f"the {lacking} is empty"))
            continue
        label = _golden_label(settings, golden_labels)
        if label is None and unreadable:
            detail = f"the claim stays, without a golden label: {unreadable}"
            rejected.append(RejectedRow(row=row.number, reason="unreadable_gold", detail=detail))
        items.append(TaskItem(claim=answer_claim(question, solution, key), golden_label=label, row=row.number))
    return TaskItems(items, rejected)


def _golden_label(settings: Gsm8kSettings, golden_labels: Mapping[str, int | None]) -> int | None:
    """Return the kind of golden label that is asked for; `auto` takes the first kind that the source has."""
    # A mapping is walked in the order of its keys: the verdict before the match.
    kinds = golden_labels if settings.gold == "auto" else (settings.gold,)
    return next((label for kind in kinds if (label := golden_labels[kind]) is not None), None)


def _require_gold(settings: Gsm8kSettings, source: str, candidates: list[Candidate]) -> None:
    """Refuse a kind of golden label that was asked for by name and that no row can give."""
    # An answer that cannot be read is there all the same, and listed.
    if settings.gold != "auto" and not any(labels[settings.gold] is not None or why for *_, labels, why in candidates):
        raise SchemaError(
            f"{source}: no row holds what task.gold={settings.gold} needs; "
            f"task.gold=auto takes what there is, and works without golden labels too"
        )


def _candidates(name: str, table: Table) -> Iterator[Candidate]:
    rows = list(table.select(FORMATS[name]))
    match name:
        case "authors":
            correct = _correct_answers(rows)
            for row in rows:
                solution, answer = row.text("cot"), row.text("answer")
                # The authors extracted the answer already; where they did not, the solution is searched for it.
                reached = normalise_number(answer) if answer else final_answer(solution)
                # The row's own word first; other rows of the question may disagree with one another.
                own = row.text("ref_answer")
                given = {normalise_number(own)} if own else correct.get(row.text("question"), set())
                yield _candidate(row, solution, reached, row.truth("label"), given)
        case "solutions":
            for row in rows:
                solution = strip_calculator_marks(row.text("solution"))
                yield _candidate(row, solution, final_answer(solution), row.truth("label"), _given(row, "answer"))
        case _:
            for row in rows:
                yield from _of_each_model(row)


def _candidate(
    row: Row, solution: str, reached: str | None, verdict: bool | None, correct: Set[str | None]
) -> Candidate:
    """Return a candidate with its golden labels: the source's verdict, and whether the answer is the correct one.

    Args:
        row: The row.
        solution: A solution that it proposes.
        reached: The answer of the solution, `None` where it states none that can be read.
        verdict: What the source says of the solution.
        correct: The correct answers that the source gives, `None` among them for one that cannot be read.
    """
    # A guess in either place would be a wrong golden label, so an answer that cannot be read gives none.
    match = None
    if len(correct) == 1 and None not in correct and reached is not None:
        match = int(reached in correct)
    golden_labels = {"label": None if verdict is None else int(verdict), "answer_match": match}
    key = None if reached is None else AnswerKey(value=reached)
    return row, row.text("question"), solution, key, golden_labels, _unreadable(reached, correct)


def _unreadable(reached: str | None, correct: Set[str | None]) -> str | None:
    if len(correct) > 1:
        return "the source gives several correct answers to the question"
    if None in correct:
        return "the correct answer is not one number"
    return "the solution states no final answer that is one number" if correct and reached is None else None


def _given(row: Row, column: str) -> Set[str | None]:
    """Return the correct answer that a worked solution in a column states; an empty set where there is none."""
    return {final_answer(text)} if (text := row.text(column)) else set()


def _correct_answers(rows: list[Row]) -> dict[str, set[str | None]]:
    """Return the correct answers of each question: rows that are the human solution do not repeat it."""
    correct: dict[str, set[str | None]] = defaultdict(set)
    for row in rows:
        if answer := row.text("ref_answer"):
            correct[row.text("question")].add(normalise_number(answer))
    return correct


def _of_each_model(row: Row) -> Iterator[Candidate]:
    correct = _given(row, "ground_truth")
    for generator in GENERATORS:
        # Not `row.text`: each of these columns is an object of its own, with text inside.
        given = row.values[generator]
        if not isinstance(given, dict) or "solution" not in given:
            raise SchemaError(
                f"{row.where}: column {generator!r} must be an object with a 'solution', got {shown(given)}"
            )
        nested = Row(row.number, row.where, given)
        solution = strip_calculator_marks(nested.text("solution"))
        yield _candidate(row, solution, final_answer(solution), nested.truth("is_correct"), correct)
