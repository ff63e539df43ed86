"""The settings of the export stage."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from icm.training.pairs import PairSettings

Format = Literal["trl", "axolotl", "openrlhf", "verl", "datasets"]


class ExportConfig(BaseModel):
    """What is exported. Each key is explained in `conf/command/export.yaml`, which holds the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    formats: tuple[Format, ...] = Field(min_length=1)
    pairs: PairSettings
    licence: str | None = Field(min_length=1)
