"""Faulty and unusual inputs: what every command makes of them.

Usage: python -m benchmarks.reliability.inputs [--quick] [--kinds D E ...] [--outcomes FILE]

Each case (`cases/`, a file for each kind) is some files and a command, which is called as the command line calls it. It
must end in a message that names the problem, the value and the way out, or go on and say what it did with the input.

The last line of the output is a JSON object: `cases`; `silent`, cases in which the command went on without a word or
with other data than was meant; `tracebacks`; `unclear`, cases that were refused without a message that helps, or that
should not have been refused.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.harness import append_row, option_parser, results_path, today
from benchmarks.reliability.case import FAULTS, Case, Outcome, happened
from benchmarks.reliability.cases import all_cases
from benchmarks.reliability.cases.build import ROWS, jsonl, prepare

Result = tuple[Case, Outcome, str]


def main() -> None:
    """Run the cases, print a table of those that went wrong and of how each kind did, and the counts as JSON."""
    parser = option_parser(__doc__, "every tenth case")
    parser.add_argument("--kinds", nargs="+", help="kinds of cases, as in the issue; all if left out")
    options = parser.parse_args()
    cases = [case for case in all_cases() if not options.kinds or case.kind in options.kinds]
    path = results_path(options, "reliability_inputs")
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as scratch:
        for case, outcome, said in run_cases(cases[::10] if options.quick else cases, Path(scratch)):
            results.append((case, outcome, said))
            row = {"kind": case.kind, "case": case.name, "stage": case.stage, "outcome": outcome, "said": said[:200]}
            append_row(path, {"date": today(), **row})
    console = Console(highlight=False)
    console.print(_of_kinds(results))
    console.print(_wrong(results))
    counts = Counter(outcome for _, outcome, _ in results)
    summary = {"cases": len(results), "refused": counts["refused"], "told": counts["told"]}
    faults = {"silent": counts["silent"], "tracebacks": counts["traceback"], "unclear": counts["unclear"]}
    print(json.dumps(summary | faults))


def run_cases(cases: Sequence[Case], scratch: Path) -> Iterator[Result]:
    """Run cases in folders of their own and yield what became of each."""
    finished_run = make_run(scratch / "finished") if any(case.run for case in cases) else scratch
    for number, case in enumerate(cases):
        folder = scratch / str(number)
        folder.mkdir()
        yield case, *happened(case, folder, finished_run)
        shutil.rmtree(folder)


def make_run(folder: Path) -> Path:
    """Prepare and label the six good claims, and return the directory of that run."""
    folder.mkdir()
    command = ("run", *prepare("rows.jsonl")[1:], "search=zero_shot", "objective=lift", "evaluate.shots=[0]")
    outcome, said = happened(Case("", "", command, {"rows.jsonl": jsonl(ROWS)}), folder, folder)
    if outcome != "told":
        raise RuntimeError(f"the run that cases begin with failed: {said}")
    return folder / "run"


def _of_kinds(results: Sequence[Result]) -> Table:
    table = Table("kind", "stage", "cases", "refused", "told", *FAULTS)
    counts = Counter((case.kind, case.stage, outcome) for case, outcome, _ in results)
    for kind, stage in sorted({(kind, stage) for kind, stage, _ in counts}):
        found = [counts[kind, stage, outcome] for outcome in ("refused", "told", *FAULTS)]
        table.add_row(kind, stage, str(sum(found)), *map(str, found))
    return table


def _wrong(results: Sequence[Result]) -> Table:
    table = Table("kind", "case", "stage", "what happened", "what it said")
    for case, outcome, said in results:
        if outcome in FAULTS:
            # As `Text`: what a command says of faulty input may hold brackets.
            table.add_row(case.kind, Text(case.name), case.stage, outcome, Text(said))
    return table


if __name__ == "__main__":
    main()
