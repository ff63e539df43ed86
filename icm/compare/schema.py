"""The values of a comparison: one run, and the means over the runs of a column. Knows values only."""

from __future__ import annotations

from icm.evaluate.schema import TracePoint
from icm.files.records import Record
from icm.statistics.schema import Estimate


class RunRow(Record):
    """One run: a line of `runs.csv`, with its labels.

    Attributes:
        column: The settings that it was run under.
        seed: Runs of one task and seed label the same claims.
        accuracy: Share of the claims with a golden label that carry it; unlabelled claims are wrong.
        coverage: Share of the claims with a label.
        tokens: Tokens that the run sent through the model.
        naive_tokens: Tokens that it asked, without sharing.
        seconds: Wall time of the search.
        correct: For each claim with a golden label, in the order of the claims, whether it carries it.
        groups: The group of each of them.
    """

    task: str
    column: str
    seed: int
    accuracy: float
    coverage: float
    utility: float
    violations: int
    tokens: int
    naive_tokens: int
    seconds: float
    correct: tuple[bool, ...]
    groups: tuple[str, ...]
    trace: tuple[TracePoint, ...]


class ColumnRow(Record):
    """Means over the runs of one column on one task: a line of `comparison.csv`.

    Attributes:
        num_runs: Seeds.
        accuracy: Label accuracy, with the interval of a bootstrap over seeds and groups.
        difference: Accuracy less that of the first column on the same claims; `None` for the first column.
        p_value: Of a paired permutation test over seeds that the two are alike; `None` for the first column, and with
            fewer than two seeds.
        success_rate: Share of the runs with 95 % of the labels right.
        coverage: Mean labelled share.
        tokens: Mean tokens sent through the model.
        naive_tokens: Mean tokens asked, without sharing.
        seconds: Median wall time of the search.
    """

    task: str
    column: str
    num_runs: int
    accuracy: Estimate
    difference: Estimate | None
    p_value: float | None
    success_rate: float
    coverage: float
    utility: float
    violations: float
    tokens: float
    naive_tokens: float
    seconds: float
