"""What do the searches find on real texts with small pretrained models, and what do simpler means find?

Usage: python -m benchmarks.quality.real [--quick] [--models gemma,smollm2] [--tasks sst2,ag_news,…] [--methods …]
       [--seeds N] [--first-seed N] [--data DIR] [--runs DIR] [--outcomes FILE]

Every seed draws its own claims. `controls` are the means that the searches stand beside, of the same claims: zero-shot
with three calibrations, and 64 golden labels of other claims as context, calibrated or not. The models are those that
`icm models get` fetches; the texts are looked for in DIR, else in `data` under ICM_SHARED_DIR.

The settings of the default search were chosen on even rows of SST-2 and AG News. Claims of AG News are drawn from odd
rows. SST-2 has too few of them for 256 claims, so there all rows are drawn from, and `fresh_accuracy` counts the odd
ones alone. Nothing was chosen on the other files.

A search keeps its directory under `--runs`, so a benchmark that is killed goes on inside a cell; finished cells stand
in the file of results. Nothing else is needed for another process to go on.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.harness import (
    LEVEL,
    RESULTS_DIR,
    Row,
    add_pool_options,
    half_width,
    option_parser,
    run_jobs,
    with_interval,
)
from benchmarks.quality.pocket_runs import read_labels, read_prepared, settings_hash
from icm import golden
from icm.claims import TRUE_FALSE, UNLABELLED, Claim, ClaimId, Labels, LabelSpace
from icm.config import Config, load
from icm.diagnose import stage as diagnose
from icm.diagnose.schema import DIAGNOSIS, Diagnosis
from icm.elicit import stage as elicit
from icm.evaluate.controls import golden_context, zero_shot
from icm.files.records import GOLD, HELD_OUT, LABELS, LabelRow, Manifest, TaskRecord, read_rows
from icm.files.stage_dir import read_result
from icm.prepare import stage as prepare
from icm.prepare.build import build
from icm.scoring.journal import JournalScorer
from icm.scoring.open import open_scorer
from icm.scoring.protocol import LabelScorer
from icm.statistics.estimates import wilson_interval
from icm.statistics.scores import calibration

RESULTS: Final = RESULTS_DIR / "real"
PROGRESS: Final = Console(stderr=True, highlight=False)
MODELS: Final = {"gemma": "gemma3_270m", "smollm2": "smollm2"}
FILES: Final = {
    "sst2": ("sst2", "real_tasks/sst2.csv"),
    "ag_news": ("ag_news", "real_tasks/ag_news.csv.gz"),
    "cities": ("true_false_cities", "real_tasks/cities.csv"),
    "companies": ("true_false", "real_tasks/companies_true_false.csv"),
    "larger_than": ("true_false", "real_tasks/larger_than.csv"),
    "sp_en_trans": ("true_false", "real_tasks/sp_en_trans.csv"),
    "gsm8k": ("gsm8k", "gsm8k/icm_official_test.jsonl.gz"),
    "truthfulqa": ("truthfulqa", "truthfulqa/icm_official_train.jsonl.gz"),
    "alpaca": ("alpaca", "alpaca/icm_official_test.jsonl.gz"),
}
"""The preset and the file of each task."""

PAPER: Final = ("gsm8k", "truthfulqa", "alpaca")
"""The tasks of the paper."""

TUNED_ON: Final = ("sst2", "ag_news")
"""Tasks on whose even rows settings were chosen."""

ODD_ROWS_ALONE: Final = ("ag_news",)
"""Those of them with enough odd rows."""

CONTROLS: Final = "controls"
METHODS: Final[Mapping[str, tuple[str, ...]]] = {
    "default": (),
    "bootstrap": ("search=bootstrap",),
    "gibbs": ("search=gibbs",),
    "reference": ("search=reference", "objective=released_code"),
    "annealing": ("search=annealing", "objective=released_code"),
}
"""The settings of each search. The chains run under the objective that they were published with."""

NUM_CLAIMS: Final = {"reference": 32, "annealing": 32, "bootstrap": 64, "gibbs": 64}
"""Fewer claims where the cost grows faster than their number; all others have `MOST_CLAIMS`."""

MOST_CLAIMS: Final = 256
QUICK_CLAIMS: Final = 32
NUM_HELD_OUT: Final = 64
"""Claims whose golden labels are shown as context: the number of labels that a small budget buys."""

LONGEST_CLAIM: Final = 512
"""Tokens of a claim, at the most."""

NUM_DRAWS: Final = 2
"""Random orders of them."""

GOLDEN_NAMES: Final = {"none": "golden_context_raw", "batch": "golden_context", "prior": "golden_context_prior"}
ZERO_SHOT_NAMES: Final = {"none": "zero_shot", "contextual": "contextual", "batch": "batch", "pmi": "pmi"}


class Cell(NamedTuple):
    """A cell that has been prepared: where it lies, what it is told, and what is known of its claims.

    Attributes:
        truth: (N,) golden labels.
        fresh: (N,) whether nothing was tuned on a claim.
    """

    directory: Path
    config: Config
    task: TaskRecord
    claims: list[Claim]
    truth: Labels
    fresh: NDArray[np.bool_]
    scorer: LabelScorer

    @property
    def prepare_dir(self) -> Path:
        """The prepare stage, which all methods of these claims share."""
        return self.directory / "prepare"


def run(job: Row, data: Path, runs: Path) -> Row:
    """Label the claims of one cell and compare with the golden labels.

    Args:
        job: The cell.
        data: Where the files of the tasks lie.
        runs: Where searches keep their directories.

    Returns:
        `methods`: for each method of the cell the figures of `_figures`. `rows`: which rows of the file they are from,
        `odd` or `all`. `seconds`: wall time, all parts of a run that was stopped together.
    """
    cell = _prepared(job, data, runs)
    rows = "odd" if job["task"] in ODD_ROWS_ALONE else "all"
    if job["method"] == CONTROLS:
        started = time.perf_counter()
        methods = _controls(cell, job["seed"])
        return {"methods": methods, "rows": rows, "seconds": time.perf_counter() - started}
    elicit_dir, manifest = _elicited(job, cell)
    figures = _of_search(elicit_dir, manifest, cell.truth, cell.fresh)
    return {"methods": {job["method"]: figures}, "rows": rows, "seconds": manifest.seconds}


def diagnosed(job: Row, data: Path, runs: Path) -> Row:
    """Diagnose the labels of one cell, eliciting them first if they are not there.

    Returns:
        `verdict` and its `reasons`. `values`: of each check. `accuracy`: share of right labels. `at_chance`: whether it
        is no better than the most frequent label, by the Wilson interval. `tokens` and `elicit_tokens`: forwarded by
        the diagnosis and by the search. `seconds`: of the diagnosis.
    """
    cell = _prepared(job, data, runs)
    elicit_dir, manifest = _elicited(job, cell)
    out_dir = elicit_dir.with_name(f"{elicit_dir.name}-diagnosis-{job['diagnosis']}")
    of = diagnose.run(cell.config.diagnose, cell.prepare_dir, elicit_dir, out_dir, cell.scorer, console=PROGRESS)
    found = read_result(out_dir, "diagnose", DIAGNOSIS, Diagnosis)
    right = read_labels(elicit_dir) == cell.truth
    majority = np.bincount(cell.truth[cell.truth != UNLABELLED]).max() / len(cell.truth)
    return {
        "verdict": found.verdict,
        "reasons": list(found.reasons),
        "values": {check.name: check.value for check in found.checks},
        "accuracy": float(right.mean()),
        "at_chance": bool(wilson_interval(int(right.sum()), right.size, LEVEL)[0] <= majority),
        "tokens": int(of.cost["forwarded_tokens"]),
        "elicit_tokens": int(manifest.cost["forwarded_tokens"]),
        "seconds": of.seconds,
    }


def _prepared(job: Row, data: Path, runs: Path) -> Cell:
    directory = runs / job["model"] / job["task"] / f"claims-{job['claims']}" / f"seed-{job['seed']}"
    config = _config(job, data, runs, METHODS.get(job["method"], ()))
    prepare.run(
        config.for_prepare(), directory / "prepare", lambda texts: _scorer(job["model"], TRUE_FALSE).count_tokens(texts)
    )
    task, claims, truth = read_prepared(directory / "prepare")
    scorer = _scorer(job["model"], task.label_space)
    return Cell(directory, config, task, claims, truth, _fresh(job["task"], config, claims), scorer)


def _elicited(job: Row, cell: Cell) -> tuple[Path, Manifest]:
    """Do the search of a cell, or go on with it, or find it done."""
    elicit_dir = cell.directory / f"{job['method']}-{job['settings']}"
    return elicit_dir, elicit.run(cell.config.for_elicit(), cell.prepare_dir, elicit_dir, cell.scorer, PROGRESS)


def _config(job: Row, data: Path, runs: Path, overrides: Sequence[str]) -> Config:
    preset, file = FILES[job["task"]]
    path = data / file
    if job["task"] in ODD_ROWS_ALONE:
        path = _odd_rows(path, runs / "data")
    return load(
        f"task={preset}",
        f"task.path={path}",
        f"task.num_claims={job['claims']}",
        f"task.num_held_out={NUM_HELD_OUT}",
        f"model={MODELS[job['model']]}",
        f"seed={job['seed']}",
        f"data_seed={job['seed']}",
        # Some claims of the paper's tasks are as long as a block; what is left out is listed by the prepare stage.
        *([f"task.max_claim_tokens={LONGEST_CLAIM}"] if job["task"] in PAPER else []),
        *overrides,
    )


def _odd_rows(path: Path, directory: Path) -> Path:
    """Write the odd rows of a CSV file into a directory, once."""
    found = directory / f"odd-{path.name.removesuffix('.gz')}"
    if not found.exists():
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
        header, *rows = csv.reader(io.StringIO(text, newline=""))
        directory.mkdir(parents=True, exist_ok=True)
        with found.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows[1::2]])
    return found


@cache
def _scorer(model: str, space: LabelSpace) -> LabelScorer:
    return open_scorer(load(f"model={MODELS[model]}").model, space)


def _fresh(task: str, config: Config, claims: Sequence[Claim]) -> NDArray[np.bool_]:
    """Return which claims (N,) nothing was tuned on: of a file of all rows those of odd rows, of other files all."""
    if task not in TUNED_ON or task in ODD_ROWS_ALONE:
        return np.ones(len(claims), dtype=np.bool_)
    row_of: dict[ClaimId, int] = {}
    for item in build(config.task).items:
        # Of a text that stands in several rows an even one may have been tuned on.
        row_of[item.claim.id] = 0 if item.claim.id in row_of else item.row
    return np.array([row_of[claim.id] % 2 == 1 for claim in claims])


def _controls(cell: Cell, seed: int) -> Row:
    scorer = JournalScorer(cell.scorer, cell.directory / "controls.jsonl")
    space, claims, truth, fresh = cell.task.label_space, cell.claims, cell.truth, cell.fresh
    shown = read_rows(cell.prepare_dir / HELD_OUT, Claim)
    shown_truth = golden.as_labels(golden.load(cell.prepare_dir / GOLD, space), shown)
    by_calibration, missing = zero_shot(scorer, claims)
    once = scorer.count_tokens([claim.text for claim in claims]).sum() / len(claims)
    found = {
        ZERO_SHOT_NAMES[name]: _figures(rows.argmax(axis=1)[None], truth, fresh, tokens=once, reads=1.0)
        for name, rows in by_calibration.items()
    }
    found |= {ZERO_SHOT_NAMES[name]: {"missing": reason} for name, reason in missing.items()}
    by_calibration, num_shots = golden_context(scorer, space, claims, shown, shown_truth, NUM_HELD_OUT, NUM_DRAWS, seed)
    shots = scorer.count_tokens([claim.text for claim in shown]).sum() / len(claims)
    for name, rows in by_calibration.items():
        figures = _figures(rows.argmax(axis=2), truth, fresh, tokens=once + shots, reads=1.0)
        found[GOLDEN_NAMES[name]] = {**figures, "shots": num_shots, "draws": NUM_DRAWS}
    return found


def _of_search(elicit_dir: Path, manifest: Manifest, truth: Labels, fresh: NDArray[np.bool_]) -> Row:
    labels, rows = read_labels(elicit_dir), read_rows(elicit_dir / LABELS, LabelRow)
    num_claims, cost, counts = len(labels), manifest.cost, manifest.counts
    figures = _figures(
        labels[None],
        truth,
        fresh,
        tokens=cost["forwarded_tokens"] / num_claims,
        reads=(cost["prompts"] - cost["journal_hits"]) / num_claims,
    )
    scored = labels != UNLABELLED
    probabilities = np.array([np.nan if row.probability is None else row.probability for row in rows])
    reliability = calibration(probabilities[scored], (labels == truth)[scored], 10)
    return {
        **figures,
        "coverage": float(scored.mean()),
        "utility": counts["utility"],
        "bits_per_label": counts.get("bits_per_label"),
        "ece": reliability and reliability.expected_calibration_error,
        "brier": reliability and reliability.brier,
        "tokens": int(cost["forwarded_tokens"]),
    }


def _figures(labels: NDArray[Any], truth: Labels, fresh: NDArray[np.bool_], *, tokens: float, reads: float) -> Row:
    """Return accuracy over all claims and over those not tuned on, of labels (D, N), and what a claim costs."""
    right = labels == truth
    return {
        "accuracy": float(right.mean()),
        "fresh_accuracy": float(right[:, fresh].mean()),
        "tokens_per_claim": float(tokens),
        "reads_per_claim": float(reads),
    }


def summarise(rows: Sequence[Row]) -> dict[tuple[str, str, str], Row]:
    """Return means over the seeds, with intervals, by model, task and method."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        for method, figures in row["methods"].items():
            if "missing" not in figures:
                cell = {**figures, "claims": row["claims"]}
                found.setdefault((row["model"], row["task"], method), []).append(cell)
    return {key: _means(cells) for key, cells in found.items()}


def _means(cells: Sequence[Row]) -> Row:
    """Return the mean of every figure that all cells have, and half the width of the interval of the accuracy."""
    names = [name for name, value in cells[0].items() if isinstance(value, int | float)]
    means = {name: float(np.mean([cell[name] for cell in cells])) for name in names}
    return {**means, "half_width": half_width([cell["accuracy"] for cell in cells]), "seeds": len(cells)}


def _table(summary: Mapping[tuple[str, str, str], Row]) -> Table:
    table = Table(
        "model", "task", "method", "claims", "seeds", "accuracy, %", "rows not tuned on", "tokens a claim",
        "reads a claim", "bits a label", "calibration error",
    )  # fmt: skip
    for (model, task, method), row in summary.items():
        bits, error = row.get("bits_per_label"), row.get("ece")
        table.add_row(
            model,
            task,
            method,
            f"{row['claims']:.0f}",
            str(row["seeds"]),
            with_interval(row["accuracy"], row["half_width"], 100),
            f"{100 * row['fresh_accuracy']:.1f}",
            f"{row['tokens_per_claim']:,.0f}",
            f"{row['reads_per_claim']:.1f}",
            "" if bits is None else f"{bits:.2f}",
            "" if error is None else f"{error:.2f}",
        )
    return table


def _keys(summary: Mapping[tuple[str, str, str], Row]) -> Row:
    wanted = ("accuracy", "half_width", "tokens_per_claim", "reads_per_claim", "bits_per_label", "seeds", "claims")
    return {
        f"{model}.{task}.{method}.{name}": row[name]
        for (model, task, method), row in summary.items()
        for name in wanted
        if row.get(name) is not None
    }


def cells(options: argparse.Namespace) -> list[Row]:
    """Return the cells that the options ask for, seed by seed."""
    num_seeds = options.seeds or (1 if options.quick else 5)
    most = options.claims or (QUICK_CLAIMS if options.quick else MOST_CLAIMS)
    return [
        {
            "model": model,
            "task": task,
            "method": method,
            "claims": min(NUM_CLAIMS.get(method, most), most),
            "seed": options.first_seed + seed,
            "settings": "" if method == CONTROLS else settings_hash((*METHODS[method], f"model={MODELS[model]}")),
        }
        for seed in range(num_seeds)
        for model in options.models.split(",")
        for task in options.tasks.split(",")
        for method in options.methods.split(",")
    ]


def diagnoses(jobs: Sequence[Row]) -> list[Row]:
    """Return the diagnoses of cells; controls have no labels to diagnose."""
    return [
        {**job, "diagnosis": settings_hash((f"model={MODELS[job['model']]}", *METHODS[job["method"]]), "diagnose")}
        for job in jobs
        if job["method"] != CONTROLS
    ]


def data_dir(chosen: Path | None) -> Path:
    """Return where the files of the tasks lie.

    Raises:
        SystemExit: There is no such directory.
    """
    directory = chosen or Path(os.environ.get("ICM_SHARED_DIR", "../shared")) / "data"
    if not directory.is_dir():
        raise SystemExit(f"{directory}: no such directory; name the one that holds real_tasks/sst2.csv with --data")
    return directory.resolve()


def _verdict_table(rows: Sequence[Row]) -> Table:
    table = Table("model", "task", "method", "seed", "accuracy, %", "at chance", "verdict", "tokens, of the search's")
    for row in rows:
        table.add_row(
            row["model"],
            row["task"],
            row["method"],
            str(row["seed"]),
            f"{100 * row['accuracy']:.1f}",
            "yes" if row["at_chance"] else "",
            row["verdict"],
            f"{row['tokens'] / row['elicit_tokens']:.2f}",
        )
    return table


def _verdict_keys(rows: Sequence[Row]) -> Row:
    found: dict[str, Counter[str]] = {}
    for row in rows:
        found.setdefault(f"{row['model']}.{row['task']}.{row['method']}.verdicts", Counter())[row["verdict"]] += 1
    trusted = sum(row["at_chance"] and row["verdict"] == "trust" for row in rows)
    return {**{key: dict(counts) for key, counts in found.items()}, "trusted_at_chance": trusted}


def _results(options: argparse.Namespace, name: str) -> Path | None:
    """Return the file of results, beside the one of the cells if that is named."""
    if options.outcomes is None:
        return None if options.quick else RESULTS / f"{name}.jsonl"
    return options.outcomes if name == "cells" else options.outcomes.with_name(f"{name}.jsonl")


def _judged(row: Row) -> str:
    return f"{row['model']}, {row['task']}, {row['method']}, seed {row['seed']}: {row['verdict']}"


def _described(row: Row) -> str:
    found = ", ".join(
        f"{method} {100 * figures['accuracy']:.1f} %"
        for method, figures in row["methods"].items()
        if "accuracy" in figures
    )
    return (
        f"{row['model']}, {row['task']}, {row['claims']} claims, seed {row['seed']}: {found}; {row['seconds']:,.0f} s"
    )


def main() -> None:
    """Do the cells that are missing, print a table and one line of JSON."""
    parser = option_parser(__doc__, quick="32 claims, one seed, controls and the default search")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--tasks", default="sst2,ag_news,cities")
    parser.add_argument("--methods", default="")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--claims", type=int, help=f"claims of a cell at the most, {MOST_CLAIMS} if left out")
    parser.add_argument("--diagnose", action="store_true", help="diagnose the labels of the cells as well, at the end")
    parser.add_argument("--data", type=Path, help="directory of real_tasks, gsm8k …")
    parser.add_argument("--runs", type=Path, default=Path("runs/real"), help="where searches keep their directories")
    add_pool_options(parser)
    options = parser.parse_args()
    options.methods = options.methods or ",".join((CONTROLS, "default") if options.quick else (CONTROLS, *METHODS))
    started, jobs = time.perf_counter(), cells(options)
    places = {"data": data_dir(options.data), "runs": options.runs.resolve()}
    rows = run_jobs(partial(run, **places), jobs, options.workers, _results(options, "cells"), _described)
    summary = summarise(rows)
    console = Console(width=max(Console().width, 150))
    console.print(_table(summary))
    keys = _keys(summary)
    if options.diagnose:
        verdicts = run_jobs(
            partial(diagnosed, **places), diagnoses(jobs), options.workers, _results(options, "diagnoses"), _judged
        )
        console.print(_verdict_table(verdicts))
        keys |= _verdict_keys(verdicts)
    print(json.dumps({**keys, "wall_seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
