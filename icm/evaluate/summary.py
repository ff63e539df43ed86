"""The few figures that a run comes down to, for the console and the top of the report. Computes none of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from icm.diagnose.schema import Diagnosis, Verdict
from icm.evaluate.schema import Arm, InContext, Metrics
from icm.statistics.schema import Estimate

ARM_NAMES: dict[Arm, str] = {
    "zero_shot": "Zero-shot",
    "random": "Random labels",
    "elicited": "Elicited labels",
    "golden": "Golden labels",
}

VERDICT_TEXTS: dict[Verdict, str] = {
    "trust": "Nothing speaks against these labels.",
    "caution": "Look at some labels yourself before you use them.",
    "reject": "Do not use these labels.",
}


class SummaryRow(NamedTuple):
    """A line of the summary.

    Attributes:
        section: What the line belongs to.
        name: What was measured.
        estimate: The accuracy; `None` if there is none.
        note: What the number rests on, or why there is none.
        highlight: Whether it is a line about the elicited labels.
    """

    section: str
    name: str
    estimate: Estimate | None
    note: str
    highlight: bool = False


def summary_rows(metrics: Metrics) -> Iterator[SummaryRow]:
    """Yield what matters most, in the order to read it."""
    yield from _label_rows(metrics)
    yield from _in_context_rows(metrics)
    for baseline in metrics.baselines:
        note = baseline.not_applicable or baseline.rule
        num_scored = baseline.claims.num_claims if baseline.claims else 0
        if 0 < num_scored < metrics.num_claims - metrics.num_without_gold:
            note += f" (speaks of {num_scored:,} of {metrics.num_claims:,})"
        yield SummaryRow("Without a model", baseline.name.replace("_", " "), baseline.claims, note)


def summary_table(metrics: Metrics) -> Table:
    """Return the summary as one table for the console."""
    table = Table(
        title=Text(f"{metrics.task}: elicited labels beside golden labels"), title_justify="left", box=SIMPLE_HEAD
    )
    table.add_column("", no_wrap=True)
    table.add_column("accuracy", justify="right", no_wrap=True)
    table.add_column(f"{100 * metrics.confidence_level:g} % interval", justify="right", no_wrap=True)
    table.add_column("", style="dim")
    section = ""
    for row in summary_rows(metrics):
        if row.section != section:
            table.add_section()
            table.add_row(Text(row.section, style="bold"))
            section = row.section
        cells = (f"  {row.name}", percent(row.estimate and row.estimate.value), interval(row.estimate), row.note)
        # As `Text`, names from a data set are not read as markup.
        table.add_row(*map(Text, cells), style="bold green" if row.highlight else None)
    return table


def diagnosis_text(diagnosis: Diagnosis) -> Text:
    """Return the verdict on labels, its reasons and which constraints bind, a line each."""
    style = {"trust": "bold green", "caution": "bold yellow", "reject": "bold red"}[diagnosis.verdict]
    text = Text.assemble("diagnosis: ", (diagnosis.verdict, style), f". {VERDICT_TEXTS[diagnosis.verdict]}")
    for reason in diagnosis.reasons:
        text.append(f"\n  - {reason}")
    for tally in diagnosis.constraints:
        text.append(
            f"\nconstraints, {tally.name}: {tally.num_constraints:,}, of which {tally.num_violated:,} violated, "
            f"{tally.num_binding:,} binding; the model alone would violate {tally.num_opposed:,}"
        )
        if tally.num_undecided:
            text.append(f"; whether {tally.num_undecided:,} others bind was too costly to find out")
    return text


def percent(share: float | None) -> str:
    """Return a share as a percentage with one decimal, a dash for `None`."""
    return "–" if share is None else f"{100 * share:.1f} %"


def interval(estimate: Estimate | None) -> str:
    """Return the ends of an interval in percent, nothing for `None`."""
    return "" if estimate is None else f"{100 * estimate.low:.1f} – {100 * estimate.high:.1f}"


def _label_rows(metrics: Metrics) -> Iterator[SummaryRow]:
    section = "Label accuracy"
    coverage = f"labelled {metrics.num_labelled:,} of {metrics.num_claims:,} ({percent(metrics.coverage)})"
    if metrics.num_without_gold:
        coverage += f", {metrics.num_without_gold:,} without a golden label"
    yield SummaryRow(section, "Elicited labels", metrics.accuracy, coverage, highlight=True)
    if metrics.polarity is not None:
        yield SummaryRow(section, "The same, flipped", metrics.flipped_accuracy, f"polarity: {metrics.polarity}")


def _in_context_rows(metrics: Metrics) -> Iterator[SummaryRow]:
    section = "Held out, in context"
    result = metrics.in_context
    if result is None:
        yield SummaryRow(section, "not measured", None, metrics.in_context_missing or "")
        return
    shots = f"{result.headline_shots} shots" if result.headline_shots else "no number of shots could be asked"
    yield SummaryRow(section, ARM_NAMES["zero_shot"], result.zero_shot, f"{result.num_queries:,} claims")
    for arm, estimate in _headline(result).items():
        yield SummaryRow(section, ARM_NAMES[arm], estimate, shots, highlight=arm == "elicited")


def _headline(result: InContext) -> dict[Arm, Estimate | None]:
    return {"random": result.random, "elicited": result.elicited, "golden": result.golden}
