"""The settings of the export stage."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from icm.training.pairs import PairSettings

Format = Literal["trl", "axolotl", "openrlhf", "verl", "datasets"]


class ExportConfig(BaseModel):
    """What is exported.

    Attributes:
        formats: Which libraries are to read it.
        pairs: How labels become pairs.
        licence: SPDX name of the licence of claims and labels; `None` if it is not known. The pocket world has ours.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    formats: tuple[Format, ...] = Field(default=("trl", "axolotl", "openrlhf", "verl", "datasets"), min_length=1)
    pairs: PairSettings = PairSettings()
    licence: str | None = Field(default=None, min_length=1)
