"""GSM8K verification: is this worked solution of a grade-school problem correct?

A claim is the worked solution; its key is the final answer that it reaches. Knows no other task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from icm.claims import AnswerKey, Claim
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


class Candidate(NamedTuple):
    """One solution that a row proposes, and what the source says about it.

    Attributes:
        row: Where it stands.
        question: The problem.
        solution: The worked solution.
        answer: The final answer where a column of its own holds it, else empty.
        verdict: The source's own golden label.
        correct_answer: The problem's final answer, normalised: another golden column.
    """

    row: Row
    question: str
    solution: str
    answer: str
    verdict: bool | None
    correct_answer: str | None


def build(settings: Gsm8kSettings, table: Table) -> TaskItems:
    """Turn a table of solutions into claims.

    Raises:
        SchemaError: The table fits no format, a value is of the wrong type, or the golden labels asked for are
            not in it.
    """
    name = detect_format(table, FORMATS, settings.format, settings.kind)
    candidates = list(_candidates(name, table))
    _require_gold(settings, table.name, candidates)
    items: list[TaskItem] = []
    rejected: list[RejectedRow] = []
    for candidate in candidates:
        if not candidate.question or not candidate.solution:
            lacking = "solution" if candidate.question else "question"
            rejected.append(RejectedRow(row=candidate.row.number, reason="empty", detail=f"the {lacking} is empty"))
            continue
        claim = _claim(candidate.question, candidate.solution, candidate.answer)
        label = _golden_label(settings, candidate, claim)
        items.append(TaskItem(claim=claim, golden_label=label, row=candidate.row.number))
    return TaskItems(items, rejected)


def _claim(question: str, solution: str, answer: str) -> Claim:
    reached = normalise_number(answer) if answer else final_answer(solution)
    return answer_claim(question, solution, None if reached is None else AnswerKey(value=reached))


def _golden_label(settings: Gsm8kSettings, candidate: Candidate, claim: Claim) -> int | None:
    if settings.gold != "answer_match" and candidate.verdict is not None:
        return int(candidate.verdict)
    if settings.gold == "label" or candidate.correct_answer is None:
        return None
    return int(isinstance(claim.key, AnswerKey) and claim.key.value == candidate.correct_answer)


def _require_gold(settings: Gsm8kSettings, source: str, candidates: list[Candidate]) -> None:
    """Refuse a kind of golden label that was asked for by name and that no row can give."""
    missing = {
        "auto": False,
        "label": all(candidate.verdict is None for candidate in candidates),
        "answer_match": all(candidate.correct_answer is None for candidate in candidates),
    }
    if missing[settings.gold]:
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
                question = row.text("question")
                yield Candidate(
                    row, question, row.text("cot"), row.text("answer"), row.truth("label"), correct.get(question)
                )
        case "solutions":
            for row in rows:
                solution = strip_calculator_marks(row.text("solution"))
                correct_answer = final_answer(row.text("answer"))
                yield Candidate(row, row.text("question"), solution, "", row.truth("label"), correct_answer)
        case _:
            for row in rows:
                yield from _of_each_model(row)


def _correct_answers(rows: list[Row]) -> dict[str, str | None]:
    """Return the correct answer of each question: rows that are the human solution do not repeat it."""
    return {row.text("question"): normalise_number(row.text("ref_answer")) for row in rows if row.text("ref_answer")}


def _of_each_model(row: Row) -> Iterator[Candidate]:
    correct_answer = final_answer(row.text("ground_truth"))
    for generator in GENERATORS:
        given = row.values[generator]
        if not isinstance(given, dict) or "solution" not in given:
            raise SchemaError(
                f"{row.where}: column {generator!r} must be an object with a 'solution', got {shown(given)}"
            )
        nested = Row(row.number, row.where, given)
        solution = strip_calculator_marks(nested.text("solution"))
        yield Candidate(row, row.text("question"), solution, "", nested.truth("is_correct"), correct_answer)
