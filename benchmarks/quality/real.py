"""What do the searches find on real texts with small pretrained models, and what do simpler means find?

Usage: python -m benchmarks.quality.real [--quick] [--models gemma,smollm2] [--tasks sst2,ag_news,…] [--methods …]
       [--seeds N] [--first-seed N] [--data DIR] [--runs DIR] [--outcomes FILE]

Every seed draws its own claims. `controls` are the means that the searches stand beside, of the same claims: zero-shot
with three calibrations, and 64 golden labels of other claims as context, calibrated or not. The models are those that
`icm models get` fetches; the texts are looked for in DIR, else in `data` under ICM_SHARED_DIR.

The settings of `shuffled_sweeps` were chosen on even rows of SST-2 and AG News. Claims of AG News are drawn from odd
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
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.harness import RESULTS_DIR, Row, add_pool_options, half_width, option_parser, run_jobs, with_interval
from benchmarks.quality.pocket_runs import read_labels, read_prepared, settings_hash
from icm import golden
from icm.claims import UNLABELLED, Claim, ClaimId, Labels, LabelSpace
from icm.config import Config, load
from icm.elicit import stage as elicit
from icm.evaluate.controls import golden_context, zero_shot
from icm.files.records import GOLD, HELD_OUT, LABELS, LabelRow, Manifest, read_rows
from icm.prepare import stage as prepare
from icm.prepare.build import build
from icm.scoring.journal import JournalScorer
from icm.scoring.open import open_scorer
from icm.scoring.protocol import LabelScorer
from icm.statistics.scores import calibration

RESULTS: Final = RESULTS_DIR / "real"
MODELS: Final = {"gemma": "gemma3_270m", "smollm2": "smollm2"}
FILES: Final = {
    "sst2": ("sst2", "sst2.csv"),
    "ag_news": ("ag_news", "ag_news.csv.gz"),
    "cities": ("true_false_cities", "cities.csv"),
    "companies": ("true_false", "companies_true_false.csv"),
    "larger_than": ("true_false", "larger_than.csv"),
    "sp_en_trans": ("true_false", "sp_en_trans.csv"),
}
"""The preset and the file of each task."""

TUNED_ON: Final = ("sst2", "ag_news")
"""Tasks on whose even rows settings were chosen."""

ODD_ROWS_ALONE: Final = ("ag_news",)
"""Those of them with enough odd rows."""

CONTROLS: Final = "controls"
METHODS: Final[Mapping[str, tuple[str, ...]]] = {
    "shuffled_sweeps": ("search=shuffled_sweeps", "objective=prequential"),
    "bootstrap": ("search=bootstrap", "objective=lift"),
    "gibbs": ("search=gibbs", "objective=lift"),
    "reference": ("search=reference", "objective=released_code"),
    "annealing": ("search=annealing", "objective=released_code"),
    "default": (),
}
NUM_CLAIMS: Final = {"reference": 32, "annealing": 32, "bootstrap": 64, "gibbs": 64}
"""Fewer claims where the cost grows faster than their number; all others have `MOST_CLAIMS`."""

MOST_CLAIMS: Final = 256
QUICK_CLAIMS: Final = 32
NUM_HELD_OUT: Final = 64
"""Claims whose golden labels are shown as context: the number of labels that a small budget buys."""

NUM_DRAWS: Final = 2
"""Random orders of them."""

GOLDEN_NAMES: Final = {"none": "golden_context_raw", "batch": "golden_context", "prior": "golden_context_prior"}
ZERO_SHOT_NAMES: Final = {"none": "zero_shot", "contextual": "contextual", "batch": "batch", "pmi": "pmi"}


def run(job: Row, data: Path, runs: Path) -> Row:
    """Label the claims of one cell and compare with the golden labels.

    Args:
        job: The cell.
        data: Where the files of the tasks lie.
        runs: Where searches keep their directories.

    Returns:
        `methods`: for each method of the cell the figures of `_figures`. `claims`: how many. `rows`: which rows of the
        file they are from, `odd` or `all`. `seconds`: wall time, all parts of a run that was stopped together.
    """
    name = job["method"]
    base = runs / job["model"] / job["task"] / f"claims-{job['claims']}" / f"seed-{job['seed']}"
    config = _config(job, data, runs, METHODS.get(name, ()))
    prepare_dir = base / "prepare"
    prepare.run(config.for_prepare(), prepare_dir)
    task, claims, truth = read_prepared(prepare_dir)
    scorer = _scorer(job["model"], task.label_space)
    fresh = _fresh(job["task"], config, claims)
    rows = "odd" if job["task"] in ODD_ROWS_ALONE else "all"
    if name == CONTROLS:
        started = time.perf_counter()
        journal = JournalScorer(scorer, base / "controls.jsonl")
        methods = _controls(journal, task.label_space, claims, truth, fresh, prepare_dir, job["seed"])
        return {"methods": methods, "rows": rows, "seconds": time.perf_counter() - started}
    elicit_dir = base / f"{name}-{job['settings']}"
    manifest = elicit.run(config.for_elicit(), prepare_dir, elicit_dir, scorer, Console(stderr=True, highlight=False))
    figures = _of_search(elicit_dir, manifest, truth, fresh)
    return {"methods": {name: figures}, "rows": rows, "seconds": manifest.seconds}


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


def _controls(
    scorer: LabelScorer,
    space: LabelSpace,
    claims: Sequence[Claim],
    truth: Labels,
    fresh: NDArray[np.bool_],
    prepare_dir: Path,
    seed: int,
) -> Row:
    shown = read_rows(prepare_dir / HELD_OUT, Claim)
    shown_truth = golden.as_labels(golden.load(prepare_dir / GOLD, space), shown)
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
    methods = options.methods.split(",")
    return [
        {
            "model": model,
            "task": task,
            "method": method,
            "claims": QUICK_CLAIMS if options.quick else NUM_CLAIMS.get(method, MOST_CLAIMS),
            "seed": options.first_seed + seed,
            "settings": "" if method == CONTROLS else settings_hash((*METHODS[method], f"model={MODELS[model]}")),
        }
        for seed in range(num_seeds)
        for model in options.models.split(",")
        for task in options.tasks.split(",")
        for method in methods
    ]


def data_dir(chosen: Path | None) -> Path:
    """Return where the files of the tasks lie.

    Raises:
        SystemExit: There is no such directory.
    """
    directory = chosen or Path(os.environ.get("ICM_SHARED_DIR", "../shared")) / "data" / "real_tasks"
    if not directory.is_dir():
        raise SystemExit(f"{directory}: no such directory; name the one that holds sst2.csv with --data")
    return directory.resolve()


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
    parser.add_argument("--data", type=Path, help="directory of sst2.csv, ag_news.csv.gz …")
    parser.add_argument("--runs", type=Path, default=Path("runs/real"), help="where searches keep their directories")
    add_pool_options(parser)
    options = parser.parse_args()
    options.methods = options.methods or ",".join(
        (CONTROLS, "shuffled_sweeps") if options.quick else (CONTROLS, *METHODS)
    )
    data, runs = data_dir(options.data), options.runs.resolve()
    path = options.outcomes or (None if options.quick else RESULTS / "cells.jsonl")
    started = time.perf_counter()
    rows = run_jobs(partial(run, data=data, runs=runs), cells(options), options.workers, path, _described)
    summary = summarise(rows)
    Console(width=max(Console().width, 150)).print(_table(summary))
    print(json.dumps({**_keys(summary), "wall_seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
