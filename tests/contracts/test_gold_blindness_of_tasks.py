"""For every format of every task: what the search reads is the same bytes whatever the golden labels are.

The golden labels are flipped, permuted and removed, the rows are shuffled, and columns that nobody declared (many of
them derived from gold in the real files) come and go.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from icm.files.records import CLAIMS, GOLD, HELD_OUT, TASK
from icm.prepare.settings import PrepareConfig
from icm.prepare.stage import run
from tests.worlds.tasks import task_settings

Row = dict[str, Any]
FILES = (CLAIMS, HELD_OUT, TASK)


@dataclass(frozen=True)
class Case:
    """A format: its settings, rows written by hand, and what flipping and removing gold means in it.

    `remove` is `None` where the columns of the claims are themselves the golden labels and cannot go.
    """

    name: str
    settings: dict[str, Any]
    rows: list[Row]
    flip: Callable[[Row], Row]
    remove: Callable[[Row], Row] | None
    settings_without_gold: dict[str, Any] | None = None


def without(*columns: str) -> Callable[[Row], Row]:
    return lambda row: {column: value for column, value in row.items() if column not in columns}


def flipped(column: str = "label") -> Callable[[Row], Row]:
    return lambda row: {**row, column: not row[column]}


def swapped(one: str, other: str) -> Callable[[Row], Row]:
    return lambda row: {**row, one: row[other], other: row[one]}


NUMBERS = range(1, 13)
LETTERS = "abcdefghijkl"

AUTHORS_GSM8K = [
    {
        "question": f"Ann has {n} pens and buys {n}. How many now?",
        "cot": f"She has {n} + {n}. {style} The answer is {answer}.",
        "answer": str(answer),
        "label": answer == 2 * n,
        "ref_answer": str(2 * n),
    }
    for n in NUMBERS
    for style, answer in (("So:", 2 * n), ("Thus:", 2 * n), ("Hence:", 2 * n + 1), ("", n))
]
SOLUTIONS = [
    {"question": f"What is {n} times 3?", "solution": f"{n}*3=<<{n}*3={a}>>{a}\nA: {a}", "label": a == 3 * n}
    for n in NUMBERS
    for a in (3 * n, 3 * n + 1, n)
]
PROBLEM_SOLUTIONS = [
    {"question": f"What is {n} times 3?", "solution": f"It is {a}.\n#### {a}", "answer": f"{n}*3\n#### {3 * n}"}
    for n in NUMBERS
    for a in (3 * n, 3 * n + 1, n)
]
MODEL_SOLUTIONS = [
    {
        "question": f"Tom reads {n} pages on each of 2 days. How many pages?",
        "ground_truth": f"{n}*2=<<{n}*2={2 * n}>>{2 * n}\nA: {2 * n}",
        **{
            model: {"solution": f"By {model}:\nA: {2 * n + slip}", "is_correct": slip == 0}
            for model, slip in (
                ("6b_finetuning", 1),
                ("6b_verification", 0),
                ("175b_finetuning", 2),
                ("175b_verification", 0),
            )
        },
    }
    for n in NUMBERS
]
AUTHORS_TRUTHFULQA = [
    {"question": f"Is {letter} a letter?", "choice": choice, "label": choice.startswith("Yes")}
    for letter in LETTERS
    for choice in (f"Yes, {letter} is one.", f"No, {letter} is none.", f"Yes. {letter}, too.")
]
CSV_TRUTHFULQA = [
    {
        "Question": f"What is {letter} for?",
        "Correct Answers": f"{letter} is for words; {letter} is for names",
        "Incorrect Answers": f"{letter} is for cake;",
    }
    for letter in LETTERS
]
GENERATION = [
    {
        "question": f"What is {letter} for?",
        "correct_answers": [f"{letter} is for words", f"{letter} is for names"],
        "incorrect_answers": [f"{letter} is for cake"],
    }
    for letter in LETTERS
]
MULTIPLE_CHOICE = [
    {"question": f"What is {x} for?", "mc2_targets": {"choices": [f"{x} words", f"{x} cake"], "labels": [1, 0]}}
    for x in LETTERS
]
ANSWERS = [
    {"question": f"What is {x} for?", "answer": f"{x} {a}", "label": i} for x in LETTERS for i, a in enumerate("pq")
]
AUTHORS_ALPACA = [
    {"question": f"Name a word with {x}.", "choice": one, "choice_2": other, "label": first}
    for x in LETTERS
    for one, other, first in ((f"{x}1", f"{x}2 no", True), (f"{x}2 no", f"{x}1", False))
]
PAIRS = [
    {
        "instruction": f"Name a {x}.",
        "input": "Be brief.",
        "response_1": f"{x}1",
        "response_2": f"{x}2",
        "label": x < "f",
    }
    for x in LETTERS
]
ALPACA_FARM = [
    {"instruction": f"Name a {x}.", "input": "", "output_1": f"{x}1", "output_2": f"{x}2", "preference": 1 + (x < "f")}
    for x in LETTERS
]
PROMPTED = [{"prompt": f"Name a {x}.", "chosen": f"{x} good", "rejected": f"{x} bad"} for x in LETTERS]
DIALOGUES = [
    {
        "chosen": f"\n\nHuman: I am {x}.\n\nAssistant: Hello.\n\nHuman: Name me.\n\nAssistant: You are {x}.",
        "rejected": f"\n\nHuman: I am {x}.\n\nAssistant: Hello.\n\nHuman: Name me.\n\nAssistant: You are a fool.",
    }
    for x in LETTERS
]
CUSTOM = [
    {"text": f"The {x} is {y}.", "about": x, "says": y, "mood": y} for x in LETTERS for y in ("good", "bad", "odd")
]
CUSTOM_SETTINGS = {
    "kind": "custom",
    "template": "Text: {text}\nThe mood is",
    "group_columns": ["about"],
    "answer_column": "says",
    "labels": [{"name": mood, "verbalizer": f" {mood}"} for mood in ("good", "bad", "odd")],
}


def flip_models(row: Row) -> Row:
    return {
        column: {**value, "is_correct": not value["is_correct"]} if isinstance(value, dict) else value
        for column, value in row.items()
    }


def remove_models(row: Row) -> Row:
    return {
        column: {"solution": value["solution"]} if isinstance(value, dict) else value
        for column, value in row.items()
        if column != "ground_truth"
    }


def flip_choices(row: Row) -> Row:
    targets = row["mc2_targets"]
    return {**row, "mc2_targets": {**targets, "labels": [1 - label for label in targets["labels"]]}}


def remove_choices(row: Row) -> Row:
    return {**row, "mc2_targets": {"choices": row["mc2_targets"]["choices"]}}


def flip_mood(row: Row) -> Row:
    return {**row, "mood": {"good": "bad", "bad": "odd", "odd": "good"}[row["mood"]]}


GSM8K, TRUTHFULQA, ALPACA = {"kind": "gsm8k"}, {"kind": "truthfulqa"}, {"kind": "alpaca"}
CASES = [
    Case("gsm8k-authors", GSM8K, AUTHORS_GSM8K, flipped(), without("label", "ref_answer")),
    Case(
        "gsm8k-answer-match",
        {**GSM8K, "gold": "answer_match"},
        AUTHORS_GSM8K,
        lambda row: {**row, "ref_answer": "no number"} if "So:" in row["cot"] else {**row, "ref_answer": "7"},
        without("label", "ref_answer"),
        GSM8K,
    ),
    Case("gsm8k-solutions", GSM8K, SOLUTIONS, flipped(), without("label")),
    Case("gsm8k-problems", GSM8K, PROBLEM_SOLUTIONS, lambda row: {**row, "answer": "#### 7"}, without("answer")),
    Case("gsm8k-models", GSM8K, MODEL_SOLUTIONS, flip_models, remove_models),
    Case("truthfulqa-authors", TRUTHFULQA, AUTHORS_TRUTHFULQA, flipped(), without("label")),
    Case("truthfulqa-csv", TRUTHFULQA, CSV_TRUTHFULQA, swapped("Correct Answers", "Incorrect Answers"), None),
    Case("truthfulqa-generation", TRUTHFULQA, GENERATION, swapped("correct_answers", "incorrect_answers"), None),
    Case("truthfulqa-choices", TRUTHFULQA, MULTIPLE_CHOICE, flip_choices, remove_choices),
    Case("truthfulqa-answers", TRUTHFULQA, ANSWERS, flipped(), without("label")),
    Case("alpaca-authors", ALPACA, AUTHORS_ALPACA, flipped(), without("label")),
    Case("alpaca-pairs", ALPACA, PAIRS, flipped(), without("label")),
    Case(
        "alpaca-farm",
        ALPACA,
        ALPACA_FARM,
        lambda row: {**row, "preference": 3 - row["preference"]},
        without("preference"),
    ),
    Case("alpaca-prompted", ALPACA, PROMPTED, swapped("chosen", "rejected"), None),
    Case("alpaca-dialogues", ALPACA, DIALOGUES, swapped("chosen", "rejected"), None),
    Case("custom", {**CUSTOM_SETTINGS, "gold_column": "mood"}, CUSTOM, flip_mood, without("mood"), CUSTOM_SETTINGS),
]
CASES_WITH_REMOVABLE_GOLD = [case for case in CASES if case.remove is not None]


def named(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def prepare(tmp_path: Path, rows: list[Row], settings: dict[str, Any], name: str) -> Path:
    """Run the stage on rows and return its directory."""
    source = tmp_path / f"{name}.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    told = {"num_claims": 12, "num_held_out": 6, **settings, "path": source, "relations": [{"kind": "same_answer"}]}
    task = task_settings(settings["kind"], **told)
    run(PrepareConfig(task=task, seed=0), tmp_path / name)
    return tmp_path / name


def read(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in FILES}


@named(CASES)
def test_flipped_gold_leaves_claims_byte_identical(tmp_path: Path, case: Case) -> None:
    before = prepare(tmp_path, case.rows, case.settings, "before")
    after = prepare(tmp_path, [case.flip(row) for row in case.rows], case.settings, "after")
    assert read(before) == read(after)
    assert (before / GOLD).read_bytes() != (after / GOLD).read_bytes()


@named(CASES)
def test_golden_labels_that_contradict_one_another_leave_claims_byte_identical(tmp_path: Path, case: Case) -> None:
    before = prepare(tmp_path, case.rows, case.settings, "before")
    both = [*case.rows, *map(case.flip, case.rows)]
    assert read(before) == read(prepare(tmp_path, both, case.settings, "after"))


@named(CASES)
def test_flipping_some_golden_labels_at_random_leaves_claims_byte_identical(tmp_path: Path, case: Case) -> None:
    before = prepare(tmp_path, case.rows, case.settings, "before")
    coins = random.Random(1)
    rows = [case.flip(row) if coins.random() < 0.5 else row for row in case.rows]
    assert read(before) == read(prepare(tmp_path, rows, case.settings, "after"))


@named(CASES_WITH_REMOVABLE_GOLD)
def test_removed_gold_leaves_claims_byte_identical(tmp_path: Path, case: Case) -> None:
    assert case.remove is not None
    before = prepare(tmp_path, case.rows, case.settings, "before")
    settings = case.settings_without_gold or case.settings
    after = prepare(tmp_path, [case.remove(row) for row in case.rows], settings, "after")
    assert read(before) == read(after)
    assert not (after / GOLD).exists()


@named(CASES)
def test_shuffled_rows_leave_all_but_the_rejections_byte_identical(tmp_path: Path, case: Case) -> None:
    before = prepare(tmp_path, case.rows, case.settings, "before")
    rows = random.Random(0).sample(case.rows, len(case.rows))
    after = prepare(tmp_path, rows, case.settings, "after")
    assert read(before) == read(after)
    assert (before / GOLD).read_bytes() == (after / GOLD).read_bytes()


@named(CASES)
def test_undeclared_columns_change_nothing(tmp_path: Path, case: Case) -> None:
    before = prepare(tmp_path, case.rows, case.settings, "before")
    rows = [
        {**row, "row": number, "difficulty": number / 7, "consistency_id": number, "candidate_label": [number % 2]}
        for number, row in enumerate(case.rows)
    ]
    after = prepare(tmp_path, rows, case.settings, "after")
    assert read(before) == read(after)
    assert (before / GOLD).read_bytes() == (after / GOLD).read_bytes()


@named([case for case in CASES if case.settings["kind"] == "alpaca"])
def test_the_order_of_two_responses_says_nothing_about_gold(tmp_path: Path, case: Case) -> None:
    directory = prepare(tmp_path, case.rows, case.settings, "run")
    gold = {row["id"]: row["label"] for row in map(json.loads, (directory / GOLD).read_text().splitlines())}
    claims = [json.loads(line) for name in (CLAIMS, HELD_OUT) for line in (directory / name).read_text().splitlines()]
    labels = {(claim["group"], claim["key"]["first"], claim["key"]["second"]): gold[claim["id"]] for claim in claims}
    assert len(labels) == len(claims) == 18
    assert all(labels[group, second, first] == 1 - label for (group, first, second), label in labels.items())
