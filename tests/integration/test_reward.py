"""The reward stage on the embedded model: trains, resumes after a kill, refuses what cannot work, knows no gold."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from icm.errors import ConfigError, RunDirectoryError, SchemaError, ScoringError, TrainingError
from icm.files.records import CLAIMS, GOLD, MANIFEST, LabelRow, read_claims, read_rows, write_rows
from icm.pocket.weights import pocket_model_dir
from icm.training.loop import CHECKPOINTS, CURVE, MARK
from icm.training.pairs import PAIRS, PreferencePair
from icm.training.reward import evaluation as reward_evaluation
from icm.training.reward import stage as reward
from icm.training.reward.evaluation import GOLDEN, read_results
from icm.training.reward.model import MODEL, load_reward_model
from icm.training.reward.rows import RejectedExample
from icm.training.reward.settings import RewardModelSettings
from tests.worlds import changed, pair_settings, prepare_pocket, reward_settings

QUICK = changed(reward_settings().model, steps=12, batch_size=8, checkpoint_every=4)
EVALUATE = reward_settings().evaluate


def quiet() -> Console:
    return Console(file=io.StringIO())


def config(**changes: object) -> RewardModelSettings:
    return changed(QUICK, **changes)


def train(run_dir: Path, out_dir: Path, settings: RewardModelSettings = QUICK, labels: Path | None = None) -> Any:
    labels = labels or run_dir / "prepare" / GOLD
    return reward.run(settings, pair_settings(), run_dir / "prepare", labels, out_dir, quiet())


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("preference")
    prepare_pocket(directory)
    return directory


@pytest.fixture(scope="module")
def trained(run_dir: Path) -> Path:
    train(run_dir, run_dir / "reward", config(steps=40))
    return run_dir / "reward"


def curve(directory: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (directory / CURVE).read_text().splitlines()]


def test_a_reward_model_beats_chance_on_golden_pairs_it_never_saw(run_dir: Path, trained: Path, tmp_path: Path) -> None:
    reward_evaluation.run(EVALUATE, pair_settings(), run_dir / "prepare", [trained], tmp_path)
    held_out = read_results(tmp_path)[GOLDEN]
    assert held_out.metrics is not None
    assert held_out.metrics.accuracy.low > 0.6
    assert held_out.metrics.spread is not None
    assert held_out.metrics.spread.within_prompts > 0.1


def test_the_model_directory_is_an_ordinary_one_and_nothing_else_is_left(trained: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(trained / MODEL)
    tokenizer = AutoTokenizer.from_pretrained(trained / MODEL)
    assert (model.config.num_labels, model.config.pad_token_id) == (1, tokenizer.pad_token_id)
    assert not (trained / CHECKPOINTS).exists()
    assert {path.name for path in trained.iterdir()} == {MODEL, PAIRS, reward.UNUSABLE, CURVE, MANIFEST}


def test_the_loss_falls_and_a_reward_does_not_depend_on_its_batch(trained: Path) -> None:
    losses = [row["loss"] for row in curve(trained)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    model = load_reward_model(trained / MODEL)
    texts = [pair.prompt + pair.chosen for pair in read_rows(trained / PAIRS, PreferencePair)]
    together, alone = model.rewards(texts), [model.rewards([text])[0] for text in texts]
    assert np.allclose(together, alone, atol=1e-4)


def test_small_batches_added_up_are_the_whole_batch(run_dir: Path, tmp_path: Path) -> None:
    train(run_dir, tmp_path / "whole")
    train(run_dir, tmp_path / "parts", config(micro_batch_size=2))
    whole, parts = ([row["loss"] for row in curve(tmp_path / name)] for name in ("whole", "parts"))
    assert np.allclose(whole, parts, atol=1e-4)


def test_an_ensemble_of_two_is_judged_as_one(run_dir: Path, trained: Path, tmp_path: Path) -> None:
    train(run_dir, tmp_path / "other", config(seed=1))
    dirs = [trained, tmp_path / "other"]
    manifest = reward_evaluation.run(EVALUATE, pair_settings(), run_dir / "prepare", dirs, tmp_path / "evaluation")
    assert manifest.counts["members"] == 2


def test_adapters_are_merged_into_an_ordinary_model(run_dir: Path, tmp_path: Path) -> None:
    train(run_dir, tmp_path, config(lora={"rank": 4, "alpha": 8}))
    names = AutoModelForSequenceClassification.from_pretrained(tmp_path / MODEL).state_dict()
    assert not [name for name in names if "lora" in name]
    assert load_reward_model(tmp_path / MODEL).fresh_head is False


def test_single_answers_train_a_classifier(tmp_path: Path) -> None:
    labels = prepare_pocket(tmp_path, "arithmetic")
    manifest = train(tmp_path, tmp_path / "reward", config(kind="pointwise"), labels)
    assert manifest.counts["answers"] == manifest.counts["trained_on"] == manifest.counts["claims"]
    assert np.isfinite([row["loss"] for row in curve(tmp_path / "reward")]).all()


def test_a_run_killed_in_the_middle_ends_with_the_same_bytes(run_dir: Path, tmp_path: Path) -> None:
    settings = config(steps=60, checkpoint_every=5)
    train(run_dir, tmp_path / "whole", settings)
    script = (
        "import sys; from pathlib import Path; from rich.console import Console;"
        "from icm.training.reward import stage as reward;"
        "from icm.training.reward.settings import RewardConfig; run, out, config = sys.argv[1:];"
        "config = RewardConfig.model_validate_json(config);"
        "reward.run(config.model, config.pairs, Path(run) / 'prepare',"
        " Path(run) / 'prepare' / 'gold.jsonl', Path(out), Console(quiet=True))"
    )
    arguments = [sys.executable, "-c", script, str(run_dir), str(tmp_path / "killed")]
    arguments.append(changed(reward_settings(), model=settings).model_dump_json())
    process = subprocess.Popen(arguments, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    checkpoints = tmp_path / "killed" / CHECKPOINTS
    deadline = time.monotonic() + 240
    while not list(checkpoints.glob(f"checkpoint-*/{MARK}")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the training was over before it could be killed"
    assert not (tmp_path / "killed" / MODEL).exists()
    # What a kill in the middle of writing a checkpoint leaves.
    (checkpoints / "checkpoint-59").mkdir()
    train(run_dir, tmp_path / "killed", settings)
    for name in (f"{MODEL}/model.safetensors", PAIRS):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert [row["loss"] for row in curve(tmp_path / "killed")] == [row["loss"] for row in curve(tmp_path / "whole")]


def test_two_processes_have_the_loss_curve_of_one(run_dir: Path, tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--multi_gpu", "--num_processes=2"]
    launch += ["--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0"]
    labels = f"labels={run_dir / 'prepare' / GOLD}"
    command = [f"run_dir={run_dir}", labels, f"out_dir={tmp_path / 'two'}", "model.steps=12", "model.batch_size=8"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    icm = Path(sys.executable).with_name("icm")
    subprocess.run([*launch, str(icm), "reward", *command], env=environment, check=True, capture_output=True)
    train(run_dir, tmp_path / "one", config(checkpoint_every=100))
    one, two = ([row["loss"] for row in curve(tmp_path / name)] for name in ("one", "two"))
    assert len(two) == 12
    assert np.allclose(one, two, atol=1e-5)


def test_the_training_reads_no_golden_label_that_is_not_named(run_dir: Path, tmp_path: Path) -> None:
    claims = read_claims(run_dir / "prepare" / CLAIMS)
    write_rows(
        tmp_path / "labels.jsonl",
        [LabelRow(id=claim.id, group=claim.group, label=place % 2) for place, claim in enumerate(claims)],
    )
    train(run_dir, tmp_path / "a", config(steps=2), tmp_path / "labels.jsonl")
    shutil.copytree(run_dir / "prepare", tmp_path / "blind" / "prepare")
    (tmp_path / "blind" / "prepare" / GOLD).write_text("")
    train(tmp_path / "blind", tmp_path / "b", config(steps=2), tmp_path / "labels.jsonl")
    for name in (PAIRS, f"{MODEL}/model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


# ------------------------------------------------------------------------------------------------------- bad input


def refused(
    run_dir: Path, out_dir: Path, settings: RewardModelSettings, error: type[Exception], problem: str, **more: Path
) -> None:
    with pytest.raises(error, match=problem):
        train(run_dir, out_dir, settings, **more)
    assert not out_dir.exists(), "nothing may be written before everything is checked"


def test_missing_and_useless_labels_are_refused(run_dir: Path, tmp_path: Path) -> None:
    refused(run_dir, tmp_path / "a", config(), TrainingError, "no such file of labels", labels=tmp_path / "none.jsonl")
    claims = read_claims(run_dir / "prepare" / CLAIMS)
    write_rows(tmp_path / "same.jsonl", [LabelRow(id=c.id, group=c.group, label=1) for c in claims])
    refused(run_dir, tmp_path / "b", config(), SchemaError, "no preference structure", labels=tmp_path / "same.jsonl")


def test_pairs_beyond_the_context_are_counted_or_refused(run_dir: Path, tmp_path: Path) -> None:
    manifest = train(run_dir, tmp_path / "a", config(max_length=5))
    unusable = read_rows(tmp_path / "a" / reward.UNUSABLE, RejectedExample)
    assert manifest.counts["unusable"] == {"over_context": len(unusable)}
    assert manifest.counts["trained_on"] + len(unusable) == manifest.counts["pairs"]
    assert 0 < len(unusable) < manifest.counts["pairs"]
    refused(run_dir, tmp_path / "b", config(max_length=5, over_context="refuse"), TrainingError, "do not fit")
    refused(run_dir, tmp_path / "c", config(max_length=2), TrainingError, "can read none of the")
    refused(run_dir, tmp_path / "d", config(max_length=10**6), TrainingError, "lower it")


def test_a_base_without_head_pad_token_or_weights_is_refused(run_dir: Path, tmp_path: Path) -> None:
    refused(run_dir, tmp_path / "a", config(fresh_head=False), TrainingError, "has no reward head")
    refused(run_dir, tmp_path / "b", config(base="./nowhere"), ScoringError, "there is no such model directory")
    base = tmp_path / "no-pad"
    shutil.copytree(pocket_model_dir(), base)
    settings = json.loads((base / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    (base / "tokenizer_config.json").write_text(json.dumps(settings))
    refused(run_dir, tmp_path / "c", config(base=str(base)), TrainingError, "no pad token")
    refused(run_dir, tmp_path / "d", config(base=str(base), pad_token="<none>"), TrainingError, "not in the vocabulary")
    assert train(run_dir, tmp_path / "e", config(base=str(base), pad_token="<pad>", steps=1)).counts["fresh_head"]


def test_a_classifier_of_classes_is_no_reward_model(run_dir: Path, tmp_path: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(pocket_model_dir(), num_labels=3)
    model.save_pretrained(tmp_path / "classes")
    AutoTokenizer.from_pretrained(pocket_model_dir()).save_pretrained(tmp_path / "classes")
    refused(run_dir, tmp_path / "a", config(base=str(tmp_path / "classes")), TrainingError, "3 classes")


def test_a_base_with_broken_weights_is_refused_before_training(run_dir: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(pocket_model_dir())
    model.model.norm.weight.data.fill_(float("nan"))
    model.save_pretrained(tmp_path / "nan")
    AutoTokenizer.from_pretrained(pocket_model_dir()).save_pretrained(tmp_path / "nan")
    with pytest.raises(TrainingError, match="is nan: the model's weights are broken"):
        train(run_dir, tmp_path / "a", config(base=str(tmp_path / "nan")))
    assert not (tmp_path / "a" / MODEL).exists()


def test_a_reward_that_is_constant_or_lost_leaves_no_model(run_dir: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(pocket_model_dir())
    model.model.norm.weight.data.zero_()
    model.save_pretrained(tmp_path / "flat")
    AutoTokenizer.from_pretrained(pocket_model_dir()).save_pretrained(tmp_path / "flat")
    with pytest.raises(TrainingError, match="the same reward"):
        train(run_dir, tmp_path / "a", config(base=str(tmp_path / "flat"), learning_rate=1e-12, steps=1))
    with pytest.raises(TrainingError, match=r"loss of reward model is|is nan"):
        train(run_dir, tmp_path / "b", config(learning_rate=1e30))
    assert not (tmp_path / "a" / MODEL).exists()
    assert not (tmp_path / "b" / MODEL).exists()


def test_a_batch_that_cannot_be_dealt_and_other_settings_are_refused(
    run_dir: Path, trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="cannot be dealt"):
        train(run_dir, tmp_path / "a", config(micro_batch_size=3))
    with pytest.raises(RunDirectoryError, match="other settings"):
        train(run_dir, trained, config(steps=41))
    assert train(run_dir, trained, config(steps=40)).counts["trained_on"] > 0
