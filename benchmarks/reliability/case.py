"""What a case of faulty input is: files, a command, and what should happen. Runs it as the command line does.

A case is either refused, with a message that names the problem, the value and the way out; or the command goes on and
says what it did with the input. Everything else is a fault: going on without a word or with other data than was meant,
a traceback, a message that does not help.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from hydra.core.global_hydra import GlobalHydra

from icm import cli
from icm.errors import IcmError

Outcome = Literal["refused", "told", "silent", "traceback", "unclear"]
FAULTS: Final[tuple[Outcome, ...]] = ("silent", "traceback", "unclear")

Check = Callable[[Path], str | None]
"""Looks at the folder of a case after its command, and returns what is wrong there."""


class Case(NamedTuple):
    """A faulty or unusual input.

    Attributes:
        kind: Letter of the kind of fault, as in the issue that lists them.
        name: What is unusual, in a few words; no two cases of a kind have one name.
        command: The command and its arguments, `{dir}` for the folder; or a function of the folder, which may raise.
        files: What lies in the folder, by name.
        refused: Words of the message with which the command must end; `None` where it must go on.
        told: Words that its output must hold where it goes on.
        check: What must hold of its files where it goes on.
        run: Whether the folder begins with a small finished run, in `run`.
    """

    kind: str
    name: str
    command: Sequence[str] | Callable[[Path], object]
    files: Mapping[str, bytes]
    refused: tuple[str, ...] | None = None
    told: tuple[str, ...] = ()
    check: Check | None = None
    run: bool = False

    @property
    def stage(self) -> str:
        """The command's first word, or the name of the function."""
        return getattr(self.command, "__name__", None) or next(iter(self.command))  # type: ignore[arg-type]


def happened(case: Case, folder: Path, finished_run: Path) -> tuple[Outcome, str]:
    """Run a case in an empty folder and return what happened, and the last line that it said."""
    for name, content in case.files.items():
        (folder / name).write_bytes(content)
    if case.run:
        shutil.copytree(finished_run, folder / "run")
    status, said = _call(case.command, folder)
    last = next((line for line in reversed(said.splitlines()) if line.strip()), "").replace(str(folder), "")
    if status not in (0, 2) or "Traceback" in said:
        return "traceback", last
    if case.refused is not None:
        return _judged_refusal(status, said, case.refused), last
    if status != 0:
        return "unclear", f"refused: {last}"
    if missing := [word for word in case.told if word not in said]:
        return "silent", f"not told: {missing[0]}; {last}"
    problem = case.check(folder) if case.check else None
    return ("silent", problem) if problem else ("told", last)


def _judged_refusal(status: int, said: str, words: Sequence[str]) -> Outcome:
    if status == 0:
        return "silent"
    return "refused" if all(word in said for word in words) else "unclear"


def _call(command: Sequence[str] | Callable[[Path], object], folder: Path) -> tuple[int, str]:
    """Return the exit status of a command and all that it wrote."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), _standing_in(folder):
        status = _status_of(command, folder)
    return status, out.getvalue()


def _status_of(command: Sequence[str] | Callable[[Path], object], folder: Path) -> int:
    try:
        if callable(command):
            command(folder)
            return 0
        sys.argv = ["icm", *(argument.replace("{dir}", str(folder)) for argument in command)]
        GlobalHydra.instance().clear()
        cli.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    except IcmError as error:
        # As the command line prints it.
        sys.stderr.write(f"icm: {error}\n")
        return 2
    except Exception:
        traceback.print_exc()
        return 1


@contextlib.contextmanager
def _standing_in(folder: Path) -> Iterator[None]:
    """Work in a folder: Hydra and careless paths write where the process stands."""
    before, arguments = Path.cwd(), sys.argv
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        sys.argv = arguments
