"""The settings of `icm compare`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator


class CompareSettings(BaseModel):
    """What `icm compare` can be told. Each key is explained in `conf/command/compare.yaml`, which has the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: tuple[str, ...] = Field(min_length=1)
    searches: tuple[str, ...]
    columns: Mapping[str, str] | None
    vary: Mapping[str, tuple[str | int | float | bool, ...]] | None
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    common: tuple[str, ...]
    share_journal: bool
    num_resamples: int = Field(ge=100)
    confidence_level: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _has_a_column(self) -> CompareSettings:
        if not self.all_columns:
            raise ValueError("there is nothing to compare: name searches, columns, or settings to vary")
        # A column is a directory below the one of its task and seed.
        if bad := next((name for name in self.all_columns if "/" in name or name.startswith(".")), None):
            raise ValueError(f"a column names a directory, so it must not hold a slash or begin with a dot: {bad!r}")
        return self

    @property
    def all_columns(self) -> dict[str, tuple[str, ...]]:
        """Settings by name of the column: of searches, further columns, and what is varied."""
        # The first column is the one that all others are tested against, so the order matters.
        varied = [f"{key}={value}" for key, values in (self.vary or {}).items() for value in values]
        return {
            **{search: (f"search={search}",) for search in self.searches},
            **{name: tuple(shlex.split(settings)) for name, settings in (self.columns or {}).items()},
            **{setting: (setting,) for setting in varied},
        }
