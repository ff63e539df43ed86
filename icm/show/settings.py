"""The settings of `icm show`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from icm.files.records import Record


class ShowSettings(Record):
    """Which claims are shown, and what of them. Each key is explained in `conf/command/show.yaml`."""

    claim: str | None
    row: int | None = Field(ge=0)
    uncertain: bool
    disagrees: Path | None
    limit: int = Field(ge=1)

    @model_validator(mode="after")
    def _names_one_claim(self) -> ShowSettings:
        if self.claim is not None and self.row is not None:
            raise ValueError(f"claim={self.claim} and row={self.row} each name what to show; give one of the two")
        return self
