"""The few figures that a run comes down to, for the console and the top of the report. Computes none of them."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from icm.diagnose.schema import Diagnosis, Verdict
from icm.evaluate.schema import ARMS, Arm, Calibrated, Metrics
from icm.statistics.schema import Estimate

ARM_NAMES: dict[Arm, str] = {
    "zero_shot": "Zero-shot",
    "random": "Random labels",
    "elicited": "Elicited labels",
    "golden": "Golden labels",
}

CALIBRATIONS: dict[Calibrated, str] = {
    "none": "",
    "contextual": "contextual calibration",
    "pmi": "PMI",
    "batch": "batch calibration",
    "prior": "matched to the shots' shares",
}

VERDICT_TEXTS: dict[Verdict, str] = {
    "trust": "Nothing speaks against these labels.",
    "caution": "Look at some labels yourself before you use them.",
    "reject": "Do not use these labels.",
}


SummaryRow = tuple[str, str, Estimate | None, str]
"""Section, what was measured, its accuracy if there is one, and what that rests on or why there is none."""


def summary_rows(metrics: Metrics) -> Iterator[SummaryRow]:
    """Yield what matters most, in the order to read it."""
    yield from _label_rows(metrics)
    yield from _control_rows(metrics)
    yield from _in_context_rows(metrics)
    for baseline in metrics.baselines:
        note = baseline.not_applicable or baseline.rule
        num_scored = baseline.claims.num_claims if baseline.claims else 0
        # Of few claims an accuracy says little; without a note it would look like the others.
        if 0 < num_scored < metrics.num_claims - metrics.num_without_gold:
            note += f" (speaks of {num_scored:,} of {metrics.num_claims:,})"
        yield "Without a model", baseline.name.replace("_", " "), baseline.claims, note


def summary_table(metrics: Metrics) -> Table:
    """Return the summary as one table for the console."""
    table = Table(
        title=Text(f"{metrics.task}: elicited labels beside golden labels"), title_justify="left", box=SIMPLE_HEAD
    )
    table.add_column("", no_wrap=True)
    table.add_column("accuracy", justify="right", no_wrap=True)
    table.add_column(f"{100 * metrics.confidence_level:g} % interval", justify="right", no_wrap=True)
    table.add_column("", style="dim")
    # A heading goes before the first row of each section.
    section = ""
    for row_section, name, estimate, note in summary_rows(metrics):
        if row_section != section:
            table.add_section()
            table.add_row(Text(row_section, style="bold"))
            section = row_section
        cells = (f"  {name}", percent(estimate and estimate.value), interval(estimate), note)
        # As `Text`, names from a data set are not read as markup.
        table.add_row(*map(Text, cells), style="bold green" if name == ARM_NAMES["elicited"] else None)
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
    yield section, ARM_NAMES["elicited"], metrics.accuracy, coverage
    if metrics.polarity is not None:
        yield section, "The same, flipped", metrics.flipped_accuracy, f"polarity: {metrics.polarity}"


def _control_rows(metrics: Metrics) -> Iterator[SummaryRow]:
    for control in metrics.controls:
        name = "Zero-shot" if control.context == "zero_shot" else "Golden context"
        calibration = CALIBRATIONS[control.calibration]
        shots = f"{control.num_shots} held-out claims with golden labels" if control.num_shots else ""
        yield (
            "The same claims by other means",
            f"{name}, {calibration}" if calibration else name,
            control.accuracy,
            control.missing or shots,
        )


def _in_context_rows(metrics: Metrics) -> Iterator[SummaryRow]:
    section = "Held out, in context"
    result = metrics.in_context
    if result is None:
        yield section, "not measured", None, metrics.in_context_missing or ""
        return
    if not result.headline_shots:
        yield section, ARM_NAMES["zero_shot"], result.zero_shot, "no number of shots could be asked"
    at_headline = {each.arm: each for each in result.results if each.num_shots in (0, result.headline_shots)}
    for arm in ARMS if result.headline_shots else ():
        each = at_headline[arm]
        draws = f"{each.num_draws} draw{'' if each.num_draws == 1 else 's'}"
        shots = f"{each.num_shots} shots, {draws}" if each.num_shots else f"{result.num_queries:,} claims"
        yield section, ARM_NAMES[arm], each.accuracy, shots
        yield section, f"{ARM_NAMES[arm]}, {CALIBRATIONS['batch']}", each.calibrated, shots
