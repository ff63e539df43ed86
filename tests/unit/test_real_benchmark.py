"""What the benchmark on real texts makes of its rows, without a model."""

from __future__ import annotations

import csv
import gzip
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.quality import real


def _row(seed: int, accuracy: float, **figures: Any) -> dict[str, Any]:
    found = {"accuracy": accuracy, "fresh_accuracy": accuracy, "tokens_per_claim": 10.0, "reads_per_claim": 1.0}
    methods = [{"method": "default", **found, **figures}, {"method": "pmi", "missing": "no words"}]
    return {"model": "gemma", "task": "sst2", "claims": 256, "seed": seed, "methods": methods}


def test_odd_rows_are_written_once_whatever_the_packing(tmp_path: Path) -> None:
    text = "sentence,label\n" + "".join(f'"text {row}, with a comma",{row % 3}\n' for row in range(5))
    (tmp_path / "plain.csv").write_text(text)
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("plain.csv", "packed.csv.gz"):
        path = real._odd_rows(tmp_path / name, tmp_path / "out")
        with path.open(newline="") as file:
            assert [row["sentence"] for row in csv.DictReader(file)] == ["text 1, with a comma", "text 3, with a comma"]
        assert real._odd_rows(tmp_path / name, tmp_path / "out") == path


def test_means_leave_out_what_is_missing_and_give_an_interval_from_three_seeds() -> None:
    rows = [_row(seed, accuracy, bits_per_label=0.5) for seed, accuracy in enumerate((0.7, 0.8, 0.9))]
    summary = real.summarise(rows)
    assert list(summary) == [("gemma", "sst2", "default")]
    cell = summary["gemma", "sst2", "default"]
    assert (cell["accuracy"], cell["seeds"], cell["claims"]) == (pytest.approx(0.8), 3, 256)
    assert cell["half_width"] == pytest.approx(4.3027 * 0.1 / np.sqrt(3), rel=1e-3)
    keys = real._keys(summary)
    assert keys["gemma.sst2.default.accuracy"] == pytest.approx(0.8)
    assert keys["gemma.sst2.default.bits_per_label"] == 0.5
    assert real.summarise(rows[:2])["gemma", "sst2", "default"]["half_width"] is None


def test_a_trusted_run_at_chance_is_counted() -> None:
    row = {"model": "gemma", "task": "cities", "method": "default", "at_chance": True}
    keys = real._verdict_keys([{**row, "verdict": verdict} for verdict in ("reject", "trust", "reject")])
    assert keys == {"gemma.cities.default.verdicts": {"reject": 2, "trust": 1}, "trusted_at_chance": 1}


def test_cells_differ_in_what_their_results_follow_from_and_dear_searches_have_fewer_claims() -> None:
    options = Namespace(
        seeds=None, quick=False, claims=None, methods="controls,default,reference", models="gemma", tasks="sst2",
        first_seed=3,
    )  # fmt: skip
    cells = real.cells(options)
    assert [cell["seed"] for cell in cells] == [seed for seed in range(3, 8) for _ in range(3)]
    assert [cell["claims"] for cell in cells[:3]] == [256, 256, 32]
    assert cells[0]["settings"] == ""
    assert len({cell["settings"] for cell in cells}) == 3
    assert [cell["method"] for cell in real.diagnoses(cells[:3])] == ["default", "reference"]
