"""The settings of `icm compare`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator


class CompareSettings(BaseModel):
    """Everything that `icm compare` can be told.

    Attributes:
        tasks: Names in `conf/task`.
        searches: Names in `conf/search`; each is a column. All columns are tested against the first.
        columns: Further columns: settings by name, as on the command line of `icm run`, with spaces in between.
        vary: Values by setting; each is a further column, as `objective.alpha=10`.
        seeds: Each draws its own claims and its own search; all columns label the same claims.
        common: Settings of all columns.
        share_journal: Whether a question that any column asked is answered from its journal. Then a column's tokens are
            those it added; its tokens asked and its labels are the same either way.
        num_resamples: Bootstrap resamples for each interval.
        confidence_level: Of all intervals.
    """

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
        if bad := next((name for name in self.all_columns if "/" in name or name.startswith(".")), None):
            raise ValueError(f"a column names a directory, so it must not hold a slash or begin with a dot: {bad!r}")
        return self

    @property
    def all_columns(self) -> dict[str, tuple[str, ...]]:
        """Settings by name of the column: of searches, further columns, and what is varied."""
        varied = [f"{key}={value}" for key, values in (self.vary or {}).items() for value in values]
        return {
            **{search: (f"search={search}",) for search in self.searches},
            **{name: tuple(shlex.split(settings)) for name, settings in (self.columns or {}).items()},
            **{setting: (setting,) for setting in varied},
        }
