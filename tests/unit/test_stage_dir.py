"""The directory of a stage: free until it is claimed, whole once it has a manifest, never overwritten unasked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from icm.errors import RunDirectoryError
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
    stage = stage_dir(tmp_path)
    assert stage.complete() is None
    assert not stage.path.exists()
    with pytest.raises(RunDirectoryError, match="holds no result; run `icm elicit` first"):
        read_manifest(stage.path, "elicit")


def test_a_claimed_directory_goes_on_with_its_settings_and_refuses_others(tmp_path: Path) -> None:
    stage_dir(tmp_path).claim()
    assert stage_dir(tmp_path).complete() is None
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
    new = stage_dir(tmp_path, seed=1, overwrite=True)
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
    assert stage_dir(tmp_path, overwrite=True).complete() is None
    (tmp_path / "elicit" / "thesis.tex").write_text("years of work")
    with pytest.raises(RunDirectoryError, match="which is no directory of a stage"):
        stage_dir(tmp_path, overwrite=True).complete()
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
    del manifest["config"]["inputs"], manifest["model"]
    (stage.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunDirectoryError, match=r"was made by an older version of icm.*overwrite=true"):
        stage_dir(tmp_path).complete()
