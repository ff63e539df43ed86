"""Figures of the report: those that need no golden label, and dark variants of all. Computes no metric."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from icm.evaluate.figures import BLUE, GREEN, GRID, INK, MUTED, NO_DATE, ORANGE, STYLE
from icm.files.records import LabelRow

DARK: Final = {
    INK: "#e6e9ec",
    MUTED: "#a3adb7",
    GRID: "#30363d",
    BLUE: "#56b4e9",
    GREEN: "#3fc79a",
    ORANGE: "#f0883e",
    "#ffffff": "#1d2126",
}
"""What the colours of a figure become on a dark page."""

COLOURS: Final = (ORANGE, BLUE, GREEN, "#CC79A7", "#E69F00", "#56B4E9")


def sureness_figure(task: str, rows: Sequence[LabelRow], names: Sequence[str]) -> Figure:
    """Return how many labels have which probability, a layer for each label."""
    figure = Figure(figsize=(7.6, 3.4), layout="constrained")
    axes = figure.subplots()
    layers = [
        [row.probability for row in rows if row.label == label and row.probability is not None]
        for label in range(len(names))
    ]
    colours = [COLOURS[label % len(COLOURS)] for label in range(len(names))]
    axes.hist(layers, bins=list(np.linspace(0, 1, 21)), stacked=True, color=colours, label=list(names))
    axes.set(xlim=(0, 1), xlabel="probability of the label", ylabel="labels", title=f"{task}: how sure the model is")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=False, axis="x")
    axes.legend(frameon=False, loc="upper left")
    return figure


def as_svg(figure: Figure) -> str:
    """Return a figure as SVG; the same figure gives the same bytes."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata=NO_DATE)
    return buffer.getvalue()


def dark(svg: str) -> str:
    """Return a figure in the colours of a dark page."""
    for light, on_dark in DARK.items():
        # Matplotlib writes colours in small letters.
        svg = svg.replace(light.lower(), on_dark)
    return svg


def data_url(svg: str) -> str:
    """Return a figure as an address that holds it."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode("ascii")
