"""What the pocket model knows in context: accuracy after no labels, golden labels and random labels.

Usage: python -m benchmarks.quality.pocket_model [--quick] [--model DIR] [--world-seed N] [--outcomes FILE]
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.harness import LEVEL, Row, add_pool_options, option_parser, results_path, run_jobs, with_interval
from benchmarks.quality.pocket_runs import pocket_scorer, weights_hash
from icm.claims import LabelSpace
from icm.prepare import pocket
from icm.prepare.items import TaskItem, TaskItems
from icm.prompts import NO_CONTEXT, Context, Prompt, render_demo
from icm.scoring.protocol import LabelScorer
from icm.statistics.estimates import student_half_width

TASKS: Final = get_args(pocket.PocketTask)
SHOTS: Final = (4, 8, 16, 32, 64, 128)
NUM_QUERIES: Final = 16


def measure(job: Row) -> Row:
    """Return the accuracy on one draw of claims by what stood in the context, as `zero_shot`, `golden_64`, `random_64`.

    Shots that the task has too few claims for are left out. `says_last` is the share of zero-shot answers that give
    the label which affirms.
    """
    items = _items(job["task"], job["world_seed"])
    space = items.label_space
    scorer = pocket_scorer(job["model"], space)
    rng = np.random.default_rng(job["seed"])
    shots, queries = _draw(items.items, rng)
    golden = [item.golden_label for item in queries]
    zero_shot = _answers(scorer, [Prompt(NO_CONTEXT, item.claim.text) for item in queries])
    row = {
        "zero_shot": float(np.mean(zero_shot == golden)),
        "says_last": float(np.mean(zero_shot == len(space) - 1)),
    }
    true = [_label(item) for item in shots]
    arms = {"golden": true, "random": rng.integers(len(space), size=len(true)).tolist()}
    for arm, labels in arms.items():
        for num_shots, accuracy in _many_shot(scorer, shots, queries, labels, space).items():
            row[f"{arm}_{num_shots}"] = accuracy
    return row


@cache
def _items(task: str, world_seed: int) -> TaskItems:
    """Return all claims of a task, built once in each process."""
    return pocket.build(task, world_seed)


def _draw(items: Sequence[TaskItem], rng: np.random.Generator) -> tuple[list[TaskItem], list[TaskItem]]:
    """Return claims to show, in random order, and claims to ask about, which are of other groups: a fifth of all."""
    groups = list(dict.fromkeys(item.claim.group for item in items))
    # Whole groups are asked about: a shown claim of the same group would give the answer away.
    asked = set(rng.permutation(groups)[: max(1, len(groups) // 5)].tolist())
    order = [items[index] for index in rng.permutation(len(items))]
    queries = [item for item in order if item.claim.group in asked][:NUM_QUERIES]
    return [item for item in order if item.claim.group not in asked][: max(SHOTS)], queries


def _many_shot(
    scorer: LabelScorer,
    shots: Sequence[TaskItem],
    queries: Sequence[TaskItem],
    labels: Sequence[int],
    space: LabelSpace,
) -> dict[int, float]:
    """Return the accuracy on the queries after growing beginnings of the labelled shots, by number of shots."""
    golden = [item.golden_label for item in queries]
    demos = [render_demo(item.claim, label, space) for item, label in zip(shots, labels, strict=True)]
    sizes = [size for size in SHOTS if size <= len(demos)]
    contexts: list[Context] = []
    shown = 0
    for size in sizes:
        # Each context extends the one before, so the scorer forwards every shot once for all sizes.
        contexts.append((contexts[-1] if contexts else NO_CONTEXT).extend(demos[shown:size]))
        shown = size
    prompts = [Prompt(context, item.claim.text) for context in contexts for item in queries]
    answers = _answers(scorer, prompts).reshape(len(sizes), -1)
    return {size: float(np.mean(row == golden)) for size, row in zip(sizes, answers, strict=True)}


def _answers(scorer: LabelScorer, prompts: Sequence[Prompt]) -> NDArray[np.int64]:
    return scorer.label_logprobs(prompts).argmax(axis=1)


def _label(item: TaskItem) -> int:
    assert item.golden_label is not None, "every pocket claim has a golden label"
    return item.golden_label


def _described(row: Row) -> str:
    return f"{row['task']}, draw {row['seed']}: {100 * row['zero_shot']:.0f} % right without a context"


def main() -> None:
    """Measure every task, print a table and one line of JSON."""
    parser = option_parser(__doc__, quick="10 draws in place of 40")
    parser.add_argument("--model", help="directory of a pocket model; the shipped one if left out")
    parser.add_argument("--world-seed", type=int, default=0, help="the world that the model was trained on")
    add_pool_options(parser)
    options = parser.parse_args()
    num_draws = 10 if options.quick else 40
    model = {"model": options.model, "weights": weights_hash(options.model), "world_seed": options.world_seed}
    jobs = [{"task": task, "seed": seed, **model} for task in TASKS for seed in range(num_draws)]
    rows = run_jobs(measure, jobs, options.workers, results_path(options, "pocket_model"), _described)

    columns = ("zero_shot", "says_last", *(f"golden_{size}" for size in SHOTS), "random_64")
    table = Table("task", *columns, title=f"accuracy in per cent, mean and 95 % interval over {num_draws} draws")
    results = {}
    for task in TASKS:
        of_task = [row for row in rows if row["task"] == task]
        measured = [key for key in of_task[0] if key in (*columns, *(f"random_{size}" for size in SHOTS))]
        means = {key: float(np.mean([row[key] for row in of_task])) for key in measured}
        halves = {key: student_half_width([row[key] for row in of_task], LEVEL) for key in measured}
        table.add_row(task, *(with_interval(means[key], halves[key], 100) if key in means else "" for key in columns))
        results[task] = {name: round(mean, 4) for name, mean in means.items()} | {
            "half_width": {name: round(half, 4) for name, half in halves.items()}
        }
    Console(width=max(Console().width, 160)).print(table)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
