"""Write the tables of `docs/` from the rows in `docs/results/`.

Usage: python -m benchmarks.render [--check]

A table stands between two markers. The first names a file of rows and says, in TOML, what to show of it:

    <!-- table: results/pocket.jsonl
    order = ["task", "-tokens"]
    [where]
    search = ["default", "reference"]
    [columns]
    task = "{task}"
    "accuracy, %" = "{accuracy:.1f}"
    -->
    | task | …
    <!-- end -->

`where` keeps the rows whose value is the one named, or one of those named. `order` sorts by keys, `-key` from high to
low; without it the rows stay in the order of the file. A column is a Python format string over the keys of a row, and
its cell is empty where the row lacks a key. With `by = [keys]`, rows that agree in these keys make one line, the other
keys stand for all their values: `{tokens.mean:,.0f}`, likewise `median` and `total`, and `{accuracy:.1%}`, which is the
mean with half the width of its 95 % interval (Student's t over the rows; none for fewer than three). `{rows}` counts
the rows of the line. A row that holds a list of objects is shown as one row for each with `each = "key"`, and an object
in a row as keys of its own: `reward_accuracy_value` is `value` of `reward_accuracy`.

With `--check` nothing is written, and the exit status is 1 if a page is stale.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Any, Final

from benchmarks.harness import RESULTS_DIR, half_width, read_rows

DOCS_DIR: Final = RESULTS_DIR.parent
# Everything between the markers is replaced and the first marker kept, so a page can be rendered again and again.
TABLE: Final = re.compile(r"(<!-- table: (?P<file>\S+)\n(?P<settings>.*?)-->\n).*?(<!-- end -->)", re.DOTALL)


class Values(tuple[float, ...]):
    """The values of one key over several rows; formatted, their mean ± half the width of its interval."""

    @property
    def mean(self) -> float:
        """Arithmetic mean."""
        return statistics.fmean(self)

    @property
    def median(self) -> float:
        """Median."""
        return statistics.median(self)

    @property
    def total(self) -> float:
        """Sum."""
        return sum(self)

    def __format__(self, spec: str) -> str:
        half = half_width(self)
        return format(self.mean, spec) + ("" if half is None else f" ± {half:{spec}}")


def render(page: str, docs_dir: Path) -> str:
    """Return the text of a page with its tables written anew; files of rows are named from `docs_dir`.

    Raises:
        ValueError: A marker names a file that is not there, or keeps no row of it.
    """
    # A function and no template, in which a backslash of a table would mean something.
    return TABLE.sub(lambda found: found[1] + _table(found["file"], found["settings"], docs_dir) + found[4], page)


def _table(file: str, toml: str, docs_dir: Path) -> str:
    settings = tomllib.loads(toml)
    rows = [flat for row in read_rows(docs_dir / file) for flat in _flat(row, settings.get("each"))]
    rows = [row for row in rows if _kept(row, settings.get("where", {}))]
    if not rows:
        raise ValueError(f"{file}: no row is left for a table; is the file there, and does `where` name what is in it?")
    for key in reversed(settings.get("order", [])):  # sorting is stable, so the first key has the last word
        rows.sort(key=lambda row, key=key: row[key.removeprefix("-")], reverse=key.startswith("-"))
    lines = _grouped(rows, settings["by"]) if "by" in settings else rows
    columns: Mapping[str, str] = settings["columns"]
    cells = [list(columns), ["---"] * len(columns)]
    cells += [[_cell(template, line) for template in columns.values()] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def _flat(row: dict[str, Any], each: str | None) -> list[dict[str, Any]]:
    """Return a row for each object of the list named, with objects in it laid out as keys."""
    whole = [row] if each is None else [{**row, **part} for part in row[each]]
    return [
        {
            name: inner
            for key, value in one.items()
            for name, inner in (
                ((f"{key}_{under}", inner) for under, inner in value.items())
                if isinstance(value, dict)
                else [(key, value)]
            )
        }
        for one in whole
    ]


def _kept(row: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    return all(row.get(key) in (value if isinstance(value, list) else [value]) for key, value in where.items())


def _grouped(rows: Sequence[dict[str, Any]], by: Sequence[str]) -> list[dict[str, Any]]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        # A list of settings is no key; as a cell it is shown joined.
        key = tuple(", ".join(map(str, row[name])) if isinstance(row[name], list) else row[name] for name in by)
        # Dictionaries keep the order of insertion: lines stay in the order of the file.
        groups.setdefault(key, []).append(row)
    lines = []
    for group, members in groups.items():
        keys = dict.fromkeys(key for row in members for key in row)
        known = {key: [row[key] for row in members if row.get(key) is not None] for key in keys}
        # Only keys whose values are all numbers have a mean; the others cannot stand in a column.
        numbers = {
            key: Values(values)
            for key, values in known.items()
            if values and all(isinstance(value, int | float) for value in values)
        }
        lines.append({**numbers, **dict(zip(by, group, strict=True)), "rows": len(members)})
    return lines


def _cell(template: str, line: Mapping[str, Any]) -> str:
    # `tokens.mean` and `tokens[0]` both need the key `tokens`.
    names = [re.split(r"[.\[]", name)[0] for _, name, _, _ in Formatter().parse(template) if name]
    return "" if any(line.get(name) is None for name in names) else template.format_map(line)


def main() -> None:
    """Rewrite all pages, or say which are stale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is stale")
    options = parser.parse_args()
    # All pages are made before one is written, so a mistake in a marker leaves every page as it was.
    stale = {}
    for path in sorted(DOCS_DIR.rglob("*.md")):
        page = path.read_text(encoding="utf-8")
        if (fresh := render(page, DOCS_DIR)) != page:
            stale[path] = fresh
    for path, fresh in stale.items():
        if not options.check:
            path.write_text(fresh, encoding="utf-8")
        print(f"{'stale' if options.check else 'written'}: {path.relative_to(DOCS_DIR)}")
    # A stale page is an error for a check alone: without --check it has just been written.
    sys.exit(1 if options.check and stale else 0)


if __name__ == "__main__":
    main()
