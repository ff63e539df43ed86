"""Does a diagnosis without golden labels tell good labels from bad ones? Many runs on good and on planted tasks.

Usage: python -m benchmarks.quality.diagnostics [--quick] [--model DIR:WORLD_SEED ...] [--seeds N] [--tasks A,B]
       [--set key=value ...]

A run is bad if fewer than 80 % of its labels are right, or if they agree better with another concept of the world than
with the golden one. Wanted: bad runs are not labelled `trust`, good runs are not labelled `reject`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.quality.pocket_runs import concepts_both_ways, in_workers, named_models, pocket_config, pocket_scorer
from icm import golden
from icm.claims import TRUE_FALSE, UNLABELLED, Claim, ClaimId, Labels, claim_id, freeze
from icm.diagnose import stage as diagnose
from icm.diagnose.files import read_diagnosis
from icm.diagnose.schema import CHECK_NAMES, Verdict
from icm.elicit import stage as elicit
from icm.files.records import CLAIMS, GOLD, LABELS, TASK, LabelRow, read_claims, read_rows, read_task, write_rows
from icm.files.stage_dir import StageDir
from icm.pocket.statements import fact_text
from icm.pocket.words import FACT_RELATIONS
from icm.prepare import stage as prepare

GOOD: Final = ("facts", "arithmetic", "preference")
PLANTED: Final = ("hidden_concept", "salient_surface", "imbalance", "unanswerable", "flipped", "shuffled_texts")
"""The golden concept is not the salient one; a feature of the wording is; one claim in a hundred is true; the model
does not know the answers; it learnt them the wrong way round; the answers stand
beside other kinds of questions."""

SHUFFLED: Final = "shuffled_texts"
RIGHT_ENOUGH: Final = 0.8
NUM_SEEDS: Final = 24
"""Seeds of each task and model: 216 runs of one model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run: a task, a seed, the directory of the model (`None`: the shipped one) and its world, and settings."""

    task: str
    seed: int
    model: str | None
    world_seed: int
    overrides: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a run, and what was said of it.

    Attributes:
        task: The task.
        world_seed: The world.
        seed: The seed.
        accuracy: Share of the claims with the golden label.
        concept: The concept of the world that the labels agree with most.
        bad: Whether the labels are bad.
        verdict: What the diagnosis says.
        values: The value of each check, `None` where it could not be had.
        doubts: The checks that speak against the labels.
        tokens: Tokens that the diagnosis forwarded.
        elicit_tokens: Tokens that the search forwarded.
    """

    task: str
    world_seed: int
    seed: int
    accuracy: float
    concept: str
    bad: bool
    verdict: Verdict
    values: Mapping[str, float | None]
    doubts: tuple[str, ...]
    tokens: int
    elicit_tokens: int


def run(job: Job) -> Outcome:
    """Prepare, elicit, diagnose and compare with the golden labels, in a directory that is thrown away."""
    with tempfile.TemporaryDirectory() as directory:
        task_name = "facts" if job.task == SHUFFLED else job.task
        config = pocket_config(task_name, job.seed, directory, f"task.world_seed={job.world_seed}", *job.overrides)
        prepare_dir, elicit_dir, diagnose_dir = (config.out_dir / name for name in ("prepare", "elicit", "diagnose"))
        prepare.run(config.for_prepare(), prepare_dir)
        if job.task == SHUFFLED:
            _shuffle_answers(prepare_dir, job.seed)
        task, claims = read_task(prepare_dir / TASK), read_claims(prepare_dir / CLAIMS)
        scorer = pocket_scorer(job.model, task.label_space)
        elicited = elicit.run(config.for_elicit(), prepare_dir, elicit_dir, scorer, Console(quiet=True))
        diagnosed = diagnose.run(config.diagnose, prepare_dir, elicit_dir, diagnose_dir, scorer)
        diagnosis = read_diagnosis(diagnose_dir)
        rows = read_rows(elicit_dir / LABELS, LabelRow)
        labels = freeze([UNLABELLED if row.label is None else row.label for row in rows])
        truth = golden.as_labels(golden.load(prepare_dir / GOLD, task.label_space), claims)
        accuracy = float(np.mean(labels == truth))
        concept = nearest_concept(labels, truth, {} if job.task == SHUFFLED else concepts_both_ways(config, claims))
        return Outcome(
            task=job.task,
            world_seed=job.world_seed,
            seed=job.seed,
            accuracy=accuracy,
            concept=concept,
            bad=accuracy < RIGHT_ENOUGH or concept != "golden",
            verdict=diagnosis.verdict,
            values={check.name: check.value for check in diagnosis.checks},
            doubts=tuple(check.name for check in diagnosis.checks if check.verdict != "trust"),
            tokens=int(diagnosed.cost["forwarded_tokens"]),
            elicit_tokens=int(elicited.cost["forwarded_tokens"]),
        )


def nearest_concept(labels: Labels, truth: Labels, concepts: Mapping[str, Labels]) -> str:
    """Return the concept that labels agree with most: the golden one if none does better, or a constant labelling."""
    candidates = {"golden": truth, "all true": freeze(np.ones_like(truth)), "all false": freeze(np.zeros_like(truth))}
    agreement = {name: float(np.mean(labels == concept)) for name, concept in {**concepts, **candidates}.items()}
    return max(agreement, key=lambda name: (agreement[name], name == "golden"))


def _shuffle_answers(prepare_dir: Path, seed: int) -> None:
    """Give every claim the answer to another kind of question; its group, key and golden label stay.

    What is left ("What color is the fox? Claim: honey") has no meaning that a label could follow.
    """
    claims = read_claims(prepare_dir / CLAIMS)
    truth = golden.load(prepare_dir / GOLD, TRUE_FALSE)
    rng = np.random.default_rng(seed)
    moved: dict[ClaimId, Claim] = {}
    for group in sorted({claim.group for claim in claims}):
        members = [claim for claim in claims if claim.group == group]
        strange = [
            v
            for relation in FACT_RELATIONS
            if members[0].parts["answer"] not in relation.values
            for v in relation.values
        ]
        for claim, answer in zip(members, rng.permutation(strange), strict=False):
            text = fact_text(claim.parts["question"], str(answer))
            parts = {**claim.parts, "answer": str(answer)}
            moved[claim.id] = replace(claim, id=claim_id(group, text), text=text, parts=parts)
    write_rows(prepare_dir / CLAIMS, sorted(moved.values(), key=lambda claim: claim.id))
    golden.save(prepare_dir / GOLD, {claim.id: truth[before] for before, claim in moved.items()})
    stage = StageDir(prepare_dir, "prepare")
    manifest = stage.read_manifest()
    stage.finish(manifest, manifest.outputs)


def summarise(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return what share of the bad runs was caught and of the good runs rejected, and the verdicts by task."""
    bad = [outcome for outcome in outcomes if outcome.bad]
    good = [outcome for outcome in outcomes if not outcome.bad]
    return {
        "bad_caught": _share(outcome.verdict != "trust" for outcome in bad),
        "good_rejected": _share(outcome.verdict == "reject" for outcome in good),
        "good_trusted": _share(outcome.verdict == "trust" for outcome in good),
        "bad_rejected": _share(outcome.verdict == "reject" for outcome in bad),
        "num_bad": len(bad),
        "num_good": len(good),
        "missed": dict(Counter(f"{each.task}: {each.concept}" for each in bad if each.verdict == "trust")),
        "tokens": float(np.median([outcome.tokens for outcome in outcomes])),
        "elicit_tokens": float(np.median([outcome.elicit_tokens for outcome in outcomes])),
        "tasks": {task: _of_task(of_task) for task, of_task in _by_task(outcomes)},
        "checks": {name: _power(name, bad, good) for name in CHECK_NAMES},
    }


def _of_task(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "runs": len(outcomes),
        "bad": sum(outcome.bad for outcome in outcomes),
        "accuracy": float(np.mean([outcome.accuracy for outcome in outcomes])),
        **{
            f"{kind}_{verdict}": sum(o.verdict == verdict for o in outcomes if o.bad == (kind == "bad"))
            for kind in ("good", "bad")
            for verdict in ("trust", "caution", "reject")
        },
    }


def _power(name: str, bad: Sequence[Outcome], good: Sequence[Outcome]) -> dict[str, float | None]:
    """Return how often a check speaks up, and how well its value tells bad from good runs whatever the bounds.

    `separation` is the chance that the value of a bad run is above that of a good one: 0.5 if it tells nothing.
    """
    above = [np.sign(one - other) for one in _values(name, bad) for other in _values(name, good)]
    return {
        "of_bad": _share(name in outcome.doubts for outcome in bad),
        "of_good": _share(name in outcome.doubts for outcome in good),
        "separation": float(0.5 + np.mean(above) / 2) if above else None,
    }


def _values(name: str, outcomes: Sequence[Outcome]) -> list[float]:
    return [value for outcome in outcomes if (value := outcome.values[name]) is not None]


def _share(flags: Iterable[bool]) -> float | None:
    values = list(flags)
    return sum(values) / len(values) if values else None


def _by_task(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, list[Outcome]]]:
    for task in dict.fromkeys(outcome.task for outcome in outcomes):
        yield task, [outcome for outcome in outcomes if outcome.task == task]


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


def _described(job: Job, outcome: Outcome) -> str:
    said = f"{100 * outcome.accuracy:.0f} % right, {outcome.verdict}"
    return f"{job.task}, world {job.world_seed}, seed {job.seed}: {said}"


def main() -> None:
    """Do all runs, print tables and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 seeds of each task")
    parser.add_argument("--seeds", type=int, help=f"seeds of each task and model, {NUM_SEEDS} if left out")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--tasks", default=",".join((*GOOD, *PLANTED)))
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        help="a pocket model, DIR or DIR:WORLD_SEED, the shipped one :0; may recur",
    )
    parser.add_argument("--world-seed", type=int, default=0, help="the world of the models named without one")
    parser.add_argument("--set", action="append", default=[], help="a setting, as on the command line of icm")
    parser.add_argument("--outcomes", type=Path, help="a file to which every outcome is appended, a JSON line each")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args()

    num_seeds = options.seeds or (2 if options.quick else NUM_SEEDS)
    jobs = [
        Job(task=task, seed=options.first_seed + seed, model=model, world_seed=world, overrides=tuple(options.set))
        for seed in range(num_seeds)
        for model, world in named_models(options.model, options.world_seed)
        for task in options.tasks.split(",")
    ]
    started = time.perf_counter()
    outcomes = []
    for _, outcome in in_workers(run, jobs, options.workers, _described):
        outcomes.append(outcome)
        if options.outcomes:
            with options.outcomes.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(outcome)) + "\n")
    summary = summarise(outcomes)
    for table in _tables(summary):
        Console(width=max(Console().width, 130)).print(table)
    print(json.dumps({**summary, "wall_seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
