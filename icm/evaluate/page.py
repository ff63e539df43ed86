"""The report of an evaluation: one HTML page that needs nothing else. Shows what `Metrics` holds and computes none."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from icm.claims import Claim
from icm.diagnose.schema import Diagnosis
from icm.evaluate.schema import Metrics
from icm.evaluate.summary import ARM_NAMES, VERDICT_TEXTS, interval, percent, summary_rows
from icm.files.records import LabelRow


def render_page(
    metrics: Metrics,
    *,
    figures_dir: Path,
    figures: Sequence[tuple[str, str, str]],
    costs: Mapping[str, Mapping[str, float]],
    settings: Mapping[str, Mapping[str, Any]],
    disagreements: Sequence[tuple[Claim, LabelRow, str]],
    diagnosis: Diagnosis | None,
) -> str:
    """Return the page as HTML; every text from a data set is escaped, and nothing is loaded from elsewhere.

    Args:
        metrics: What is shown.
        figures_dir: Where the figures lie.
        figures: As `draw_figures` returns them.
        costs: Scoring cost by stage.
        settings: Resolved ones, by stage.
        disagreements: What to list of what `against_golden.disagreements` returns.
        diagnosis: What is said of the labels without golden ones; `None` if nothing was asked.
    """
    # Escaped by default, since claims come from anywhere; a name that is missing is an error, not an empty cell.
    environment = Environment(
        loader=PackageLoader("icm.evaluate", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "interval": interval, "number": _number}
    return environment.get_template("page.html.jinja").render(
        metrics=metrics,
        summary=list(summary_rows(metrics)),
        arm_names=ARM_NAMES,
        figures=[(figure, _inline(figures_dir / f"{figure[0]}.svg")) for figure in figures],
        costs=costs,
        # The stages count different things; a counter that one of them lacks is an empty cell of its column.
        counters=list(dict.fromkeys(counter for cost in costs.values() for counter in cost)),
        settings={stage: json.dumps(values, indent=2, sort_keys=True) for stage, values in settings.items()},
        disagreements=disagreements,
        diagnosis=diagnosis,
        verdict_texts=VERDICT_TEXTS,
    )


def _inline(svg: Path) -> str:
    """Return a figure as a data URL."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.read_bytes()).decode("ascii")


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3f}"
