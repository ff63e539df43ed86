"""Sources: every file type gives the same rows, and what is wrong with a file is said with its place."""

import gzip
import json
from pathlib import Path

import pytest

from icm.errors import ConfigError, SchemaError
from icm.prepare import sources
from icm.prepare.tables import Columns, Row, Table, detect_format
from tests.worlds.files import csv_text, write_all
from tests.worlds.tasks import task_settings

ROWS = [{"question": 'Who said "hi"?', "answer": "Ann,\nI think"}, {"question": "Où?", "answer": "là"}]


def read(path: Path) -> Table:
    return sources.read(task_settings("custom", path=path))


def test_every_file_type_gives_the_same_rows(tmp_path: Path) -> None:
    for path in write_all(tmp_path, ROWS, ["question", "answer"]):
        table = read(path)
        assert table.rows == ROWS, path.name
        assert table.columns == ("question", "answer")


def test_errors_name_the_line_where_a_row_begins(tmp_path: Path) -> None:
    write_all(tmp_path, ROWS, ["question", "answer"])
    columns = Columns(claims=("question",))
    assert [row.where for row in read(tmp_path / "a.csv").select(columns)] == [
        f"{tmp_path}/a.csv:2",
        f"{tmp_path}/a.csv:4",  # the first row holds a line break
    ]
    assert [row.where for row in read(tmp_path / "a.jsonl").select(columns)][1] == f"{tmp_path}/a.jsonl:2"
    assert [row.where for row in read(tmp_path / "a.json").select(columns)][1] == f"{tmp_path}/a.json: row 1"


def test_rows_hold_declared_columns_only(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": "q", "label": 1, "ref_answer": "7"}\n')
    (row,) = read(tmp_path / "a.jsonl").select(Columns(claims=("question",), gold=("label",)))
    assert row.values == {"question": "q", "label": 1}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"q": 1}\n{"q": }\n', "a.jsonl:2: not valid JSON"),
        ("a.jsonl", b'{"q": 1}\n\n[1]\n', "a.jsonl:3: a line must be a JSON object, got"),
        ("a.jsonl", b"", "a.jsonl: the data set is empty"),
        ("a.jsonl", b"\xff\xfa", "a.jsonl:1: not UTF-8 text"),
        ("a.json", b'{"q": 1}', "a.json: must hold a list of JSON objects"),
        ("a.json", b"[1]", "a.json: row 0: must be a JSON object"),
        ("a.json", b"[]", "the data set is empty"),
        ("a.jsonl.gz", b"plain", "not a gzip file"),
        ("a.jsonl.gz", gzip.compress(b'{"q": 1}\n' * 99, mtime=0)[:-9], "cut short"),
        ("a.csv", b"q,a\n1,2\n3\n", "a.csv:3: 1 fields under a header of 2"),
        ("a.csv", b'q,a\n"1"x,2\n', "a.csv:2: not valid CSV"),
        ("a.csv", b"q,a\n", "the data set is empty"),
        ("a.parquet", b"PAR2", "not a Parquet file"),
        ("a.docx", b"", "unknown file type; use one of .jsonl, .ndjson, .json, .csv, .tsv, .tab, .parquet"),
        ("a", b"", "unknown file type"),
    ],
)
def test_a_bad_file_is_an_error_with_its_place(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SchemaError) as error:
        read(tmp_path / name)
    assert message in str(error.value)
    assert str(tmp_path / name) in str(error.value)


def test_a_missing_file_is_not_looked_up_on_the_hub(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="no such file"):
        read(tmp_path / "nowhere.jsonl")
    with pytest.raises(SchemaError, match="is a directory"):
        read(tmp_path)


def test_a_local_file_given_as_a_hub_id_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n")
    with pytest.raises(ConfigError, match=r"is a local file; give it as task\.path"):
        sources.read(task_settings("custom", hub_id=str(tmp_path / "a.jsonl")))


def test_a_data_set_directory_loads_as_a_hub_id_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_bytes(csv_text(ROWS, ["question", "answer"]).encode("utf-8-sig"))
    settings = task_settings("custom", hub_id=str(tmp_path / "data"))
    assert sources.read(settings).rows == ROWS
    with pytest.raises(ConfigError, match=r"Check task\.hub_id, task\.hub_config and task\.split"):
        sources.read(settings.model_copy(update={"split": "nowhere"}))


FORMATS = {"long": Columns(claims=("q", "a", "b")), "short": Columns(claims=("q", "a"), gold=("label",))}


def table_of(*rows: dict) -> Table:
    columns = tuple(dict.fromkeys(column for row in rows for column in row))
    return Table("data.jsonl", columns, list(rows), [])


def test_formats_are_told_apart_by_the_columns_of_claims_alone() -> None:
    assert detect_format(table_of({"q": "", "a": "", "b": ""}), FORMATS, "auto", "t") == "long"
    assert detect_format(table_of({"q": "", "a": "", "label": 1}), FORMATS, "auto", "t") == "short"
    assert detect_format(table_of({"q": "", "a": ""}), FORMATS, "auto", "t") == "short"


def test_columns_that_fit_no_format_are_listed_beside_the_formats() -> None:
    with pytest.raises(SchemaError) as error:
        detect_format(table_of({"q": "", "label": 1}), FORMATS, "auto", "t")
    assert "the columns q, label fit no format of t" in str(error.value)
    assert "long (q, a, b); short (q, a)" in str(error.value)
    assert "task=custom" in str(error.value)


def test_a_wanted_format_names_the_column_that_is_missing() -> None:
    with pytest.raises(SchemaError, match=r"data\.jsonl: no column 'b'; the columns are q, a"):
        detect_format(table_of({"q": "", "a": ""}), FORMATS, "long", "t")


def test_a_row_without_a_needed_column_is_named() -> None:
    with pytest.raises(SchemaError, match=r"data\.jsonl: row 1: the row has no column 'a'; it has q"):
        list(table_of({"q": "", "a": ""}, {"q": ""}).select(FORMATS["short"]))


@pytest.mark.parametrize(
    ("value", "truth"),
    [(True, True), (0, False), ("1", True), ("False", False), (1.0, True), ("true", True), (None, None), ("", None)],
)
def test_verdicts_are_read_in_every_spelling(value: object, truth: bool | None) -> None:
    assert Row(0, "f:1", {"label": value}).truth("label") is truth


@pytest.mark.parametrize("value", ["yes", 2, -1, [True], 0.5])
def test_a_verdict_outside_the_alphabet_is_an_error_with_its_line(value: object) -> None:
    with pytest.raises(SchemaError, match=r"f:1: label must be true or false \(or 1 or 0\), got"):
        Row(0, "f:1", {"label": value}).truth("label")


@pytest.mark.parametrize(("value", "problem"), [(["a"], "must be text"), ({}, "must be text"), (True, "must be text")])
def test_a_text_of_another_type_is_an_error(value: object, problem: str) -> None:
    with pytest.raises(SchemaError, match=rf"f:1: column 'q' {problem}"):
        Row(0, "f:1", {"q": value}).text("q")


def test_text_that_utf8_cannot_hold_is_an_error() -> None:
    with pytest.raises(SchemaError, match="f:1: column 'q' is not valid Unicode"):
        Row(0, "f:1", {"q": "half a pair: \ud83d"}).text("q")


def test_texts_are_stripped_and_numbers_are_written_out() -> None:
    assert Row(0, "f:1", {"q": " a\n"}).text("q") == "a"
    assert Row(0, "f:1", {"q": 7}).text("q") == "7"
    assert Row(0, "f:1", {}).text("q") == ""


# ------------------------------------------------------------------------------------------------------ folders


def folder(path: Path, words: list[str]) -> Path:
    """Write a folder as the Hub holds a data set."""
    (path / "data").mkdir(parents=True, exist_ok=True)
    rows = "".join(json.dumps({"text": word, "label": number % 2}) + "\n" for number, word in enumerate(words))
    (path / "data" / "train.jsonl").write_text(rows)
    configs = "---\nconfigs:\n- config_name: default\n  data_files: data/train.jsonl\n---\n"
    (path / "README.md").write_text(configs)
    return path


def texts(path: Path) -> list[str]:
    return [row["text"] for row in sources.read(task_settings("custom", hub_id=str(path))).rows]


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    one, two = (folder(tmp_path / name / "claims", [f"{name} {i}" for i in range(3)]) for name in ("one", "two"))
    assert texts(one) == ["one 0", "one 1", "one 2"]
    assert texts(two) == ["two 0", "two 1", "two 2"]


def test_a_folder_that_was_changed_is_read_anew(tmp_path: Path) -> None:
    path = folder(tmp_path / "claims", ["old a", "old b"])
    assert texts(path) == ["old a", "old b"]
    folder(path, ["new a", "new b"])
    assert texts(path) == ["new a", "new b"]
