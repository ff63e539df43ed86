"""What `icm clean` does: list, or delete, what unfinished runs left behind. Results are never touched."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.text import Text

from icm.config import Places
from icm.errors import RunDirectoryError
from icm.files.records import MANIFEST
from icm.files.stage_dir import SETTINGS

STILL_SECONDS: Final = 600.0
"""What was written to in the last ten minutes is taken for a run that is going on."""


class CleanSettings(BaseModel):
    """What `icm clean` is told. Each key is explained in `conf/command/clean.yaml`, which has the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    directory: Path
    unfinished: bool
    delete: bool


def run(_places: Places, settings: CleanSettings, console: Console) -> None:
    """List what can go, or delete it.

    Raises:
        RunDirectoryError: There is no such directory.
    """
    if not settings.directory.is_dir():
        raise RunDirectoryError(f"{settings.directory}: no such directory; name the one that holds your runs")
    found = list(leftovers(settings.directory, unfinished=settings.unfinished))
    for path, why in found:
        console.print(Text(f"{_size(path) / 1e6:8.1f} MB  {path}  ({why})"), soft_wrap=True)
        if settings.delete:
            _remove(path)
    if not found:
        console.print(Text(f"nothing to clean in {settings.directory}"), soft_wrap=True)
    elif settings.delete:
        console.print(f"deleted {len(found):,}")
    else:
        console.print(f"{len(found):,} found; add delete=true to delete them")


def leftovers(directory: Path, *, unfinished: bool) -> Iterator[tuple[Path, str]]:
    """Yield what a stopped process left below a directory, with what it is; nothing that may still be written to.

    Args:
        directory: Where to look.
        unfinished: Whether stages without a result count as well.
    """
    gone: list[Path] = []
    for path in sorted(directory.rglob("*")):
        # What lies in a directory that goes as a whole is not listed again.
        if any(parent in gone for parent in path.parents) or not path.exists():
            continue
        why = _why(path, unfinished=unfinished)
        if why is not None and time.time() - _last_change(path) > STILL_SECONDS:
            gone.append(path)
            yield path, why


def _why(path: Path, *, unfinished: bool) -> str | None:
    if path.is_dir() and path.name.startswith(".") and path.name.endswith(".overwritten"):
        return "an old result, half deleted"
    if path.is_file() and path.name.endswith(".partial"):
        return "a file, half written"
    if unfinished and (path / SETTINGS).is_file() and not (path / MANIFEST).exists():
        return "a stage, begun and not finished"
    return None


def _last_change(path: Path) -> float:
    return max(each.lstat().st_mtime for each in (path, *path.rglob("*")))


def _size(path: Path) -> int:
    return sum(each.lstat().st_size for each in (path, *path.rglob("*")) if each.is_file())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
