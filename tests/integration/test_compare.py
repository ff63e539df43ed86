"""`icm compare` and the diagnosis as a user meets them: on the command line, with a model that answers at once."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.worlds import read_by

SMALL = 'common=["model=fake","task.num_claims=16","task.num_held_out=0"]'


def compare(icm: Callable[..., tuple[int, str, str]], out_dir: Path, *more: str) -> Any:
    tasks = ["tasks=[pocket_facts]", "seeds=[0,1]", "searches=[sweeps,zero_shot]", "vary={objective.alpha: [1]}"]
    status, out, err = icm("compare", *tasks, SMALL, f"out_dir={out_dir}", *more)
    assert status == 0, err
    return out, list(csv.DictReader((out_dir / "runs.csv").read_text().splitlines()))


def test_every_column_labels_the_same_claims_and_a_second_time_nothing_is_done_again(
    icm: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    out, runs = compare(icm, tmp_path / "out")
    assert [(run["seed"], run["column"]) for run in runs] == [
        (seed, column) for seed in "01" for column in ("sweeps", "zero_shot", "objective.alpha=1")
    ]
    assert "accuracy" in out
    files = ["comparison.md", "comparison.csv", "runs.csv", "figures/accuracy.svg", "figures/steps.png"]
    before = {name: (tmp_path / "out" / name).read_bytes() for name in files}
    compare(icm, tmp_path / "out")
    assert {name: (tmp_path / "out" / name).read_bytes() for name in files} == before


def test_a_common_journal_changes_what_is_sent_and_no_label(
    icm: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    _, shared = compare(icm, tmp_path / "shared")
    _, own = compare(icm, tmp_path / "own", "share_journal=false")
    for one, other in zip(shared, own, strict=True):
        same = ("column", "seed", "accuracy", "utility", "naive_tokens")
        assert [one[key] for key in same] == [other[key] for key in same]
    assert sum(int(run["tokens"]) for run in shared) < sum(int(run["tokens"]) for run in own)


def test_a_mistake_in_one_column_is_named_before_anything_runs(
    icm: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    status, _, err = icm("compare", 'columns={typo: "search=no_such"}', SMALL, f"out_dir={tmp_path / 'out'}")
    assert status == 2
    assert "no_such" in err
    assert not (tmp_path / "out").exists()


def test_run_diagnoses_before_it_evaluates_and_the_report_shows_the_verdict(
    icm: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    small = ["model=fake", "task.num_claims=16", "task.num_held_out=8", "evaluate.shots=[0]", f"out_dir={tmp_path}"]
    status, out, err = icm("run", *small)
    assert status == 0, err
    assert "diagnosis: reject" in out
    report = (tmp_path / "report.html").read_text()
    assert '<div class="verdict reject">' in report
    assert "bits saved per label above labels without meaning" in report
    assert icm("diagnose", *read_by("diagnose", small))[0] == 0
