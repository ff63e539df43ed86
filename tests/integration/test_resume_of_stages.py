"""A stage that fails at any of its writes, run again, leaves the files of one that never failed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.worlds import read_by

Command = Callable[..., tuple[int, str, str]]

ROWS = [
    {"question": f"What is {number}?", "answer": f"It is {answer}, not less.", "label": answer == number % 3}
    for number in range(10)
    for answer in range(3)
]
STAGES = ("prepare", "elicit", "diagnose", "evaluate")


def settings(source: Path, out_dir: Path) -> list[str]:
    return [
        "task=truthfulqa",
        f"task.path={source}",
        "task.num_claims=15",
        "task.num_held_out=6",
        "model=fake",
        "search=gibbs",
        "evaluate.shots=[0,2]",
        "evaluate.draws=2",
        f"out_dir={out_dir}",
    ]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def results(directory: Path) -> dict[str, bytes]:
    """Files whose bytes must not depend on when and in how many parts they were made."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and (path.suffix == ".jsonl" or path.name in ("task.json", "metrics.json", "diagnosis.json"))
    }


def leftovers(directory: Path) -> list[str]:
    return [path.name for path in directory.rglob("*.partial")]


class FailingReplace:
    """Lets so many files take their place and then fails, as a full disk does."""

    def __init__(self, patch: pytest.MonkeyPatch, after: int) -> None:
        self.left = after
        replace = Path.replace

        def failing(path: Path, target: Any) -> Path:
            if self.left == 0:
                raise OSError(28, "No space left on device", str(target))
            self.left -= 1
            return replace(path, target)

        patch.setattr(Path, "replace", failing)


def failures(
    icm: Command, monkeypatch: pytest.MonkeyPatch, stage: str, arguments: list[str]
) -> Iterator[tuple[int, str]]:
    """Run a stage with a disk that is full after 0, 1, 2 … files, until it passes."""
    for after in range(30):
        with monkeypatch.context() as patch:
            FailingReplace(patch, after)
            status, _, err = icm(stage, *arguments)
        yield status, err
        if status == 0:
            return
    raise AssertionError(f"{stage} writes more files than expected")


@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_fills_up_at_any_write_costs_no_byte_of_the_result(
    icm: Command, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    before = STAGES[: STAGES.index(stage)]
    for each in (*before, stage):
        assert icm(each, *read_by(each, settings(source, whole)))[0] == 0
    for each in before:
        assert icm(each, *read_by(each, settings(source, broken)))[0] == 0
    num_failures = 0
    for status, err in failures(icm, monkeypatch, stage, read_by(stage, settings(source, broken))):
        if status:
            num_failures += 1
            assert status == 2
            assert "No space left on device" in err
            assert "run the same command again" in err
            # Without its manifest the directory holds no result, and whoever comes next says so.
            # What the run remembers is written after the result, which then is complete.
            assert not (broken / stage / "manifest.json").exists() or "run.json" in err
    assert num_failures >= 2
    assert results(broken) == results(whole)
    assert leftovers(broken) == []


def test_a_stage_that_failed_is_no_result_for_the_next_one(
    icm: Command, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = settings(source, tmp_path / "run")
    with monkeypatch.context() as patch:
        FailingReplace(patch, 3)
        assert icm("prepare", *read_by("prepare", arguments))[0] == 2
    status, _, err = icm("elicit", *read_by("elicit", arguments))
    assert status == 2
    assert "run `icm prepare`" in err


def test_stages_that_are_deleted_are_made_again_from_what_is_left(icm: Command, source: Path, tmp_path: Path) -> None:
    arguments = settings(source, tmp_path / "run")
    assert icm("run", *arguments)[0] == 0
    before = results(tmp_path / "run")
    for stage in ("evaluate", "diagnose"):
        for path in (tmp_path / "run" / stage).rglob("*"):
            if path.is_file():
                path.unlink()
    assert icm("run", *arguments)[0] == 0
    assert results(tmp_path / "run") == before
