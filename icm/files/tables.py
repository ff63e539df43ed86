"""Files of rows that others wrote: JSON Lines and CSV, with the line of each row. Knows no column's meaning."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, Final

from icm.errors import SchemaError

_CSV_FIELD_LIMIT: Final = 1 << 24  # characters; the csv module's own limit of 128 KiB is below a long solution

NumberedRows = tuple[list[dict[str, Any]], list[int]]
"""Rows by column, and the line on which each begins, from 1."""


def parse_jsonl(path: Path, raw: bytes) -> NumberedRows:
    """Read JSON Lines; blank lines are skipped.

    Raises:
        SchemaError: A line is not a JSON object in UTF-8.
    """
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    # Not `splitlines`, which also cuts at separators that JSON allows inside of a text.
    for number, line in enumerate(decode(path, raw).split("\n"), start=1):
        if not line.strip():
            continue
        row = parse_json(f"{path}:{number}", line)
        if not isinstance(row, dict):
            raise SchemaError(f"{path}:{number}: a line must be a JSON object, got {shown(row)}")
        rows.append(row)
        lines.append(number)
    return rows, lines


def parse_csv(path: Path, raw: bytes) -> NumberedRows:
    """Read CSV under a header line; all values are text.

    Raises:
        SchemaError: The file is not CSV in UTF-8, or a row is longer or shorter than the header.
    """
    csv.field_size_limit(_CSV_FIELD_LIMIT)
    reader = csv.reader(io.StringIO(decode(path, raw), newline=""), strict=True)
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    try:
        header = next(reader, [])
        if twice := [column for column in header if column and header.count(column) > 1]:
            raise SchemaError(f"{path}:1: the header has column {twice[0]!r} twice; rename one of them")
        # A quoted field may span lines, so a row begins one line after the end of the row before it.
        begin = reader.line_num + 1
        for fields in reader:
            # A blank line is read as no fields at all, and skipped.
            if fields and len(fields) != len(header):
                raise SchemaError(f"{path}:{begin}: {len(fields)} fields under a header of {len(header)}")
            if fields:
                rows.append(dict(zip(header, fields, strict=True)))
                lines.append(begin)
            begin = reader.line_num + 1
    except csv.Error as error:
        raise SchemaError(f"{path}:{reader.line_num}: not valid CSV ({error})") from None
    return rows, lines


def decode(path: Path, raw: bytes) -> str:
    """Return UTF-8 text without the byte-order mark that spreadsheets put before it.

    Raises:
        SchemaError: It is not UTF-8.
    """
    try:
        # Excel writes a byte-order mark, which would become a part of the first column's name.
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SchemaError(
            f"{path}:{line}: not UTF-8 text ({error.reason} at byte {error.start}); save the file as UTF-8"
        ) from None


def parse_json(where: str, text: str) -> Any:
    """Return the value of JSON text.

    Raises:
        SchemaError: It is not JSON; the message starts with `where`.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise SchemaError(f"{where}: not valid JSON ({error.msg} at column {error.colno})") from None
    except (RecursionError, ValueError) as error:  # nested too deeply; an integer of thousands of digits
        raise SchemaError(f"{where}: not JSON that can be read ({error})") from None


def shown(value: Any) -> str:
    """Return a value as an error message shows it: short."""
    whole = repr(value)
    return whole if len(whole) <= 80 else f"{whole[:77]}..."
