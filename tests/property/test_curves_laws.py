"""Curves and marks of trainings: any text survives, and damage is noticed before anything is built on it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from icm.errors import SchemaError, TrainingError
from icm.files.curves import append_rows, begins_with, cut_back, extent_of, read_curve
from icm.files.records import sha256_of, write_json
from icm.training.loop import CHECKPOINTS, CURVE, MARK, MODEL, TRAINED, is_trained, last_checkpoint

# Separators at which `str.splitlines` cuts and JSON does not.
TEXTS = st.text() | st.sampled_from(["a\u2028b", "a\u2029b", "a\x85b", "a\x0bb", "a\x1cb", "a\r\nb"])
ROWS = st.lists(st.tuples(st.integers(1, 9), TEXTS), max_size=6)


@settings(max_examples=50)
@given(ROWS, ROWS)
def test_any_text_survives_and_what_came_later_is_cut_off(
    tmp_path_factory: pytest.TempPathFactory, before: list[tuple[int, str]], after: list[tuple[int, str]]
) -> None:
    path = tmp_path_factory.mktemp("curve") / "rollouts.jsonl"
    kept = [{"step": step, "completion": text} for step, text in before]
    append_rows(path, kept)
    extent = extent_of(path)
    append_rows(path, [{"step": step, "completion": text} for step, text in after])
    assert read_curve(path)[: len(kept)] == kept
    assert begins_with(path, extent)
    cut_back(path, extent[0])
    assert read_curve(path) == kept


@settings(max_examples=50)
@given(st.binary(min_size=1, max_size=40), st.data())
def test_a_file_that_is_shorter_or_another_does_not_begin_as_it_did(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("curve") / "curve.jsonl"
    path.write_bytes(content)
    extent = extent_of(path)
    other = data.draw(st.binary(max_size=40))
    path.write_bytes(other)
    assert begins_with(path, extent) is other.startswith(content)
    path.unlink()
    assert not begins_with(path, extent)


def test_a_line_that_is_no_row_is_named(tmp_path: Path) -> None:
    (tmp_path / CURVE).write_text('{"step": 1}\n[1\n')
    with pytest.raises(SchemaError, match=rf"{CURVE}:2: not a row of a curve"):
        read_curve(tmp_path / CURVE)


# ------------------------------------------------------------------------------------------------------ marks


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def altered(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))


DAMAGES: tuple[Callable[[Path], None], ...] = (halved, altered, Path.unlink)


@pytest.fixture
def training(tmp_path: Path) -> Path:
    """A training with two checkpoints, as the loop leaves them."""
    for step in (9, 10):
        directory = tmp_path / CHECKPOINTS / f"checkpoint-{step}"
        directory.mkdir(parents=True)
        (directory / "weights.bin").write_text(f"1 weights of {step}")
        append_rows(tmp_path / CURVE, [{"step": step, "loss": 1.0}])
        hashes = {"weights.bin": sha256_of(directory / "weights.bin")}
        write_json(directory / MARK, {"files": hashes, "curves": {CURVE: extent_of(tmp_path / CURVE)}})
    return tmp_path


def resumed(training: Path) -> tuple[str | None, int, str]:
    console = Console(file=io.StringIO())
    path, sizes = last_checkpoint(training, (CURVE, "other.jsonl"), console)
    assert sizes["other.jsonl"] == 0
    assert isinstance(console.file, io.StringIO)
    return path and path.name, sizes[CURVE], console.file.getvalue()


def test_the_last_checkpoint_is_the_one_with_the_largest_step(training: Path) -> None:
    assert resumed(training) == ("checkpoint-10", extent_of(training / CURVE)[0], "")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_and_named(training: Path, damage: Callable[[Path], None]) -> None:
    damage(training / CHECKPOINTS / "checkpoint-10" / "weights.bin")
    name, size, told = resumed(training)
    assert name == "checkpoint-9"
    assert 0 < size < extent_of(training / CURVE)[0]
    assert "checkpoint-10 is not used: weights.bin is not what it was" in told.replace("\n", " ")


def test_a_checkpoint_without_its_mark_is_none(training: Path) -> None:
    (training / CHECKPOINTS / "checkpoint-10" / MARK).unlink()
    assert resumed(training)[0] == "checkpoint-9"


@pytest.mark.parametrize("damage", [altered, Path.unlink])
def test_with_a_damaged_curve_the_training_starts_over(training: Path, damage: Callable[[Path], None]) -> None:
    damage(training / CURVE)
    assert resumed(training)[:2] == (None, 0)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [f"{MODEL}/weights.bin", CURVE, TRAINED])
def test_a_training_that_is_done_is_not_taken_for_one_after_damage(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    assert not is_trained(tmp_path)
    (tmp_path / MODEL).mkdir()
    (tmp_path / MODEL / "weights.bin").write_text("1 weights")
    append_rows(tmp_path / CURVE, [{"step": 1}])
    names = (f"{MODEL}/weights.bin", CURVE)
    write_json(tmp_path / TRAINED, {"files": {each: sha256_of(tmp_path / each) for each in names}})
    assert is_trained(tmp_path)
    damage(tmp_path / name)
    if not (tmp_path / TRAINED).exists():
        assert not is_trained(tmp_path)
        return
    with pytest.raises(TrainingError, match="missing or altered since it was trained; bring it back, or delete"):
        is_trained(tmp_path)
