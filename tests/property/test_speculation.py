"""Asking ahead changes no step: the speculative chain is the sequential one, bit for bit, in fewer calls."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from icm.claims import TRUE_FALSE
from icm.elicit import stage as elicit
from icm.files.records import LABELS, TRACE, TraceRow, read_rows
from icm.scoring.fake import HashScorer
from tests.worlds import elicit_settings, make_claims, write_prepared
from tests.worlds.scorers import ConceptScorer


def elicited(directory: Path, scorer: Any, seed: int, window: int) -> tuple[bytes, list[TraceRow], dict[str, float]]:
    settings = elicit_settings(seed, f"search.speculation_window={window}", "search.steps_per_claim=5")
    out_dir = directory / f"window-{window}"
    manifest = elicit.run(settings, directory / "prepare", out_dir, scorer, Console(file=io.StringIO()))
    trace = [row.model_copy(update={"tokens": 0}) for row in read_rows(out_dir / TRACE, TraceRow)]
    return (out_dir / LABELS).read_bytes(), trace, manifest.cost


@pytest.mark.parametrize("concept", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_speculative_chain_equals_the_sequential_one(tmp_path: Path, concept: bool, seed: int) -> None:
    claims, truth = make_claims(num_groups=6, per_group=4, seed=seed)
    write_prepared(tmp_path / "prepare", claims)

    def scorer() -> Any:
        return ConceptScorer(truth, TRUE_FALSE) if concept else HashScorer(TRUE_FALSE, seed=seed)

    labels, trace, cost = elicited(tmp_path, scorer(), seed, window=1)
    for window in (3, 16):
        ahead_labels, ahead_trace, ahead_cost = elicited(tmp_path, scorer(), seed, window)
        assert ahead_labels == labels
        assert ahead_trace == trace
        assert ahead_cost["calls"] <= cost["calls"]
        # A model of one mind rarely has two open questions at a time; one that answers at random has many.
        assert concept or ahead_cost["calls"] < cost["calls"]
