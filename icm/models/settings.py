"""The settings of `icm models`."""

from __future__ import annotations

from icm.files.records import Record


class ModelsSettings(Record):
    """What `icm models` is asked; each key is explained in `conf/command/models.yaml`."""

    get: str | None
    accept_licence: bool
