"""Settings side by side: intervals, paired tests, tables and figures."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from icm.compare.figures import draw_comparison
from icm.compare.schema import RunRow
from icm.compare.settings import CompareSettings
from icm.compare.statistics import clustered_estimate, paired_test, summarise
from icm.compare.tables import columns_csv, markdown, runs_csv
from icm.evaluate.schema import TracePoint
from tests.worlds import QUICK


def run_row(column: str, seed: int, correct: Any, **changes: Any) -> RunRow:
    values = {
        "task": "facts",
        "column": column,
        "seed": seed,
        "accuracy": float(np.mean(correct)),
        "coverage": 1.0,
        "utility": 1.0,
        "violations": 0,
        "tokens": 100,
        "naive_tokens": 1000,
        "seconds": 1.0,
        "correct": tuple(bool(each) for each in correct),
        "groups": tuple(f"group {index // 2}" for index in range(len(correct))),
        "trace": tuple(
            TracePoint(step=step, accuracy=0.5, labelled=len(correct), utility=0.0, violations=0, tokens=step)
            for step in range(3)
        ),
    }
    return RunRow(**(values | changes))


def rows_of(one_right: float, other_right: float, num_seeds: int = 8) -> list[RunRow]:
    random = np.random.default_rng(0)
    return [
        run_row(column, seed, random.random(40) < right)
        for seed in range(num_seeds)
        for column, right in (("one", one_right), ("other", other_right))
    ]


def test_a_column_against_itself_differs_by_nothing() -> None:
    runs = rows_of(0.7, 0.7)
    same = [run.model_copy(update={"column": "one"}) for run in runs if run.column == "one"]
    copies = [run.model_copy(update={"column": "copy"}) for run in same]
    first, second = summarise([*same, *copies], QUICK)
    assert first.difference is None
    assert second.difference is not None
    assert (second.difference.value, second.difference.low, second.difference.high) == (0, 0, 0)
    assert second.p_value == 1
    assert second.accuracy == first.accuracy


def test_a_column_that_is_clearly_better_is_told_apart_and_one_that_is_not_is_not() -> None:
    _, better = summarise(rows_of(0.5, 0.9), QUICK)
    assert better.difference is not None
    assert better.p_value is not None
    assert better.difference.low > 0.2
    assert better.p_value < 0.05
    _, alike = summarise(rows_of(0.7, 0.7), QUICK)
    assert alike.difference is not None
    assert alike.p_value is not None
    assert alike.difference.low < 0 < alike.difference.high
    assert alike.p_value > 0.05


def test_the_interval_covers_what_differs_between_runs() -> None:
    """Runs that are all right or all wrong: resampling claims alone would hide that chance decides between them."""
    runs = [np.full(40, float(right)) for right in (0, 1, 1, 0, 1, 1)]
    estimate = clustered_estimate(runs, [["a"] * 40] * 6, QUICK)
    assert estimate.value == pytest.approx(4 / 6)
    assert estimate.high - estimate.low > 0.5


def test_the_paired_test_is_exact_for_few_pairs_and_needs_two() -> None:
    assert paired_test([0.9, 0.8, 0.95, 0.9], [0.5, 0.5, 0.5, 0.5], seed=0) == pytest.approx(2 / 16)
    assert paired_test([0.9], [0.5], seed=0) is None


def test_tables_hold_every_run_and_escape_what_would_break_them() -> None:
    runs = [run.model_copy(update={"column": f'{run.column} | odd, "name"'}) for run in rows_of(0.5, 0.9, 2)]
    rows = summarise(runs, QUICK)
    parsed = list(csv.DictReader(io.StringIO(runs_csv(runs))))
    assert [(row["column"], float(row["accuracy"])) for row in parsed] == [(run.column, run.accuracy) for run in runs]
    first, second = csv.DictReader(io.StringIO(columns_csv(rows)))
    assert first["difference"] == first["p_value"] == ""
    assert float(second["difference_low"]) <= float(second["difference"]) <= float(second["difference_high"])
    lines = markdown(rows, 0.95).splitlines()
    assert {line.replace("\\|", "").count("|") for line in lines[2:]} == {lines[2].count("|")}


def test_figures_are_the_same_bytes_again(tmp_path: Path) -> None:
    runs = rows_of(0.5, 0.9, 3)
    rows = summarise(runs, QUICK)
    names = [draw_comparison(rows, runs, tmp_path / name) for name in ("a", "b")]
    assert [path.name for path in names[0]] == ["accuracy.png", "accuracy.svg", "steps.png", "steps.svg"]
    for one, other in zip(*names, strict=True):
        assert one.read_bytes() == other.read_bytes()


def command(**changes: Any) -> CompareSettings:
    values = {
        "tasks": ("pocket_facts",),
        "searches": ("sweeps",),
        "columns": None,
        "vary": None,
        "seeds": (0,),
        "common": (),
        "share_journal": True,
        "num_resamples": 100,
        "confidence_level": 0.95,
    }
    return CompareSettings(**(values | changes))


def test_searches_columns_and_varied_settings_are_columns_in_this_order() -> None:
    asked = command(columns={"mine": "search=gibbs 'task.name=my facts'"}, vary={"objective.alpha": (1, 30.5)})
    assert asked.all_columns == {
        "sweeps": ("search=sweeps",),
        "mine": ("search=gibbs", "task.name=my facts"),
        "objective.alpha=1": ("objective.alpha=1",),
        "objective.alpha=30.5": ("objective.alpha=30.5",),
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"searches": ()}, "nothing to compare"), ({"columns": {"a/b": "search=gibbs"}}, "must not hold a slash")],
)
def test_columns_that_cannot_be_are_refused(changes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        command(**changes)
