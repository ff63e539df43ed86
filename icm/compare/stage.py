"""What `icm compare` does: label the same claims under different settings, and show what differs.

It reads golden labels, but only after a search has ended, as the evaluation does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from icm.files.records import TASK, Manifest, read_task, write_text
from icm.prepare import stage as prepare
from icm.scoring.journal import JournalScorer
from icm.scoring.open import ModelSettings, open_scorer
from icm.scoring.protocol import LabelScorer
from icm.statistics.estimates import Resampling

MAX_TRACE_POINTS: Final = 201


class Scorers:
    """The models of a comparison, each loaded once for a label space, and their common journals."""

    def __init__(self, directory: Path | None) -> None:
        """Begin without any.

        Args:
            directory: Where common journals go; `None` for none.
        """
        self._directory = directory
        self._loaded: dict[tuple[str, LabelSpace], LabelScorer] = {}

    def get(self, model: ModelSettings, space: LabelSpace) -> LabelScorer:
        """Return the model bound to a label space, behind its common journal if there is one."""
        key = (model.model_dump_json(), space)
        if key not in self._loaded:
            scorer = open_scorer(model, space)
            if self._directory is not None:
                scorer = JournalScorer(scorer, self._directory / f"{scorer.fingerprint}.jsonl")
            self._loaded[key] = scorer
        return self._loaded[key]


def run(settings: CompareSettings, out_dir: Path, console: Console) -> None:
    """Do what is missing of all runs, then write tables and figures. A run that is complete is not done again.

    Raises:
        ConfigError: A column's settings do not fit.
        RunDirectoryError: `out_dir` holds runs with other settings, or a task has no golden labels.
        Interrupted: The user asked to stop; everything is kept.
    """
    # Loaded here, since the drawing library takes a second that every other command would pay.
    from icm.compare.figures import draw_comparison

    # All settings are checked before the first model is asked.
    configs = {cell: _config(settings, *cell) for cell in _cells(settings)}
    scorers = Scorers(out_dir / "journals" if settings.share_journal else None)
    runs = []
    for number, ((task, seed, column), config) in enumerate(configs.items(), start=1):
        prepare_dir = out_dir / task / f"seed-{seed}" / "prepare"
        row = _run(config, prepare_dir, (task, seed, column), scorers)
        console.print(
            f"{number} of {len(configs)}: {task}, seed {seed}, {column}: {100 * row.accuracy:.1f} % right, "
            f"U {row.utility:.2f}, {row.tokens:,} tokens",
            soft_wrap=True,
        )
        runs.append(row)
    resampling = Resampling(seed=0, num_resamples=settings.num_resamples, confidence_level=settings.confidence_level)
    rows = summarise(runs, resampling)
    write_text(out_dir / "comparison.md", markdown(rows, settings.confidence_level))
    write_text(out_dir / "comparison.csv", columns_csv(rows))
    write_text(out_dir / "runs.csv", runs_csv(runs))
    draw_comparison(rows, runs, out_dir / "figures")
    for table in console_tables(rows):
        console.print(table)
    console.print(f"written: {out_dir / 'comparison.md'}, comparison.csv, runs.csv, figures", soft_wrap=True)


def _cells(settings: CompareSettings) -> Iterator[tuple[str, int, str]]:
    """Yield task, seed and column of every run."""
    for task in settings.tasks:
        for seed in settings.seeds:
            for column in settings.all_columns:
                yield task, seed, column


def _config(settings: CompareSettings, task: str, seed: int, column: str) -> Config:
    return load(
        f"task={task}",
        *settings.common,
        *settings.all_columns[column],
        f"seed={seed}",
        f"data_seed={seed}",
    )


def _run(config: Config, prepare_dir: Path, cell: tuple[str, int, str], scorers: Scorers) -> RunRow:
    """Prepare and elicit what is not there yet, and compare the labels with golden ones."""
    task, seed, column = cell
    elicit_dir = prepare_dir.parent / column
    prepare.run(config.for_prepare(), prepare_dir)
    scorer = scorers.get(config.model, read_task(prepare_dir / TASK).label_space)
    manifest = elicit.run(config.for_elicit(), prepare_dir, elicit_dir, scorer, Console(quiet=True))
    return _row(prepare_dir, elicit_dir, manifest, {"task": task, "column": column, "seed": seed})


def _row(prepare_dir: Path, elicit_dir: Path, manifest: Manifest, names: Mapping[str, Any]) -> RunRow:
    elicitation = read_elicitation(prepare_dir, elicit_dir)
    labels, golden = elicitation.labels, gold.as_labels(elicitation.golden, elicitation.claims)
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
