"""Does elicitation find the truth? Many seeds of every search on the pocket tasks, good and planted.

Usage: python -m benchmarks.quality.pocket [--quick] [--searches default,reference,…] [--model DIR] [--world-seed N]
       [--seeds N] [--set key=value ...] [--outcomes FILE]

Every seed draws its own claims and its own search. Unlabelled claims count as wrong. What a failed run settled on is
the concept of the world that its labels agree with most; a concept agrees as well in the opposite sense.

`default` is the search of `conf/config.yaml`. "At equal tokens" reads off the labels that a search had when it had
spent what `default` spends on that task on average. "Reference, cached" is what the runs of `reference` would have
cost as the released code asks, behind a perfect cache (`benchmarks.quality.perfect_cache`). A stopped benchmark that
writes its outcomes to a file goes on with what is missing there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from scipy import stats

from benchmarks.quality.intervals import half_width, with_interval
from benchmarks.quality.perfect_cache import PerfectCacheCount
from benchmarks.quality.pocket_runs import concepts_both_ways, in_workers, pocket_config, pocket_scorer
from icm import golden
from icm.claims import UNLABELLED, Claim, Labels
from icm.config import Config, load
from icm.elicit import stage as elicit
from icm.files.records import CLAIMS, GOLD, LABELS, TASK, TRACE, LabelRow, TraceRow, read_claims, read_rows, read_task
from icm.pocket.weights import HASH_NAME, SHIPPED_DIR, pocket_model_dir
from icm.prepare import stage as prepare
from icm.problem import build_problem

GOOD: Final = ("facts", "arithmetic", "preference")
PLANTED: Final = (
    "misconceptions", "hidden_concept", "salient_surface", "imbalance", "unanswerable", "flipped", "near_misses"
)  # fmt: skip
ARMS: Final[Mapping[str, tuple[str, ...]]] = {
    "default": (),
    "sweeps": ("search=sweeps",),
    "reference": ("search=reference", "objective=released_code"),
    "annealing": ("search=annealing", "objective=released_code"),
    "gibbs": ("search=gibbs",),
    "bootstrap": ("search=bootstrap",),
    "bootstrap_long": ("search=bootstrap", "search.num_rounds=64"),
    "bootstrap_plain": ("search=bootstrap", "search.consistent=false", "search.balanced=false"),
    "zero_shot": ("search=zero_shot",),
    "zero_shot_consistent": ("search=zero_shot", "search.consistent=true"),
    "random": ("search=random",),
    "majority": ("search=majority",),
    "length": ("search=length",),
}
"""What each column is told. The chains run under the objective that they were published with."""

QUICK: Final = ("default", "reference", "annealing")

MORE_SEEDS: Final = 50
"""Seeds of `default` in a full run; every other search has 20."""

SUCCESS: Final = 0.95
RIGHT: Final = "truth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run came to.

    Attributes:
        accuracy: Share of the claims with the golden label.
        coverage: Share of the claims with a label.
        utility: U of the labels.
        golden_utility: U of the golden labels under the same contexts.
        violations: Violated constraints.
        tokens: Tokens forwarded.
        naive_tokens: Tokens that the run asked, without sharing.
        seconds: Wall time of the search.
        cached_tokens: Tokens of the same questions in one fixed order behind a perfect cache.
        course: Tokens and accuracy after each step.
        concept: The concept that the labels agree with most, `not …` in the opposite sense.
    """

    accuracy: float
    coverage: float
    utility: float
    golden_utility: float
    violations: int
    tokens: int
    naive_tokens: int
    seconds: float
    cached_tokens: int
    course: Sequence[tuple[int, float]]
    concept: str

    def accuracy_at(self, tokens: float) -> float:
        """Return the accuracy of the labels that the search had when it had spent so many tokens."""
        return max([(spent, number, right) for number, (spent, right) in enumerate(self.course) if spent <= tokens])[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run: a task, a search, a seed, the directory of the model, and settings common to all."""

    task: str
    search: str
    seed: int
    model: str | None
    overrides: tuple[str, ...]


def run(job: Job) -> Outcome:
    """Prepare, elicit and compare with the golden labels, in a directory that is thrown away."""
    with tempfile.TemporaryDirectory() as directory:
        config = pocket_config(job.task, job.seed, directory, *ARMS[job.search], *job.overrides)
        prepare_dir, elicit_dir = config.out_dir / "prepare", config.out_dir / "elicit"
        prepare.run(config.for_prepare(), prepare_dir)
        task = read_task(prepare_dir / TASK)
        claims = read_claims(prepare_dir / CLAIMS)
        scorer = PerfectCacheCount(pocket_scorer(job.model, task.label_space), claims, task.label_space)
        manifest = elicit.run(config.for_elicit(), prepare_dir, elicit_dir, scorer, Console(quiet=True))
        cached_tokens = scorer.tokens
        rows = read_rows(elicit_dir / LABELS, LabelRow)
        labels = np.array([UNLABELLED if row.label is None else row.label for row in rows])
        golden_labels = golden.as_labels(golden.load(prepare_dir / GOLD, task.label_space), claims)
        problem = build_problem(claims, task, scorer, config.for_elicit())
        return Outcome(
            accuracy=float(np.mean(labels == golden_labels)),
            coverage=float(np.mean(labels != UNLABELLED)),
            utility=manifest.counts["utility"],
            golden_utility=problem.objective.evaluate(golden_labels).utility,
            violations=manifest.counts["violations"],
            tokens=int(manifest.cost["forwarded_tokens"]),
            naive_tokens=int(manifest.cost["naive_tokens"]),
            seconds=manifest.seconds,
            cached_tokens=cached_tokens,
            course=_course(read_rows(elicit_dir / TRACE, TraceRow), claims, golden_labels),
            concept=nearest_concept(config, claims, labels),
        )


def _course(trace: Sequence[TraceRow], claims: Sequence[Claim], golden_labels: Labels) -> list[tuple[int, float]]:
    """Return tokens and accuracy after each step, beginning with nothing labelled for nothing."""
    place = {claim.id: index for index, claim in enumerate(claims)}
    labels = np.full(len(claims), UNLABELLED)
    course = [(0, 0.0)]
    for row in trace:
        for claim, label in row.changes.items():
            labels[place[claim]] = UNLABELLED if label is None else label
        course.append((row.tokens, float(np.mean(labels == golden_labels))))
    return course


def nearest_concept(config: Config, claims: Sequence[Claim], labels: Labels) -> str:
    """Return the concept of the world that labels agree with most, constant labellings among them."""
    labelled = labels != UNLABELLED
    candidates = concepts_both_ways(config, claims)
    candidates |= {"all true": np.ones_like(labels), "not all true": np.zeros_like(labels)}
    agreement = {name: float(np.mean((labels == concept)[labelled])) for name, concept in candidates.items()}
    best = max(agreement, key=lambda name: (agreement[name], name == RIGHT))
    return f"{best} ({100 * agreement[best]:.0f} %)"


def summarise(outcomes: Sequence[Outcome], budget: float) -> dict[str, Any]:
    """Return means over seeds, with 95 % intervals (Student's t; Wilson for the share of successes).

    Args:
        outcomes: The runs of one search on one task.
        budget: Tokens at which searches are compared; infinite where there is nothing to compare with.
    """
    accuracies = [outcome.accuracy for outcome in outcomes]
    successes = sum(accuracy >= SUCCESS for accuracy in accuracies)
    interval = stats.binomtest(successes, len(outcomes)).proportion_ci(method="wilson")
    at_budget = [outcome.accuracy_at(budget) for outcome in outcomes]
    failed = Counter(outcome.concept for outcome in outcomes if outcome.accuracy < SUCCESS)
    return {
        "accuracy": float(np.mean(accuracies)),
        "accuracy_half_width": half_width(accuracies),
        "success_rate": successes / len(outcomes),
        "success_low": float(interval.low),
        "success_high": float(interval.high),
        "coverage": float(np.mean([outcome.coverage for outcome in outcomes])),
        "utility": float(np.mean([outcome.utility for outcome in outcomes])),
        "golden_utility": float(np.mean([outcome.golden_utility for outcome in outcomes])),
        "utility_ratio": _ratio(outcomes),
        "utility_above_golden": float(np.mean([outcome.utility > outcome.golden_utility for outcome in outcomes])),
        "violations": float(np.mean([outcome.violations for outcome in outcomes])),
        "tokens": float(np.mean([outcome.tokens for outcome in outcomes])),
        "accuracy_at_equal_tokens": float(np.mean(at_budget)),
        "success_rate_at_equal_tokens": float(np.mean(np.array(at_budget) >= SUCCESS)),
        "cached_tokens": float(np.mean([outcome.cached_tokens for outcome in outcomes])),
        "naive_tokens": float(np.mean([outcome.naive_tokens for outcome in outcomes])),
        "seconds": float(np.median([outcome.seconds for outcome in outcomes])),
        "seeds": len(outcomes),
        "accuracies": sorted(round(accuracy, 3) for accuracy in accuracies),
        "settled_on": dict(failed.most_common()),
    }


def _ratio(outcomes: Sequence[Outcome]) -> float:
    return float(sum(outcome.utility for outcome in outcomes) / sum(outcome.golden_utility for outcome in outcomes))


def _table(results: Mapping[tuple[str, str], Mapping[str, Any]]) -> Table:
    columns = (
        "task", "search", "seeds", "accuracy", "≥ 95 %", "at equal tokens", "U", "U golden", "violated", "tokens",
        "failed on",
    )  # fmt: skip
    table = Table(*columns, title="labels against the truth of the pocket world; means over seeds, 95 % intervals")
    for (task, search), row in results.items():
        failed = ", ".join(f"{count}× {concept}" for concept, count in itertools.islice(row["settled_on"].items(), 3))
        table.add_row(
            task,
            search,
            str(row["seeds"]),
            with_interval(row["accuracy"], row["accuracy_half_width"], 100),
            f"{100 * row['success_rate']:.0f} % ({100 * row['success_low']:.0f}–{100 * row['success_high']:.0f})",
            f"{100 * row['success_rate_at_equal_tokens']:.0f} %",
            f"{row['utility']:.1f}",
            f"{row['golden_utility']:.1f}",
            f"{row['violations']:.1f}",
            f"{row['tokens']:,.0f}",
            failed,
        )
    return table


class Done(BaseModel):
    """A line of a file of outcomes: a run, what its search was told, the hash of the weights, and what it came to."""

    job: Job
    settings: str
    weights: str
    outcome: Outcome


def run_all(jobs: Sequence[Job], num_workers: int, path: Path | None) -> list[Outcome]:
    """Return the outcome of every job, running those that a file of outcomes does not hold and adding them to it."""
    weights = (pocket_model_dir(Path(jobs[0].model or SHIPPED_DIR)) / HASH_NAME).read_text()
    settings = {search: _settings(search, jobs[0].overrides) for search in {job.search for job in jobs}}
    lines = path.read_text().splitlines() if path and path.exists() else []
    rows = [Done.model_validate_json(line) for line in lines]
    same = [row for row in rows if row.weights == weights and row.settings == settings.get(row.job.search)]
    known = {row.job: row.outcome for row in same}
    missing = [job for job in jobs if job not in known]
    for job, outcome in in_workers(run, missing, num_workers, _described):
        known[job] = outcome
        if path:
            row = Done(job=job, settings=settings[job.search], weights=weights, outcome=outcome)
            with path.open("a") as file:
                file.write(row.model_dump_json() + "\n")
    return [known[job] for job in jobs]


def _settings(search: str, overrides: Sequence[str]) -> str:
    settings = load(*ARMS[search], *overrides).for_elicit()
    return settings.model_dump_json(include={"search", "objective", "contexts", "model"})


def _described(job: Job, outcome: Outcome) -> str:
    right = f"accuracy {100 * outcome.accuracy:.0f} %, U {outcome.utility:.1f}"
    return f"{job.task}, {job.search}, seed {job.seed}: {right}"


def _mean_tokens(outcomes: Sequence[Outcome]) -> float:
    return float(np.mean([outcome.tokens for outcome in outcomes])) if outcomes else math.inf


def _num_seeds(options: argparse.Namespace, task: str, search: str) -> int:
    full = 3 if options.quick else MORE_SEEDS if search == "default" else 20
    num_seeds = options.seeds or full
    return max(2, num_seeds // 10) if task in PLANTED else num_seeds


def main() -> None:
    """Run all seeds, print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 seeds of default and the two chains, on 32 claims")
    parser.add_argument("--searches", help=f"some of {', '.join(ARMS)}, separated by commas")
    parser.add_argument("--seeds", type=int, help="seeds of every search; of planted tasks a tenth, at least 2")
    parser.add_argument("--tasks", help="some of the tasks, separated by commas")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--model", help="directory of a pocket model; the shipped one if left out")
    parser.add_argument("--world-seed", type=int, default=0, help="the world that the model was trained on")
    parser.add_argument("--set", action="append", default=[], help="a setting, as on the command line of icm")
    parser.add_argument("--outcomes", type=Path, help="file of outcomes, JSON Lines; runs in it are not run again")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args()

    fewer_claims = ["task.num_claims=32"] if options.quick else []
    overrides = (f"task.world_seed={options.world_seed}", *fewer_claims, *options.set)
    searches = options.searches.split(",") if options.searches else QUICK if options.quick else list(ARMS)
    tasks = options.tasks.split(",") if options.tasks else [*GOOD, *PLANTED]
    jobs = [
        Job(task=task, search=search, seed=options.first_seed + seed, model=options.model, overrides=overrides)
        for task in tasks
        for search in searches
        for seed in range(_num_seeds(options, task, search))
    ]
    started = time.perf_counter()
    outcomes = run_all(jobs, options.workers, options.outcomes)
    by_column: dict[tuple[str, str], list[Outcome]] = {}
    for job, outcome in zip(jobs, outcomes, strict=True):
        by_column.setdefault((job.task, job.search), []).append(outcome)
    budgets = {task: _mean_tokens(by_column.get((task, "default"), [])) for task in tasks}
    results = {(task, search): summarise(runs, budgets[task]) for (task, search), runs in by_column.items()}
    for task in tasks:
        if (task, "default") in results and (task, "reference") in results:
            default, reference = results[task, "default"], results[task, "reference"]
            default["tokens_vs_reference_cached"] = reference["cached_tokens"] / default["tokens"]
    Console(width=max(Console().width, 170)).print(_table(results))
    report: dict[str, Any] = {task: {search: results[task, search] for search in searches} for task in tasks}
    report["planted"] = {task: report.pop(task) for task in PLANTED if task in report}
    report["wall_seconds"] = time.perf_counter() - started
    print(json.dumps(report))


if __name__ == "__main__":
    main()
