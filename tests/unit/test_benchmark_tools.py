"""What the quality benchmarks share: names of models, intervals."""

from __future__ import annotations

import pytest
from scipy import stats

from benchmarks.quality.intervals import half_width, with_interval
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
