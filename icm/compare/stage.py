"""What `icm compare` does: label the same claims under different settings, and show what differs.

It reads golden labels, but only after a search has ended, as the evaluation does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console

from icm import golden as gold
from icm.claims import UNLABELLED, LabelSpace
from icm.compare.schema import RunRow
from icm.compare.settings import CompareSettings
from icm.compare.statistics import summarise
from icm.compare.tables import columns_csv, console_tables, markdown, runs_csv
from icm.config import Config, load
from icm.elicit import stage as elicit
from icm.evaluate.replay import replay
from icm.evaluate.stage import read_elicitation
from icm.files.lock import owned
from icm.files.records import TASK, Manifest, read_task, write_text
from icm.prepare import stage as prepare
from icm.scoring.journal import JournalScorer
from icm.scoring.open import open_scorer
from icm.scoring.protocol import LabelScorer
from icm.statistics.estimates import Resampling

MAX_TRACE_POINTS: Final = 201

Cell = tuple[str, int, str]
"""Task, seed and column of a run."""


def run(settings: CompareSettings, out_dir: Path, console: Console) -> None:
    """Do what is missing of all runs, then write tables and figures. A run that is complete is not done again.

    Raises:
        ConfigError: A column's settings do not fit.
        RunDirectoryError: `out_dir` holds runs with other settings, or a task has no golden labels.
        Interrupted: The user asked to stop; everything is kept.
    """
    # All settings are checked before the first model is asked.
    cells = list(product(settings.tasks, settings.seeds, settings.all_columns))
    configs = {cell: _config(settings, *cell) for cell in cells}
    # The journals are shared by all columns, so it is the whole directory that has one owner.
    with owned(out_dir):
        runs = _do_all(settings, configs, out_dir, console)
        _write(settings, runs, out_dir, console)


def _do_all(settings: CompareSettings, configs: Mapping[Cell, Config], out_dir: Path, console: Console) -> list[RunRow]:
    """Do what is missing of all runs and return their rows."""
    # Each model is loaded once for a label space, not once for each run.
    scorers: dict[tuple[str, LabelSpace], LabelScorer] = {}
    runs = []
    for number, ((task, seed, column), config) in enumerate(configs.items(), start=1):
        prepare_dir = out_dir / task / f"seed-{seed}" / "prepare"
        prepare.run(config.for_prepare(), prepare_dir)
        space = read_task(prepare_dir / TASK).label_space
        key = (config.model.model_dump_json(), space)
        if key not in scorers:
            scorers[key] = _scorer(settings, config, space, out_dir)
        elicit_dir = prepare_dir.parent / column
        manifest = elicit.run(config.for_elicit(), prepare_dir, elicit_dir, scorers[key], Console(quiet=True))
        row = _row(prepare_dir, elicit_dir, manifest, {"task": task, "column": column, "seed": seed})
        console.print(
            f"{number} of {len(configs)}: {task}, seed {seed}, {column}: {100 * row.accuracy:.1f} % right, "
            f"U {row.utility:.2f}, {row.tokens:,} tokens",
            soft_wrap=True,
        )
        runs.append(row)
    return runs


def _scorer(settings: CompareSettings, config: Config, space: LabelSpace, out_dir: Path) -> LabelScorer:
    scorer = open_scorer(config.model, space)
    if not settings.share_journal:
        return scorer
    # One journal for all columns of a model: what one column asked costs the next one nothing.
    return JournalScorer(scorer, out_dir / "journals" / f"{scorer.fingerprint}.jsonl", replays=False)


def _write(settings: CompareSettings, runs: Sequence[RunRow], out_dir: Path, console: Console) -> None:
    """Write tables and figures, and show the tables."""
    # Loaded here, since the drawing library takes a second that every other command would pay.
    from icm.compare.figures import draw_comparison

    # The seed of the intervals is fixed: those of the runs are what is compared.
    resampling = Resampling(seed=0, num_resamples=settings.num_resamples, confidence_level=settings.confidence_level)
    rows = summarise(runs, resampling)
    write_text(out_dir / "comparison.md", markdown(rows, settings.confidence_level))
    write_text(out_dir / "comparison.csv", columns_csv(rows))
    write_text(out_dir / "runs.csv", runs_csv(runs))
    draw_comparison(rows, runs, out_dir / "figures")
    for table in console_tables(rows):
        console.print(table)
    console.print(f"written: {out_dir / 'comparison.md'}, comparison.csv, runs.csv, figures", soft_wrap=True)


def _config(settings: CompareSettings, task: str, seed: int, column: str) -> Config:
    """Return the settings of one run; those of its column stand above the common ones."""
    overrides = (f"task={task}", *settings.common, *settings.all_columns[column])
    # The seed also chooses the claims, so that all columns of a seed label the same ones.
    return load(*overrides, f"seed={seed}", f"data_seed={seed}")


def _row(prepare_dir: Path, elicit_dir: Path, manifest: Manifest, names: Mapping[str, Any]) -> RunRow:
    elicitation = read_elicitation(prepare_dir, elicit_dir)
    labels, golden = elicitation.labels, gold.as_labels(elicitation.golden, elicitation.claims)
    # Unlabelled claims count as wrong here: columns that label fewer claims must not gain by it.
    scored = np.flatnonzero(golden != UNLABELLED)
    correct = (labels == golden)[scored]
    final = {row.id: row.label for row in elicitation.rows if row.label is not None}
    return RunRow(
        **names,
        accuracy=float(correct.mean()),
        coverage=float(np.mean(labels != UNLABELLED)),
        utility=manifest.counts["utility"],
        violations=manifest.counts["violations"],
        tokens=int(manifest.cost["forwarded_tokens"]),
        naive_tokens=int(manifest.cost["naive_tokens"]),
        seconds=manifest.seconds,
        correct=tuple(correct.tolist()),
        groups=tuple(elicitation.claims[index].group for index in scored.tolist()),
        trace=replay(elicitation.trace, elicitation.golden, final, MAX_TRACE_POINTS).points,
    )
