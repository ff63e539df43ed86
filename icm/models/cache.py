"""Directories that are made once and found again, whoever makes them. Knows no model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from icm.files.lock import alone

CACHE_VARIABLE: Final = "ICM_CACHE_DIR"
"""Environment variable that moves the cache."""


def cache_dir() -> Path:
    """Return where models are kept: `$ICM_CACHE_DIR`, else `icm` in the user's cache directory."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    # `or` and no default value: for the XDG specification an empty variable is one that is not set.
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "icm"


def made_once(directory: Path, make: Callable[[Path], None]) -> Path:
    """Return a directory, after making it if it is not there.

    It appears whole or not at all: it is made under another name and renamed when it is complete, so a process that is
    killed leaves no half of it. Of two processes that want it at once, one makes it and the other waits.

    Args:
        directory: What is wanted.
        make: Fills an empty directory with its content.

    Raises:
        OSError: The cache cannot be written.
    """
    # Looked for without the lock, since a finished cache may lie where this process cannot write.
    if directory.is_dir():
        return directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    with alone(directory.with_name(f".{directory.name}.lock")):
        if directory.is_dir():  # another process has made it while this one waited
            return directory
        # In the same parent, because a rename is atomic only within one file system.
        unfinished = directory.with_name(f".{directory.name}.unfinished")
        # Whoever holds the lock is the only maker, so what lies here was left by one that was killed.
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        try:
            make(unfinished)
            unfinished.rename(directory)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return directory
