"""A run remembers its settings; what a command would not read is refused; a failed start leaves no trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from icm.files.records import read_task

Icm = Callable[..., tuple[int, str, str]]
SMALL = ("model=fake", "task.num_claims=18", "task.num_held_out=12", "evaluate.shots=[0,4]", "evaluate.draws=2")


def test_stages_of_a_run_need_nothing_typed_again(icm: Icm, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert (
        icm("run", *SMALL, "search=gibbs", "search.num_scans=3", "search.burn_in=1", "seed=5", f"out_dir={run}")[0] == 0
    )
    manifests = {name: (run / name / "manifest.json").read_text() for name in ("diagnose", "evaluate")}
    for name, before in manifests.items():
        assert icm(name, f"run_dir={run}")[0] == 0
        assert (run / name / "manifest.json").read_text() == before  # complete already: nothing is done again
        for file in sorted((run / name).rglob("*"), reverse=True):
            file.unlink() if file.is_file() else file.rmdir()
        assert icm(name, f"run_dir={run}")[0] == 0
        again = json.loads((run / name / "manifest.json").read_text())
        assert again["config"] == json.loads(before)["config"]
    assert icm("run", f"run_dir={run}")[0] == 0
    assert icm("elicit", f"run_dir={run}")[0] == 0


def test_what_is_typed_replaces_what_is_remembered(icm: Icm, tmp_path: Path) -> None:
    run = tmp_path / "run"
    icm("run", *SMALL, f"out_dir={run}")
    status, _, err = icm("evaluate", f"run_dir={run}", "evaluate.draws=3")
    assert status == 2
    assert "draws was 2, now 3" in err
    assert icm("evaluate", f"run_dir={run}", "evaluate.draws=3", "overwrite=true")[0] == 0
    config = json.loads((run / "evaluate" / "manifest.json").read_text())["config"]
    assert config["draws"] == 3
    assert icm("evaluate", f"run_dir={run}")[0] == 0  # now this is what is remembered


def test_overwriting_makes_new_labels_and_keeps_the_claims(icm: Icm, tmp_path: Path) -> None:
    run = tmp_path / "run"
    icm("run", *SMALL, f"out_dir={run}")
    claims = (run / "prepare" / "claims.jsonl").read_bytes()
    status, _, err = icm("elicit", f"run_dir={run}", "seed=1")
    assert status == 2
    assert "seed was 0, now 1" in err
    assert icm("run", f"run_dir={run}", "seed=1", "overwrite=true")[0] == 0
    assert json.loads((run / "elicit" / "manifest.json").read_text())["config"]["seed"] == 1
    assert json.loads((run / "diagnose" / "manifest.json").read_text())["config"]["seed"] == 1
    assert (run / "prepare" / "claims.jsonl").read_bytes() == claims


def test_a_directory_without_a_memory_says_what_to_do(icm: Icm, tmp_path: Path) -> None:
    status, _, err = icm("diagnose", f"run_dir={tmp_path}")
    assert status == 2
    assert "run.json: no such file" in err
    assert f"out_dir={tmp_path}" in err
    (tmp_path / "run.json").write_text('{"seed": 0}')
    status, _, err = icm("diagnose", f"run_dir={tmp_path}")
    assert status == 2
    assert "written by another version of icm" in err
    (tmp_path / "run.json").write_text("{")
    assert "is corrupt" in icm("diagnose", f"run_dir={tmp_path}")[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prepare", "search=gibbs", "out_dir=x"), "`icm prepare` does not read search: `icm elicit` reads it"),
        (("elicit", "task.num_claims=8", "out_dir=x"), "`icm elicit` does not read task.num_claims: `icm prepare`"),
        (("evaluate", "objective.alpha=8", "out_dir=x"), "`icm evaluate` does not read objective.alpha"),
        (("diagnose", "training=pocket", "out_dir=x"), "does not read training: `icm run` reads it"),
        (("run", "training=pocket"), "training=… is read with stages=all alone"),
        (("run", "run_dir=a", "out_dir=b"), "give one of the two"),
        (("run", "objective=prequential", "contexts=fixed"), "leave the contexts out"),
        (("run", "search=length", "+search.consistent=true"), "search=length does not read consistent"),
        (("run", "search=sweeps", "search.flip=true"), "search.flip"),
    ],
)
def test_a_setting_that_nothing_reads_is_refused(
    icm: Icm, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    status, out, err = icm(*arguments)
    assert status == 2
    assert message in out + err
    assert list(tmp_path.iterdir()) == []


def test_settings_that_name_the_default_directory_are_read(icm: Icm) -> None:
    assert icm("prepare", "task.num_claims=18", "search=gibbs", "seed=3")[0] == 0
    assert read_task(Path("runs/pocket_facts/gibbs/seed-3/prepare/task.json")).name == "pocket_facts"


def test_a_start_that_fails_before_its_first_question_leaves_the_directory_free(icm: Icm, tmp_path: Path) -> None:
    run = f"out_dir={tmp_path / 'run'}"
    assert icm("prepare", "task=pocket_preference", "task.num_claims=18", run)[0] == 0
    # A rule that says nothing about comparisons fails once the search starts, and asks the model nothing.
    status, _, err = icm("elicit", "model=fake", "search=answer_frequency", run)
    assert status == 2
    assert "says nothing about this task" in err
    assert not (tmp_path / "run" / "elicit").exists()
    assert icm("elicit", "model=fake", "search=random", run)[0] == 0


def test_manifests_name_the_model(icm: Icm, tmp_path: Path) -> None:
    assert icm("run", "task.num_claims=6", "task.num_held_out=0", "search=zero_shot", f"out_dir={tmp_path}")[0] == 0
    for stage in ("elicit", "diagnose", "evaluate"):
        model = json.loads((tmp_path / stage / "manifest.json").read_text())["model"]
        assert model["path"] == "the embedded pocket model"
        assert (model["dtype"], model["device"]) == ("float32", "cpu")
        assert model["fingerprint"].startswith("local-")
    assert "the embedded pocket model" in (tmp_path / "report.html").read_text()
