"""The command line as a user meets it: settings in, files and a table out; every mistake named, with status 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra

from icm import cli
from icm.elicit.session import Session
from icm.errors import IcmError
from icm.files.conf_dir import conf_dir
from icm.pocket.recipe import PHASES, PocketTraining
from icm.pocket.weights import pocket_model_dir
from tests.worlds import read_by

ROWS = [
    {"question": f"What is {number}?", "choice": f"It is {answer}, surely.", "label": answer == number % 4}
    for number in range(24)
    for answer in range(4)
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def truthfulqa(source: Path, out_dir: Path) -> list[str]:
    size = ["task.num_claims=48", "task.num_held_out=16", "evaluate.shots=[0,4]", "evaluate.draws=2"]
    return ["task=truthfulqa", f"task.path={source}", "model=fake", f"out_dir={out_dir}", *size]


def test_run_leaves_three_stages_and_prints_a_table(
    icm: Callable[..., tuple[int, str, str]], source: Path, tmp_path: Path
) -> None:
    out_dir = tmp_path / "run"
    status, out, _ = icm("run", *truthfulqa(source, out_dir))
    assert status == 0
    assert "Elicited labels" in out
    assert "Golden labels" in out
    for file in (
        "prepare/claims.jsonl",
        "prepare/gold.jsonl",
        "elicit/labels.jsonl",
        "elicit/trace.jsonl",
        "evaluate/metrics.json",
    ):
        assert (out_dir / file).stat().st_size > 0
        assert (out_dir / file).parent.joinpath("manifest.json").exists()
    assert {"labels.csv", "report.html"} <= {path.name for path in out_dir.iterdir()}


def test_the_stages_one_by_one_leave_the_same_labels_as_run(
    icm: Callable[..., tuple[int, str, str]], source: Path, tmp_path: Path
) -> None:
    icm("run", *truthfulqa(source, tmp_path / "run"))
    for stage in ("prepare", "elicit", "evaluate"):
        assert icm(stage, *read_by(stage, truthfulqa(source, tmp_path / "stages")))[0] == 0
    for file in ("elicit/labels.jsonl", "elicit/trace.jsonl", "evaluate/metrics.json"):
        assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "stages" / file).read_bytes()


def test_a_source_without_golden_labels_is_labelled_and_not_compared(
    icm: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    source = tmp_path / "source.jsonl"
    bare = [{name: row[name] for name in ("question", "choice")} for row in ROWS]
    source.write_text("".join(json.dumps(row) + "\n" for row in bare))
    status, out, _ = icm("run", *truthfulqa(source, tmp_path / "run"))
    assert status == 0
    assert "no golden labels" in out
    assert not (tmp_path / "run" / "evaluate").exists()


def test_a_sweep_gives_each_seed_a_directory(
    icm: Callable[..., tuple[int, str, str]], source: Path, tmp_path: Path
) -> None:
    arguments = truthfulqa(source, tmp_path / "sweep")
    arguments[3] += "/seed-${seed}"
    status, _, err = icm("elicit", "-m", *read_by("elicit", arguments), "seed=0,1")
    assert status == 2
    assert "run `icm prepare`" in err
    assert icm("run", "-m", *arguments, "seed=0,1")[0] == 0
    assert all((tmp_path / "sweep" / f"seed-{seed}" / "elicit" / "labels.jsonl").exists() for seed in (0, 1))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search.alpa=1"], "search.alpa"),
        (["search=simulated"], "annealing"),
        (["objective.alpha=-1"], "objective.alpha: Input should be greater than 0, got -1"),
        (["objective.alpha=much"], "objective.alpha: Input should be a valid number"),
        (["search=annealing", "search.schedule.final=11"], "the temperature must not rise: initial 10.0, final 11.0"),
        (["+task.colour=red"], "task.colour: Extra inputs are not permitted"),
        (["task=truthfulqa"], "give either task.path=FILE"),
        (["task=gsm8k", "task.path=nowhere.jsonl"], "nowhere.jsonl"),
        (["seed=-1"], "seed: Input should be greater than or equal to 0, got -1"),
    ],
)
def test_a_mistake_is_named_with_status_2_and_no_traceback(
    icm: Callable[..., tuple[int, str, str]], tmp_path: Path, arguments: list[str], said: str
) -> None:
    status, out, err = icm("run", *arguments, f"out_dir={tmp_path / 'run'}")
    assert status == 2
    assert said in out + err
    assert "Traceback" not in out + err
    assert len((out + err).splitlines()) <= 24
    assert not (tmp_path / "run").exists()


def test_a_traceback_is_shown_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr("sys.argv", ["icm", "elicit", f"out_dir={tmp_path}"])
    GlobalHydra.instance().clear()
    with pytest.raises(IcmError, match="run `icm prepare`"):
        cli.main()


def test_a_full_disk_is_named_and_what_was_written_is_kept(
    icm: Callable[..., tuple[int, str, str]], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = truthfulqa(source, tmp_path / "run")
    icm("prepare", *read_by("prepare", arguments))
    arguments = read_by("elicit", arguments)

    def full(self: object, state: Any) -> None:
        raise OSError(28, "No space left on device", "checkpoint.json")

    with monkeypatch.context() as patch:
        patch.setattr(Session, "_save", full)
        status, _, err = icm("elicit", *arguments)
    assert status == 2
    assert "checkpoint.json: No space left on device" in err
    assert "run the same command again" in err
    journal = (tmp_path / "run/elicit/journal.jsonl").read_bytes()
    assert icm("elicit", *arguments)[0] == 0
    assert (tmp_path / "run/elicit/journal.jsonl").read_bytes() == journal
    icm("run", *truthfulqa(source, tmp_path / "whole"))
    labels = "elicit/labels.jsonl"
    assert (tmp_path / "run" / labels).read_bytes() == (tmp_path / "whole" / labels).read_bytes()


def test_help_lists_commands_groups_and_settings(icm: Callable[..., tuple[int, str, str]]) -> None:
    assert "usage: icm COMMAND [key=value ...]" in icm("--help")[1]
    assert all(f"  {command.words} " in icm("--help")[1] for command in cli.COMMANDS)
    status, out, _ = icm("run", "--help")
    assert status == 0
    # The files of the chosen groups, with their comments, and what else could be chosen.
    assert "also: annealing, answer_frequency, bootstrap" in out
    assert "sweep_temperature: 0.5" in out
    assert "# Sweeps from several starts" in icm("run", "--help", "search=multistart")[1]
    assert icm()[0] == 2
    assert icm("--version")[1].startswith("icm 0.")


def test_cfg_job_prints_the_settings(icm: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = icm("run", "--cfg", "job", "search=reference")
    assert status == 0
    assert "name: reference" in out


def test_every_setting_of_the_pocket_training_stands_in_its_file() -> None:
    written = yaml.safe_load(conf_dir().joinpath("command").joinpath("pocket_train.yaml").read_text())
    stated = {key: value for key, value in written.items() if key not in ("defaults", "hydra", "out_dir")}
    assert set(stated) == set(PocketTraining.model_fields)
    assert PocketTraining.model_validate(stated).phases == PHASES


def test_a_pocket_model_is_trained_from_the_command_line(
    icm: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    small = ["width=32", "layers=1", "mlp_width=32", "tokens_per_step=192", "phases=[{steps: 2, lengths: [96]}]"]
    status, out, _ = icm("pocket", "train", *small, f"out_dir={tmp_path / 'model'}")
    assert status == 0
    assert f"model.path={tmp_path / 'model'}" in out
    assert pocket_model_dir(tmp_path / "model") == tmp_path / "model"
    status, _, err = icm("pocket", "train", "width=33", f"out_dir={tmp_path / 'other'}")
    assert status == 2
    assert "width: Input should be a multiple of 32, got 33" in err
