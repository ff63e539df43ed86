"""Excel workbooks as tables: one sheet, a header in its first row. Needs the extra `excel`."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import date, time
from pathlib import Path
from typing import Any

from icm.errors import SchemaError


def parse_excel(path: Path, raw: bytes) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the rows of the one sheet that holds any, by column, and the number of each in the sheet, from 1.

    Formulas count as the values that were last computed of them; dates become text.

    Args:
        path: The file, for messages.
        raw: Its bytes.

    Raises:
        SchemaError: It is no workbook, several sheets hold rows, or the header lacks a name or has one twice.
    """
    try:
        from openpyxl import load_workbook
    except ModuleNotFoundError:
        raise SchemaError(
            f"{path}: reading an Excel file needs openpyxl: pip install 'icm-elicitation[excel]'; or save it as CSV"
        ) from None
    try:
        book = load_workbook(io.BytesIO(raw), read_only=True, data_only=True)
        sheets = {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in book.worksheets}
    except Exception as error:  # a damaged workbook raises errors of zip, XML and openpyxl alike
        raise SchemaError(f"{path}: not an Excel workbook of the kind .xlsx ({error})") from None
    filled = {title: rows for title, rows in sheets.items() if any(map(_has_value, rows))}
    if len(filled) > 1:
        raise SchemaError(
            f"{path}: {len(filled)} sheets hold rows ({', '.join(filled)}), and it is not said which is meant; save "
            f"one of them as a file of its own"
        )
    return _table(path, next(iter(filled.values()), []))


def _table(path: Path, cells: list[tuple[Any, ...]]) -> tuple[list[dict[str, Any]], list[int]]:
    header: list[str] = []
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, values in enumerate(cells, start=1):
        if not _has_value(values):
            continue
        if not header:
            header = _header(path, number, values)
            continue
        named = {name: _plain(value) for name, value in zip(header, values, strict=False) if name}
        # Cells beyond the header have no name, and leaving them out would lose what somebody wrote.
        if beyond := next((value for value in _unnamed(header, values) if value is not None), None):
            raise SchemaError(f"{path}:{number}: the cell {beyond!r:.80} stands in a column without a name; name it")
        rows.append(named)
        lines.append(number)
    return rows, lines


def _header(path: Path, number: int, values: Iterable[Any]) -> list[str]:
    names = ["" if value is None else str(value).strip() for value in values]
    if twice := next((name for name in names if name and names.count(name) > 1), None):
        raise SchemaError(f"{path}:{number}: the header has column {twice!r} twice; rename one of them")
    return names


def _unnamed(header: list[str], values: tuple[Any, ...]) -> list[Any]:
    return [value for place, value in enumerate(values) if place >= len(header) or not header[place]]


def _has_value(values: Iterable[Any]) -> bool:
    return any(value is not None for value in values)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | time) else value
