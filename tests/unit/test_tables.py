"""The one reader of rows: what is ambiguous is refused with its place, what means no value is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from icm.errors import SchemaError
from icm.files.tables import is_absent, named_delimiter, read_table, shown


def rows_of(directory: Path, name: str, content: bytes, **options: Any) -> list[dict[str, Any]]:
    (directory / name).write_bytes(content)
    return read_table(directory / name, **options)[0]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", b"text,label,text\na,0,b\n", "a.csv:1: the header has column 'text' twice"),
        ("a.tsv", b"text\ttext\na\tb\n", "a.tsv:1: the header has column 'text' twice"),
        ("a.jsonl", b'{"q": 1}\n{"q": 1, "q": 1}\n', "a.jsonl:2: .*key 'q' stands twice in one object"),
        ("a.json", b'[{"q": {"x": 1, "x": 2}}]', "a.json: .*key 'x' stands twice in one object"),
        ("a.jsonl", b'{"q": Infinity}\n', "a.jsonl:1: .*Infinity is no number"),
        ("a.jsonl", b"[" * 100_000, "nested too deeply"),
        ("a.json", b'{"rows": [{"q": 1}]}', "must hold a list of JSON objects"),
        ("a.csv", b"a,b;c,d\n1,2;3,4\n", "a.csv:1: .*may be parted by ',' or by ';'; say by which"),
        ("a.csv", "a,b\nä,ö\n".encode("cp1252"), "a.csv:2: not UTF-8 text .*task.encoding=cp1252"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16-le"), "a.csv:1: holds a NUL character"),
        ("a.csv", b"a;b\n1\n", "a.csv:2: 1 fields under a header of 2, parted by ';'"),
        ("a.tsv", b'a\tb\n"x\t1\n"y"z\n', "a.tsv:3: 1 fields under a header of 2"),
        ("a.txt", b"a\tb\n1\t2\n", "unknown file type; use one of .*or say which delimiter"),
    ],
)
def test_what_is_ambiguous_is_refused_with_its_place(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    with pytest.raises(SchemaError, match=problem):
        rows_of(tmp_path, name, content)


def test_a_parquet_file_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    table = pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(SchemaError, match="has column 'text' twice"):
        read_table(tmp_path / "a.parquet")


def test_the_delimiter_is_told_by_the_name_the_setting_or_the_first_lines(tmp_path: Path) -> None:
    expected = [{"a": "1,5", "b": "x|y"}]
    assert rows_of(tmp_path, "a.csv", b"a;b\n1,5;x|y\n") == expected
    assert rows_of(tmp_path, "a.tsv", b"a\tb\n1,5\tx|y\n") == expected
    assert rows_of(tmp_path, "a.dat", b"a:b\n1,5:x|y\n", delimiter=":") == expected
    assert rows_of(tmp_path, "a.csv", b"a\tb\n1,5\tx|y\n", delimiter="\\t") == expected
    # Only the comma fits both rows, though the header could be parted by the semicolon as well.
    assert rows_of(tmp_path, "a.csv", b"a,b;c\n1,2\n") == [{"a": "1", "b;c": "2"}]
    assert rows_of(tmp_path, "a.csv", b"a,b;c\n1,2\n", delimiter="comma") == [{"a": "1", "b;c": "2"}]
    assert rows_of(tmp_path, "a.csv", b"text\na; b\n") == [{"text": "a; b"}]
    with pytest.raises(SchemaError, match="a delimiter, 'comma', is for CSV files"):
        rows_of(tmp_path, "a.jsonl", b"{}", delimiter="comma")
    with pytest.raises(SchemaError, match="one character, or comma, semicolon, tab, pipe, got '::'"):
        named_delimiter("::")


def test_quotes_that_do_not_close_are_characters_where_tabs_part_the_fields(tmp_path: Path) -> None:
    assert rows_of(tmp_path, "a.tsv", b'a\tb\n"x" said\t1\n') == [{"a": '"x" said', "b": "1"}]
    assert rows_of(tmp_path, "a.tsv", b'a\tb\n"x\ty"\t1\n') == [{"a": "x\ty", "b": "1"}]


def test_an_encoding_may_be_named(tmp_path: Path) -> None:
    content = "a,b\nä,ö\n"
    assert rows_of(tmp_path, "a.csv", content.encode("cp1252"), encoding="cp1252") == [{"a": "ä", "b": "ö"}]
    assert rows_of(tmp_path, "a.csv", content.encode("utf-16-le"), encoding="utf-16-le") == [{"a": "ä", "b": "ö"}]
    with pytest.raises(SchemaError, match="no encoding 'klingon'"):
        rows_of(tmp_path, "a.csv", content.encode(), encoding="klingon")


def test_nan_is_no_value_and_long_numbers_stay_as_they_are(tmp_path: Path) -> None:
    digits = "9" * 5000
    assert rows_of(tmp_path, "a.jsonl", f'{{"a": NaN, "b": [NaN, 1], "c": {digits}}}'.encode()) == [
        {"a": None, "b": [None, 1], "c": digits}
    ]
    table = pa.table({"a": pa.array([float("nan"), 1.0]), "b": pa.array([[float("nan")], None])})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet")[0] == [{"a": None, "b": [None]}, {"a": 1.0, "b": None}]


def test_only_what_no_one_would_write_as_a_value_is_absent() -> None:
    assert all(map(is_absent, [None, "", "  ", float("nan"), "nan", "NaN", "<NA>"]))
    assert not any(map(is_absent, [0, False, "0", "None", "null", "NA", "Nan", [], {}]))


def test_what_cannot_be_shown_is_named_by_its_type() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    assert shown(nested) == "a list too large to show"
    # Taken apart from outside: freeing it at once would recurse as deeply.
    while nested:
        nested = nested.pop()
