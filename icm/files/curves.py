"""Curves of a training: JSON Lines with a `step`, appended as it goes and cut back when it is continued."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from icm.errors import SchemaError

Extent = tuple[int, str]
"""How long a file was at some time, in bytes, and the SHA-256 of what it held then."""


def append_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append rows to a JSON Lines file."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_curve(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file.

    Raises:
        SchemaError: A line is no JSON object.
    """
    rows = []
    # Not `splitlines`, which also cuts at separators that JSON allows inside of a text: a completion may hold any.
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            rows.append(dict(json.loads(line)))
        except (ValueError, TypeError, RecursionError) as error:
            raise SchemaError(f"{path}:{number}: not a row of a curve ({error})") from None
    return rows


def extent_of(path: Path) -> Extent:
    """Return how long a file is and what it holds; one that is missing is empty."""
    content = path.read_bytes() if path.exists() else b""
    return len(content), hashlib.sha256(content).hexdigest()


def begins_with(path: Path, extent: Extent) -> bool:
    """Return whether a file still begins with all that it held when it was that long."""
    size, digest = extent
    content = path.read_bytes()[:size] if path.exists() else b""
    return len(content) == size and hashlib.sha256(content).hexdigest() == digest


def cut_back(path: Path, size: int) -> None:
    """Drop all that was written after some bytes; make the file if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Opened to append and then cut: opened to write, it would be emptied.
    with path.open("ab") as file:
        file.truncate(size)
