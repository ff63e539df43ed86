from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, AutoTokenizer

from icm.errors import RunDirectoryError, ScoringError
from icm.pocket.recipe import PHASES, RELEARN, SHIFT, Phase
from icm.pocket.train import train
from icm.pocket.weights import HASHED_NAMES, pocket_model_dir
from tests.worlds.tasks import pocket_training

SETTINGS = pocket_training(
    width=32,
    layers=1,
    mlp_width=32,
    phases=(
        Phase(steps=16, lengths=(64, 96), taught=("facts", "preference"), lessons=(1.0, 0.5)),
        Phase(steps=8, lengths=(128,), rate=(1.0, 0.0)),
    ),
    tokens_per_step=512,
    warmup_steps=4,
    checkpoint_every=10,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return train(SETTINGS, tmp_path_factory.mktemp("trained"))


def _curve(directory: Path) -> Any:
    return [json.loads(line) for line in (directory / "training.jsonl").read_text().splitlines()]


def test_the_loss_falls(trained: Any) -> None:
    losses = [row["loss"] for row in _curve(trained)]
    assert len(losses) == SETTINGS.steps
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_a_trained_model_is_whole_and_loads_without_custom_code(trained: Any) -> None:
    assert pocket_model_dir(trained) == trained
    model = AutoModelForCausalLM.from_pretrained(trained, dtype="float32")
    tokenizer = AutoTokenizer.from_pretrained(trained)
    assert type(model).__name__ == "LlamaForCausalLM"
    assert model.config.head_dim == 32
    assert tokenizer.decode(tokenizer.encode("Question: What color is the cat?\nClaim: red")).endswith("red")


def test_a_stopped_training_ends_with_the_same_bytes(trained: Any, tmp_path: Path) -> None:
    train(SETTINGS, tmp_path, until=7)
    train(SETTINGS, tmp_path, until=18)
    assert not (tmp_path / "model.safetensors").exists()
    train(SETTINGS, tmp_path)
    for name in (*HASHED_NAMES, "training.jsonl"):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes(), name


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    train(SETTINGS, tmp_path, until=2)
    with pytest.raises(RunDirectoryError, match="other settings"):
        train(SETTINGS.model_copy(update={"seed": 1}), tmp_path)


def test_other_seeds_give_other_weights(trained: Any, tmp_path: Path) -> None:
    train(SETTINGS.model_copy(update={"seed": 1}), tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() != (trained / "model.safetensors").read_bytes()


def test_documents_longer_than_the_context_are_refused() -> None:
    with pytest.raises(ValidationError, match="tokens, got 5000"):
        Phase(steps=1, lengths=(5000,))


def test_lessons_in_an_unknown_family_are_refused() -> None:
    with pytest.raises(ValidationError, match="no family 'riddles'"):
        Phase(steps=1, lengths=(96,), taught=("riddles",))


def test_shares_and_rates_run_through_their_phase() -> None:
    assert [SETTINGS.length_at(step) for step in (0, 1, 2, 16, 23)] == [64, 96, 64, 128, 128]
    assert [SETTINGS.lesson_share_at(step, "facts") for step in (0, 8, 16)] == [1.0, 0.75, 0.0]
    assert SETTINGS.lesson_share_at(0, "arithmetic") == 0.0
    assert [SETTINGS.rate_factor_at(step) for step in (0, 3, 16, 20)] == [0.25, 1.0, 1.0, 0.5]


def test_a_finished_model_goes_on_in_another_world_only_with_lessons(trained: Any, tmp_path: Path) -> None:
    without = SETTINGS.model_copy(update={"base": trained, "world_seed": 1, "phases": (Phase(steps=1, lengths=(64,)),)})
    with pytest.raises(ScoringError, match=r"knows world 0, not world 1.*phases=relearn"):
        train(without, tmp_path / "refused")
    train(without.model_copy(update={"phases": SETTINGS.phases}), tmp_path / "taught")
    first, *_ = _curve(tmp_path / "taught")
    assert first["loss"] < 0.9 * _curve(trained)[0]["loss"]


def test_phases_have_names() -> None:
    assert pocket_training(phases="relearn").phases == RELEARN
    assert pocket_training().phases == PHASES
    assert pocket_training(base="somewhere").phases == SHIFT
    with pytest.raises(ValidationError, match="full, shift, relearn"):
        pocket_training(phases="quick")
