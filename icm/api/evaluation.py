"""`icm.evaluate`: the labels of a result beside golden ones. Feeds nothing back into the result."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from icm.api.result import Result
from icm.api.rows import plain
from icm.config import load as load_settings
from icm.errors import ConfigError
from icm.evaluate.against_golden import Elicitation
from icm.evaluate.schema import Metrics
from icm.evaluate.stage import evaluate as compare
from icm.evaluate.summary import summary_table
from icm.files.labels import read_labels
from icm.files.records import TRACE, TraceRow, read_rows, write_text
from icm.report.console import PlainConsole


@dataclass(frozen=True, slots=True, repr=False)
class Evaluation:
    """Labels beside golden labels.

    Attributes:
        metrics: Everything that was measured, as in `metrics.json`.
    """

    metrics: Metrics

    @property
    def accuracy(self) -> float | None:
        """Share of right labels; `None` if no row has both labels."""
        return None if self.metrics.accuracy is None else self.metrics.accuracy.value

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval of the accuracy, over resampled groups."""
        found = self.metrics.accuracy
        return None if found is None else (found.low, found.high)

    def __repr__(self) -> str:
        console = PlainConsole(file=StringIO(), width=110, force_terminal=False)
        console.print(summary_table(self.metrics))
        assert isinstance(console.file, StringIO)
        return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()).strip()


def evaluate(result: Result, gold: Any, *, seed: int = 0) -> Evaluation:
    """Compare the labels of a result with golden labels.

    Args:
        result: The labels.
        gold: Golden labels: one for each row (a list, array or series), a mapping from the number of a row, or the
            name of the column that holds them. A name of a label, its index, or true and false; `None` for none.
        seed: Of the bootstrap.

    Raises:
        ConfigError: Their number is not that of the rows, or no labelled row has one.
        SchemaError: One of them is no label.
    """
    given = _by_row(result, gold)
    lines = [
        json.dumps({"id": claim, "label": given[row]}, ensure_ascii=False) + "\n"
        for row, claim in result.claims_by_row.items()
        if given.get(row) is not None
    ]
    if not lines:
        raise ConfigError("gold: no labelled row has a golden label, so there is nothing to compare")
    with tempfile.TemporaryDirectory() as directory:
        # Through a file, so that golden labels are read with the checks of every other label.
        path = Path(directory) / "gold.jsonl"
        write_text(path, "".join(lines))
        found = read_labels(path, result.run.task.label_space, result.run.claims)
    elicitation = Elicitation(
        task=result.run.task,
        claims=list(result.run.claims),
        held_out=[],
        golden={claim: row.label for claim, row in found.items() if row.label is not None},
        rows=list(result.run.rows),
        trace=read_rows(result.run_dir / "elicit" / TRACE, TraceRow),
    )
    return Evaluation(compare(elicitation, load_settings(f"seed={seed}").evaluate, None))


def _by_row(result: Result, gold: Any) -> dict[int, Any]:
    """Return the golden label of each row that has one."""
    if isinstance(gold, str):
        if not any(gold in row for row in result.rows):
            raise ConfigError(f"gold: there is no column {gold!r}; the columns are {', '.join(result.rows[0])}")
        return {number: row.get(gold) for number, row in enumerate(result.rows)}
    if isinstance(gold, Mapping):
        return {int(row): plain(label) for row, label in gold.items()}
    values = [plain(label) for label in gold]
    if len(values) != len(result):
        raise ConfigError(f"gold: {len(values):,} labels for {len(result):,} rows; give one for each, or a mapping")
    return dict(enumerate(values))
