"""One owner at a time: of a directory that a stage writes, or of a file that is read and written back.

The lock is the system's own, on an open file: it ends with the process that holds it, however that ends, so none is
ever stale. What the file says, process and host, is for people alone.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from icm.errors import RunDirectoryError

LOCK: Final = ".lock"
"""Name of the lock file of a directory; it is there while somebody writes the directory."""


@contextmanager
def owned(directory: Path) -> Iterator[None]:
    """Own a directory, made if it is missing; one that is still empty at the end is removed again.

    Raises:
        RunDirectoryError: Somebody else owns it; the message says who.
    """
    made = [each for each in (directory, *directory.parents) if not each.exists()]
    handle = None
    try:
        handle = _take(directory)
        yield
    finally:
        if handle is not None:
            # Removed before it is let go: afterwards it might be the file of the next owner.
            (directory / LOCK).unlink(missing_ok=True)
            os.close(handle)
        # From the innermost; one that holds something stays, and so do those around it.
        with suppress(OSError):
            for each in made:
                each.rmdir()


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait until nobody else is inside for the same path: a directory, or a lock file that is never removed.

    A process that waits on a removed one would exclude nobody who comes later.
    """
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _take(directory: Path) -> int:
    """Return the open lock file of a directory, locked and signed."""
    lock = directory / LOCK
    while True:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            # Another process that had made the directory has just removed it.
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise RunDirectoryError(
                f"{directory} is being written by {_holder(lock)}; wait until it is done, stop it, or choose another "
                f"out_dir"
            ) from None
        except OSError as error:
            # Some network file systems have no locks. To refuse them all work would cost more than it saves.
            warnings.warn(
                f"{directory}: its file system has no locks ({error.strerror}), so nothing keeps a second process out; "
                f"make sure that there is none",
                stacklevel=2,
            )
        # A lock on a file that its owner has removed in between keeps nobody out.
        if _is_at(handle, lock):
            _sign(handle)
            return handle
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Return whether a path names the file that is open."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _sign(handle: int) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    os.truncate(handle, 0)
    os.write(handle, json.dumps({"pid": os.getpid(), "host": platform.node(), "since": now}).encode())


def _holder(lock: Path) -> str:
    """Return who holds a lock, in words."""
    try:
        signed = json.loads(lock.read_text(encoding="utf-8"))
        return f"process {signed['pid']} on {signed['host']} (since {signed['since']})"
    # It may be gone by now, or not be signed yet.
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
