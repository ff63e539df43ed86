"""Golden labels reach no label: they are permuted, flipped and removed, and no byte of what is elicited changes."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import pytest
from rich.console import Console

from icm.claims import TRUE_FALSE
from icm.config import load
from icm.elicit import stage as elicit
from icm.files.records import CLAIMS, GOLD, LABELS, TRACE
from icm.prepare import stage as prepare
from icm.scoring.fake import HashScorer


def rows_with_gold(change: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {"question": f"What is {number}?", "choice": f"It is {answer}, surely.", "label": (number + answer) % 3 == 0}
        for number in range(12)
        for answer in range(4)
    ]
    labels = [row["label"] for row in rows]
    match change:
        case "permuted":
            random.Random(1).shuffle(labels)
        case "flipped":
            labels = [not label for label in labels]
        case "constant":
            labels = [True] * len(labels)
    rows = [row | {"label": label} for row, label in zip(rows, labels, strict=True)]
    if change == "removed":
        rows = [{name: value for name, value in row.items() if name != "label"} for row in rows]
    if change == "shuffled":
        random.Random(2).shuffle(rows)
    return rows


def elicited(directory: Path, change: str, search: str) -> dict[str, bytes]:
    source = directory / "source.jsonl"
    directory.mkdir()
    source.write_text("".join(json.dumps(row) + "\n" for row in rows_with_gold(change)))
    task = ("task=truthfulqa", f"task.path={source}", "task.num_claims=32", "task.num_held_out=8")
    config = load(*task, f"search={search}", f"out_dir={directory}")
    prepare.run(config.for_prepare(), directory / "prepare")
    assert (directory / "prepare" / GOLD).exists() == (change != "removed")
    scorer = HashScorer(TRUE_FALSE)
    elicit.run(config.for_elicit(), directory / "prepare", directory / "elicit", scorer, Console(file=io.StringIO()))
    files = [("prepare", CLAIMS), ("elicit", LABELS), ("elicit", TRACE)]
    return {name: (directory / stage / name).read_bytes() for stage, name in files}


@pytest.mark.parametrize("search", ["shuffled_sweeps", "multistart", "annealing"])
@pytest.mark.parametrize("change", ["permuted", "flipped", "constant", "removed", "shuffled"])
def test_golden_labels_reach_no_label(tmp_path: Path, change: str, search: str) -> None:
    assert elicited(tmp_path / change, change, search) == elicited(tmp_path / "as it is", "as it is", search)


def test_the_search_opens_no_golden_file(tmp_path: Path) -> None:
    expected = elicited(tmp_path / "run", "as it is", "shuffled_sweeps")
    (tmp_path / "run" / "prepare" / GOLD).unlink()
    settings = load("task=truthfulqa", "task.path=unused").for_elicit()
    out_dir = tmp_path / "again"
    elicit.run(settings, tmp_path / "run" / "prepare", out_dir, HashScorer(TRUE_FALSE), Console(quiet=True))
    assert (out_dir / LABELS).read_bytes() == expected[LABELS]
