"""What `icm prepare`, `elicit`, `diagnose`, `evaluate`, `compare` and `pocket train` do, and what the console says.

Stages are loaded where they are called, since some of their libraries take a second that no other command should wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from icm.claims import TRUE_FALSE, LabelSpace
from icm.commands.given import on_given_labels
from icm.commands.memory import remember
from icm.config import Config, Places
from icm.files.records import CLAIMS, METRICS, NOTED, REJECTED, TASK, Manifest, read_claims, read_task
from icm.files.stage_dir import read_result, verify
from icm.prepare.shown import prompt_lines
from icm.problem import check_problem
from icm.scoring.open import identity_of_tokenizer, open_scorer
from icm.scoring.protocol import LabelScorer

if TYPE_CHECKING:
    from icm.compare.settings import CompareSettings
    from icm.pocket.recipe import PocketTraining


FIRST: Final = 5
"""Labels that are shown beside their texts when a search has ended."""


def prepare(places: Places, config: Config, console: Console) -> None:
    """Turn the source into claims and say how many."""
    from icm.prepare import stage

    def count_tokens(segments: Sequence[str]) -> NDArray[np.int64]:
        # Loaded only when there is something to count: a complete stage needs no model, nor does one without a limit.
        return open_scorer(config.model, TRUE_FALSE).count_tokens(segments)

    out_dir, began = places.out_dir / "prepare", datetime.now(UTC)
    # Which claims are short enough follows from what counts their tokens.
    limited = config.task.max_claim_tokens is not None
    manifest = stage.run(
        config.for_prepare(),
        out_dir,
        count_tokens,
        tokenizer=identity_of_tokenizer(config.model) if limited else None,
        overwrite=places.overwrite,
    )
    # After the stage, so that settings which it refused are not remembered.
    remember(places, config, "prepare")
    counts = manifest.counts
    left_out, noted = (_counted(counts["rejected"], noted=noted) for noted in (False, True))
    told = f"; noted: {noted}, see {out_dir / REJECTED}" if noted else ""
    console.print(
        f"prepared {config.task.name}: {counts['claims']:,} claims in {counts['groups']:,} groups, "
        f"{counts['held_out']:,} held out, of {counts['available']:,}; rejected: {left_out or 'none'}{told}"
        f"{_since(manifest, began)}",
        soft_wrap=True,
    )
    task, claims = read_task(out_dir / TASK), read_claims(out_dir / CLAIMS)
    for line in prompt_lines(claims[0].text, task.label_space.verbalizers, counts.get("unused_columns", ())):
        console.print(Text(line), soft_wrap=True)


def _counted(reasons: Mapping[str, int], *, noted: bool) -> str:
    """Return how many rows were left out for which reason, or noted while their claims stay."""
    return ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if (reason in NOTED) is noted)


def elicit(places: Places, config: Config, console: Console, scorer: LabelScorer | None = None) -> None:
    """Label the claims and say what came of it."""
    from icm.elicit import stage

    prepare_dir, out_dir, began = places.out_dir / "prepare", places.out_dir / "elicit", datetime.now(UTC)
    scorer = scorer or scorer_of(places, config)
    manifest = stage.run(config.for_elicit(), prepare_dir, out_dir, scorer, console, overwrite=places.overwrite)
    remember(places, config, "elicit")
    counts, cost = manifest.counts, manifest.cost
    verb = "took" if config.search.kind == "given" else "elicited"
    console.print(
        f"{verb} {counts['labelled']:,} labels of {counts['claims']:,} claims in {manifest.seconds:,.1f} s: "
        f"U {counts['utility']:.2f}, {counts['violations']:,} of {counts['constraints']:,} constraints violated; "
        f"{cost['forwarded_tokens']:,.0f} tokens forwarded for {cost['naive_tokens']:,.0f} asked; in {out_dir}"
        f"{_since(manifest, began)}",
        soft_wrap=True,
    )
    _write_views(places)
    _show_first(places, console)


def _show_first(places: Places, console: Console) -> None:
    """Show a few labels beside their texts: what a person looks for first."""
    from icm.show.labelled import read_run
    from icm.show.text import claims_list

    run = read_run(places.out_dir)
    shown = range(min(FIRST, len(run.claims)))
    console.print(claims_list(run, shown, console.width))
    console.print(Text(f"{len(shown)} of {len(run.claims):,}; all: icm show {places.out_dir}"), soft_wrap=True)


def diagnose(places: Places, config: Config, console: Console, scorer: LabelScorer | None = None) -> None:
    """Say whether the labels are to be trusted."""
    from icm.diagnose import stage
    from icm.diagnose.schema import DIAGNOSIS, Diagnosis
    from icm.evaluate.summary import diagnosis_text

    places, config, scorer = _with_given(places, config, console, scorer)
    prepare_dir, elicit_dir, out_dir = (places.out_dir / name for name in ("prepare", "elicit", "diagnose"))
    scorer, began = scorer or scorer_of(places, config), datetime.now(UTC)
    manifest = stage.run(
        config.diagnose, prepare_dir, elicit_dir, out_dir, scorer, console=console, overwrite=places.overwrite
    )
    remember(places, config, "diagnose")
    text = diagnosis_text(read_result(out_dir, "diagnose", DIAGNOSIS, Diagnosis))
    console.print(text, soft_wrap=True)
    if since := _since(manifest, began):
        console.print(f"diagnosis{since}")
    _write_views(places)


def evaluate(places: Places, config: Config, console: Console, scorer: LabelScorer | None = None) -> None:
    """Compare the labels with golden ones and show how they do."""
    from icm.evaluate import stage
    from icm.evaluate.schema import Metrics
    from icm.evaluate.summary import summary_table

    places, config, scorer = _with_given(places, config, console, scorer)
    prepare_dir, elicit_dir, out_dir = (places.out_dir / name for name in ("prepare", "elicit", "evaluate"))
    stage.run(
        config.evaluate,
        prepare_dir,
        elicit_dir,
        out_dir,
        scorer or scorer_of(places, config),
        console=console,
        overwrite=places.overwrite,
    )
    remember(places, config, "evaluate")
    console.print(summary_table(read_result(out_dir, "evaluate", METRICS, Metrics)))
    _write_views(places)


def _with_given(
    places: Places, config: Config, console: Console, scorer: LabelScorer | None
) -> tuple[Places, Config, LabelScorer | None]:
    """Return the run to judge: that of labels which were given, once the model has been asked about them."""
    given = on_given_labels(places, config)
    if given is None:
        return places, config, scorer
    scorer = scorer or scorer_of(*given)
    elicit(*given, console, scorer)
    return *given, scorer


def tell_views(places: Places, console: Console) -> None:
    """Say where people find the labels."""
    labels, report = places.out_dir / "labels.csv", places.out_dir / "report.html"
    console.print(Text(f"labels beside their texts: {labels}\nreport: {report}"), soft_wrap=True)


def _write_views(places: Places) -> None:
    """Write what people look at: `labels.csv` and `report.html` of the run, with all that is known so far."""
    from icm.show.views import write_views

    write_views(places.out_dir)


def compare(places: Places, settings: CompareSettings, console: Console) -> None:
    """Label the same claims under different settings, and show what differs."""
    from icm.compare import stage

    stage.run(settings, places.out_dir, console)


def train_pocket(places: Places, settings: PocketTraining, console: Console) -> None:
    """Make a pocket world and the model that knows it, and say how to use it."""
    from icm.pocket.train import train

    train(settings, places.out_dir)
    console.print(f"trained: model.path={places.out_dir}", soft_wrap=True)


def _since(manifest: Manifest, began: datetime) -> str:
    """Return that a stage was complete before a command began, and since when; nothing where its work was just done."""
    created = datetime.fromisoformat(manifest.created_at)
    # A manifest counts whole seconds.
    if created >= began.replace(microsecond=0):
        return ""
    local = created.astimezone()
    day = "" if local.date() == datetime.now().astimezone().date() else f"{local.date()} "
    return f" (already complete, from {day}{local:%H:%M})"


def label_space(places: Places) -> LabelSpace:
    """Return the labels of the prepared task."""
    prepare_dir = places.out_dir / "prepare"
    verify(prepare_dir, "prepare", TASK)
    return read_task(prepare_dir / TASK).label_space


def report(places: Places) -> Path:
    """Make the report of a run, with all that is known so far, and return where it is.

    Raises:
        RunDirectoryError: The run has no labels.
    """
    from icm.show.labelled import read_run
    from icm.show.report import write_report

    return write_report(read_run(places.out_dir))


def scorer_of(places: Places, config: Config) -> LabelScorer:
    """Return the model, bound to the label space of the prepared task."""
    prepare_dir = places.out_dir / "prepare"
    verify(prepare_dir, "prepare", CLAIMS, TASK)
    task = read_task(prepare_dir / TASK)
    # What does not fit the claims is said before a model is loaded, which may take minutes.
    check_problem(read_claims(prepare_dir / CLAIMS), task, config.for_elicit())
    return open_scorer(config.model, task.label_space)
