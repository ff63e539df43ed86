"""The directory of a stage: free until it is claimed, whole once it has a manifest, never overwritten unasked."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from platform import node
from typing import Any

import pytest

from icm.errors import ConfigError, Interrupted, RunDirectoryError, ScoringError
from icm.files.lock import LOCK, owned
from icm.files.stage_dir import SETTINGS, StageDir, read_manifest, verify

INPUTS = {"claims.jsonl": "ab" * 32}


def stage_dir(path: Path, seed: int = 0, *, overwrite: bool = False, stage: str = "elicit") -> StageDir:
    return StageDir(path / stage, stage, {"seed": seed}, INPUTS, model={"path": "m"}, overwrite=overwrite)


def finished(path: Path, seed: int = 0) -> StageDir:
    stage = stage_dir(path, seed)
    stage.claim()
    (stage.path / "labels.jsonl").write_text("{}\n")
    stage.finish({"claims": 1}, outputs=["labels.jsonl"])
    return stage


def test_nothing_is_written_before_the_claim(tmp_path: Path) -> None:
    with stage_dir(tmp_path / "new") as stage:
        assert stage.complete() is None
        assert [file.name for file in stage.path.iterdir()] == [LOCK]
    assert not list(tmp_path.iterdir())
    with pytest.raises(RunDirectoryError, match="holds no result; run `icm elicit` first"):
        read_manifest(stage.path, "elicit")


def test_a_claimed_directory_goes_on_with_its_settings_and_refuses_others(tmp_path: Path) -> None:
    stage_dir(tmp_path).claim()
    with stage_dir(tmp_path) as stage:
        assert stage.complete() is None
    with pytest.raises(RunDirectoryError, match=r"seed was 0, now 1.*overwrite=true"):
        stage_dir(tmp_path, seed=1).complete()


def test_a_finished_stage_says_what_it_follows_from_and_holds(tmp_path: Path) -> None:
    finished(tmp_path)
    manifest = stage_dir(tmp_path).complete()
    assert manifest is not None
    assert manifest.config == {"seed": 0, "inputs": INPUTS}
    assert manifest.inputs == INPUTS
    assert manifest.model == {"path": "m"}
    assert manifest.counts == {"claims": 1}
    assert manifest == verify(tmp_path / "elicit", "elicit", "labels.jsonl")
    assert not (tmp_path / "elicit" / SETTINGS).exists()


def test_another_input_is_named(tmp_path: Path) -> None:
    finished(tmp_path)
    other = StageDir(tmp_path / "elicit", "elicit", {"seed": 0}, {"claims.jsonl": "cd" * 32})
    with pytest.raises(RunDirectoryError, match=r"\(claims.jsonl has changed since\)"):
        other.complete()


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_a_damaged_result_is_no_complete_one(tmp_path: Path, damage: str) -> None:
    stage = finished(tmp_path)
    file = stage.path / "labels.jsonl"
    file.write_text("{ }\n") if damage == "altered" else file.unlink()
    with pytest.raises(RunDirectoryError, match=rf"labels.jsonl is {damage} since `icm elicit` wrote it"):
        stage_dir(tmp_path).complete()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is corrupt"),
        ("[]", "is corrupt"),
        ("5", "is corrupt"),
        ('{"stage": "elicit"}', "written by another version of icm"),
        ('{"stage": "elicit", "config": {}, "colour": 1}', "written by another version of icm"),
    ],
)
def test_a_manifest_that_cannot_be_read_names_the_way_out(tmp_path: Path, text: str, message: str) -> None:
    stage = finished(tmp_path)
    (stage.path / "manifest.json").write_text(text)
    with pytest.raises(RunDirectoryError, match=message):
        stage_dir(tmp_path).complete()


def test_the_result_of_another_stage_is_told_from_this_one(tmp_path: Path) -> None:
    finished(tmp_path)
    with pytest.raises(RunDirectoryError, match="holds a result of `icm elicit`, not of `icm diagnose`"):
        verify(tmp_path / "elicit", "diagnose")


def test_overwriting_keeps_the_old_result_until_the_new_one_is_claimed(tmp_path: Path) -> None:
    old = finished(tmp_path)
    with stage_dir(tmp_path, seed=1, overwrite=True) as new:
        assert new.complete() is None
        assert new.begins_anew
        assert (old.path / "labels.jsonl").exists()  # a start that fails here has destroyed nothing
        new.claim()
        assert not new.begins_anew
    assert [file.name for file in new.path.iterdir()] == [SETTINGS]
    assert [file.name for file in tmp_path.iterdir()] == ["elicit"]
    assert json.loads((new.path / SETTINGS).read_text())["seed"] == 1


def test_only_directories_of_stages_are_overwritten(tmp_path: Path) -> None:
    (tmp_path / "elicit").mkdir()
    with stage_dir(tmp_path, overwrite=True) as stage:
        assert stage.complete() is None
    (tmp_path / "elicit" / "thesis.tex").write_text("years of work")
    with (
        stage_dir(tmp_path, overwrite=True) as stage,
        pytest.raises(RunDirectoryError, match="which is no directory of a stage"),
    ):
        stage.complete()
    assert (tmp_path / "elicit" / "thesis.tex").exists()


def test_a_second_claim_changes_nothing(tmp_path: Path) -> None:
    stage = stage_dir(tmp_path, overwrite=True)
    stage.claim()
    (stage.path / "journal.jsonl").write_text("answers")
    stage.claim()
    assert (stage.path / "journal.jsonl").read_text() == "answers"


def test_a_directory_of_an_older_layout_names_the_way_out(tmp_path: Path) -> None:
    stage = finished(tmp_path)
    manifest = json.loads((stage.path / "manifest.json").read_text())
    del manifest["config"]["inputs"], manifest["model"], manifest["digest"]
    (stage.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunDirectoryError, match=r"was made by an older version of icm.*overwrite=true"):
        stage_dir(tmp_path).complete()


@pytest.mark.parametrize("seed", [0, 1])
def test_files_of_which_nothing_says_whose_they_are_are_not_gone_on_with(tmp_path: Path, seed: int) -> None:
    stage_dir(tmp_path).claim()
    (tmp_path / "elicit" / "checkpoint.json").write_text("{}")
    (tmp_path / "elicit" / SETTINGS).unlink()
    with pytest.raises(RunDirectoryError, match=r"holds files \(checkpoint.json\), but neither"):
        stage_dir(tmp_path, seed).complete()


@pytest.mark.parametrize("line", range(12))
def test_a_manifest_of_which_a_line_was_altered_is_refused(tmp_path: Path, line: int) -> None:
    path = finished(tmp_path).path / "manifest.json"
    lines = path.read_text().splitlines(keepends=True)
    altered = lines[line].replace("1", "2").replace("a", "b").replace("0", "9")
    path.write_text("".join([*lines[:line], altered, *lines[line + 1 :]]))
    if altered != lines[line]:
        with pytest.raises(RunDirectoryError, match=r"altered|corrupt|belongs to|another version"):
            stage_dir(tmp_path).complete()


def test_a_second_owner_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    with stage_dir(tmp_path) as first:
        first.complete()
        for overwrite in (False, True):
            with (
                stage_dir(tmp_path, overwrite=overwrite) as second,
                pytest.raises(RunDirectoryError, match=rf"is being written by process {os.getpid()} on {node()} "),
            ):
                second.complete()
        first.claim()
    with stage_dir(tmp_path) as third:
        assert third.complete() is None


def test_a_finished_result_needs_no_owner(tmp_path: Path) -> None:
    stage = finished(tmp_path)
    with owned(stage.path):
        assert stage_dir(tmp_path).complete() is not None


HOLD = """
import sys, time
from pathlib import Path
from icm.files.lock import owned
with owned(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_process_that_was_killed_keeps_nobody_out(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", HOLD, str(tmp_path / "elicit")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with stage_dir(tmp_path) as stage, pytest.raises(RunDirectoryError, match=f"process {process.pid} on"):
            stage.complete()
        process.kill()
    assert (tmp_path / "elicit" / LOCK).exists()
    with stage_dir(tmp_path) as stage:
        assert stage.complete() is None


def fail(path: Path, error: Exception, *, keep: bool = False) -> None:
    """Begin a stage on trial and let it fail."""
    with stage_dir(path) as stage:
        stage.complete()
        stage.claim(on_trial=True)
        (stage.path / "journal.jsonl").write_text("answers")
        if keep:
            stage.keep()
        raise error


@pytest.mark.parametrize("refusal", [ScoringError, ConfigError])
def test_a_trial_that_is_refused_frees_the_directory(tmp_path: Path, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        fail(tmp_path, refusal("no"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", [OSError, Interrupted, RunDirectoryError])
def test_what_settings_are_not_to_blame_for_binds_as_before(tmp_path: Path, ending: type[Exception]) -> None:
    with pytest.raises(ending):
        fail(tmp_path, ending("no"))
    with pytest.raises(RunDirectoryError, match="seed was 0, now 1"):
        stage_dir(tmp_path, seed=1).complete()


def test_what_is_kept_survives_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(ScoringError):
        fail(tmp_path, ScoringError("no"), keep=True)
    assert (tmp_path / "elicit" / SETTINGS).exists()


@pytest.mark.parametrize("kill_at", range(8))
def test_a_kill_while_overwriting_leaves_the_old_result_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at: int
) -> None:
    finished(tmp_path)
    (tmp_path / "elicit" / SETTINGS).write_text("{}")
    (tmp_path / "elicit" / "more").mkdir()
    left = [kill_at]
    with monkeypatch.context() as patch, stage_dir(tmp_path, seed=1, overwrite=True) as stage:
        for name in ("rename", "mkdir", "unlink", "rmdir"):
            _fail_after(patch, name, left)
        with contextlib.suppress(KeyboardInterrupt):
            stage.complete()
            stage.claim()
    names = {file.name for file in stage.path.iterdir()}
    if SETTINGS in names and "manifest.json" not in names:
        # It was not killed before the end, and the directory belongs to the new settings.
        assert names == {SETTINGS}
        return
    whole = "manifest.json" in names
    with stage_dir(tmp_path) as again:
        assert (again.complete() is not None) is whole
        files = {file.name for file in again.path.iterdir()} - {LOCK}
    assert files >= {"labels.jsonl", "manifest.json", "more"} if whole else not files


def _fail_after(patch: pytest.MonkeyPatch, name: str, left: list[int]) -> None:
    real = getattr(Path, name)

    def failing(path: Path, *arguments: Any, **named: Any) -> Any:
        if path.parent.name == "elicit" and path.name != LOCK:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
        return real(path, *arguments, **named)

    patch.setattr(Path, name, failing)
