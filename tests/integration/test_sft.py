"""Fine-tuning on completions and on pairs: the loss falls, the model says what it was shown, a rerun is the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from icm.pocket import words
from icm.pocket.statements import arithmetic_statements
from icm.pocket.weights import pocket_model_dir
from icm.pocket.world import World
from icm.training.completions import CompletionSettings, open_policy, sample
from icm.training.finetune import SftSettings, fine_tune
from icm.training.pairs import PreferencePair
from icm.training.policy.dpo import DpoSettings, fit_pairs, optimise_preferences
from tests.worlds import changed

WORLD = World(0)
QUIET = Console(quiet=True)
SOLUTIONS = CompletionSettings(stop="\n", ending="\nI think this claim is", max_tokens=8, temperature=1.0)
REPLIES = changed(SOLUTIONS, ending="\n\nHuman: How do I")


def _curve(directory: Path) -> Any:
    return [json.loads(line) for line in (directory / "training.jsonl").read_text().splitlines()]


def _solutions() -> Any:
    return [
        (f"Question: {statement.parts['question']}\nClaim:", f" {statement.parts['answer']}")
        for statement in arithmetic_statements(WORLD, stories_per_operation=90)
    ]


def _pairs() -> Any:
    return [
        PreferencePair(
            id=f"{request} {good}",
            group=request,
            prompt=f"Human: How do I {request}?\nAssistant:",
            chosen=f" {good}",
            rejected=f" {words.HARMFUL[place]}",
            probability=0.9,
        )
        for request in words.REQUESTS
        for place, good in enumerate(WORLD.replies[request]["helpful"])
    ]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Any:
    directory = tmp_path_factory.mktemp("tuned")
    settings = SftSettings(steps=24, batch_size=16, learning_rate=3e-3)
    fine_tune(open_policy(pocket_model_dir(), SOLUTIONS), _solutions(), settings, directory, 0, QUIET)
    return directory


def test_a_base_that_never_solved_anything_learns_the_form_of_a_solution(tuned: Any) -> None:
    losses = [row["loss"] for row in _curve(tuned)]
    assert len(losses) == 24
    assert sum(losses[-4:]) < 0.4 * sum(losses[:4])
    prompts = [prompt for prompt, _ in _solutions()[::40]]
    before = sample(open_policy(pocket_model_dir(), SOLUTIONS), prompts, 4, seed=0)
    after = sample(open_policy(tuned / "model", SOLUTIONS), prompts, 4, seed=0)
    assert not any("=" in completion.text for completion in before)
    assert sum("=" in completion.text for completion in after) > 0.5 * len(after)
    assert sum(completion.ended for completion in after) > sum(completion.ended for completion in before)


def test_only_the_model_its_curve_and_their_mark_are_left(tuned: Any) -> None:
    assert {path.name for path in tuned.iterdir()} == {"model", "training.jsonl", "trained.json"}


def test_the_written_model_ends_completions_by_itself(tuned: Any) -> None:
    policy = open_policy(tuned / "model", changed(SOLUTIONS, stop=None, ending=None))
    ended = [each for each in sample(policy, [_solutions()[0][0]], 16, seed=0) if each.ended]
    assert ended
    assert not any("\n" in completion.text for completion in ended)


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    settings = SftSettings(steps=3, batch_size=8, learning_rate=1e-3)
    for name in ("one", "two"):
        fine_tune(open_policy(pocket_model_dir(), SOLUTIONS), _solutions(), settings, tmp_path / name, 1, QUIET)
    one, two = ((tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_pairs_raise_the_margin_of_the_chosen_responses(tmp_path: Path) -> None:
    policy = open_policy(pocket_model_dir(), REPLIES)
    fitting, too_long = fit_pairs(policy, _pairs())
    assert len(fitting) == len(_pairs())
    assert not too_long
    settings = DpoSettings(steps=12, batch_size=16, learning_rate=1e-3)
    optimise_preferences(policy, fitting, settings, tmp_path, 0, QUIET)
    curve = _curve(tmp_path)
    assert curve[0]["margin"] == 0
    assert curve[-1]["margin"] > 0.5
    prompts = [pair.prompt for pair in fitting[::4]]
    harmful = [
        sum(
            reply.strip() in each.text
            for each in sample(open_policy(name, REPLIES), prompts, 16, seed=0)
            for reply in words.HARMFUL
        )
        for name in (pocket_model_dir(), tmp_path / "model")
    ]
    assert harmful[1] < harmful[0]
