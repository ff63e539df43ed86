"""A comparison as a table for the console, as Markdown and as CSV. Computes none of its figures."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from icm.compare.schema import ColumnRow, RunRow

# fmt: off
HEADINGS: Final = (
    "task", "settings", "runs", "accuracy", "less the first", "p", "≥ 95 % right", "labelled", "U", "violated",
    "tokens sent", "tokens asked", "seconds",
)
# fmt: on
CONSOLE: Final = ("settings", "accuracy", "less the first", "p", "U", "tokens asked")


def console_tables(rows: Sequence[ColumnRow]) -> Iterator[Table]:
    """Yield the comparison for the console, a table for each task; its width leaves out what matters least."""
    for task in dict.fromkeys(row.task for row in rows):
        table = Table(title=Text(task), title_justify="left", box=SIMPLE_HEAD)
        for heading in CONSOLE:
            table.add_column(heading, justify="left" if heading == "settings" else "right")
        for row in rows:
            if row.task == task:
                # Chosen by heading, so that the console and the Markdown cannot drift apart.
                cells = dict(zip(HEADINGS, _cells(row), strict=True))
                table.add_row(*(Text(cells[heading]) for heading in CONSOLE))
        yield table


def markdown(rows: Sequence[ColumnRow], confidence_level: float) -> str:
    """Return the comparison as a Markdown document."""
    lines = [
        f"Intervals are {100 * confidence_level:g} %, by a bootstrap over seeds and the groups of claims in them; "
        f"p is of a paired permutation test over seeds against the first row of the task.",
        "",
        f"| {' | '.join(HEADINGS)} |",
        f"|{'---|' * 2}{'---:|' * (len(HEADINGS) - 2)}",
        # A vertical bar in the name of a column would end its cell.
        *("| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(row)) + " |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def columns_csv(rows: Sequence[ColumnRow]) -> str:
    """Return the comparison as CSV, a line for each task and column."""
    return _csv([_flat(row.model_dump(mode="json")) for row in rows])


def runs_csv(runs: Sequence[RunRow]) -> str:
    """Return all runs as CSV, a line each, without their labels and traces."""
    return _csv([run.model_dump(mode="json", exclude={"correct", "groups", "trace"}) for run in runs])


def _cells(row: ColumnRow) -> list[str]:
    difference = row.difference
    return [
        row.task,
        row.column,
        f"{row.num_runs}",
        f"{100 * row.accuracy.value:.1f} ({100 * row.accuracy.low:.1f} to {100 * row.accuracy.high:.1f})",
        ""
        if difference is None
        else f"{100 * difference.value:+.1f} ({100 * difference.low:+.1f} to {100 * difference.high:+.1f})",
        "" if row.p_value is None else f"{row.p_value:.3f}",
        f"{100 * row.success_rate:.0f} %",
        f"{100 * row.coverage:.0f} %",
        f"{row.utility:.2f}",
        f"{row.violations:.1f}",
        f"{row.tokens:,.0f}",
        f"{row.naive_tokens:,.0f}",
        f"{row.seconds:,.1f}",
    ]


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its estimates spread over columns of their own; what is missing is empty."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name not in ("accuracy", "difference"):
            flat[name] = value
            continue
        # Every row needs every column, so that of the first settings, which differ from nothing, has empty ones.
        estimate = value or {}
        flat |= {name: estimate.get("value"), f"{name}_low": estimate.get("low"), f"{name}_high": estimate.get("high")}
    return flat


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
