"""What training starts from may be anything that `model.path` takes."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("gguf", reason="the extra gguf is not installed")
pytest.importorskip("trl", reason="the extra train is not installed")

from icm.config import load_command
from icm.errors import ScoringError, TrainingError
from icm.models.cache import CACHE_VARIABLE
from icm.training.completions import base_name
from icm.training.reward.model import open_base
from icm.training.reward.settings import RewardConfig
from tests.gguf_files import write_gguf


@pytest.fixture
def gguf_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a GGUF file, with a cache of its own to convert into."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    path = tmp_path / "model.gguf"
    write_gguf(path)
    return path


def test_a_reward_model_and_a_policy_may_start_from_a_gguf_file(gguf_file: Path) -> None:
    _, settings = load_command(
        RewardConfig, "reward", "run_dir=unused", f"model.base={gguf_file}", "model.pad_token='<|endoftext|>'"
    )
    base = open_base(settings.model)
    assert base.model.config.model_type == "qwen2"
    directory = Path(base_name(str(gguf_file)))
    assert (directory / "model.safetensors").is_file()
    assert base_name("owner/name") == "owner/name"


def test_a_catalogued_base_that_was_not_fetched_says_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    _, settings = load_command(RewardConfig, "reward", "run_dir=unused", "model.base=smollm2-135m")
    with pytest.raises(TrainingError, match="icm models get smollm2-135m"):
        open_base(settings.model)
    with pytest.raises(ScoringError, match="icm models get smollm2-135m"):
        base_name("smollm2-135m")
