"""`icm run stages=all` on a pocket task: from claims to an assistant in one command, which goes on after any kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from icm.files.records import MANIFEST

STAGES = ("prepare", "elicit", "diagnose", "evaluate", "reward", "policy", "export")
SMALL = (
    "task=pocket_preference",
    "task.num_claims=32",
    "task.num_held_out=16",
    "model=fake",
    "evaluate.shots=[0]",
    "evaluate.draws=1",
    "training.reward=['model.steps=30','model.checkpoint_every=5']",
    "training.policy=['method.steps=12','method.batch_size=32','method.checkpoint_every=2','sampling.num_prompts=4',"
    "'sampling.samples_per_prompt=8','sampling.best_of_n=[1,8]']",
    "training.export=['formats=[trl]']",
)


def command(out_dir: Path) -> list[str]:
    return [str(Path(sys.executable).with_name("icm")), "run", "stages=all", *SMALL, f"out_dir={out_dir}"]


def killed_when_there_is(path: Path, out_dir: Path) -> None:
    """Run the command and kill it as soon as there is a file."""
    process = subprocess.Popen(
        command(out_dir), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    )
    deadline = time.monotonic() + 1200
    while not list(out_dir.glob(str(path))):
        assert process.poll() is None, f"the run ended before there was {path}"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def environment() -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def test_a_run_killed_in_reward_and_in_policy_ends_as_an_undisturbed_one(
    icm: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    status, out, err = icm("run", "stages=all", *SMALL, f"out_dir={tmp_path / 'whole'}")
    assert status == 0, err
    assert "policy trained by rloo for 12 steps" in out
    assert all((tmp_path / "whole" / stage / MANIFEST).exists() for stage in STAGES)

    killed = tmp_path / "killed"
    killed_when_there_is(Path("reward/checkpoints/checkpoint-*/complete"), killed)
    assert not (killed / "reward" / MANIFEST).exists()
    killed_when_there_is(Path("policy/checkpoints/checkpoint-*/complete"), killed)
    assert (killed / "reward" / MANIFEST).exists()
    assert not (killed / "policy" / MANIFEST).exists()
    complete = {stage: (killed / stage / MANIFEST).read_bytes() for stage in STAGES[:5]}

    assert icm("run", "stages=all", *SMALL, f"out_dir={killed}")[0] == 0
    assert complete == {stage: (killed / stage / MANIFEST).read_bytes() for stage in STAGES[:5]}
    for file in (
        "elicit/labels.jsonl",
        "reward/model/model.safetensors",
        "policy/model/model.safetensors",
        "policy/samples.jsonl",
        "export/trl/preference.jsonl",
    ):
        assert (killed / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["task=pocket_seasons"], "needs labels that affirm or deny a claim"),
        (["training.reward=['model.base=./nowhere']"], "nowhere: there is no such model directory"),
        (["training.policy=['completion.stop=zebra']"], "completion.stop='zebra': no single token"),
        (["training.policy=['method.steps=0']"], "training.policy: method.steps: Input should be greater than or"),
        (["training.reward=['model.colour=red']"], "training.reward: model.colour: there is no such setting"),
    ],
)
def test_what_would_stop_the_training_stops_the_run_before_the_search(
    icm: Callable[..., tuple[int, str, str]], tmp_path: Path, arguments: list[str], said: str
) -> None:
    status, _, err = icm("run", "stages=all", "model=fake", *arguments, f"out_dir={tmp_path / 'run'}")
    assert status == 2
    assert said in err
    assert not (tmp_path / "run" / "elicit").exists()


def test_claims_without_a_second_answer_are_refused_before_the_search(
    icm: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    source = tmp_path / "source.jsonl"
    rows = [{"question": f"What is {number}?", "choice": "It is odd.", "label": number % 2} for number in range(24)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = ["task=truthfulqa", f"task.path={source}", "task.num_claims=16", "task.num_held_out=4", "model=fake"]
    status, _, err = icm("run", "stages=all", *task, f"out_dir={tmp_path / 'run'}")
    assert status == 2
    assert "no preference pair can follow from these 16 claims, whatever their labels" in err
    assert not (tmp_path / "run" / "elicit").exists()


def test_a_missing_training_library_is_named_before_anything_is_done(tmp_path: Path) -> None:
    # A module that is None in this table is one that cannot be imported.
    script = "import sys; sys.modules['trl'] = None; from icm.cli import main; main()"
    arguments = ["run", "stages=all", *SMALL, f"out_dir={tmp_path / 'run'}"]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, env=environment(), text=True)
    assert done.returncode == 2
    assert done.stderr.strip() == "icm: this command trains, which needs trl: pip install 'icm-elicitation[train]'"
    assert not (tmp_path / "run").exists()
