"""What `icm prepare`, `elicit`, `diagnose`, `evaluate`, `compare` and `pocket train` do, and what the console says.

Stages are loaded where they are called, since some of their libraries take a second that no other command should wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from icm.claims import TRUE_FALSE
from icm.commands.memory import remember
from icm.config import Config, Places
from icm.files.records import CLAIMS, MANIFEST, METRICS, TASK, read_claims, read_task
from icm.files.stage_dir import read_result, verify
from icm.problem import check_problem
from icm.scoring.open import identity_of_tokenizer, open_scorer
from icm.scoring.protocol import LabelScorer

if TYPE_CHECKING:
    from icm.compare.settings import CompareSettings
    from icm.pocket.recipe import PocketTraining


def prepare(places: Places, config: Config, console: Console) -> None:
    """Turn the source into claims and say how many."""
    from icm.prepare import stage

    def count_tokens(segments: Sequence[str]) -> NDArray[np.int64]:
        # Loaded only when there is something to count: a complete stage needs no model, nor does one without a limit.
        return open_scorer(config.model, TRUE_FALSE).count_tokens(segments)

    # Which claims are short enough follows from what counts their tokens.
    limited = config.task.max_claim_tokens is not None
    manifest = stage.run(
        config.for_prepare(),
        places.out_dir / "prepare",
        count_tokens,
        tokenizer=identity_of_tokenizer(config.model) if limited else None,
        overwrite=places.overwrite,
    )
    # After the stage, so that settings which it refused are not remembered.
    remember(places, config, "prepare")
    counts = manifest.counts
    rejected = ", ".join(f"{count:,} {reason}" for reason, count in counts["rejected"].items())
    console.print(
        f"prepared {config.task.name}: {counts['claims']:,} claims in {counts['groups']:,} groups, "
        f"{counts['held_out']:,} held out, of {counts['available']:,}; rejected: {rejected or 'none'}",
        soft_wrap=True,
    )


def elicit(places: Places, config: Config, console: Console, scorer: LabelScorer | None = None) -> None:
    """Label the claims and say what came of it."""
    from icm.elicit import stage

    prepare_dir, out_dir = places.out_dir / "prepare", places.out_dir / "elicit"
    scorer = scorer or scorer_of(places, config)
    manifest = stage.run(config.for_elicit(), prepare_dir, out_dir, scorer, console, overwrite=places.overwrite)
    remember(places, config, "elicit")
    counts, cost = manifest.counts, manifest.cost
    console.print(
        f"elicited {counts['labelled']:,} labels of {counts['claims']:,} claims in {manifest.seconds:,.1f} s: "
        f"U {counts['utility']:.2f}, {counts['violations']:,} of {counts['constraints']:,} constraints violated; "
        f"{cost['forwarded_tokens']:,.0f} tokens forwarded for {cost['naive_tokens']:,.0f} asked; in {out_dir}",
        soft_wrap=True,
    )


def diagnose(places: Places, config: Config, console: Console, scorer: LabelScorer | None = None) -> None:
    """Say whether the labels are to be trusted."""
    from icm.diagnose import stage
    from icm.diagnose.schema import DIAGNOSIS, Diagnosis
    from icm.evaluate.summary import diagnosis_text

    prepare_dir, elicit_dir, out_dir = (places.out_dir / name for name in ("prepare", "elicit", "diagnose"))
    scorer = scorer or scorer_of(places, config)
    stage.run(config.diagnose, prepare_dir, elicit_dir, out_dir, scorer, console=console, overwrite=places.overwrite)
    remember(places, config, "diagnose")
    console.print(diagnosis_text(read_result(out_dir, "diagnose", DIAGNOSIS, Diagnosis)), soft_wrap=True)


def evaluate(places: Places, config: Config, console: Console, scorer: LabelScorer | None = None) -> None:
    """Compare the labels with golden ones and show how they do."""
    from icm.evaluate import stage
    from icm.evaluate.schema import Metrics
    from icm.evaluate.summary import summary_table

    prepare_dir, elicit_dir, out_dir = (places.out_dir / name for name in ("prepare", "elicit", "evaluate"))
    diagnosed = places.out_dir / "diagnose"
    stage.run(
        config.evaluate,
        prepare_dir,
        elicit_dir,
        out_dir,
        scorer or scorer_of(places, config),
        # A report without a diagnosis is whole; `icm evaluate` may be asked for alone.
        diagnosed if (diagnosed / MANIFEST).exists() else None,
        console=console,
        overwrite=places.overwrite,
    )
    remember(places, config, "evaluate")
    console.print(summary_table(read_result(out_dir, "evaluate", METRICS, Metrics)))
    console.print(f"report: {out_dir / 'report.html'}", soft_wrap=True)


def compare(places: Places, settings: CompareSettings, console: Console) -> None:
    """Label the same claims under different settings, and show what differs."""
    from icm.compare import stage

    stage.run(settings, places.out_dir, console)


def train_pocket(places: Places, settings: PocketTraining, console: Console) -> None:
    """Make a pocket world and the model that knows it, and say how to use it."""
    from icm.pocket.train import train

    train(settings, places.out_dir)
    console.print(f"trained: model.path={places.out_dir}", soft_wrap=True)


def scorer_of(places: Places, config: Config) -> LabelScorer:
    """Return the model, bound to the label space of the prepared task."""
    prepare_dir = places.out_dir / "prepare"
    verify(prepare_dir, "prepare", CLAIMS, TASK)
    task = read_task(prepare_dir / TASK)
    # What does not fit the claims is said before a model is loaded, which may take minutes.
    check_problem(read_claims(prepare_dir / CLAIMS), task, config.for_elicit())
    return open_scorer(config.model, task.label_space)
