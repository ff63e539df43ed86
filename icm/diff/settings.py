"""The settings of `icm diff`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from icm.files.records import Record


class DiffSettings(Record):
    """What the labels of a run are compared with. Each key is explained in `conf/command/diff.yaml`."""

    other: Path
    limit: int = Field(ge=1)
