"""The same rows in every type of file that the product reads."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet


def csv_text(rows: Sequence[dict[str, Any]], columns: Sequence[str], delimiter: str = ",") -> str:
    """Return rows as a spreadsheet writes them."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_all(folder: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> list[Path]:
    """Write rows once in every type of file, marked, packed and parted in every way; return the paths."""
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    listed = json.dumps(list(rows), indent=1)
    contents = {
        "a.jsonl": lines.encode(),
        "marked.jsonl": lines.encode("utf-8-sig"),
        "joined.jsonl": lines.encode("utf-8-sig").replace(b"\n{", b"\n\xef\xbb\xbf{"),
        "blank.jsonl": lines.replace("\n", "\r\n\r\n").encode(),
        "utf16.jsonl": lines.encode("utf-16"),
        "a.ndjson": lines.encode(),
        "a.jsonl.gz": gzip.compress(lines.encode()),
        "a.json": listed.encode(),
        "lines.json": lines.encode(),
        "list.jsonl": listed.encode("utf-8-sig"),
        "a.csv": csv_text(rows, columns).encode("utf-8-sig"),
        "a.CSV.gz": gzip.compress(csv_text(rows, columns).encode()),
        "semicolon.csv": csv_text(rows, columns, ";").encode(),
        "pipe.csv": csv_text(rows, columns, "|").encode(),
        "utf16.csv": csv_text(rows, columns, "\t").encode("utf-16"),
        "a.tsv": csv_text(rows, columns, "\t").encode(),
        "a.tab.gz": gzip.compress(csv_text(rows, columns, "\t").encode()),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    pyarrow.parquet.write_table(pa.Table.from_pylist(list(rows)), folder / "a.parquet")
    return [*(folder / name for name in contents), folder / "a.parquet"]
