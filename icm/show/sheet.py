"""`labels.csv`: the rows and columns of the source in their order, with labels beside them, for any spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from icm.claims import Claim, ClaimId
from icm.errors import IcmError
from icm.files.labels import FORMULA_MARKS, INERT, OURS, SourceRows
from icm.files.records import (
    HELD_OUT,
    REJECTED,
    RejectedRow,
    read_rows,
    sha256_of,
    write_text,
)
from icm.prepare.settings import PocketSettings, TaskSettings
from icm.prepare.sources import read
from icm.prepare.tables import Table
from icm.show.explain import rival_label
from icm.show.labelled import LabelledRun

SHEET: Final = "labels.csv"

COLUMNS: Final = ("id", "row", "claim", "label", "probability", "margin", "stability", "alternative", "note")
"""Our columns: the claim and its text, the number of its row from 0, its label, how sure it is, what the rival says."""

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def write_sheet(run: LabelledRun) -> Path:
    """Write `labels.csv` of a run and return its path."""
    path = run.directory / SHEET
    write_text(path, _as_csv(sheet(run)))
    return path


def sheet(run: LabelledRun) -> list[list[str]]:
    """Return the lines of `labels.csv`, the header first.

    Every row of the source is there, once for each claim that it stands for. Where the source can no longer be read,
    as it was, its rows are those of the claims, with the parts that their texts were made of.
    """
    source = _source(run)
    rows = _rows_of_claims(run) if source is None else dict(enumerate(source.rows))
    columns = list(dict.fromkeys(name for row in rows.values() for name in row)) if source is None else source.columns
    taken = {*columns}
    header = [*columns, *(f"{OURS}{name}" if name in taken else name for name in COLUMNS)]
    ours = _OurCells(run)
    lines = [
        [*(_text(row.get(column)) for column in columns), *cells]
        for number, row in rows.items()
        for cells in ours.of(number)
    ]
    return [header, *lines]


class _OurCells:
    """What stands in our columns beside each row of the source."""

    def __init__(self, run: LabelledRun) -> None:
        self._run = run
        self._rows = _claims_of_rows(run)
        self._place: dict[ClaimId, int] = {claim.id: place for place, claim in enumerate(run.claims)}
        prepare_dir = run.directory / "prepare"
        self._rejected: dict[int, list[RejectedRow]] = {}
        for row in _optional(prepare_dir / REJECTED, RejectedRow):
            self._rejected.setdefault(row.row, []).append(row)
        self._held_out = {claim.id: claim for claim in _optional(prepare_dir / HELD_OUT, Claim)}

    def of(self, number: int) -> list[list[str]]:
        """Return the cells beside one row: a line for each of its claims, or one that says why it has none."""
        ids = self._rows.get(number, ())
        if not ids:
            return [["", str(number), "", "", "", "", "", "", self._why_none(number)]]
        return [self._labelled(number, claim) if claim in self._place else self._apart(number, claim) for claim in ids]

    def _labelled(self, number: int, claim_id: ClaimId) -> list[str]:
        place = self._place[claim_id]
        claim, row = self._run.claims[place], self._run.rows[place]
        note = ", ".join(each.reason.replace("_", " ") for each in self._rejected.get(number, ()))
        numbers = map(_number, (row.probability, row.margin, row.stability))
        # A run of an older version does not say in which row a claim stood.
        where = str(number) if self._run.source_rows else ""
        return [claim.id, where, claim.text, row.name or "", *numbers, rival_label(self._run, claim) or "", note]

    def _apart(self, number: int, claim_id: ClaimId) -> list[str]:
        claim = self._held_out.get(claim_id)
        # Without its id, since no label file of this task may name a claim that is held out.
        return ["", str(number), claim.text if claim else "", "", "", "", "", "", "held out"]

    def _why_none(self, number: int) -> str:
        return "; ".join(f"{each.reason}: {each.detail}" for each in self._rejected.get(number, ())) or "not chosen"


def _source(run: LabelledRun) -> Table | None:
    """Return the source as it was when the claims were made; `None` if it has none, is gone or has changed."""
    try:
        settings = TypeAdapter(TaskSettings).validate_python(run.prepared.config.get("task"))
    except ValidationError:
        return None
    if isinstance(settings, PocketSettings):
        return None
    recorded = run.prepared.inputs.get("source")
    if settings.path is not None and not (settings.path.is_file() and sha256_of(settings.path) == recorded):
        return None
    try:
        return read(settings)
    except IcmError:
        # A data set of the Hub that cannot be loaded now; what its claims were made of is in the run.
        return None


def _rows_of_claims(run: LabelledRun) -> dict[int, Mapping[str, Any]]:
    """Return the rows that claims stand in, by number, with the parts of the claims."""
    parts = {claim.id: claim.parts for claim in run.claims}
    of_rows = _claims_of_rows(run)
    rows = {number: ids for number, ids in sorted(of_rows.items()) if any(claim in parts for claim in ids)}
    # Parts that several claims of a row fill in differently belong to none of them; the claims' texts hold them all.
    return {number: _common([parts[claim] for claim in ids if claim in parts]) for number, ids in rows.items()}


def _claims_of_rows(run: LabelledRun) -> SourceRows:
    return run.source_rows or {place: [claim.id] for place, claim in enumerate(run.claims)}


def _common(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    first, *others = rows
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _optional(path: Path, kind: Any) -> list[Any]:
    return read_rows(path, kind) if path.exists() else []


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _text(value: Any) -> str:
    """Return the value of a source as a cell: text as it is, nothing as an empty cell, anything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _as_csv(lines: Sequence[Sequence[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([inert(cell) for cell in line] for line in lines)
    return buffer.getvalue()


def inert(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: with an apostrophe before it, where it looks like one."""
    return INERT + cell if cell.startswith(FORMULA_MARKS) and not _NUMBER.fullmatch(cell) else cell
