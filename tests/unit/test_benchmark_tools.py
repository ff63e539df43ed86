"""What the benchmarks share: names of models, intervals, files of results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scipy import stats

from benchmarks.harness import append_row, finish_speed, half_width, option_parser, read_rows, run_jobs, with_interval
from benchmarks.quality.pocket import accuracy_at
from benchmarks.quality.pocket_runs import named_models


@pytest.mark.parametrize(
    ("names", "models"),
    [
        ([], [(None, 3)]),
        ([":0"], [(None, 0)]),
        (["runs/model"], [("runs/model", 3)]),
        (["runs/model:1", ":2"], [("runs/model", 1), (None, 2)]),
    ],
)
def test_models_are_named_with_or_without_their_world(names: list[str], models: list[tuple[str | None, int]]) -> None:
    assert named_models(names, world_seed=3) == models


def test_interval_of_a_mean_is_students() -> None:
    values = [0.2, 0.5, 0.5, 1.0]
    low, high = stats.t.interval(0.95, 3, loc=0.55, scale=stats.sem(values))
    assert half_width(values) == pytest.approx((high - low) / 2)


def test_two_runs_have_no_interval() -> None:
    assert half_width([0.0, 1.0]) is None
    assert with_interval(0.5, half_width([0.0, 1.0]), 100) == "50.0"
    assert with_interval(0.5, 0.025, 100) == "50.0 ± 2.5"


def doubled(job: dict[str, int]) -> dict[str, int]:
    return {"twice": 2 * job["seed"]}


def untouched(job: dict[str, int]) -> dict[str, int]:
    raise AssertionError(f"{job} was run again")


def test_a_stopped_benchmark_runs_only_what_its_file_lacks(tmp_path: Path) -> None:
    path = tmp_path / "results" / "doubled.jsonl"
    append_row(path, {"seed": 0, "settings": "old", "twice": -1})
    append_row(path, {"seed": 1, "settings": "new", "twice": 2})
    jobs = [{"seed": seed, "settings": "new"} for seed in (0, 1)]
    rows = run_jobs(doubled, jobs, 1, path, str)
    assert [row["twice"] for row in rows] == [0, 2]
    assert len(read_rows(path)) == 3
    assert run_jobs(untouched, jobs, 1, path, str) == rows


def test_a_line_that_is_no_row_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"seed": 1}\n{"seed": 2')
    with pytest.raises(ValueError, match="line 2: not JSON"):
        read_rows(path)


def test_a_speed_benchmark_writes_its_conditions_and_prints_its_figures_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "speed.jsonl"
    finish_speed("speed", option_parser(None, "less").parse_args(["--outcomes", str(path)]), {"figure": 1.5})
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"figure": 1.5}
    [row] = read_rows(path)
    assert row["figure"] == 1.5
    assert {"date", "threads", "cores", "load", "quick"} <= row.keys()


@pytest.mark.parametrize(("tokens", "accuracy"), [(0, 0.0), (9, 0.0), (10, 0.5), (25, 0.25), (float("inf"), 0.25)])
def test_accuracy_at_a_budget_is_that_of_the_last_step_within_it(tokens: float, accuracy: float) -> None:
    assert accuracy_at({"course": [[0, 0.0], [10, 0.5], [20, 0.25]]}, tokens) == accuracy
