"""The whole of `icm run` on the embedded model: what the demo does, small."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from rich.console import Console

from icm.claims import TRUE_FALSE, freeze
from icm.config import load
from icm.elicit import stage as elicit
from icm.elicit.forecast import Forecast, ReadingForecast, forecast
from icm.errors import Interrupted
from icm.files.records import CLAIMS, LABELS, TASK, TRACE, TraceRow, read_claims, read_rows, read_task
from icm.prepare import stage as prepare
from icm.problem import build_problem
from icm.scoring.open import open_scorer
from icm.scoring.protocol import LabelScorer


@pytest.fixture(scope="module")
def scorer() -> LabelScorer:
    return open_scorer(load().model, TRUE_FALSE)


def quiet() -> Console:
    return Console(file=io.StringIO())


def config_in(directory: Path, *overrides: str) -> Any:
    return load(
        "task=pocket_facts",
        "task.num_claims=16",
        "task.num_held_out=0",
        f"out_dir={directory}",
        *overrides,
    )


CHAIN = ("search=annealing", "objective=released_code", "search.steps_per_claim=4", "seed=3")
SHUFFLED = ("search=shuffled_sweeps", "objective=prequential", "search.starts.random=1")
SEARCHES = pytest.mark.parametrize(
    "search", [CHAIN, ("search=multistart",), SHUFFLED], ids=["annealing", "multistart", "shuffled_sweeps"]
)


@SEARCHES
def test_two_runs_on_the_embedded_model_are_the_same_byte_for_byte(
    tmp_path: Path, scorer: LabelScorer, search: tuple[str, ...]
) -> None:
    for name in ("a", "b"):
        config = config_in(tmp_path / name, *search)
        prepare.run(config.for_prepare(), tmp_path / name / "prepare")
        elicit.run(config.for_elicit(), tmp_path / name / "prepare", tmp_path / name / "elicit", scorer, quiet())
    for file in (f"prepare/{CLAIMS}", f"elicit/{LABELS}", f"elicit/{TRACE}", "elicit/journal.jsonl"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@SEARCHES
def test_a_run_stopped_again_and_again_is_the_same_byte_for_byte(
    tmp_path: Path, scorer: LabelScorer, search: tuple[str, ...]
) -> None:
    class Stopping:
        """The embedded model, behind a hand on Ctrl-C: once a run, at its first call."""

        def __init__(self) -> None:
            self.calls = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(scorer, name)

        def label_logprobs(self, prompts: Any) -> Any:
            self._asked()
            return scorer.label_logprobs(prompts)

        def verdict_logprobs(self, readings: Any) -> Any:
            self._asked()
            return scorer.verdict_logprobs(readings)

        def _asked(self) -> None:
            self.calls += 1
            if self.calls == 1:
                signal.raise_signal(signal.SIGINT)

    config = config_in(tmp_path, *search)
    prepare.run(config.for_prepare(), tmp_path / "prepare")
    elicit.run(config.for_elicit(), tmp_path / "prepare", tmp_path / "whole", scorer, quiet())
    stops = 0
    while True:
        try:
            elicit.run(
                config.for_elicit(), tmp_path / "prepare", tmp_path / "stopped", cast(LabelScorer, Stopping()), quiet()
            )
            break
        except Interrupted:
            stops += 1
    assert stops >= 2
    for file in (LABELS, TRACE):
        assert (tmp_path / "stopped" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_the_speculative_chain_takes_the_same_decisions_on_the_embedded_model(
    tmp_path: Path, scorer: LabelScorer
) -> None:
    decisions = []
    for window in (1, 8):
        config = config_in(tmp_path, *CHAIN, f"search.speculation_window={window}")
        prepare.run(config.for_prepare(), tmp_path / "prepare")
        out_dir = tmp_path / f"window-{window}"
        elicit.run(config.for_elicit(), tmp_path / "prepare", out_dir, scorer, quiet())
        rows = read_rows(out_dir / TRACE, TraceRow)
        decisions.append([(row.claim, row.label, row.accepted, dict(row.changes)) for row in rows])
    assert decisions[0] == decisions[1]


def test_the_forecast_of_an_evaluation_is_what_the_model_forwards(tmp_path: Path, scorer: LabelScorer) -> None:
    config = config_in(tmp_path, *CHAIN)
    prepare.run(config.for_prepare(), tmp_path / "prepare")
    claims, task = read_claims(tmp_path / "prepare" / CLAIMS), read_task(tmp_path / "prepare" / TASK)
    objective = build_problem(claims, task, scorer, config.for_elicit()).objective
    expected = forecast(objective, claims, task.label_space, num_steps=1)
    assert isinstance(expected, Forecast)
    before = scorer.cost
    objective.evaluate(freeze(np.ones(len(claims))))
    spent = scorer.cost - before
    assert spent.prompts == expected.evaluation_prompts
    # The forecast counts whole segments: not that the last token of a verdict is read but never forwarded, nor that
    # two claims about one question begin alike.
    assert 0.85 * expected.evaluation_tokens < spent.forwarded_tokens < expected.evaluation_tokens
    assert spent.naive_tokens == pytest.approx(expected.naive_tokens, rel=0.05)


def test_the_forecast_of_a_reading_is_what_the_model_forwards(tmp_path: Path, scorer: LabelScorer) -> None:
    config = config_in(tmp_path, *SHUFFLED)
    prepare.run(config.for_prepare(), tmp_path / "prepare")
    claims, task = read_claims(tmp_path / "prepare" / CLAIMS), read_task(tmp_path / "prepare" / TASK)
    objective = build_problem(claims, task, scorer, config.for_elicit()).objective
    expected = forecast(objective, claims, task.label_space, num_steps=1, num_evaluations=4)
    assert isinstance(expected, ReadingForecast)
    before = scorer.cost
    objective.evaluate(freeze(np.ones(len(claims))))
    spent = scorer.cost - before
    assert spent.prompts == expected.num_orders * len(claims)
    # What is forwarded lacks the separator before each block and the last verdict.
    assert 0.95 * expected.num_orders * expected.order_tokens < spent.forwarded_tokens
    assert spent.forwarded_tokens < expected.num_orders * expected.order_tokens
    assert "read every claim at most 12 times" in str(expected)


def test_labels_read_as_a_code_say_how_many_bits_the_claims_save(tmp_path: Path, scorer: LabelScorer) -> None:
    config = config_in(tmp_path, *SHUFFLED)
    prepare.run(config.for_prepare(), tmp_path / "prepare")
    manifest = elicit.run(config.for_elicit(), tmp_path / "prepare", tmp_path / "elicit", scorer, quiet())
    assert 0 < manifest.counts["bits_per_label"] <= 1


def test_a_manifest_names_model_versions_and_cost(tmp_path: Path, scorer: LabelScorer) -> None:
    config = config_in(tmp_path, *CHAIN, "task.num_claims=12", "search.num_initial=4")
    prepare.run(config.for_prepare(), tmp_path / "prepare")
    elicit.run(config.for_elicit(), tmp_path / "prepare", tmp_path / "elicit", scorer, quiet())
    manifest = json.loads((tmp_path / "elicit" / "manifest.json").read_text())
    assert manifest["config"]["model"] == scorer.fingerprint
    assert {"torch", "transformers", "numpy", "icm", "python"} <= set(manifest["versions"])
    assert manifest["cost"]["forwarded_tokens"] < manifest["cost"]["naive_tokens"]
