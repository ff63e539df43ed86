"""What the benchmarks share: rows of results in JSON Lines, jobs in worker processes, intervals, the last line of JSON.

A benchmark writes a row for each of its runs to `docs/results/NAME.jsonl`, or where `--outcomes` says. A row holds
the settings of the run (its job) and then its results. A stopped benchmark finds its own rows there
and runs what is missing. With `--quick` nothing is written unless `--outcomes` names a file.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from icm.statistics.estimates import student_half_width

RESULTS_DIR: Final = Path(__file__).parents[1] / "docs" / "results"
LEVEL: Final = 0.95
# Of two runs Student's interval is 13 standard errors wide to either side, and says nothing.
FEWEST_RUNS: Final = 3

Row = dict[str, Any]


def option_parser(description: str | None, quick: str) -> argparse.ArgumentParser:
    """Return a parser of the options that all benchmarks have; `quick` says what `--quick` leaves out."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument(
        "--outcomes", type=Path, help="file of results, JSON Lines; in docs/results if left out, none with --quick"
    )
    return parser


def add_pool_options(parser: argparse.ArgumentParser) -> None:
    """Add the option of benchmarks whose runs need not know of one another."""
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="runs at a time")


def results_path(options: argparse.Namespace, name: str) -> Path | None:
    """Return the file of results of a benchmark, or `None` if it writes none."""
    return options.outcomes or (None if options.quick else RESULTS_DIR / f"{name}.jsonl")


def append_row(path: Path | None, row: Mapping[str, Any]) -> None:
    """Write a row at the end of a file of results, if there is one, and its directory where it is missing."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Appended row by row and not written at the end: a benchmark that is stopped loses only the run in progress.
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_rows(path: Path | None) -> list[Row]:
    """Return the rows of a file of results; none where there is no file.

    Raises:
        ValueError: A line is not a JSON object.
    """
    if path is None or not path.exists():
        return []
    rows = []
    # Not `splitlines`, which also cuts at separators that JSON allows inside of a text.
    text = path.read_text(encoding="utf-8").removesuffix("\n")
    for number, line in enumerate(text.split("\n") if text else (), start=1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}: not JSON ({error}); remove the line to run it again") from error
        if not isinstance(row, dict):
            raise ValueError(f"{path}, line {number}: not a JSON object")
        rows.append(row)
    return rows


def run_jobs(
    run: Callable[[Row], Row],
    jobs: Sequence[Row],
    num_workers: int,
    path: Path | None,
    describe: Callable[[Row], str],
) -> list[Row]:
    """Return a row for every job, running those that the file of results does not hold and adding them to it.

    Args:
        run: What a worker does with a job; a function of a module that can be imported.
        jobs: The settings of each run, as JSON values. All jobs have the same keys, and these are the key of a row.
        num_workers: How many run at a time.
        path: The file of results, if any.
        describe: Gives the line that is shown of a finished row.
    """
    keys = tuple(jobs[0])
    # Later rows win, and rows of another shape, from before a key was added, are no answer to these jobs.
    known = {_key(row, keys): row for row in read_rows(path) if all(key in row for key in keys)}
    missing = [job for job in jobs if _key(job, keys) not in known]
    for row in in_workers(run, missing, num_workers, describe):
        known[_key(row, keys)] = row
        append_row(path, row)
    # In the order of the jobs, however often the benchmark was stopped: a table must not depend on that.
    return [known[_key(job, keys)] for job in jobs]


def _key(row: Row, keys: Sequence[str]) -> str:
    # As text: a job may hold lists, which are no keys, and a tuple comes back from the file as a list.
    return json.dumps([row[key] for key in keys], sort_keys=True)


def in_workers(
    run: Callable[[Row], Row], jobs: Sequence[Row], num_workers: int, describe: Callable[[Row], str]
) -> Iterator[Row]:
    """Run jobs in processes of their own and yield their rows in order, showing how far they are."""
    # One thread each: on a small model the cores are better used by runs than inside one.
    os.environ["OMP_NUM_THREADS"] = "1"
    # To the error stream, since the last line of the output is the JSON.
    console = Console(stderr=True, highlight=False)
    started = time.perf_counter()
    # Spawned, not forked: threads of torch and numba do not survive a fork.
    with ProcessPoolExecutor(num_workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        # `map` keeps the order of the jobs, so the row of a run that ends early waits for those before it.
        for number, (job, outcome) in enumerate(zip(jobs, pool.map(run, jobs), strict=True), start=1):
            row = {**job, **outcome, "date": today()}
            left = (time.perf_counter() - started) / number * (len(jobs) - number)
            console.print(f"{number} of {len(jobs)}, {left:,.0f} s left: {describe(row)}", soft_wrap=True)
            yield row


def today() -> str:
    """Return the date, in UTC."""
    return datetime.now(UTC).date().isoformat()


def conditions() -> Row:
    """Return what a time depends on beside the code: the day, threads, cores and the load of the machine."""
    threads = os.environ.get("OMP_NUM_THREADS")
    return {
        "date": today(),
        "threads": int(threads) if threads else None,
        "cores": os.cpu_count(),
        # On a busy machine every time is longer: the load tells which rows to doubt.
        "load": round(os.getloadavg()[0], 2),
    }


def finish_speed(name: str, options: argparse.Namespace, result: Mapping[str, Any]) -> None:
    """Write the row of a speed benchmark, with its options and conditions, and print the result as the last line."""
    row = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
    # Where a row is written says nothing about it.
    row.pop("outcomes")
    append_row(results_path(options, name), {**conditions(), **row, **result})
    print(json.dumps(result))


def half_width(values: Sequence[float]) -> float | None:
    """Return half the width of the 95 % interval of a mean (Student's t), `None` for fewer than three values."""
    return student_half_width(values, LEVEL) if len(values) >= FEWEST_RUNS else None


def with_interval(mean: float, half: float | None, scale: float = 1.0) -> str:
    """Return a mean and half the width of its interval, if it has one, as a table shows them."""
    return f"{scale * mean:.1f}" + ("" if half is None else f" ± {scale * half:.1f}")
