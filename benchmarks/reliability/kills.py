"""What becomes of a stage that is killed, and of one whose files are damaged.

Usage: python -m benchmarks.reliability.kills [--quick] [--stages NAME ...] [--moments N] [--operations N]

Every stage runs on a tiny world (`stages.py`) in a process of its own, and is killed (SIGKILL) before and in the middle
of each of its file operations and at random moments; or the disk is full at an operation. Then the same command is run
again, and its files are compared, byte for byte, with those of a run that was left alone. Damages: every file of an
interrupted run, of a complete one and of the runs that it reads is halved, gets other bytes in one line, is deleted, or
gets bytes at its end; the next run must end in the same bytes or in an error at once, before a model is asked or a
training begins.

The last line of the output is a JSON object: `kills`; `different_bytes` after them; `lost`, kills after which the same
command did not come to its end; `full_disks` and how many of those went wrong (`full_disks_wrong`); `damages`;
`late_errors`, damages that were noticed after work was done or as a traceback; `unnoticed`, damages that ended in other
bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.harness import Row, append_row, option_parser, read_rows, results_path
from benchmarks.reliability.faults import Faults, How
from benchmarks.reliability.stages import STAGES, Stage, make_run
from icm.errors import IcmError
from icm.files.records import MANIFEST

REFUSED, BROKEN = 3, 4
"""Exit statuses of a stage that ended in a message, or in a traceback."""

TIMED: Final = ("manifest.json", "report.html", "runs.csv", "comparison.md", "comparison.csv")
"""Files that hold times of day or durations, in which no two runs agree."""

INTERIM: Final = ("settings.json", "checkpoint.json", ".lock", "journal.jsonl")
"""Files of a stage that are no result."""

Damage = Callable[[bytes], bytes | None]


def _altered(content: bytes) -> bytes:
    """Return content with other bytes in a line in its middle."""
    lines = content.splitlines(keepends=True)
    middle = len(lines) // 2
    line = lines[middle] if lines else b""
    # Digits first, so that text stays text and JSON stays JSON wherever that is possible.
    other = line.translate(bytes.maketrans(b"0123456789", b"1234567890"))
    other = other if other != line else bytes(byte ^ 1 for byte in line)
    return b"".join([*lines[:middle], other, *lines[middle + 1 :]])


DAMAGES: Final[Mapping[str, Damage]] = {
    "halved": lambda content: content[: len(content) // 2],
    "altered": _altered,
    "deleted": lambda _: None,
    "extra": lambda content: content + b'{"more": 1}\n',
}


def main() -> None:
    """Run what the file of results does not hold yet, and show a table."""
    options = _options()
    path = results_path(options, "kills")
    rows = {_key(row): row for row in read_rows(path)}
    # In memory where the system offers it: a disk that is asked to flush thousands of times would be all that is seen.
    shm = Path("/dev/shm")  # noqa: S108 - a directory of its own is made in it
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as directory:
        for done in _all(options, Path(directory), rows):
            # With what it counts as, so that tables of the documentation can be written from the rows.
            row = {**done, **summary([done])}
            rows[_key(row)] = row
            append_row(path, row)
    _report([row for row in rows.values() if row["stage"] in options.stages])


def _options() -> argparse.Namespace:
    parser = option_parser(__doc__, "5 random moments, 10 operations, no damages")
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=list(STAGES), help="which stages")
    parser.add_argument("--moments", type=int, default=50, help="random moments at which each stage is killed")
    parser.add_argument("--operations", type=int, default=10**6, help="most file operations at which each is killed")
    parser.add_argument("--no-damages", action="store_true", help="leave the damages out")
    options = parser.parse_args()
    if options.quick:
        options.moments, options.operations, options.no_damages = 5, 10, True
    return options


def _key(row: Row) -> str:
    return json.dumps([row[name] for name in ("stage", "fault", "at")])


def _all(options: argparse.Namespace, directory: Path, known: Mapping[str, Row]) -> Iterator[Row]:
    """Do what is missing, stage by stage, and yield the rows."""
    run_dir = directory / "run"
    # In this process, so that what is compiled once is there for all that are forked from it.
    make_run(run_dir)
    for name in options.stages:
        world = _World(name, STAGES[name], run_dir, directory / "work", directory / "whole", directory / "begun")
        for before in ("reward",) if name in ("reward evaluation", "policy, dpo", "policy, rloo") else ():
            if not (run_dir / before).exists():
                _in_child(lambda before=before: STAGES[before](run_dir, run_dir / before))
        yield from world.rows(options, known)


class _World:
    """One stage, the run that it reads, and a result that was left alone."""

    def __init__(self, name: str, stage: Stage, run_dir: Path, work: Path, whole: Path, begun: Path) -> None:
        self._name, self._stage, self._run_dir = name, stage, run_dir
        self._work, self._whole, self._begun = work, whole, begun

    def rows(self, options: argparse.Namespace, known: Mapping[str, Row]) -> Iterator[Row]:
        for directory in (self._whole, self._work, self._begun):
            shutil.rmtree(directory, ignore_errors=True)
        started = time.perf_counter()
        # Counted in the work directory, and moved, since the operations count below one directory.
        counts = _in_child(lambda: self._stage(self._run_dir, self._work), self._work)["operations"]
        seconds = time.perf_counter() - started
        self._work.rename(self._whole)
        jobs = [*self._kills(counts, seconds, options), *([] if options.no_damages else self._damages(sum(counts)))]
        for fault, at, job in jobs:
            key = {"stage": self._name, "fault": fault, "at": at}
            if _key(key) not in known:
                yield {**key, **job()}

    # ------------------------------------------------------------------------------------------------ kills

    def _kills(
        self, counts: Sequence[int], seconds: float, options: argparse.Namespace
    ) -> Iterator[tuple[str, Any, Callable[[], Row]]]:
        total, writes = counts
        places = _spread(total, options.operations)
        for at in places:
            yield "kill at operation", at, lambda at=at: self._operation(at, "kill")
        for at in _spread(total, min(options.operations, writes)):
            yield "kill in a write", at, lambda at=at: self._operation(at, "torn")
        for at in places[:: max(1, len(places) // 10)]:
            yield "full disk", at, lambda at=at: self._operation(at, "full")
        for number in range(options.moments):
            after = random.Random(f"{self._name} {number}").uniform(0, seconds)  # noqa: S311 - no secret
            yield "kill at a moment", number, lambda after=after: self._moment(after)

    def _operation(self, at: int, how: How) -> Row:
        shutil.rmtree(self._work, ignore_errors=True)
        first = _in_child(lambda: self._stage(self._run_dir, self._work), self._work, at, how)
        return {"first": first["status"], **self._again()}

    def _moment(self, after: float) -> Row:
        shutil.rmtree(self._work, ignore_errors=True)
        first = _in_child(lambda: self._stage(self._run_dir, self._work), killed_after=after)
        return {"first": first["status"], **self._again()}

    def _again(self) -> Row:
        """Run the stage again and say how that ended."""
        done = _in_child(lambda: self._stage(self._run_dir, self._work))
        row = {"again": done["status"], "asked": done["asked"], "message": done["message"]}
        different = [] if done["status"] else _differences(self._whole, self._work)
        return {**row, "different": different}

    # ------------------------------------------------------------------------------------------------ damages

    def _damages(self, total: int) -> Iterator[tuple[str, Any, Callable[[], Row]]]:
        if self._name == "prepare":
            sources: dict[str, Path] = {}
        else:
            sources = {"prepare": self._run_dir, "elicit": self._run_dir, "reward": self._run_dir}
        # Two thirds of the way: some of the work is done, and some files are written.
        _in_child(lambda: self._stage(self._run_dir, self._work), self._reset(None), total * 2 // 3, "kill")
        if self._work.exists():
            shutil.rmtree(self._begun, ignore_errors=True)
            self._work.rename(self._begun)
            yield from self._damages_in("interrupted", self._begun, self._begun)
        yield from self._damages_in("complete", self._whole, self._whole)
        for stage, run_dir in sources.items():
            if (run_dir / stage).exists() and stage != self._name:
                yield from self._damages_in(f"input {stage}", run_dir / stage, None)

    def _damages_in(
        self, state: str, directory: Path, copied: Path | None
    ) -> Iterator[tuple[str, Any, Callable[[], Row]]]:
        files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != ".lock")
        for file in files:
            for damage in DAMAGES:
                name = file.relative_to(directory)

                def job(name: Path = name, damage: str = damage) -> Row:
                    return self._damaged(directory, copied, name, DAMAGES[damage])

                yield f"{damage}, {state}", str(name), job

    def _reset(self, copied: Path | None) -> Path:
        shutil.rmtree(self._work, ignore_errors=True)
        if copied is not None:
            shutil.copytree(copied, self._work)
        return self._work

    def _damaged(self, directory: Path, copied: Path | None, name: Path, damage: Damage) -> Row:
        self._reset(copied)
        file = (directory if copied is None else self._work) / name
        content = file.read_bytes()
        try:
            _write(file, damage(content))
            return self._again()
        finally:
            # A file of the run that is read is shared by all that follow.
            if copied is None:
                _write(file, content)


def _write(file: Path, content: bytes | None) -> None:
    if content is None:
        file.unlink(missing_ok=True)
    else:
        file.write_bytes(content)


def _spread(total: int, most: int) -> list[int]:
    """Return at most so many of the first numbers, evenly spread."""
    return sorted({number * total // min(total, most) for number in range(min(total, most))})


def _differences(whole: Path, other: Path) -> list[str]:
    """Return the names of the results that are not the same, byte for byte."""

    def results(directory: Path) -> dict[str, bytes]:
        return {
            str(path.relative_to(directory)): path.read_bytes()
            for path in directory.rglob("*")
            if path.is_file() and path.name not in (*TIMED, *INTERIM)
        }

    one, two = results(whole), results(other)
    sealed = {str(path.relative_to(whole)) for path in whole.rglob(MANIFEST)}
    missing = [name for name in sealed if not (other / name).exists()]
    return [*missing, *sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))]


# ---------------------------------------------------------------------------------------------------- processes


def _in_child(
    action: Callable[[], object],
    directory: Path | None = None,
    at: int | None = None,
    how: How = "kill",
    *,
    killed_after: float | None = None,
) -> Row:
    """Do something in a forked process, and return how it ended.

    Args:
        action: What is done.
        directory: Whose file operations are counted, and fail.
        at: The operation that fails, `None` for none.
        how: How it fails.
        killed_after: Seconds after which the process is killed.
    """
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        _end_of_child(action, directory, at, how, writing)
    os.close(writing)
    if killed_after is not None:
        time.sleep(killed_after)
        os.kill(process, signal.SIGKILL)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    found = json.loads(told) if told else {"asked": 0, "message": "", "operations": [0, 0]}
    return {"status": status, **found}


def _end_of_child(action: Callable[[], object], directory: Path | None, at: int | None, how: How, writing: int) -> None:
    """Do the work of a child, write how it ended into a pipe, and end."""
    status, message = 0, ""
    asked = _count_work()
    faults = None if directory is None else Faults(directory, at, how)
    try:
        # What libraries say of a stage that fails is not what is looked at here.
        sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - open until the process ends
        action()
    except (IcmError, OSError) as error:
        status, message = REFUSED, str(error)
    except BaseException as error:
        status, message = BROKEN, f"{type(error).__name__}: {error}"
    counts = [] if faults is None else [faults.counts.total(), faults.counts["write"]]
    os.write(writing, json.dumps({"asked": asked(), "message": message[:300], "operations": counts}).encode())
    os._exit(status)


def _count_work() -> Callable[[], int]:
    """Count from now on the batches that the fake was asked and the trainings that began; return the counter."""
    import transformers

    from icm.scoring.fake import FakeScorer

    done = [0]

    def counted(plain: Any) -> Any:
        def count(*arguments: Any, **named: Any) -> Any:
            done[0] += 1
            return plain(*arguments, **named)

        return count

    # A training that goes on from its checkpoints counts too: damage is to be found before.
    FakeScorer._spend = counted(FakeScorer._spend)
    transformers.Trainer.training_step = counted(transformers.Trainer.training_step)
    return lambda: done[0]


# ---------------------------------------------------------------------------------------------------- the report


def _report(rows: Sequence[Row]) -> None:
    table = Table(title="Kills and damages", title_justify="left")
    for column in ("stage", "kills", "different", "lost", "full disks", "wrong", "damages", "late", "unnoticed"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage in dict.fromkeys(row["stage"] for row in rows):
        table.add_row(stage, *map(str, summary([row for row in rows if row["stage"] == stage]).values()))
    Console(highlight=False).print(table)
    for row in rows:
        if _is_wrong(row):
            print(f"{row['stage']}: {row['fault']} {row['at']}: {row['message'] or row['different'] or row}")
    print(json.dumps(summary(rows)))


def summary(rows: Sequence[Row]) -> dict[str, int]:
    """Return what the rows say, in the keys of the last line."""
    killed = [row for row in rows if row["fault"].startswith("kill") and row["first"] == -signal.SIGKILL]
    full = [row for row in rows if row["fault"] == "full disk"]
    damaged = [row for row in rows if "first" not in row]
    return {
        "kills": len(killed),
        "different_bytes": sum(bool(row["different"]) for row in killed),
        "lost": sum(row["again"] != 0 for row in killed),
        "full_disks": len(full),
        "full_disks_wrong": sum(map(_is_wrong, full)),
        "damages": len(damaged),
        "late_errors": sum(row["again"] == BROKEN or (row["again"] != 0 and row["asked"] > 0) for row in damaged),
        "unnoticed": sum(bool(row["different"]) for row in damaged),
    }


def _is_wrong(row: Row) -> bool:
    if "first" in row:
        return row["again"] != 0 or bool(row["different"])
    return row["again"] == BROKEN or (row["again"] != 0 and row["asked"] > 0) or bool(row["different"])


if __name__ == "__main__":
    main()
