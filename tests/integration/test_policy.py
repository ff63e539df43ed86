"""The policy stage on the pocket preference task: the reward rises, a killed run ends the same, bad input stops it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from icm.commands.policy import run as run_command
from icm.config import Places, load_command
from icm.errors import RunDirectoryError, TrainingError
from icm.prepare import stage as prepare
from icm.prepare.settings import PrepareConfig
from icm.training.completions import open_policy
from icm.training.finetune import SftSettings
from icm.training.policy import stage as policy
from icm.training.policy.dpo import DpoSettings
from icm.training.policy.rewards import ModelReward
from icm.training.policy.rl import RlSettings, prompt_order
from icm.training.policy.samples import PolicyMetrics
from icm.training.policy.settings import BestOfNSettings, PolicyConfig
from icm.training.reward import stage as reward
from tests.worlds import changed, pair_settings, reward_settings
from tests.worlds.tasks import task_settings

QUIET = Console(quiet=True)
RLOO = RlSettings(
    kind="rloo", steps=8, batch_size=32, learning_rate=1e-3, kl_weight=0.05, checkpoint_every=2, rollouts_every=4
)
SHIPPED = load_command(PolicyConfig, "policy", "run_dir=runs/any")[1]
FEW = changed(SHIPPED.sampling, num_prompts=6, samples_per_prompt=8, best_of_n=(1, 2, 8), num_resamples=50)
REPLIES = changed(SHIPPED.completion, max_tokens=8)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run with claims, and a reward model trained on their golden labels."""
    directory = tmp_path_factory.mktemp("run")
    task = task_settings("pocket_preference", num_claims=192, num_held_out=32, relations=[])
    prepare.run(PrepareConfig(task=task, seed=0), directory / "prepare")
    reward.run(
        reward_settings().model,
        pair_settings(),
        directory / "prepare",
        directory / "prepare" / "gold.jsonl",
        directory / "reward",
        QUIET,
    )
    return directory


def _config(run_dir: Path, **changes: Any) -> Any:
    settings = {"completion": REPLIES, "method": RLOO, "reward": _reward(run_dir / "reward"), "sampling": FEW}
    return changed(SHIPPED, **(settings | changes))


def _reward(path: Path) -> Any:
    return ModelReward(paths=(path,), ensemble=reward_settings().evaluate.ensemble)


def _run(config: Any, run_dir: Path, out_dir: Path) -> Any:
    policy.run(config, run_dir / "prepare", run_dir / "reward", out_dir, QUIET)
    return PolicyMetrics.model_validate_json((out_dir / "metrics.json").read_text())


def _gain(metrics: Any) -> Any:
    """Return the reward that the policy gained over the base."""
    assert metrics.policy is not None
    assert metrics.policy.reward is not None
    assert metrics.base.reward is not None
    return metrics.policy.reward.value - metrics.base.reward.value


def _rows(path: Path) -> Any:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out_dir = tmp_path_factory.mktemp("policy")
    _run(_config(run_dir), run_dir, out_dir)
    return out_dir


def test_the_reward_rises_and_the_policy_strays(trained: Any) -> None:
    curve = _rows(trained / "training.jsonl")
    assert [row["step"] for row in curve] == list(range(1, RLOO.steps + 1))
    assert curve[0]["kl"] == pytest.approx(0, abs=1e-4)
    assert curve[-1]["reward"] > curve[0]["reward"] + 0.3
    metrics = PolicyMetrics.model_validate_json((trained / "metrics.json").read_text())
    assert _gain(metrics) > 0.3
    assert metrics.policy is not None
    assert metrics.policy.kl.low > 0
    assert metrics.base.kl.value == 0


def test_best_of_n_needs_no_training(trained: Any) -> None:
    metrics = PolicyMetrics.model_validate_json((trained / "metrics.json").read_text())
    one, two, eight = metrics.best_of_n
    assert metrics.base.reward is not None
    assert one.reward == pytest.approx(metrics.base.reward.value)
    assert one.reward < two.reward < eight.reward
    best = {}
    for row in _rows(trained / "samples.jsonl"):
        if row["source"] == "base":
            best[row["prompt"]] = max(row["reward"], best.get(row["prompt"], -1e9))
    assert eight.reward == pytest.approx(sum(best.values()) / len(best))


def test_rollouts_of_some_steps_are_kept_with_their_rewards(trained: Any) -> None:
    rows = _rows(trained / "rollouts.jsonl")
    assert [row["step"] for row in rows] == [1] * 32 + [4] * 32 + [8] * 32
    curve = {row["step"]: row["reward"] for row in _rows(trained / "training.jsonl")}
    for step in (1, 4, 8):
        rewards = [row["reward"] for row in rows if row["step"] == step]
        assert sum(rewards) / len(rewards) == pytest.approx(curve[step], abs=1e-4)
    assert not any("\n" in row["completion"] for row in rows)


def test_a_complete_run_is_left_as_it_is_and_other_settings_are_refused(run_dir: Path, trained: Any) -> None:
    before = (trained / "manifest.json").read_bytes()
    _run(_config(run_dir), run_dir, trained)
    assert (trained / "manifest.json").read_bytes() == before
    with pytest.raises(RunDirectoryError, match="seed was 0, now 1"):
        _run(_config(run_dir, seed=1), run_dir, trained)


def test_a_run_killed_after_a_checkpoint_ends_with_the_same_bytes(run_dir: Path, trained: Any, tmp_path: Path) -> None:
    config = _config(run_dir)
    script = (
        "import sys; from pathlib import Path; from rich.console import Console;"
        "from icm.training.policy import stage as policy;"
        "from icm.training.policy.settings import PolicyConfig;"
        "config = PolicyConfig.model_validate_json(sys.argv[1]); run, out = map(Path, sys.argv[2:]);"
        "policy.run(config, run / 'prepare', run / 'reward', out, Console(quiet=True))"
    )
    command = [sys.executable, "-c", script, config.model_dump_json(), str(run_dir), str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while not (tmp_path / "checkpoints" / "checkpoint-4" / "complete").exists():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "manifest.json").exists()
    assert not (tmp_path / "model").exists()
    _run(config, run_dir, tmp_path)
    for name in ("model/model.safetensors", "training.jsonl", "rollouts.jsonl", "samples.jsonl", "metrics.json"):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes(), name
    assert not (tmp_path / "checkpoints").exists()


def test_the_training_ends_when_the_budget_is_spent(run_dir: Path, tmp_path: Path) -> None:
    method = RLOO.model_copy(update={"kl_budget": 0.02, "kl_window": 1, "steps": 30})
    metrics = _run(_config(run_dir, method=method), run_dir, tmp_path)
    assert metrics.kl_budget_spent
    curve = _rows(tmp_path / "training.jsonl")
    assert len(curve) == metrics.steps < 30
    assert all(row["kl"] <= 0.02 for row in curve[:-1])
    assert curve[-1]["kl"] > 0.02


@pytest.mark.parametrize(
    "method",
    [
        RLOO.model_copy(update={"kind": "grpo", "steps": 6}),
        DpoSettings(steps=8, batch_size=16, learning_rate=1e-3),
        SftSettings(steps=8, batch_size=16, learning_rate=1e-3),
    ],
    ids=lambda method: method.kind,
)
def test_every_method_raises_the_reward(run_dir: Path, tmp_path: Path, method: str) -> None:
    metrics = _run(_config(run_dir, method=method), run_dir, tmp_path)
    assert _gain(metrics) > 0
    assert (tmp_path / "model" / "config.json").exists()


def test_best_of_n_alone_leaves_no_model(run_dir: Path, tmp_path: Path) -> None:
    metrics = _run(_config(run_dir, method=BestOfNSettings()), run_dir, tmp_path)
    assert metrics.policy is None
    assert metrics.steps == 0
    assert not (tmp_path / "model").exists()


def test_a_warm_start_is_where_the_divergence_is_counted_from(run_dir: Path, tmp_path: Path) -> None:
    warm = SftSettings(steps=6, batch_size=16, learning_rate=1e-3)
    method = RLOO.model_copy(update={"steps": 2})
    metrics = _run(_config(run_dir, method=method, warm_start=warm), run_dir, tmp_path)
    assert (tmp_path / "warm_start" / "model" / "model.safetensors").exists()
    assert metrics.base.kl.value == 0
    assert _rows(tmp_path / "training.jsonl")[0]["kl"] == pytest.approx(0, abs=1e-4)


def test_a_directory_without_a_reward_model_stops_the_run_before_it_begins(run_dir: Path, tmp_path: Path) -> None:
    config = _config(run_dir, reward=_reward(run_dir / "nowhere"))
    with pytest.raises(TrainingError, match="no reward model here"):
        _run(config, run_dir, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_constant_reward_stops_the_run_before_it_begins(run_dir: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(run_dir / "reward" / "model")
    model.score.weight.data.zero_()
    model.save_pretrained(tmp_path / "constant")
    AutoTokenizer.from_pretrained(run_dir / "reward" / "model").save_pretrained(tmp_path / "constant")
    config = _config(run_dir, reward=_reward(tmp_path / "constant"))
    with pytest.raises(TrainingError, match="the reward is constant"):
        _run(config, run_dir, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_reward_that_is_no_number_stops_the_run_before_it_begins(run_dir: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(run_dir / "reward" / "model")
    model.score.weight.data.fill_(float("nan"))
    model.save_pretrained(tmp_path / "broken")
    AutoTokenizer.from_pretrained(run_dir / "reward" / "model").save_pretrained(tmp_path / "broken")
    config = _config(run_dir, reward=_reward(tmp_path / "broken"))
    with pytest.raises(TrainingError, match="is nan"):
        _run(config, run_dir, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_completions_that_never_end_stop_the_run_before_it_begins(run_dir: Path, tmp_path: Path) -> None:
    # No dialogue goes on with a question about sleep.
    completion = changed(REPLIES, stop="Question: When does the", ending=None, max_tokens=3)
    with pytest.raises(TrainingError, match=r"none of \d+ probe completions ended within completion.max_tokens=3"):
        _run(_config(run_dir, completion=completion), run_dir, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_prompts_that_do_not_fit_stop_the_run_before_it_begins(run_dir: Path, tmp_path: Path) -> None:
    config = _config(run_dir, completion=REPLIES.model_copy(update={"max_tokens": 4095}))
    with pytest.raises(TrainingError, match="prompts leaves room for 4095 tokens"):
        _run(config, run_dir, tmp_path / "out")


def test_reinforcement_learning_without_a_reward_is_refused(run_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="method=rloo needs a reward"):
        _run(_config(run_dir, reward=None), run_dir, tmp_path / "out")


def test_the_command_shows_what_became_of_the_policy(
    run_dir: Path, trained: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    places = Places(run_dir=run_dir, reward_dir=run_dir / "reward", out_dir=trained)
    run_command(places, _config(run_dir), Console(width=120))
    out = capsys.readouterr().out
    assert "policy trained by rloo for 8 steps on" in out
    assert "best of 8, no training" in out


def test_every_prompt_comes_once_before_any_comes_again() -> None:
    settings = RLOO.model_copy(update={"steps": 5, "batch_size": 16})
    order = prompt_order(["a", "b", "c"], settings, seed=0)
    assert len(order) == 10
    assert [set(order[start : start + 3]) for start in (0, 3, 6)] == [{"a", "b", "c"}] * 3
    assert prompt_order(["a", "b", "c"], settings.model_copy(update={"steps": 9}), seed=0)[:10] == order
    assert prompt_order(["a", "b", "c"], settings, seed=1) != order


def test_an_unknown_setting_is_refused(run_dir: Path) -> None:
    with pytest.raises(ValidationError, match="learning_rates"):
        PolicyConfig.model_validate(_config(run_dir).model_dump() | {"learning_rates": 1})


def test_the_policy_opens_as_an_ordinary_model(trained: Any) -> None:
    opened = open_policy(trained / "model", changed(REPLIES, stop=None, ending=None))
    assert opened.plain_tokenizer.eos_token is None
    assert len(opened.stop_ids) > 1
