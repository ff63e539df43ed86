"""Tables of rows, of which a task builder sees only the columns that it declares. Knows no file and no task."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from icm.errors import SchemaError
from icm.files.tables import is_absent, shown

_TRUTH_WORDS: Final = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


class Columns(NamedTuple):
    """The columns that one format of a data set declares; no other column is ever read.

    Claims are made of `claims`, whose presence identifies the format, and of what exists of `optional`. Golden labels
    are made of `gold`, which may be missing.
    """

    claims: tuple[str, ...]
    optional: tuple[str, ...] = ()
    gold: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """The declared columns of one row of a source.

    Attributes:
        number: Number of the row in its source, from 0.
        where: How an error calls the row: `path:line` where the file has lines.
    """

    number: int
    where: str
    values: Mapping[str, Any]

    def text(self, column: str) -> str:
        """Return a column as text without surrounding white space, empty where the row has none.

        Raises:
            SchemaError: The value is neither text nor a number, or is text that UTF-8 cannot hold.
        """
        return self.verbatim(column).strip()

    def verbatim(self, column: str) -> str:
        """Return a column as text with the white space around it, empty where the row has none.

        Raises:
            SchemaError: As `text`.
        """
        value = self.values.get(column)
        if is_absent(value):
            return ""
        # A boolean is an int to Python, but a column of answers never means one.
        if isinstance(value, bool) or not isinstance(value, str | int | float) or value in (math.inf, -math.inf):
            raise SchemaError(f"{self.where}: column {column!r} must be text, got {shown(value)}")
        text = str(value)
        # JSON can spell a lone surrogate, which no file of ours could hold later on.
        try:
            text.encode()
        except UnicodeEncodeError:
            raise SchemaError(f"{self.where}: column {column!r} is not valid Unicode, got {shown(value)}") from None
        return text

    def texts(self, column: str) -> list[str]:
        """Return a column that holds a list of texts.

        Raises:
            SchemaError: It is not a list of texts.
        """
        value = self.values.get(column)
        if not isinstance(value, list):
            raise SchemaError(f"{self.where}: column {column!r} must be a list of texts, got {shown(value)}")
        return [Row(self.number, self.where, {column: item}).text(column) for item in value]

    def truth(self, column: str) -> bool | None:
        """Return a column that holds true or false (also written as 1 or 0), `None` where the row has none.

        Raises:
            SchemaError: The value is neither.
        """
        value = self.values.get(column)
        if is_absent(value):
            return None
        # Text first, since CSV knows nothing else; `1.0` is how a float column of Parquet spells a verdict.
        truth = _TRUTH_WORDS.get(str(value).strip().lower())
        if truth is None:
            raise SchemaError(f"{self.where}: {column} must be true or false (or 1 or 0), got {shown(value)}")
        return truth


@dataclass(frozen=True, slots=True)
class Table:
    """A source as it was read.

    Attributes:
        name: How errors call the source: its path or Hub id.
        columns: The columns that any row holds, in order of their first appearance.
        lines: Line of each row in its file, from 1; empty where the source has no lines.
    """

    name: str
    columns: tuple[str, ...]
    rows: list[dict[str, Any]]
    lines: list[int]

    def select(self, columns: Columns) -> Iterator[Row]:
        """Yield the rows with the declared columns only.

        Raises:
            SchemaError: A column that claims are made of is missing, in the table or in a row.
        """
        # Once for the table, so that a missing column is one error and not one for every row.
        self.require(columns.claims)
        declared = (*columns.claims, *columns.optional, *columns.gold)
        for number, values in enumerate(self.rows):
            where = self._where(number)
            # The table has the column, but in JSON Lines a single row may lack it.
            for column in columns.claims:
                if column not in values:
                    raise SchemaError(f"{where}: the row has no column {column!r}; it has {', '.join(values)}")
            yield Row(number, where, {column: values[column] for column in declared if column in values})

    def require(self, columns: Iterable[str]) -> None:
        """Check that the table has some columns.

        Raises:
            SchemaError: It lacks one.
        """
        missing = [column for column in columns if column not in self.columns]
        if missing:
            raise SchemaError(
                f"{self.name}: no column {missing[0]!r}; the columns are {', '.join(self.columns)}; "
                f"name another column or another file"
            )

    def _where(self, number: int) -> str:
        return f"{self.name}:{self.lines[number]}" if self.lines else f"{self.name}: row {number}"


def columns_of(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the columns that any row holds, in order of their first appearance."""
    return tuple(dict.fromkeys(column for row in rows for column in row))


def detect_format(table: Table, formats: Mapping[str, Columns], wanted: str, kind: str) -> str:
    """Return the format of a table: the wanted one, or for `auto` the first whose claim columns are all there.

    Golden columns take no part in it, so the claims of a source do not depend on them.

    Raises:
        SchemaError: The table lacks columns of the wanted format, or fits none.
    """
    if wanted != "auto":
        table.require(formats[wanted].claims)
        return wanted
    for name, columns in formats.items():
        # The first that fits, not the best: formats are listed from the most particular to the most general.
        if set(columns.claims) <= set(table.columns):
            return name
    known = "; ".join(f"{name} ({', '.join(columns.claims)})" for name, columns in formats.items())
    raise SchemaError(
        f"{table.name}: the columns {', '.join(table.columns)} fit no format of {kind}. The formats are {known}. "
        f"Rename the columns; a task over columns of your own is task=custom with a template"
    )
