"""What the files of cases share: files in every format, commands, and looks at what a command left behind."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.reliability.case import Check
from icm import golden
from icm.claims import Claim, LabelSpace
from icm.files.records import CLAIMS, GOLD, HELD_OUT, REJECTED, TASK, RejectedRow, read_claims, read_rows, read_task

Rows = Sequence[dict[str, Any]]

TEXTS: Final = [f"Bridge {number} stands" for number in range(6)]
ROWS: Final[Rows] = [{"text": text, "label": number % 2} for number, text in enumerate(TEXTS)]
"""Six claims that nothing is wrong with."""

OWN: Final = ("task=custom", 'task.template="{text} so"', "task.group_columns=[]", "task.gold_column=label")
ALL: Final = ("task.num_held_out=0", "task.num_claims=null", "model=fake", "out_dir={dir}/run")


def prepare(file: str, *more: str, task: Sequence[str] = OWN) -> tuple[str, ...]:
    """Return the command that prepares a file, all of its rows."""
    return ("prepare", *task, f"task.path={{dir}}/{file}", *ALL, *more)


# --------------------------------------------------------------------------------------------------------- files


def jsonl(rows: Rows) -> bytes:
    """Return rows as JSON Lines."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def listed(rows: Rows) -> bytes:
    """Return rows as a JSON list."""
    return json.dumps(list(rows)).encode()


def table(rows: Rows, delimiter: str = ",") -> bytes:
    """Return rows as CSV, as a spreadsheet writes it."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def parquet(rows: Rows) -> bytes:
    """Return rows as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet

    sink = pa.BufferOutputStream()
    pyarrow.parquet.write_table(pa.Table.from_pylist(list(rows)), sink)
    return sink.getvalue().to_pybytes()


def in_every_format(rows: Rows) -> dict[str, bytes]:
    """Return rows by file name, in every type of file."""
    return {
        "rows.jsonl": jsonl(rows),
        "rows.jsonl.gz": gzip.compress(jsonl(rows)),
        "rows.json": listed(rows),
        "rows.csv": table(rows),
        "rows.tsv": table(rows, "\t"),
        "rows.parquet": parquet(rows),
    }


# -------------------------------------------------------------------------------------------------------- checks


def claims_of(folder: Path) -> list[Claim]:
    """Return the claims that a case prepared, those held out among them."""
    prepared = folder / "run" / "prepare"
    return [*read_claims(prepared / CLAIMS), *read_rows(prepared / HELD_OUT, Claim)]


def space_of(folder: Path) -> LabelSpace:
    """Return the label space of the prepared task."""
    return read_task(folder / "run" / "prepare" / TASK).label_space


def _unlike(what: str, found: object, expected: object) -> str | None:
    return None if found == expected else f"{what} {found}, expected {expected}"


def texts_are(*texts: str) -> Check:
    """Check the texts of the claims, in any order."""
    return lambda folder: _unlike("claims", sorted(claim.text for claim in claims_of(folder)), sorted(texts))


def six(folder: Path) -> str | None:
    """Check that the six good claims are there, with their golden labels."""
    return texts_are(*(f"{text} so" for text in TEXTS))(folder) or gold_is(3, 3)(folder)


def gold_is(*counts: int) -> Check:
    """Check how many claims have each golden label, from the first label on."""

    def check(folder: Path) -> str | None:
        path = folder / "run" / "prepare" / GOLD
        labels = Counter(golden.load(path, space_of(folder)).values()) if path.exists() else Counter()
        return _unlike("golden labels", [labels[label] for label in range(len(counts))], list(counts))

    return check


def rejected(**counts: int) -> Check:
    """Check how many rows were rejected or noted, by reason."""
    return lambda folder: _unlike(
        "rejected",
        dict(Counter(row.reason for row in read_rows(folder / "run" / "prepare" / REJECTED, RejectedRow))),
        counts,
    )


def number_is(count: int) -> Check:
    """Check the number of claims."""
    return lambda folder: _unlike("number of claims", len(claims_of(folder)), count)


def every(*checks: Check) -> Check:
    """Check several things, and say the first that is wrong."""
    return lambda folder: next((problem for check in checks if (problem := check(folder))), None)
