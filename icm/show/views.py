"""What people look at of a run: `labels.csv` and `report.html`, made anew from what its finished stages left."""

from __future__ import annotations

from pathlib import Path

from icm.files.records import MANIFEST
from icm.show.labelled import read_run
from icm.show.report import write_report
from icm.show.sheet import SHEET, write_sheet


def write_views(directory: Path) -> None:
    """Write the views of a run whose labels are there.

    Raises:
        RunDirectoryError: A result was altered.
        SchemaError: A file is malformed.
    """
    run = read_run(directory)
    # A table that somebody has written corrections into is left alone as long as the labels are the same.
    if not _is_newer(directory / SHEET, directory / "elicit" / MANIFEST):
        write_sheet(run)
    write_report(run)


def _is_newer(path: Path, than: Path) -> bool:
    return path.exists() and path.stat().st_mtime >= than.stat().st_mtime
