"""The settings of `icm init`. Each key is explained in `conf/command/init.yaml`, which also gives its default."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class InitSettings(BaseModel):
    """What the user says of the file; everything that is `None` is guessed, or asked for at a terminal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Path
    out: Path | None
    text: tuple[str, ...] | None
    labels: tuple[str | int | float | bool, ...] | None = Field(min_length=2)
    gold: str | None
    group: str | None
    answer: str | None
    template: str | None
    delimiter: str | None
    encoding: str | None
    ask: bool
