"""The settings that ship compose into valid ones, whichever options are chosen; mistakes are named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hydra.core.global_hydra import GlobalHydra

from icm import cli
from icm.config import load_command
from icm.errors import ConfigError
from icm.export.settings import ExportConfig
from icm.training.completions import base_name, open_policy
from icm.training.policy.settings import PolicyConfig
from tests.worlds import pair_settings


def _composed(name: str, kind: Any, *overrides: Any) -> Any:
    GlobalHydra.instance().clear()
    return load_command(kind, name, "run_dir=runs/a", *overrides)[1]


@pytest.mark.parametrize("method", ["rloo", "grpo", "dpo", "sft", "best_of_n"])
@pytest.mark.parametrize("reward", ["reward=model", "reward=endpoint reward.url=http://localhost:8000/reward"])
def test_every_method_goes_with_every_reward(method: str, reward: str) -> None:
    command = _composed("policy", PolicyConfig, f"method={method}", *reward.split())
    assert command.method.kind == method
    assert base_name(command.base).endswith("weights")


@pytest.mark.parametrize("completion", ["pocket_replies", "pocket_solutions"])
def test_the_pocket_model_ends_its_completions_as_the_settings_say(completion: str) -> None:
    command = _composed("policy", PolicyConfig, f"completion={completion}")
    policy = open_policy(base_name(command.base), command.completion)
    assert policy.ending == command.completion.ending
    assert policy.tokenizer.encode(policy.ending, add_special_tokens=False)[0] in policy.stop_ids


def test_a_model_with_an_end_of_sequence_token_needs_no_text() -> None:
    completion = _composed("policy", PolicyConfig, "completion=end_of_sequence").completion
    assert completion.stop is None
    assert completion.ending is None


def test_a_warm_start_is_asked_for_on_the_command_line() -> None:
    warm = _composed("policy", PolicyConfig, "warm_start={steps: 3, batch_size: 2, learning_rate: 0.1}").warm_start
    assert warm is not None
    assert (warm.kind, warm.steps) == ("sft", 3)


def test_prompts_are_those_of_the_reward_model() -> None:
    prompts, pairs = _composed("policy", PolicyConfig).prompts, pair_settings()
    assert prompts.model_dump() == {name: getattr(pairs, name) for name in type(prompts).model_fields}


def test_the_export_ships_with_the_pairs_of_the_reward_model() -> None:
    assert _composed("export", ExportConfig).pairs == pair_settings()


def test_mistakes_name_the_setting() -> None:
    with pytest.raises(ConfigError, match=r"method.kl_weight: .*greater than 0, got 0"):
        _composed("policy", PolicyConfig, "method.kl_weight=0")
    with pytest.raises(ConfigError, match="hub_id"):
        _composed("export", ExportConfig, "hub_id=nobody")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["policy", "run_dir=nowhere"], "run `icm prepare`"),
        (["export", "run_dir=nowhere"], "run `icm prepare`"),
        (["policy"], "run_dir"),
    ],
)
def test_a_missing_run_ends_the_command_with_status_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["icm", *arguments])
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()
