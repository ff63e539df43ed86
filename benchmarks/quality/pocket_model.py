"""What the pocket model knows in context: accuracy after no labels, golden labels and random labels.

Usage: python -m benchmarks.quality.pocket_model [--quick] [--model DIR] [--world-seed N]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.quality.intervals import LEVEL, with_interval
from benchmarks.quality.pocket_runs import pocket_scorer
from icm.claims import LabelSpace
from icm.prepare import pocket
from icm.prepare.items import TaskItem
from icm.prepare.settings import PocketSettings
from icm.prompts import NO_CONTEXT, Context, Prompt, render_demo
from icm.scoring.protocol import LabelScorer
from icm.statistics.estimates import student_half_width

TASKS: Final = (
    "facts",
    "arithmetic",
    "preference",
    "principle",
    "seasons",
    "misconceptions",
    "hidden_concept",
    "salient_surface",
    "imbalance",
    "unanswerable",
    "flipped",
    "near_misses",
)
SHOTS: Final = (4, 8, 16, 32, 64, 128)
NUM_QUERIES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """A mean over draws and half the width of its 95 % interval (Student's t over draws)."""

    mean: float
    half_width: float

    @classmethod
    def over(cls, draws: Sequence[float]) -> Accuracy:
        """Return the mean of the draws with its interval."""
        return cls(mean=float(np.mean(draws)), half_width=student_half_width(draws, LEVEL))

    def __str__(self) -> str:
        return with_interval(self.mean, self.half_width, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Claims asked about, and claims of other groups to show before them, in random order."""

    shots: list[TaskItem]
    queries: list[TaskItem]


def measure(task: str, *, model: str | None, world_seed: int, num_draws: int) -> dict[str, Accuracy]:
    """Return the accuracy on a task by what stood in the context, as `zero_shot`, `golden_64` or `random_64`.

    Shots that the task has too few claims for are left out. `says_last` is the share of zero-shot answers that give
    the label which affirms.
    """
    items = pocket.build(PocketSettings(task=task, world_seed=world_seed))
    scorer = pocket_scorer(model, items.label_space)
    draws: dict[str, list[float]] = {}
    for seed in range(num_draws):
        rng = np.random.default_rng(seed)
        draw = _draw(items.items, rng)
        golden = [item.golden_label for item in draw.queries]
        zero_shot = _answers(scorer, [Prompt(NO_CONTEXT, item.claim.text) for item in draw.queries])
        draws.setdefault("zero_shot", []).append(float(np.mean(zero_shot == golden)))
        draws.setdefault("says_last", []).append(float(np.mean(zero_shot == len(items.label_space) - 1)))
        true = [_label(item) for item in draw.shots]
        arms = {"golden": true, "random": rng.integers(len(items.label_space), size=len(true)).tolist()}
        for arm, labels in arms.items():
            for num_shots, accuracy in _many_shot(scorer, draw, labels, items.label_space).items():
                draws.setdefault(f"{arm}_{num_shots}", []).append(accuracy)
    return {name: Accuracy.over(values) for name, values in draws.items()}


def _draw(items: Sequence[TaskItem], rng: np.random.Generator) -> Draw:
    """Keep a fifth of the groups for queries; the shots come from the others."""
    groups = list(dict.fromkeys(item.claim.group for item in items))
    asked = set(rng.permutation(groups)[: max(1, len(groups) // 5)].tolist())
    order = [items[index] for index in rng.permutation(len(items))]
    queries = [item for item in order if item.claim.group in asked][:NUM_QUERIES]
    return Draw(shots=[item for item in order if item.claim.group not in asked][: max(SHOTS)], queries=queries)


def _many_shot(scorer: LabelScorer, draw: Draw, labels: Sequence[int], space: LabelSpace) -> dict[int, float]:
    """Return the accuracy on the queries after growing beginnings of the labelled shots."""
    golden = [item.golden_label for item in draw.queries]
    demos = [render_demo(item.claim, label, space) for item, label in zip(draw.shots, labels, strict=True)]
    sizes = [size for size in SHOTS if size <= len(demos)]
    contexts: list[Context] = []
    shown = 0
    for size in sizes:
        contexts.append((contexts[-1] if contexts else NO_CONTEXT).extend(demos[shown:size]))
        shown = size
    prompts = [Prompt(context, item.claim.text) for context in contexts for item in draw.queries]
    answers = _answers(scorer, prompts).reshape(len(sizes), -1)
    return {size: float(np.mean(row == golden)) for size, row in zip(sizes, answers, strict=True)}


def _answers(scorer: LabelScorer, prompts: Sequence[Prompt]) -> NDArray[np.int64]:
    return scorer.label_logprobs(prompts).argmax(axis=1)


def _label(item: TaskItem) -> int:
    assert item.golden_label is not None, "every pocket claim has a golden label"
    return item.golden_label


def main() -> None:
    """Measure every task, print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10 draws in place of 40")
    parser.add_argument("--model", help="directory of a pocket model; the shipped one if left out")
    parser.add_argument("--world-seed", type=int, default=0, help="the world that the model was trained on")
    options = parser.parse_args()
    num_draws = 10 if options.quick else 40

    columns = ("zero_shot", "says_last", *(f"golden_{size}" for size in SHOTS), "random_64")
    table = Table("task", *columns, title=f"accuracy in per cent, mean and 95 % interval over {num_draws} draws")
    results = {}
    for task in TASKS:
        measured = measure(task, model=options.model, world_seed=options.world_seed, num_draws=num_draws)
        table.add_row(task, *(str(measured.get(column, "")) for column in columns))
        results[task] = {name: round(value.mean, 4) for name, value in measured.items()} | {
            "half_width": {name: round(value.half_width, 4) for name, value in measured.items()}
        }
    Console(width=max(Console().width, 160)).print(table)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
