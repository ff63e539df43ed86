"""Labels from elsewhere: judged, exported and corrected like those of a search, and what they replace is kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from icm.commands import stages
from icm.config import Config, load_command
from icm.files.records import LABELS, LabelRow, read_rows

Icm = Callable[..., tuple[int, str, str]]

SMALL = ("model=fake", "task.num_claims=12", "task.num_held_out=8", "evaluate.shots=[0]", "evaluate.num_resamples=100")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made") / "r"
    places, config = load_command(Config, "run", *SMALL, f"out_dir={directory}")
    for stage in (stages.prepare, stages.elicit):
        stage(places, config, Console(quiet=True))
    return directory


@pytest.fixture
def run_dir(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "r")


def others(run_dir: Path) -> dict[str, str]:
    """Return the exact opposite of the labels of a run."""
    turned = {"True": "False", "False": "True"}
    return {row.id: turned[str(row.name)] for row in read_rows(run_dir / "elicit" / LABELS, LabelRow)}


def write_csv(path: Path, labels: dict[str, str]) -> Path:
    path.write_text("id,label\n" + "".join(f"{claim},{label}\n" for claim, label in labels.items()))
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def given_dir(run_dir: Path) -> Path:
    (found,) = (run_dir / "given").iterdir()
    return found


def test_labels_of_a_file_are_diagnosed_and_evaluated(icm: Icm, run_dir: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file() and path.name != "run.json"}
    labels = others(run_dir)
    path = write_csv(tmp_path / "by hand.csv", labels)
    status, out, err = icm("diagnose", f"run_dir={run_dir}", f"labels={path}")
    assert status == 0, err
    assert "took 12 labels of 12 claims" in out
    assert "diagnosis:" in out
    assert icm("evaluate", f"run_dir={run_dir}", f"labels={path}", *SMALL[3:])[0] == 0
    directory = given_dir(run_dir)
    assert directory.name.startswith("by hand-")
    judged = {row.id: row.name for row in read_rows(directory / "elicit" / LABELS, LabelRow)}
    assert judged == labels
    metrics = json.loads((directory / "evaluate" / "metrics.json").read_text())
    golden = {row["id"]: row["label"] for row in read_lines(run_dir / "prepare/gold.jsonl")}
    right = [{"True": 1, "False": 0}[label] == golden[claim] for claim, label in labels.items()]
    assert metrics["accuracy"]["value"] == pytest.approx(sum(right) / len(right))
    assert (directory / "report.html").exists()
    # The run that they are judged on is as it was.
    assert all(path.read_bytes() == content for path, content in before.items())


def test_the_same_labels_are_judged_once_and_other_ones_anew(icm: Icm, run_dir: Path, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "mine.csv", others(run_dir))
    assert icm("diagnose", f"run_dir={run_dir}", f"labels={path}")[0] == 0
    journal = given_dir(run_dir) / "diagnose" / "journal.jsonl"
    written = journal.stat().st_mtime_ns
    assert icm("diagnose", f"run_dir={run_dir}", f"labels={path}")[0] == 0
    assert journal.stat().st_mtime_ns == written
    write_csv(path, dict(list(others(run_dir).items())[:6]))
    status, out, err = icm("diagnose", f"run_dir={run_dir}", f"labels={path}")
    assert status == 0, err
    assert "took 6 labels of 12 claims" in out
    assert len(list((run_dir / "given").iterdir())) == 2


def test_corrections_are_judged_and_exported_and_the_card_names_them(icm: Icm, run_dir: Path, tmp_path: Path) -> None:
    original = (run_dir / "elicit" / LABELS).read_bytes()
    labels = others(run_dir)
    changed = dict(list(labels.items())[:2])
    kept = {row.id: str(row.name) for row in read_rows(run_dir / "elicit" / LABELS, LabelRow)[2:3]}
    path = write_csv(tmp_path / "corrections.csv", changed | kept)
    assert icm("diagnose", f"run_dir={run_dir}", f"corrections={path}")[0] == 0
    judged = {row.id: row.name for row in read_rows(given_dir(run_dir) / "elicit" / LABELS, LabelRow)}
    assert {claim for claim in judged if judged[claim] == labels[claim]} == {*changed}
    status, _, err = icm("export", f"run_dir={run_dir}", f"corrections={path}", "formats=[trl]")
    assert status == 0, err
    card = (run_dir / "export" / "README.md").read_text()
    assert "Corrected afterwards by `corrections.csv`: 3 labels, of which 2 changed what was there." in card
    assert (run_dir / "elicit" / LABELS).read_bytes() == original
    exported = read_lines(run_dir / "export/trl/sft.jsonl")
    texts = {row["id"]: row["text"] for row in read_lines(run_dir / "prepare/claims.jsonl")}
    said = {row["prompt"]: row["completion"].strip() for row in exported}
    assert all(said[texts[claim]] == label for claim, label in (changed | kept).items())


@pytest.mark.parametrize(
    ("command", "content", "problem"),
    [
        ("diagnose", "id,label\n", "gives none of the 12 claims a label"),
        ("diagnose", "", "."),
        ("evaluate", "id,label\nnowhere,True\n", "there is no claim {'id': 'nowhere'}"),
        ("diagnose", "id,label\n{id},perhaps\n", "label must be 'False', 'True'"),
        ("export", "label\nTrue\n", "does not say which claim it is about"),
        ("run", "id,label\n", "makes labels and reads no labels="),
        ("elicit", "id,label\n", "labels to search with are anchors=FILE"),
    ],
)
def test_labels_that_cannot_be_judged_are_refused(
    icm: Icm, run_dir: Path, tmp_path: Path, command: str, content: str, problem: str
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(content.replace("{id}", next(iter(others(run_dir)))))
    status, _, err = icm(command, f"run_dir={run_dir}", f"labels={path}")
    assert status == 2
    assert problem in err
    assert "Traceback" not in err
    # Nothing is left that could block the next start.
    assert not (run_dir / "given").exists()


def test_labels_without_a_run_are_refused(icm: Icm, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "mine.csv", {"a": "True"})
    status, _, err = icm("diagnose", f"labels={path}", f"out_dir={tmp_path / 'r'}")
    assert (status, "name it with run_dir=DIR" in err) == (2, True)
