"""How many bits have been saved by the time so many claims have been read: the figure of `docs/method.md`.

Usage: python -m benchmarks.quality.bits_along_reading [--quick] [--tasks facts,flipped] [--seeds N] [--outcomes FILE]
       [--figure FILE]

Nothing is searched. The labellings are the truth, its opposite made consistent, what the model says without context,
and random consistent labels; each is read in the same random orders, 64 claims in one block. A curve that ends above 0
says that the claims explain the labels. One that begins below 0 and then rises is a concept that the model does not
believe at first and takes over once it has seen enough labels; leave-one-out sees only its last point.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.harness import RESULTS_DIR, Row, add_pool_options, option_parser, results_path, run_jobs
from benchmarks.quality.pocket_runs import pocket_config, pocket_scorer, read_prepared, settings_hash, weights_hash
from icm.claims import Labels, freeze
from icm.evaluate.figures import STYLE
from icm.prepare import stage as prepare
from icm.prequential import Prequential
from icm.problem import build_problem
from icm.searches.decoding import build_decoder
from icm.statistics.streams import Stream, generator

NUM_ORDERS: Final = 8
FIGURE: Final = RESULTS_DIR.parent / "bits_along_reading.svg"
COLOURS: Final[Mapping[str, str]] = {
    "truth": "#009E73",
    "opposite": "#D55E00",
    "zero-shot": "#0072B2",
    "random": "#6e7781",
}


def run(job: Row) -> Row:
    """Return `curves`: of each labelling the bits saved by the k-th verdict, mean over orders, k from 1 to 64."""
    with tempfile.TemporaryDirectory() as directory:
        config = pocket_config(job["task"], job["seed"], directory)
        prepare.run(config.for_prepare(), Path(directory) / "prepare")
        task, claims, truth = read_prepared(Path(directory) / "prepare")
    scorer = pocket_scorer(None, task.label_space)
    objective = build_problem(claims, task, scorer, config.for_elicit()).objective
    assert isinstance(objective, Prequential), "the default objective reads the claims one after the other"
    decoder = build_decoder(objective.constraints, penalty=np.inf)
    random = decoder.draw(generator(job["seed"], Stream.RIVAL_LABELS), np.zeros((len(claims), 2)), 1.0)
    labellings = {
        "truth": truth,
        "opposite": decoder.nearest(freeze(1 - truth)),
        "zero-shot": decoder(objective.calibrated(objective.zero_shot())),
        "random": random,
    }
    reading = objective.in_orders(0, NUM_ORDERS)
    return {"curves": {name: bits_saved(reading, labels).tolist() for name, labels in labellings.items()}}


def bits_saved(reading: Prequential, labels: Labels) -> NDArray[np.float64]:
    """Return the bits saved up to each verdict, mean over the orders, of claims that fit one block: (N,)."""
    rows = reading.rows(labels)
    curves = []
    for order, of_order in enumerate(rows):
        (block,) = reading.plan.blocks(order)
        shown = labels[block]
        # What the Krichevsky-Trofimov code gives the k-th label, having counted those before it.
        is_label = np.eye(of_order.shape[1])[shown]
        before = is_label.cumsum(axis=0) - is_label
        unread = np.log((before[np.arange(shown.size), shown] + 0.5) / (np.arange(shown.size) + is_label.shape[1] / 2))
        curves.append(np.cumsum(of_order[block, shown] - unread) / np.log(2))
    return np.mean(curves, axis=0)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw the mean curves of each task beside one another."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2 * len(tasks), 3.4), layout="constrained")
        panels: list[Axes] = list(figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0])
        for axes, task in zip(panels, tasks, strict=True):
            for name, colour in COLOURS.items():
                curve = mean_curve(rows, task, name)
                axes.plot(np.arange(1, curve.size + 1), curve, color=colour)
                # Named where it ends: a legend would have to be looked up.
                axes.annotate(name, (curve.size, curve[-1]), (4, 0), textcoords="offset points", color=colour)
            axes.axhline(0, color="#1f2328", linewidth=0.8)
            axes.set(title=task, xlabel="claims read", xlim=(0, 80))
        panels[0].set_ylabel("bits saved so far")
        figure.savefig(path, metadata={"Date": None})


def mean_curve(rows: Sequence[Row], task: str, name: str) -> NDArray[np.float64]:
    """Return the mean over the seeds of a curve, cut to the shortest; duplicates can leave a set a claim short."""
    curves = [row["curves"][name] for row in rows if row["task"] == task]
    return np.mean([curve[: min(map(len, curves))] for curve in curves], axis=0)


def main() -> None:
    """Read the labellings, draw the figure and print one line of JSON."""
    parser = option_parser(__doc__, quick="one seed of each task, no figure")
    parser.add_argument("--tasks", default="facts,flipped", help="pocket tasks, separated by commas")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--figure", type=Path, default=FIGURE)
    add_pool_options(parser)
    options = parser.parse_args()

    tasks = options.tasks.split(",")
    settings = settings_hash([])
    jobs: list[Row] = [
        {"task": task, "seed": seed, "weights": weights_hash(None), "settings": settings}
        for task in tasks
        for seed in range(1 if options.quick else options.seeds)
    ]
    path = results_path(options, "bits_along_reading")
    rows = run_jobs(run, jobs, options.workers, path, lambda row: f"{row['task']}, seed {row['seed']}")
    if not options.quick:
        draw(rows, options.figure)
    report: dict[str, Any] = {
        task: {
            name: {"after_8": curve[7], "after_16": curve[15], "at_the_end": curve[-1]}
            for name in COLOURS
            for curve in [mean_curve(rows, task, name).tolist()]
        }
        for task in tasks
    }
    for task, curves in report.items():
        for name, points in curves.items():
            print(f"{task:>12} {name:>10}" + "".join(f"  {key} {value:7.1f}" for key, value in points.items()))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
