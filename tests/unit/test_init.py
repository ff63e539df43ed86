"""`icm init`: what files of many kinds are taken for, the task file that is written, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from icm.config import load, load_command
from icm.errors import ConfigError, IcmError, SchemaError
from icm.init import stage
from icm.init.guess import label_names, profile
from icm.init.settings import InitSettings
from icm.prepare.assemble import assemble
from icm.prepare.build import build
from icm.prepare.settings import CustomSettings

REVIEWS = [
    ("A fine, warm film", "positive"),
    ("Dull and long", "negative"),
    ("I loved it", "positive"),
    ("Awful", "negative"),
    ("Great fun", "positive"),
    ("Boring", "negative"),
    ("Very good", "positive"),
    ("A waste of time", "negative"),
    ("Superb acting", "positive"),
]


def reviews(names: Sequence[str] = ("review", "sentiment")) -> pd.DataFrame:
    return pd.DataFrame(REVIEWS, columns=list(names))


def init(tmp_path: Path, file: Path, *said: str) -> CustomSettings:
    """Run `icm init` on a file and return the settings of the task that it writes."""
    out = tmp_path / "task.yaml"
    places, settings = load_command(InitSettings, "init", f"file={file}", f"out={out}", "overwrite=true", *said)
    stage.run(settings, Console(quiet=True), overwrite=places.overwrite)
    task = load(f"task={out}").task
    assert isinstance(task, CustomSettings)
    return task


def write(tmp_path: Path, name: str, table: pd.DataFrame) -> Path:
    path = tmp_path / name
    match path.suffix:
        case ".csv":
            table.to_csv(path, index=False)
        case ".tsv":
            table.to_csv(path, index=False, sep="\t")
        case ".jsonl":
            table.to_json(path, orient="records", lines=True, force_ascii=False)
        case ".json":
            table.to_json(path, orient="records", force_ascii=False)
        case ".parquet":
            table.to_parquet(path)
        case _:
            table.to_excel(path, index=False)
    return path


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json", "parquet", "xlsx"])
def test_a_file_of_every_format_becomes_the_same_task(tmp_path: Path, ending: str) -> None:
    task = init(tmp_path, write(tmp_path, f"reviews.{ending}", reviews()))
    assert task.template == "Review: {review}\nSentiment:"
    assert task.gold_column == "sentiment"
    assert task.label_space.names == ("negative", "positive")
    assert task.label_space.verbalizers == (" negative", " positive")
    items = build(task)
    assert len(items.items) == len(REVIEWS)
    assert [item.golden_label for item in items.items[:2]] == [1, 0]


@pytest.mark.parametrize(
    ("names", "template"),
    [
        (("Kritik", "Bewertung"), "Kritik: {Kritik}\nBewertung:"),
        (("评论", "标签"), "评论: {评论}\n标签:"),
        (("리뷰", "감정"), "리뷰: {리뷰}\n감정:"),
    ],
)
def test_columns_in_any_language_are_understood_by_what_stands_in_them(
    tmp_path: Path, names: tuple[str, str], template: str
) -> None:
    assert init(tmp_path, write(tmp_path, "a.csv", reviews(names))).template == template


def test_a_file_without_gold_holds_nothing_out_and_takes_all(tmp_path: Path) -> None:
    file = write(tmp_path, "bare.csv", reviews().drop(columns="sentiment"))
    task = init(tmp_path, file, "labels=[negative,positive]")
    assert task.gold_column is None
    prepared = assemble(build(task), task, seed=0)
    assert (len(prepared.claims), len(prepared.held_out)) == (len(REVIEWS), 0)


def test_with_gold_a_third_is_held_out(tmp_path: Path) -> None:
    task = init(tmp_path, write(tmp_path, "reviews.csv", reviews()))
    prepared = assemble(build(task), task, seed=0)
    assert (len(prepared.claims), len(prepared.held_out)) == (6, 3)


def test_answers_to_questions_are_grouped_by_question(tmp_path: Path) -> None:
    rows = [(f"What is {a}+1?", str(a + 1 + e), "yes" if e == 0 else "no") for a in range(4) for e in (0, 1, 2)]
    file = write(tmp_path, "sums.csv", pd.DataFrame(rows, columns=["question", "answer", "correct"]))
    task = init(tmp_path, file)
    assert (task.group_columns, task.answer_column) == (("question",), "answer")
    assert task.label_space.names == ("no", "yes")
    assert task.template == "Question: {question}\nAnswer: {answer}\nCorrect:"


def test_two_responses_make_a_comparison(tmp_path: Path) -> None:
    rows = [(f"How do I cook {n} eggs?", f"In water, {n} minutes.", "I do not know.", n % 2) for n in range(6)]
    columns = ["prompt", "response_1", "response_2", "label"]
    task = init(tmp_path, write(tmp_path, "pairs.jsonl", pd.DataFrame(rows, columns=columns)))
    assert task.template_columns == ("prompt", "response_1", "response_2")
    assert "Response 1 is better" in task.template
    assert [label.gold_values for label in task.labels] == [("0",), ("1",)]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["TRUE", "False", "true"], ("False", "True")),
        (["yes", "No", "YES"], ("no", "yes")),
        (["1.0", "0.0"], ("False", "True")),
        (["1", "2", "3"], ("1", "2", "3")),
        (["spam", "ham"], ("ham", "spam")),
    ],
)
def test_every_spelling_of_a_golden_value_belongs_to_one_label(values: list[str], names: tuple[str, ...]) -> None:
    found = label_names(values)
    assert tuple(name for name, _ in found) == names
    assert sorted(value for _, spellings in found for value in spellings) == sorted(values)


def test_missing_golden_values_are_no_label(tmp_path: Path) -> None:
    table = pd.DataFrame([*REVIEWS, ("Shown on Monday", None)], columns=["review", "sentiment"])
    task = init(tmp_path, write(tmp_path, "some.csv", table))
    assert task.label_space.names == ("negative", "positive")
    assert [item.golden_label for item in build(task).items][-1] is None


def test_what_the_user_says_wins_over_the_guess(tmp_path: Path) -> None:
    table = reviews().assign(note="x", id=range(len(REVIEWS)))
    said = ("template=Film: {review}\\nMood:", "labels=[negative,positive]", "gold=sentiment", "group=note")
    task = init(tmp_path, write(tmp_path, "a.csv", table), *said)
    assert task.template == "Film: {review}\nMood:"
    assert task.group_columns == ("note",)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (["gold=sentimnt"], r"no column 'sentimnt'; did you mean sentiment"),
        (["text=[reviw]"], r"no column 'reviw'; did you mean review"),
        (["template={reviw}:"], r"no column 'reviw'"),
        (["template={review:"], r"brace"),
        (["labels=[a,a]"], r"two labels have one name"),
        (["labels=[negative,positive,mixed]", "gold=sentiment"], r"'mixed' never occurs in the gold column"),
        (["labels=[bad,good]", "gold=sentiment"], r"holds 'positive', which is none of the labels"),
        (["labels=[one]"], r"labels"),
        (["gold=review", "text=[sentiment]"], r"'review' holds 9 different values, and labels are few"),
    ],
)
def test_what_does_not_fit_the_file_is_said_with_the_way_out(tmp_path: Path, said: list[str], message: str) -> None:
    table = pd.DataFrame([*REVIEWS], columns=["review", "sentiment"])
    with pytest.raises(ConfigError, match=message):
        init(tmp_path, write(tmp_path, "a.csv", table), *said)


@pytest.mark.parametrize("content", ["", "review,sentiment\n", "a,b\n1\n", "a;b,c\n1;2,3\n", '"a\n'])
def test_a_file_that_is_no_table_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(SchemaError, match=r"a\.csv"):
        init(tmp_path, path)


def test_an_existing_task_file_stays(tmp_path: Path) -> None:
    out = tmp_path / "task.yaml"
    out.write_text("mine")
    file = write(tmp_path, "a.csv", reviews())
    _, settings = load_command(InitSettings, "init", f"file={file}", f"out={out}")
    with pytest.raises(ConfigError, match="is there already"):
        stage.run(settings, Console(quiet=True))
    assert out.read_text() == "mine"


def test_the_prompt_and_the_columns_not_used_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, "a.csv", reviews().assign(secret=range(len(REVIEWS))))
    _, settings = load_command(InitSettings, "init", f"file={file}", f"out={tmp_path / 't.yaml'}")
    stage.run(settings, Console())
    out = capsys.readouterr().out
    assert "  | Review: A fine, warm film\n  | Sentiment: positive" in out
    assert "columns not used: secret" in out
    assert f"icm run task={tmp_path / 't.yaml'}" in out


def test_a_huge_cell_fills_no_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"text": "x" * 10_000_000}, *({"text": f"short {n}"} for n in range(9))]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, settings = load_command(InitSettings, "init", f"file={path}", f"out={tmp_path / 't.yaml'}")
    stage.run(settings, Console(width=80))
    assert len(capsys.readouterr().out) < 3000


@pytest.mark.parametrize("rows", [[{"a": [1, 2]}], [{"a": None}], [{"a": {"b": 1}}]])
def test_a_table_without_text_says_so(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(IcmError, match="no column is left"):
        init(tmp_path, path)


def test_a_profile_counts_what_is_there() -> None:
    found = profile([{"a": " x ", "b": 1}, {"a": None, "b": 1.5}, {"b": "nan"}])
    assert found["a"].values == ("x",)
    assert found["b"].values == ("1", "1.5")
