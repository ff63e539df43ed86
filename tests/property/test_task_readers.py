"""Laws of reading sources: every file type gives the rows that were written, and every error names its place."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icm.errors import SchemaError
from icm.prepare.settings import template_pieces
from icm.prepare.sources import read
from icm.prepare.tables import Columns, Row, Table, detect_format, shown
from tests.worlds.tasks import task_settings

FEW = settings(max_examples=25)
COLUMNS = ("question", "answer", "label")
# No surrogates (no UTF-8 holds them) and no carriage return, which the CSV format itself may turn into a line feed.
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\0"), max_size=20)
ROWS = st.lists(st.fixed_dictionaries(dict.fromkeys(COLUMNS, TEXT)), min_size=1, max_size=8)


def as_json(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps(rows).encode()


def as_jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    writer.writerows([row[column] for column in COLUMNS] for row in rows)
    return text.getvalue().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


WRITERS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    ".json": as_json,
    ".jsonl": as_jsonl,
    ".csv": as_csv,
    ".parquet": as_parquet,
}


def table_of(path: Path) -> Table:
    return read(task_settings("custom", path=path, template="{question}"))


@pytest.mark.parametrize("suffix", WRITERS)
@FEW
@given(rows=ROWS)
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, suffix: str, rows: list[dict]) -> None:
    path = tmp_path_factory.mktemp("source") / f"rows{suffix}"
    path.write_bytes(WRITERS[suffix](rows))
    table = table_of(path)
    assert table.rows == rows
    assert set(table.columns) == set(COLUMNS)


@pytest.mark.parametrize("suffix", WRITERS)
@FEW
@given(rows=ROWS)
def test_compression_changes_nothing(tmp_path_factory: pytest.TempPathFactory, suffix: str, rows: list[dict]) -> None:
    directory = tmp_path_factory.mktemp("source")
    plain, packed = directory / f"rows{suffix}", directory / f"rows{suffix}.gz"
    plain.write_bytes(WRITERS[suffix](rows))
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    one, other = table_of(plain), table_of(packed)
    assert (one.rows, one.columns, one.lines) == (other.rows, other.columns, other.lines)


@FEW
@given(rows=ROWS, blanks=st.lists(st.integers(0, 3), min_size=9, max_size=9))
def test_blank_lines_are_passed_over_and_still_counted(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict], blanks: list[int]
) -> None:
    path = tmp_path_factory.mktemp("source") / "rows.jsonl"
    lines: list[str] = []
    expected: list[int] = []
    for row, blank in zip(rows, blanks, strict=False):
        lines += [" " * blank] * blank
        lines.append(json.dumps(row))
        expected.append(len(lines))
    path.write_text("\n".join(lines))
    table = table_of(path)
    assert table.rows == rows
    assert table.lines == expected


@FEW
@given(rows=ROWS)
def test_a_csv_row_is_named_by_the_line_where_it_begins(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict]
) -> None:
    path = tmp_path_factory.mktemp("source") / "rows.csv"
    path.write_bytes(as_csv(rows))
    line, expected = 2, []
    for row in rows:
        expected.append(line)
        line += 1 + sum(value.count("\n") for value in row.values())
    assert table_of(path).lines == expected


@FEW
@given(rows=ROWS, data=st.data())
def test_a_broken_line_is_named_wherever_it_stands(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict], data: st.DataObject
) -> None:
    lines = as_jsonl(rows).decode().split("\n")[:-1]
    at = data.draw(st.integers(0, len(lines) - 1))
    lines[at] = data.draw(st.sampled_from(['{"question": ', "{question: 1}", "[1, 2", "nonsense"]))
    path = tmp_path_factory.mktemp("source") / "rows.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(SchemaError, match=rf"rows\.jsonl:{at + 1}: not valid JSON"):
        table_of(path)


@pytest.mark.parametrize("value", ["1", '"text"', "[1]", "null", "true"])
def test_a_line_that_is_no_object_is_named(tmp_path: Path, value: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "a"}\n' + value + "\n")
    with pytest.raises(SchemaError, match=r"rows\.jsonl:2: a line must be a JSON object, got"):
        table_of(path)


@pytest.mark.parametrize("cut", [1, 10, 20])
def test_a_gzip_file_cut_short_is_named(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(as_jsonl([{"question": "a" * 200}]))[:-cut])
    with pytest.raises(SchemaError, match="not a gzip file, or cut short"):
        table_of(path)


@pytest.mark.parametrize("name", ["rows", "rows.txt", "rows.gz", "rows.docx", "rows.txt.gz"])
def test_an_unknown_file_type_lists_the_known_ones(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"question\na\n")
    with pytest.raises(
        SchemaError, match=r"use one of \.jsonl, .* \.csv, .* \.parquet, \.xlsx, each also with \.gz added"
    ):
        table_of(tmp_path / name)


@pytest.mark.parametrize("name", ["ROWS.JSONL", "rows.Jsonl", "rows.jsonl.GZ"])
def test_the_case_of_a_suffix_does_not_matter(tmp_path: Path, name: str) -> None:
    rows = as_jsonl([{"question": "a"}])
    (tmp_path / name).write_bytes(gzip.compress(rows) if name.endswith("GZ") else rows)
    assert table_of(tmp_path / name).rows == [{"question": "a"}]


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="is a directory, not a file"):
        table_of(tmp_path)


@pytest.mark.parametrize(("suffix", "content"), [(".json", b"[]"), (".jsonl", b"\n\n"), (".csv", b"question\n")])
def test_a_source_without_rows_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(content)
    with pytest.raises(SchemaError, match="the data set is empty; give a source with at least one row"):
        table_of(path)


@FEW
@given(rows=ROWS, chosen=st.sets(st.sampled_from(COLUMNS), min_size=1))
def test_a_builder_sees_the_declared_columns_and_no_other(rows: list[dict], chosen: set[str]) -> None:
    table = Table("rows", COLUMNS, rows, [])
    claims, *gold = sorted(chosen)
    for row, source in zip(table.select(Columns(claims=(claims,), gold=tuple(gold))), rows, strict=True):
        assert row.values == {column: source[column] for column in chosen}


@FEW
@given(rows=ROWS)
def test_rows_are_numbered_from_zero_and_named_by_line_where_there_are_lines(rows: list[dict]) -> None:
    lines = [3 * number + 2 for number in range(len(rows))]
    columns = Columns(claims=("question",))
    with_lines = list(Table("file", COLUMNS, rows, lines).select(columns))
    without = list(Table("hub", COLUMNS, rows, []).select(columns))
    assert [row.number for row in with_lines] == list(range(len(rows)))
    assert [row.where for row in with_lines] == [f"file:{line}" for line in lines]
    assert [row.where for row in without] == [f"hub: row {number}" for number in range(len(rows))]


@FEW
@given(st.permutations(["first", "second", "third"]), st.sets(st.sampled_from("abcdef"), min_size=1))
def test_auto_takes_the_first_format_whose_columns_are_there(order: list[str], columns: set[str]) -> None:
    needed = {"first": ("a", "b"), "second": ("b", "c"), "third": ("d",)}
    formats = {name: Columns(claims=needed[name]) for name in order}
    table = Table("rows", tuple(sorted(columns)), [dict.fromkeys(columns, "")], [])
    fitting = [name for name in order if set(needed[name]) <= columns]
    if fitting:
        assert detect_format(table, formats, "auto", "task") == fitting[0]
    else:
        with pytest.raises(SchemaError, match="fit no format of task"):
            detect_format(table, formats, "auto", "task")


@FEW
@given(st.one_of(TEXT, st.integers(), st.floats(allow_nan=False)))
def test_text_of_any_plain_value_has_no_white_space_around_it(value: Any) -> None:
    text = Row(0, "here", {"column": value}).text("column")
    assert text == str(value).strip()


@pytest.mark.parametrize("value", [True, [], {}, b"bytes"])
def test_a_value_that_is_no_text_is_named_with_its_column(value: Any) -> None:
    with pytest.raises(SchemaError, match=r"here: column 'column' must be text, got"):
        Row(0, "here", {"column": value}).text("column")


@pytest.mark.parametrize("value", [None, "text", {"a": 1}, ["fine", 3.5, None, True]])
def test_a_list_of_texts_must_be_one(value: Any) -> None:
    with pytest.raises(SchemaError, match="column 'column' must be"):
        Row(0, "here", {"column": value}).texts("column")


@FEW
@given(st.integers(0, 200))
def test_a_value_is_shown_short(length: int) -> None:
    value = "x" * length
    assert len(shown(value)) <= 80
    assert repr(value).startswith(shown(value).removesuffix("..."))


@FEW
@given(st.lists(st.tuples(TEXT, st.sampled_from(["a", "b_c", "d 1"])), min_size=1, max_size=5), TEXT)
def test_a_template_is_taken_apart_and_put_together_again(parts: list[tuple[str, str]], last: str) -> None:
    def escaped(text: str) -> str:
        return text.replace("{", "{{").replace("}", "}}")

    template = "".join(f"{escaped(literal)}{{{column}}}" for literal, column in parts) + escaped(last)
    pieces = template_pieces(template)
    values = {column: f"<{column}>" for _, column in parts}
    rendered = "".join(literal + (values[column] if column else "") for literal, column in pieces)
    assert rendered == "".join(literal + values[column] for literal, column in parts) + last


@pytest.mark.parametrize("template", ["{", "}", "{a", "a}", "{}", "{a:>3}", "{a!r}", "{a}{"])
def test_a_malformed_template_says_what_a_brace_may_hold(template: str) -> None:
    with pytest.raises(ValueError, match="brace"):
        template_pieces(template)
