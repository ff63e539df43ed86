"""What `icm prepare`, `elicit`, `diagnose` and `evaluate` do: one stage each, and what the console says of it.

Stages are loaded where they are called, since some of their libraries take a second that no other command should wait.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from icm.claims import TRUE_FALSE
from icm.config import Config
from icm.files.records import MANIFEST, TASK, read_task
from icm.files.stage_dir import StageDir
from icm.scoring.open import open_scorer
from icm.scoring.protocol import LabelScorer


def prepare(config: Config, console: Console) -> None:
    """Turn the source into claims and say how many."""
    from icm.prepare import stage as prepare_stage

    def count_tokens(segments: Sequence[str]) -> NDArray[np.int64]:
        # Loaded only when there is something to count: a complete stage needs no model, nor does one without a limit.
        return open_scorer(config.model, TRUE_FALSE).count_tokens(segments)

    manifest = prepare_stage.run(config.for_prepare(), config.out_dir / "prepare", count_tokens)
    counts = manifest.counts
    rejected = ", ".join(f"{count:,} {reason}" for reason, count in counts["rejected"].items())
    console.print(
        f"prepared {config.task.name}: {counts['claims']:,} claims in {counts['groups']:,} groups, "
        f"{counts['held_out']:,} held out, of {counts['available']:,}; rejected: {rejected or 'none'}",
        soft_wrap=True,
    )


def elicit(config: Config, console: Console, scorer: LabelScorer | None = None) -> None:
    """Label the claims and say what came of it."""
    from icm.elicit import stage as elicit_stage

    prepare_dir, out_dir = config.out_dir / "prepare", config.out_dir / "elicit"
    manifest = elicit_stage.run(config.for_elicit(), prepare_dir, out_dir, scorer or scorer_of(config), console)
    counts, cost = manifest.counts, manifest.cost
    console.print(
        f"elicited {counts['labelled']:,} labels of {counts['claims']:,} claims in {manifest.seconds:,.1f} s: "
        f"U {counts['utility']:.2f}, {counts['violations']:,} of {counts['constraints']:,} constraints violated; "
        f"{cost['forwarded_tokens']:,.0f} tokens forwarded for {cost['naive_tokens']:,.0f} asked; in {out_dir}",
        soft_wrap=True,
    )


def diagnose(config: Config, console: Console, scorer: LabelScorer | None = None) -> None:
    """Say whether the labels are to be trusted."""
    from icm.diagnose import stage as diagnose_stage
    from icm.diagnose.files import read_diagnosis
    from icm.evaluate.summary import diagnosis_text

    prepare_dir, elicit_dir, out_dir = (config.out_dir / name for name in ("prepare", "elicit", "diagnose"))
    diagnose_stage.run(config.diagnose, prepare_dir, elicit_dir, out_dir, scorer or scorer_of(config))
    console.print(diagnosis_text(read_diagnosis(out_dir)), soft_wrap=True)


def evaluate(config: Config, console: Console, scorer: LabelScorer | None = None) -> None:
    """Compare the labels with golden ones and show how they do."""
    from icm.evaluate import stage as evaluate_stage
    from icm.evaluate.summary import summary_table

    directories = (config.out_dir / "prepare", config.out_dir / "elicit", config.out_dir / "evaluate")
    diagnosed = config.out_dir / "diagnose"
    diagnose_dir = diagnosed if (diagnosed / MANIFEST).exists() else None
    evaluate_stage.run(config.evaluate, *directories, scorer or scorer_of(config), diagnose_dir)
    console.print(summary_table(evaluate_stage.read_metrics(directories[2])))
    console.print(f"report: {directories[2] / 'report.html'}", soft_wrap=True)


def scorer_of(config: Config) -> LabelScorer:
    """Return the model, bound to the label space of the prepared task."""
    prepared = StageDir(config.out_dir / "prepare", "prepare")
    prepared.verify(TASK)
    return open_scorer(config.model, read_task(prepared.path / TASK).label_space)
