"""Does elicitation find the truth? Many seeds of every search on the pocket tasks, good and planted.

Usage: python -m benchmarks.quality.pocket [--quick] [--searches default,reference,…] [--model DIR] [--world-seed N]
       [--seeds N] [--set key=value ...] [--outcomes FILE]

Every seed draws its own claims and its own search. Unlabelled claims count as wrong. What a failed run settled on is
the concept of the world that its labels agree with most; a concept agrees as well in the opposite sense.

`default` is the search of `conf/command/run.yaml`. "At equal tokens" reads off the labels that a search had when it had
spent what `default` spends on that task on average. "Reference, cached" is what the runs of `reference` would have
cost as the released code asks, behind a perfect cache (`benchmarks.quality.perfect_cache`). A stopped benchmark goes on
with the runs that are missing in its file of results.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.harness import (
    LEVEL,
    Row,
    add_pool_options,
    half_width,
    option_parser,
    results_path,
    run_jobs,
    with_interval,
)
from benchmarks.quality.perfect_cache import PerfectCacheCount
from benchmarks.quality.pocket_runs import (
    GOOD,
    concepts_both_ways,
    pocket_config,
    pocket_scorer,
    read_labels,
    read_prepared,
    settings_hash,
    weights_hash,
)
from icm.claims import UNLABELLED, Claim, Labels
from icm.config import Config
from icm.elicit import stage as elicit
from icm.files.records import TRACE, TraceRow, read_rows
from icm.prepare import stage as prepare
from icm.problem import build_problem
from icm.statistics.estimates import wilson_interval

PLANTED: Final = (
    "misconceptions", "hidden_concept", "salient_surface", "imbalance", "unanswerable", "flipped", "near_misses"
)  # fmt: skip
# The settings of each column. The chains run under the objective that they were published with, the others under that
# of their group.
ARMS: Final[Mapping[str, tuple[str, ...]]] = {
    "default": (),
    "multistart": ("search=multistart",),
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

QUICK: Final = ("default", "reference", "annealing")

# Seeds of `default` in a full run; every other search has 20.
MORE_SEEDS: Final = 50

SUCCESS: Final = 0.95
RIGHT: Final = "truth"


def run(job: Row) -> Row:
    """Prepare, elicit and compare with the golden labels, in a directory that is thrown away.

    Returns:
        `accuracy`: share of the claims with the golden label. `right`: whether it is at least 95 %. `coverage`: share
        of the claims with a label. `utility` and `golden_utility`: U of the labels and of the golden ones, nats, under
        the same contexts. `violations`. `tokens`: forwarded. `naive_tokens`: asked, without sharing. `cached_tokens`:
        the same questions in one fixed order behind a perfect cache. `seconds`: wall time of the search. `course`:
        tokens and accuracy after each step that changed the accuracy. `concept`: what the labels agree with most,
        `not …` in the opposite sense.
    """
    with tempfile.TemporaryDirectory() as directory:
        config = pocket_config(job["task"], job["seed"], directory, *ARMS[job["search"]], *job["overrides"])
        prepare_dir, elicit_dir = Path(directory) / "prepare", Path(directory) / "elicit"
        prepare.run(config.for_prepare(), prepare_dir)
        task, claims, golden_labels = read_prepared(prepare_dir)
        scorer = PerfectCacheCount(pocket_scorer(job["model"], task.label_space), claims, task.label_space)
        manifest = elicit.run(config.for_elicit(), prepare_dir, elicit_dir, scorer, Console(quiet=True))
        # Read before the golden labels are evaluated below, which asks prompts that the search did not ask.
        cached_tokens = scorer.tokens
        labels = read_labels(elicit_dir)
        problem = build_problem(claims, task, scorer, config.for_elicit())
        accuracy = float(np.mean(labels == golden_labels))
        return {
            "accuracy": accuracy,
            "right": accuracy >= SUCCESS,
            "coverage": float(np.mean(labels != UNLABELLED)),
            "utility": manifest.counts["utility"],
            "golden_utility": problem.objective.evaluate(golden_labels).utility,
            "violations": manifest.counts["violations"],
            "tokens": int(manifest.cost["forwarded_tokens"]),
            "naive_tokens": int(manifest.cost["naive_tokens"]),
            "seconds": manifest.seconds,
            "cached_tokens": cached_tokens,
            "course": _course(read_rows(elicit_dir / TRACE, TraceRow), claims, golden_labels),
            "concept": nearest_concept(config, claims, labels),
        }


def accuracy_at(row: Row, tokens: float) -> float:
    """Return the accuracy of the labels that a search had when it had spent so many tokens."""
    # The course begins with (0, 0.0), so some entry is always within the budget.
    return [right for spent, right in row["course"] if spent <= tokens][-1]


def _course(trace: Sequence[TraceRow], claims: Sequence[Claim], golden_labels: Labels) -> list[tuple[int, float]]:
    """Return tokens and accuracy whenever it changed, beginning with nothing labelled for nothing."""
    place = {claim.id: index for index, claim in enumerate(claims)}
    labels = np.full(len(claims), UNLABELLED)
    course = [(0, 0.0)]
    for row in trace:
        for claim, label in row.changes.items():
            # The trace holds changes only, so the labelling at a step is the sum of all changes up to it.
            labels[place[claim]] = UNLABELLED if label is None else label
        accuracy = float(np.mean(labels == golden_labels))
        if accuracy != course[-1][1]:
            course.append((row.tokens, accuracy))
    return course


def nearest_concept(config: Config, claims: Sequence[Claim], labels: Labels) -> str:
    """Return the concept of the world that labels agree with most, constant labellings among them."""
    labelled = labels != UNLABELLED
    candidates = concepts_both_ways(config, claims)
    candidates |= {"all true": np.ones_like(labels), "not all true": np.zeros_like(labels)}
    # Over labelled claims alone: a search that labels few must not look far from every concept.
    agreement = {name: float(np.mean((labels == concept)[labelled])) for name, concept in candidates.items()}
    # Of equals the truth: another concept counts only where it explains the labels better.
    best = max(agreement, key=lambda name: (agreement[name], name == RIGHT))
    return f"{best} ({100 * agreement[best]:.0f} %)"


def summarise(rows: Sequence[Row], budget: float) -> Row:
    """Return means over the seeds of one search on one task, with 95 % intervals.

    Student's t, and Wilson's for the share of successes. Searches are compared at `budget` tokens, which is infinite
    where there is nothing to compare with.
    """

    def mean(key: str) -> float:
        return float(np.mean([row[key] for row in rows]))

    accuracies = [row["accuracy"] for row in rows]
    successes = sum(accuracy >= SUCCESS for accuracy in accuracies)
    low, high = wilson_interval(successes, len(rows), LEVEL)
    at_budget = np.array([accuracy_at(row, budget) for row in rows])
    failed = Counter(row["concept"] for row in rows if row["accuracy"] < SUCCESS)
    return {
        "accuracy": mean("accuracy"),
        "accuracy_half_width": half_width(accuracies),
        "success_rate": successes / len(rows),
        "success_low": low,
        "success_high": high,
        "coverage": mean("coverage"),
        "utility": mean("utility"),
        "golden_utility": mean("golden_utility"),
        "utility_ratio": float(mean("utility") / mean("golden_utility")),
        "utility_above_golden": float(np.mean([row["utility"] > row["golden_utility"] for row in rows])),
        "violations": mean("violations"),
        "tokens": mean("tokens"),
        "accuracy_at_equal_tokens": float(at_budget.mean()),
        "success_rate_at_equal_tokens": float(np.mean(at_budget >= SUCCESS)),
        "cached_tokens": mean("cached_tokens"),
        "naive_tokens": mean("naive_tokens"),
        # A median, since one slow moment of the machine would decide a mean.
        "seconds": float(np.median([row["seconds"] for row in rows])),
        "seeds": len(rows),
        "accuracies": sorted(round(accuracy, 3) for accuracy in accuracies),
        "settled_on": dict(failed.most_common()),
    }


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


def _described(row: Row) -> str:
    right = f"accuracy {100 * row['accuracy']:.0f} %, U {row['utility']:.1f}"
    return f"{row['task']}, {row['search']}, seed {row['seed']}: {right}"


def _num_seeds(options: argparse.Namespace, task: str, search: str) -> int:
    full = 3 if options.quick else MORE_SEEDS if search == "default" else 20
    num_seeds = options.seeds or full
    # Planted tasks show what goes wrong, which a few seeds do; only good tasks need narrow intervals.
    return max(2, num_seeds // 10) if task in PLANTED else num_seeds


def main() -> None:
    """Run all seeds, print a table and one line of JSON."""
    parser = option_parser(__doc__, quick="3 seeds of default and the two chains, on 32 claims")
    parser.add_argument("--searches", help=f"some of {', '.join(ARMS)}, separated by commas")
    parser.add_argument("--seeds", type=int, help="seeds of every search; of planted tasks a tenth, at least 2")
    parser.add_argument("--tasks", help="some of the tasks, separated by commas")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--model", help="directory of a pocket model; the shipped one if left out")
    parser.add_argument("--world-seed", type=int, default=0, help="the world that the model was trained on")
    parser.add_argument("--set", action="append", default=[], help="a setting, as on the command line of icm")
    add_pool_options(parser)
    options = parser.parse_args()

    fewer_claims = ["task.num_claims=32"] if options.quick else []
    overrides = [f"task.world_seed={options.world_seed}", *fewer_claims, *options.set]
    searches = options.searches.split(",") if options.searches else QUICK if options.quick else list(ARMS)
    tasks = options.tasks.split(",") if options.tasks else [*GOOD, *PLANTED]
    # Once for each search and not for each job, since Hydra takes a while to compose settings.
    settings = {search: settings_hash([*ARMS[search], *overrides]) for search in searches}
    jobs = [
        {
            "task": task,
            "search": search,
            "seed": options.first_seed + seed,
            "model": options.model,
            "weights": weights_hash(options.model),
            "overrides": overrides,
            "settings": settings[search],
        }
        for task in tasks
        for search in searches
        for seed in range(_num_seeds(options, task, search))
    ]
    started = time.perf_counter()
    runs: dict[tuple[str, str], list[Row]] = {}
    for row in run_jobs(run, jobs, options.workers, results_path(options, "pocket"), _described):
        runs.setdefault((row["task"], row["search"]), []).append(row)
    default = {task: runs.get((task, "default"), []) for task in tasks}
    # Where `default` did not run there is nothing to compare with, and no budget.
    budgets = {
        task: float(np.mean([row["tokens"] for row in rows])) if rows else math.inf for task, rows in default.items()
    }
    results = {(task, search): summarise(rows, budgets[task]) for (task, search), rows in runs.items()}
    for task in tasks:
        if (task, "default") in results and (task, "reference") in results:
            of_default, reference = results[task, "default"], results[task, "reference"]
            of_default["tokens_vs_reference_cached"] = reference["cached_tokens"] / of_default["tokens"]
    Console(width=max(Console().width, 170)).print(_table(results))
    report: dict[str, Any] = {task: {search: results[task, search] for search in searches} for task in tasks}
    report["planted"] = {task: report.pop(task) for task in PLANTED if task in report}
    report["wall_seconds"] = time.perf_counter() - started
    print(json.dumps(report))


if __name__ == "__main__":
    main()
