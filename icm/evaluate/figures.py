"""Figures of an evaluation, as PNG for notes and SVG for pages. Draws what `Metrics` holds and computes no metric.

The colours are those of Okabe and Ito, told apart with every common colour vision; lines are named where they end
instead of in a legend. The same metrics give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from icm.evaluate.schema import ARMS_WITH_SHOTS, Arm, ArmResult, InContext, Metrics, TracePoint
from icm.evaluate.summary import ARM_NAMES
from icm.statistics.schema import Calibration

INK: Final = "#1f2328"
MUTED: Final = "#6e7781"
GRID: Final = "#e4e7eb"
BLUE: Final = "#0072B2"
GREEN: Final = "#009E73"
ORANGE: Final = "#D55E00"
ON_LIGHT: Final = "#1f2329"
ON_DARK: Final = "#fffffe"
"""Ink on cells that stay as they are on a dark page, where all other ink and paper is turned."""

NO_DATE: Final = {"Date": None, "Creator": None}
ARM_COLOURS: Final[dict[Arm, str]] = {"zero_shot": INK, "random": ORANGE, "elicited": BLUE, "golden": GREEN}
ARM_MARKERS: Final[dict[Arm, str]] = {"zero_shot": "D", "random": "^", "elicited": "o", "golden": "s"}

STYLE: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 2,
    "lines.markersize": 6,
    "savefig.dpi": 160,
    "svg.hashsalt": "icm",
}


def draw_figures(metrics: Metrics, directory: Path) -> list[str]:
    """Draw all figures that the metrics have numbers for into a directory, as `<name>.png` and `<name>.svg`.

    Returns:
        Their names, as `captions` has them.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        for name, _, _ in captions(metrics):
            figure = _figure_named(name, metrics)
            # No date and no version in the files: the same metrics give the same bytes.
            figure.savefig(directory / f"{name}.png", metadata={"Software": None})
            figure.savefig(directory / f"{name}.svg", metadata=NO_DATE)
    return [name for name, _, _ in captions(metrics)]


def captions(metrics: Metrics) -> list[tuple[str, str, str]]:
    """Return name, title and caption of each figure that the metrics have numbers for, in the order of the report."""
    level = f"{100 * metrics.confidence_level:g} %"
    found = []
    if metrics.in_context is not None:
        caption = (
            f"Accuracy on {metrics.in_context.num_queries:,} held-out claims by the number of labelled claims "
            f"before them. All arms show the same claims; only their labels differ. Bars: {level} intervals over "
            f"draws of shots and held-out groups."
        )
        found.append(("in_context", "Accuracy in context", caption))
    found.append(("trace", "Along the search", "Label accuracy, labelled share and U after each step of the search."))
    if metrics.calibration is not None:
        caption = (
            "How often labels of a given probability are right (larger dots: more labels), and how many there are. "
            "On the diagonal a probability can be read as a chance."
        )
        found.append(("reliability", "Calibration", caption))
    found.append(("confusion", "Confusion", "Claims by golden and elicited label; shading by the share of the row."))
    return found


def _figure_named(name: str, metrics: Metrics) -> Figure:
    match name:
        case "in_context" if metrics.in_context is not None:
            return in_context_figure(metrics, metrics.in_context)
        case "trace":
            return trace_figure(metrics.task, metrics.num_claims, metrics.trace.points)
        case "reliability" if metrics.calibration is not None:
            return reliability_figure(metrics.calibration)
        case _:
            return confusion_figure(metrics)


def in_context_figure(metrics: Metrics, result: InContext) -> Figure:
    """Return accuracy by number of shots, a line for each arm."""
    figure, axes = _figure(7.6, 4.4)
    counts = sorted({each.num_shots for each in result.results if each.num_shots > 0})
    # Numbers of shots stand at equal distances, as they double; no shots stand at 0.
    position = {count: index + 1 for index, count in enumerate(counts)}
    names: list[tuple[float, str, str]] = []
    # Without shots there is no position on the axis of shots: a point at 0, and a line across to compare with.
    zero_shot = next(each for each in result.results if each.arm == "zero_shot")
    _draw_arm(axes, [0.0], [zero_shot])
    last = max(len(counts), 1)
    axes.plot([0, last], [zero_shot.accuracy.value] * 2, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    names.append((zero_shot.accuracy.value, ARM_NAMES["zero_shot"], INK))
    # The arms are set side by side, so that their bars do not cover one another.
    for nudge, arm in zip((-0.06, 0.0, 0.06), ARMS_WITH_SHOTS, strict=True):
        points = [each for each in result.results if each.arm == arm]
        if points:
            _draw_arm(axes, [position[each.num_shots] + nudge for each in points], points)
            names.append((points[-1].accuracy.value, ARM_NAMES[arm], ARM_COLOURS[arm]))
    majority = next(each for each in metrics.baselines if each.name == "majority").held_out
    if majority is not None:
        axes.plot([0, last], [majority.value] * 2, color=MUTED, linewidth=1, linestyle=":")
        names.append((majority.value, "Majority class", MUTED))
    # The axis begins near 0.45, just below chance of two labels, unless something lies lower.
    lowest = min([each.accuracy.low for each in result.results] + ([majority.value] if majority else []))
    axes.set(xlim=(-0.25, last + 0.15), ylim=(max(0.0, min(0.45, lowest - 0.04)), 1.02))
    axes.set_xticks([0, *position.values()], labels=["0", *map(str, counts)])
    axes.set(xlabel="labelled claims shown before the query", title=f"{metrics.task}: accuracy on held-out claims")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.grid(visible=False, axis="x")
    _name_lines(axes, 3.6, last + 0.2, names)
    return figure


def trace_figure(task: str, num_claims: int, points: Sequence[TracePoint]) -> Figure:
    """Return label accuracy, where it is known, and labelled share above, U below, by step."""
    figure = Figure(figsize=(7.6, 5.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    steps = [point.step for point in points]
    # At the start of a search that begins without labels there is no accuracy to draw.
    known = [(point.step, point.accuracy) for point in points if point.accuracy is not None]
    # A search of no steps (a control) still needs an axis of some width.
    end = max(steps[-1], 1)
    # A line through one point is invisible.
    marker = "o" if len(points) == 1 else ""
    upper.plot(steps, [point.labelled / num_claims for point in points], color=MUTED, marker=marker)
    names = [(points[-1].labelled / num_claims, "Labelled share", MUTED)]
    if known:
        upper.plot([step for step, _ in known], [value for _, value in known], color=BLUE, marker=marker)
        names.append((known[-1][1], "Label accuracy", BLUE))
    upper.set(ylim=(0, 1.03), xlim=(0, end), title=f"{task}: along the search")
    upper.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    _name_lines(upper, 2.5, end * 1.015, names)
    utilities = [(point.step, point.utility) for point in points if point.utility is not None]
    lower.plot([step for step, _ in utilities], [value for _, value in utilities], color=GREEN, marker=marker)
    lower.set(xlabel="step", xlim=(0, end))
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    if utilities:
        _name_lines(lower, 1.7, end * 1.015, [(utilities[-1][1], "Utility U", GREEN)])
    figure.align_ylabels()
    return figure


def reliability_figure(calibration: Calibration) -> Figure:
    """Return accuracy by probability above, and the number of labels by probability below."""
    figure = Figure(figsize=(5.2, 5.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    filled = [each for each in calibration.bins if each.confidence is not None and each.accuracy is not None]
    confidence, right = [each.confidence for each in filled], [each.accuracy for each in filled]
    # The area of a dot grows with its labels, so that a nearly empty bin does not draw the eye.
    most = max(each.num_claims for each in filled)
    upper.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    upper.plot(confidence, right, color=BLUE, linewidth=1, alpha=0.5)
    upper.scatter(confidence, right, s=[12 + 110 * each.num_claims / most for each in filled], color=BLUE, zorder=3)
    upper.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), ylabel="share of right labels")
    upper.set_title(f"Calibration error {calibration.expected_calibration_error:.3f}, Brier {calibration.brier:.3f}")
    # Drawn from the edges: the bars are the bins, while the dots above stand at mean probabilities.
    widths = [each.high - each.low for each in calibration.bins]
    heights = [each.num_claims for each in calibration.bins]
    lower.bar([each.low for each in calibration.bins], heights, widths, align="edge", color=BLUE, alpha=0.35)
    lower.set(xlabel="probability of the label", ylabel="labels")
    lower.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    lower.grid(visible=False, axis="x")
    figure.align_ylabels()
    return figure


def confusion_figure(metrics: Metrics) -> Figure:
    """Return the confusion matrix, counts written in the cells."""
    rows, names = metrics.confusion, metrics.label_names
    columns = [*names, "unlabelled"]
    figure, axes = _figure(2.2 + 1.15 * len(columns), 1.6 + 0.85 * len(names))
    # A label that is never golden has an empty row, which is 0 throughout and not NaN.
    shares = [[count / max(sum(row), 1) for count in row] for row in rows]
    # The scale ends above 1, so that the darkest cell is no darker than white text can stand on.
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.15, aspect="auto")
    for y, row in enumerate(rows):
        for x, count in enumerate(row):
            ink = ON_DARK if shares[y][x] > 0.6 else ON_LIGHT
            axes.text(x, y - 0.06, f"{count:,}", ha="center", va="center", color=ink, fontsize=13, fontweight="bold")
            axes.text(
                x, y + 0.24, f"{100 * shares[y][x]:.0f} % of row", ha="center", va="center", color=ink, fontsize=8
            )
    axes.set_xticks(range(len(columns)), labels=columns)
    axes.set_yticks(range(len(names)), labels=list(names))
    axes.set(xlabel="elicited label", ylabel="golden label", title=f"{metrics.task}: confusion")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


# ------------------------------------------------------------------------------------------------ drawing


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _draw_arm(axes: Axes, x: Sequence[float], points: Sequence[ArmResult]) -> None:
    arm, estimates = points[0].arm, [each.accuracy for each in points]
    values = [each.value for each in estimates]
    # A percentile interval may lie beside its own mean; a bar cannot have a negative length.
    below = [max(each.value - each.low, 0.0) for each in estimates]
    above = [max(each.high - each.value, 0.0) for each in estimates]
    axes.errorbar(
        x,
        values,
        yerr=[below, above],
        color=ARM_COLOURS[arm],
        marker=ARM_MARKERS[arm],
        elinewidth=1.2,
        capsize=3,
        zorder=4 if arm == "elicited" else 3,
    )


def _name_lines(axes: Axes, inches: float, x: float, names: Sequence[tuple[float, str, str]]) -> None:
    """Write names beside the ends of lines, pushed apart where the lines of axes so many inches high end close by."""
    low, high = axes.get_ylim()
    # 0.2 inches are about the height of a line of 9.5 points with some air, in units of the data.
    gap = 0.2 * (high - low) / inches
    # Names are pushed up from the lowest on; what then stands above the axes is pushed down again from the highest on.
    ordered = sorted(names, key=lambda each: each[0])
    heights = [value for value, _, _ in ordered]
    for k in range(1, len(heights)):
        heights[k] = max(heights[k], heights[k - 1] + gap)
    heights[-1] = min(heights[-1], high)
    for k in reversed(range(len(heights) - 1)):
        heights[k] = min(heights[k], heights[k + 1] - gap)
    style: dict[str, Any] = {"va": "center", "fontweight": "bold", "fontsize": 9.5, "annotation_clip": False}
    for height, (_, name, colour) in zip(heights, ordered, strict=True):
        axes.annotate(name, (x, height), color=colour, **style)
