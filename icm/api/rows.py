"""What callers hand over, as rows of plain values: texts, data frames, data sets, lists of mappings."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from icm.errors import ConfigError, RunDirectoryError
from icm.files.records import write_text

TEXT: Final = "text"
GROUP: Final = "group"

Row = dict[str, Any]
"""Values by column."""


def rows_of(data: Any) -> list[Row]:
    """Return rows of a list or series of texts, a pandas data frame, a `datasets.Dataset` or a list of mappings.

    Raises:
        ConfigError: It is none of these, it is empty, or its items are of several kinds.
    """
    if isinstance(data, str | bytes | Path):
        raise ConfigError(f"texts: a list of texts is wanted, got the single {type(data).__name__} {str(data)[:80]!r}")
    # By what they can do and not by their classes, so that neither library is loaded.
    if hasattr(data, "to_dict") and hasattr(data, "columns"):
        items = data.to_dict("records")
    elif hasattr(data, "to_list"):
        items = data.to_list()
    elif isinstance(data, Iterable):
        items = list(data)
    else:
        raise ConfigError(f"texts: a list of texts, a table or a list of mappings is wanted, got {type(data).__name__}")
    if not items:
        raise ConfigError("texts: there is no row; give at least one")
    return [_row(number, item, type(items[0])) for number, item in enumerate(items)]


def with_groups(rows: Sequence[Row], groups: str | Sequence[Any] | None) -> tuple[list[Row], str | None]:
    """Return rows that carry the name of their group, and the column it stands in; `None` for no groups.

    Args:
        rows: The rows.
        groups: The column that holds them, or one for each row.

    Raises:
        ConfigError: There is no such column, or their number is not that of the rows.
    """
    if groups is None:
        return list(rows), None
    if isinstance(groups, str):
        if not any(groups in row for row in rows):
            raise ConfigError(f"groups: there is no column {groups!r}; the columns are {', '.join(rows[0])}")
        return list(rows), groups
    values = [plain(each) for each in groups]
    if len(values) != len(rows):
        raise ConfigError(f"groups: {len(values):,} groups for {len(rows):,} rows; give one for each")
    column = GROUP if GROUP not in rows[0] else f"icm_{GROUP}"
    return [{**row, column: value} for row, value in zip(rows, values, strict=True)], column


def write_source(path: Path, rows: Sequence[Row], *, overwrite: bool) -> None:
    """Write rows as JSON Lines: the source that a run reads.

    Raises:
        RunDirectoryError: There are other rows already, and they may not be replaced.
    """
    text = "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
    if path.exists() and not overwrite and path.read_text(encoding="utf-8") != text:
        raise RunDirectoryError(
            f"{path.parent} holds a run on other rows; choose another out_dir, or add the override overwrite=true"
        )
    write_text(path, text)


def plain(value: Any) -> Any:
    """Return a value as JSON holds it: numbers of NumPy as numbers, and `None` for NaN and the like."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if value is None or isinstance(value, str | int | float | list | dict):
        return value
    # What pandas writes where a value is missing equals nothing, not even itself.
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    return plain(value.item()) if hasattr(value, "item") else str(value)


def _row(number: int, item: Any, kind: type) -> Row:
    if isinstance(item, str):
        row: Row = {TEXT: item}
    elif isinstance(item, Mapping):
        row = {str(name): plain(value) for name, value in item.items()}
    else:
        raise ConfigError(f"texts: item {number} must be a text or a mapping, got {type(item).__name__} {item!r:.80}")
    if isinstance(item, str) != issubclass(kind, str):
        raise ConfigError(f"texts: item {number} is a {type(item).__name__}, but item 0 is a {kind.__name__}")
    return row
