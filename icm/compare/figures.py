"""The figures of a comparison: accuracy of the columns, and accuracy along the steps. Computes no metric."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from icm.compare.schema import ColumnRow, RunRow
from icm.evaluate.figures import BLUE, GREEN, INK, MUTED, ORANGE, STYLE

COLOURS: Final = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", INK, MUTED)
NUM_POINTS: Final = 101


def draw_comparison(rows: Sequence[ColumnRow], runs: Sequence[RunRow], directory: Path) -> list[Path]:
    """Draw both figures as PNG and SVG into a directory; return the files."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    with mpl.rc_context(STYLE):
        for name, figure in (("accuracy", accuracy_figure(rows)), ("steps", steps_figure(runs))):
            for suffix in (".png", ".svg"):
                path = directory / f"{name}{suffix}"
                figure.savefig(path, metadata={"Date": None} if suffix == ".svg" else None)
                paths.append(path)
    return paths


def accuracy_figure(rows: Sequence[ColumnRow]) -> Figure:
    """Return the accuracy of every column with its interval, a panel for each task."""
    tasks = list(dict.fromkeys(row.task for row in rows))
    columns = list(dict.fromkeys(row.column for row in rows))
    figure, panels = _panels(len(tasks), height=1.2 + 0.34 * len(columns))
    for axes, task in zip(panels, tasks, strict=True):
        for row in (row for row in rows if row.task == task):
            place, estimate = columns.index(row.column), row.accuracy
            # By the place among all columns, so that a column has one colour on every panel.
            colour = COLOURS[place % len(COLOURS)]
            axes.plot([estimate.low, estimate.high], [place, place], color=colour)
            axes.plot(estimate.value, place, marker="o", color=colour)
        axes.set_title(task)
        axes.set_yticks(range(len(columns)), columns)
        # Upside down, so that the first column stands on top as in the table.
        axes.set_ylim(len(columns) - 0.5, -0.5)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlabel("label accuracy")
    return figure


def steps_figure(runs: Sequence[RunRow]) -> Figure:
    """Return the share of the claims that are labelled right along the steps: a mean over seeds for every column."""
    tasks = list(dict.fromkeys(run.task for run in runs))
    columns = list(dict.fromkeys(run.column for run in runs))
    figure, panels = _panels(len(tasks), height=3.6)
    share = np.linspace(0, 1, NUM_POINTS)
    for axes, task in zip(panels, tasks, strict=True):
        for place, column in enumerate(columns):
            curves = [_right_share(run, share) for run in runs if (run.task, run.column) == (task, column)]
            axes.plot(share, np.mean(curves, axis=0), color=COLOURS[place % len(COLOURS)], label=column)
        axes.set_title(task)
        axes.set_xlabel("share of the steps")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_ylim(0, 1.02)
    panels[0].set_ylabel("claims labelled right")
    panels[-1].legend(frameon=False, fontsize=9)
    return figure


def _right_share(run: RunRow, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which share of the claims was labelled right after each share of the steps."""
    steps = np.array([point.step for point in run.trace], dtype=np.float64)
    # Accuracy is over labelled claims; times their number it counts the right ones, here as a share of all.
    right = np.array([(point.accuracy or 0.0) * point.labelled / len(run.correct) for point in run.trace])
    # Searches differ in their number of steps, so they are compared along the share of it; a search of no steps has
    # only its initial labels. A position holds until the next step: hence the last step that is not beyond it.
    reached = np.searchsorted(steps, share * max(steps[-1], 1.0), side="right") - 1
    return right[np.maximum(reached, 0)]


def _panels(number: int, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(max(6.0, 4.2 * number), height), layout="constrained")
    return figure, list(figure.subplots(1, number, squeeze=False, sharey=True)[0])
