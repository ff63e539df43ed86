"""Faults at the file operations of this process: a kill, a torn write or a full disk at the k-th one. Knows no stage.

Operations are those that Python makes on files below one directory: opening to write, writing, cutting, flushing to the
disk, renaming, making and removing. What libraries write in other languages (weights, Parquet) is not counted; kills at
random moments hit that as well.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

How = Literal["kill", "torn", "full"]
"""Killed before the operation; killed in the middle of a write; refused because the disk is full."""


def kill() -> None:
    """Kill this process as nothing can prevent."""
    os.kill(os.getpid(), signal.SIGKILL)


class Faults:
    """Counts operations, and lets one of them fail.

    Attributes:
        counts: Operations so far by what they were.
    """

    def __init__(self, directory: Path, at: int | None = None, how: How = "kill") -> None:
        """Count from now on, in this whole process.

        Args:
            directory: Whose files count.
            at: The operation that fails, from 0; `None` for none.
            how: How it fails.
        """
        self.counts: Counter[str] = Counter()
        self._directory, self._at, self._how = str(directory), at, how
        self._plain_open = io.open
        builtins.open = io.open = self._open
        # fmt: off
        for module, name in (
            (os, "fsync"), (os, "rename"), (os, "replace"), (os, "truncate"), (os, "mkdir"), (os, "unlink"),
            (os, "remove"), (os, "rmdir"),
        ):
            setattr(module, name, self._counted(name, getattr(module, name)))
        # fmt: on

    def operation(self, what: str, path: object) -> bool:
        """Count an operation; return whether it is to be torn in the middle."""
        if not self._is_below(path):
            return False
        number = self.counts.total()
        self.counts[what] += 1
        if number != self._at:
            return False
        if self._how == "full":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        if self._how == "kill" or what != "write":
            kill()
        return True

    def _is_below(self, path: object) -> bool:
        try:
            # A descriptor has no name of its own; the system knows the file it is open on.
            told = Path(f"/proc/self/fd/{path}").readlink() if isinstance(path, int) else path
            return str(told).startswith(self._directory)
        except (OSError, TypeError):
            return False

    def _counted(self, name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        def counted(path: Any, *arguments: Any, **named: Any) -> Any:
            self.operation(name, path)
            return plain(path, *arguments, **named)

        return counted

    def _open(self, file: Any, mode: str = "r", buffering: int = -1, *arguments: Any, **named: Any) -> Any:
        if not set(mode) & set("wax+") or isinstance(file, int) or not self._is_below(file):
            return self._plain_open(file, mode, buffering, *arguments, **named)
        self.operation("open", file)
        raw = _Counted(self, file, mode.replace("b", "").replace("t", ""))
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return buffered
        encoding, errors, newline = (*arguments, None, None, None)[:3]
        told: dict[str, Any] = {"encoding": encoding, "errors": errors, "newline": newline, **named}
        return io.TextIOWrapper(buffered, **told)


class _Counted(io.FileIO):
    """A file whose writes count."""

    def __init__(self, faults: Faults, file: Any, mode: str) -> None:
        super().__init__(file, mode)
        self._faults, self._path = faults, file

    def write(self, content: Any) -> int:
        if self._faults.operation("write", self._path):
            super().write(bytes(content)[: len(content) // 2])
            kill()
        return super().write(content) or 0

    def truncate(self, size: int | None = None) -> int:
        self._faults.operation("truncate", self._path)
        return super().truncate(size)
