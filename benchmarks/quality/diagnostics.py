"""Does a diagnosis without golden labels tell good labels from bad ones? Many runs on good and on planted tasks.

Usage: python -m benchmarks.quality.diagnostics [--quick] [--model DIR:WORLD_SEED ...] [--seeds N] [--tasks A,B]
       [--set key=value ...] [--outcomes FILE]

A run is bad if fewer than 80 % of its labels are right, if no more of them are than of a constant labelling, or if they
agree better with another concept of the world than with the golden one. Wanted: bad runs are not labelled `trust`,
good runs are not labelled `reject`.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.harness import Row, add_pool_options, option_parser, results_path, run_jobs
from benchmarks.quality.pocket_runs import (
    GOOD,
    add_models_option,
    concepts_both_ways,
    named_models,
    pocket_config,
    pocket_scorer,
    read_labels,
    read_prepared,
    seal_anew,
    settings_hash,
    weights_hash,
)
from icm import golden
from icm.claims import TRUE_FALSE, Claim, ClaimId, Labels, claim_id, freeze
from icm.diagnose import stage as diagnose
from icm.diagnose.schema import CHECK_NAMES, DIAGNOSIS, Diagnosis
from icm.elicit import stage as elicit
from icm.files.records import CLAIMS, GOLD, read_claims, write_rows
from icm.files.stage_dir import read_result
from icm.pocket.statements import fact_text
from icm.pocket.words import FACT_RELATIONS
from icm.prepare import stage as prepare

# The golden concept is not the salient one; a feature of the wording is; one claim in a hundred is true; the model
# does not know the answers; it learnt them the wrong way round; the answers stand beside other kinds of questions.
PLANTED: Final = ("hidden_concept", "salient_surface", "imbalance", "unanswerable", "flipped", "shuffled_texts")

SHUFFLED: Final = "shuffled_texts"
RIGHT_ENOUGH: Final = 0.8
NUM_SEEDS: Final = 24
"""Seeds of each task and model: 216 runs of one model."""


def run(job: Row) -> Row:
    """Prepare, elicit, diagnose and compare with the golden labels, in a directory that is thrown away.

    Returns:
        `accuracy`: share of the claims with the golden label. `concept`: the one that the labels agree with most.
        `bad`: whether the labels are bad. `verdict`: what the diagnosis says. `values`: of each check, `None` where it
        could not be had. `doubts`: the checks that do not trust the labels. `tokens` and `elicit_tokens`: forwarded
        by the diagnosis and by the search.
    """
    name, seed = job["task"], job["seed"]
    with tempfile.TemporaryDirectory() as directory:
        overrides = (f"task.world_seed={job['world_seed']}", *job["overrides"])
        # The shuffled task is `facts` with its answers moved about after they were prepared.
        config = pocket_config("facts" if name == SHUFFLED else name, seed, directory, *overrides)
        prepare_dir, elicit_dir, diagnose_dir = (Path(directory) / part for part in ("prepare", "elicit", "diagnose"))
        prepare.run(config.for_prepare(), prepare_dir)
        if name == SHUFFLED:
            _shuffle_answers(prepare_dir, seed)
        task, claims, truth = read_prepared(prepare_dir)
        scorer = pocket_scorer(job["model"], task.label_space)
        elicited = elicit.run(config.for_elicit(), prepare_dir, elicit_dir, scorer, Console(quiet=True))
        diagnosed = diagnose.run(config.diagnose, prepare_dir, elicit_dir, diagnose_dir, scorer)
        diagnosis = read_result(diagnose_dir, "diagnose", DIAGNOSIS, Diagnosis)
        labels = read_labels(elicit_dir)
        accuracy = float(np.mean(labels == truth))
        # Of 99 : 1 labels, 85 % right is less than nothing: a constant labelling is 99 % right.
        constant = float(np.bincount(truth, minlength=2).max() / truth.size)
        # The concepts of the world do not apply to claims without a meaning.
        concept = nearest_concept(labels, truth, {} if name == SHUFFLED else concepts_both_ways(config, claims))
        return {
            "accuracy": accuracy,
            "concept": concept,
            "bad": accuracy < max(RIGHT_ENOUGH, constant) or concept != "golden",
            "verdict": diagnosis.verdict,
            "values": {check.name: check.value for check in diagnosis.checks},
            "doubts": [check.name for check in diagnosis.checks if check.verdict != "trust"],
            "tokens": int(diagnosed.cost["forwarded_tokens"]),
            "elicit_tokens": int(elicited.cost["forwarded_tokens"]),
        }


def nearest_concept(labels: Labels, truth: Labels, concepts: Mapping[str, Labels]) -> str:
    """Return the concept that labels agree with most: the golden one if none does better, or a constant labelling."""
    candidates = {"golden": truth, "all true": freeze(np.ones_like(truth)), "all false": freeze(np.zeros_like(truth))}
    agreement = {name: float(np.mean(labels == concept)) for name, concept in {**concepts, **candidates}.items()}
    # Of equals the golden one: a run is bad only if another concept does better.
    return max(agreement, key=lambda name: (agreement[name], name == "golden"))


def _shuffle_answers(prepare_dir: Path, seed: int) -> None:
    """Give every claim the answer to another kind of question; its group, key and golden label stay.

    What is left ("What color is the fox? Claim: honey") has no meaning that a label could follow.
    """
    claims = read_claims(prepare_dir / CLAIMS)
    # Read before anything is written: golden labels stand under the ids that change below.
    truth = golden.load(prepare_dir / GOLD, TRUE_FALSE)
    rng = np.random.default_rng(seed)
    moved: dict[ClaimId, Claim] = {}
    # Sorted, because a set of strings has another order in every process.
    for group in sorted({claim.group for claim in claims}):
        members = [claim for claim in claims if claim.group == group]
        # Only answers that no question of this kind has: any other might be true.
        strange = [
            v
            for relation in FACT_RELATIONS
            if members[0].parts["answer"] not in relation.values
            for v in relation.values
        ]
        for claim, answer in zip(members, rng.permutation(strange), strict=False):
            # The id of a claim follows from its text, so it changes; the golden label is carried over below.
            text = fact_text(claim.parts["question"], str(answer))
            parts = {**claim.parts, "answer": str(answer)}
            moved[claim.id] = replace(claim, id=claim_id(group, text), text=text, parts=parts)
    write_rows(prepare_dir / CLAIMS, sorted(moved.values(), key=lambda claim: claim.id))
    golden.save(prepare_dir / GOLD, {claim.id: truth[before] for before, claim in moved.items()})
    seal_anew(prepare_dir)


def summarise(rows: Sequence[Row]) -> Row:
    """Return what share of the bad runs was caught and of the good runs rejected, and the verdicts by task."""
    bad = [row for row in rows if row["bad"]]
    good = [row for row in rows if not row["bad"]]
    tasks = dict.fromkeys(row["task"] for row in rows)
    return {
        "bad_caught": _share(row["verdict"] != "trust" for row in bad),
        "good_rejected": _share(row["verdict"] == "reject" for row in good),
        "good_trusted": _share(row["verdict"] == "trust" for row in good),
        "bad_rejected": _share(row["verdict"] == "reject" for row in bad),
        "num_bad": len(bad),
        "num_good": len(good),
        "missed": dict(Counter(f"{row['task']}: {row['concept']}" for row in bad if row["verdict"] == "trust")),
        "tokens": float(np.median([row["tokens"] for row in rows])),
        "elicit_tokens": float(np.median([row["elicit_tokens"] for row in rows])),
        "tasks": {task: _of_task([row for row in rows if row["task"] == task]) for task in tasks},
        "checks": {name: _power(name, bad, good) for name in CHECK_NAMES},
    }


def _of_task(rows: Sequence[Row]) -> Row:
    verdicts = Counter((row["bad"], row["verdict"]) for row in rows)
    return {
        "runs": len(rows),
        "bad": sum(row["bad"] for row in rows),
        "accuracy": float(np.mean([row["accuracy"] for row in rows])),
        **{
            f"{kind}_{verdict}": verdicts[kind == "bad", verdict]
            for kind in ("good", "bad")
            for verdict in ("trust", "caution", "reject")
        },
    }


def _power(name: str, bad: Sequence[Row], good: Sequence[Row]) -> dict[str, float | None]:
    """Return how often a check raises doubts, and how well its value separates bad from good runs at any bound.

    `separation` is the chance that the value of a bad run is above that of a good one: 0.5 if it tells nothing.
    """
    # The share of pairs in which the bad run lies higher, a tie as half: the area under the ROC curve.
    above = [np.sign(one - other) for one in _values(name, bad) for other in _values(name, good)]
    return {
        "of_bad": _share(name in row["doubts"] for row in bad),
        "of_good": _share(name in row["doubts"] for row in good),
        "separation": float(0.5 + np.mean(above) / 2) if above else None,
    }


def _values(name: str, rows: Sequence[Row]) -> list[float]:
    return [value for row in rows if (value := row["values"][name]) is not None]


def _share(flags: Iterable[bool]) -> float | None:
    values = list(flags)
    return sum(values) / len(values) if values else None


def _tables(summary: Mapping[str, Any]) -> list[Table]:
    verdicts = Table(
        "task", "runs", "accuracy", "bad", "good: trust", "caution", "reject", "bad: trust", "caution", "reject"
    )
    for task, row in summary["tasks"].items():
        counts = [row[f"{kind}_{verdict}"] for kind in ("good", "bad") for verdict in ("trust", "caution", "reject")]
        verdicts.add_row(task, str(row["runs"]), f"{100 * row['accuracy']:.0f} %", str(row["bad"]), *map(str, counts))
    checks = Table("check", "doubts bad runs", "doubts good runs", "bad above good")
    for name, row in summary["checks"].items():
        checks.add_row(
            name,
            *(("–" if row[key] is None else f"{100 * row[key]:.0f} %") for key in ("of_bad", "of_good", "separation")),
        )
    return [verdicts, checks]


def _described(row: Row) -> str:
    run = f"{row['task']}, world {row['world_seed']}, seed {row['seed']}"
    return f"{run}: {100 * row['accuracy']:.0f} % right, {row['verdict']}"


def main() -> None:
    """Do all runs, print tables and one line of JSON."""
    parser = option_parser(__doc__, quick="2 seeds of each task")
    parser.add_argument("--seeds", type=int, help=f"seeds of each task and model, {NUM_SEEDS} if left out")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--tasks", default=",".join((*GOOD, *PLANTED)))
    add_models_option(parser)
    parser.add_argument("--world-seed", type=int, default=0, help="the world of the models named without one")
    parser.add_argument("--set", action="append", default=[], help="a setting, as on the command line of icm")
    add_pool_options(parser)
    options = parser.parse_args()

    num_seeds = options.seeds or (2 if options.quick else NUM_SEEDS)
    settings = settings_hash(options.set, "diagnose")
    jobs = [
        {
            "task": task,
            "seed": options.first_seed + seed,
            "model": model,
            "weights": weights_hash(model),
            "world_seed": world,
            "overrides": options.set,
            "settings": settings,
        }
        for seed in range(num_seeds)
        for model, world in named_models(options.model, options.world_seed)
        for task in options.tasks.split(",")
    ]
    started = time.perf_counter()
    rows = run_jobs(run, jobs, options.workers, results_path(options, "diagnostics"), _described)
    summary = summarise(rows)
    for table in _tables(summary):
        Console(width=max(Console().width, 130)).print(table)
    print(json.dumps({**summary, "wall_seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
