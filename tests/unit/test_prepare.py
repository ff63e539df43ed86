"""The prepare stage: what it writes, what it counts, and that it repeats nothing and overwrites nothing."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from omegaconf import OmegaConf
from pydantic import TypeAdapter

from icm import golden
from icm.claims import TRUE_FALSE
from icm.errors import ConfigError, RunDirectoryError, SchemaError
from icm.files.conf_dir import conf_dir
from icm.files.records import (
    CLAIMS,
    GOLD,
    HELD_OUT,
    REJECTED,
    TASK,
    RejectedRow,
    read_claims,
    read_rows,
    read_task,
    sha256_of,
)
from icm.prepare.pocket import PocketTask
from icm.prepare.settings import PocketSettings, PrepareConfig, TaskSettings
from icm.prepare.stage import run
from icm.relations import Relation
from tests.worlds.tasks import task_settings

TASK_DIR = conf_dir() / "task"
TASK_NAMES = sorted(path.stem for path in TASK_DIR.glob("*.yaml"))
ROWS = [
    {"question": f"Is {n} odd?", "choice": choice, "label": (n % 2 == 1) == (choice == "Yes")}
    for n in range(10)
    for choice in ("Yes", "No")
]


def write_source(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def config_of(path: Path, **settings: Any) -> PrepareConfig:
    relations = [Relation(kind="different_answer")]
    told = {"path": path, "num_claims": 8, "num_held_out": 4, "relations": relations, **settings}
    return PrepareConfig(task=task_settings("truthfulqa", **told), seed=0)


def test_the_files_hold_what_the_manifest_counts(tmp_path: Path) -> None:
    source = write_source(tmp_path / "data.jsonl", [*ROWS, ROWS[0], {**ROWS[1], "choice": ""}])
    out = tmp_path / "run"
    manifest = run(config_of(source), out)
    claims, held_out = read_claims(out / CLAIMS), read_claims(out / HELD_OUT)
    labels = golden.load(out / GOLD, TRUE_FALSE)
    assert manifest.counts == {
        "claims": 8,
        "groups": 4,
        "held_out": 4,
        "held_out_groups": 2,
        "available": 20,
        "golden": 12,
        "rejected": {"duplicate": 1, "empty": 1},
        "unused_columns": [],
    }
    assert (len(claims), len(held_out)) == (8, 4)
    assert labels.keys() == {claim.id for claim in (*claims, *held_out)}
    truth = {(row["question"], row["choice"]): int(row["label"]) for row in ROWS}
    assert all(labels[c.id] == truth[c.parts["question"], c.parts["answer"]] for c in (*claims, *held_out))
    assert [(row.row, row.reason) for row in read_rows(out / REJECTED, RejectedRow)] == [
        (20, "duplicate"),
        (21, "empty"),
    ]
    assert read_task(out / TASK).relations == (Relation(kind="different_answer"),)
    assert manifest.inputs == {"source": sha256_of(source)}
    assert set(manifest.outputs) == {CLAIMS, HELD_OUT, REJECTED, "rows.jsonl", TASK, GOLD}


def test_a_source_without_gold_has_no_gold_file(tmp_path: Path) -> None:
    rows = [{"question": row["question"], "choice": row["choice"]} for row in ROWS]
    manifest = run(config_of(write_source(tmp_path / "data.jsonl", rows)), tmp_path / "run")
    assert manifest.counts["golden"] == 0
    assert GOLD not in manifest.outputs
    assert not (tmp_path / "run" / GOLD).exists()


def test_a_complete_stage_is_not_repeated(tmp_path: Path) -> None:
    source = write_source(tmp_path / "data.jsonl", ROWS)
    first = run(config_of(source), tmp_path / "run")
    source.unlink()
    assert run(config_of(source), tmp_path / "run") == first


def test_another_source_under_the_same_name_is_noticed(tmp_path: Path) -> None:
    source = write_source(tmp_path / "data.jsonl", ROWS)
    run(config_of(source), tmp_path / "run")
    write_source(source, ROWS[2:])
    with pytest.raises(RunDirectoryError, match="has changed since"):
        run(config_of(source), tmp_path / "run")


def test_an_altered_output_is_noticed(tmp_path: Path) -> None:
    source = write_source(tmp_path / "data.jsonl", ROWS)
    run(config_of(source), tmp_path / "run")
    (tmp_path / "run" / CLAIMS).write_text("")
    with pytest.raises(RunDirectoryError, match="is altered"):
        run(config_of(source), tmp_path / "run")


def test_a_directory_of_other_settings_is_left_alone(tmp_path: Path) -> None:
    source = write_source(tmp_path / "data.jsonl", ROWS)
    run(config_of(source), tmp_path / "run")
    before = (tmp_path / "run" / CLAIMS).read_bytes()
    with pytest.raises(RunDirectoryError, match=r"task\.num_claims was 8, now 10"):
        run(config_of(source, num_claims=10), tmp_path / "run")
    assert (tmp_path / "run" / CLAIMS).read_bytes() == before


def test_a_failed_run_leaves_the_directory_free_for_other_settings(tmp_path: Path) -> None:
    source = write_source(tmp_path / "data.jsonl", ROWS)
    with pytest.raises(ConfigError, match="the source holds 20"):
        run(config_of(source, num_claims=99), tmp_path / "run")
    assert run(config_of(source), tmp_path / "run").counts["claims"] == 8


def test_an_interrupted_run_is_taken_up_again(tmp_path: Path) -> None:
    source = write_source(tmp_path / "data.jsonl", ROWS)
    whole = run(config_of(source), tmp_path / "whole")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "settings.json").write_text(json.dumps(whole.config))
    (tmp_path / "run" / CLAIMS).write_text("half a li")
    assert run(config_of(source), tmp_path / "run").outputs == whole.outputs


def test_an_empty_source_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    source = write_source(tmp_path / "data.jsonl", [])
    with pytest.raises(SchemaError, match="the data set is empty"):
        run(config_of(source), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("task", get_args(PocketTask))
def test_every_pocket_task_stands_in_the_configuration_and_is_prepared(tmp_path: Path, task: str) -> None:
    raw = OmegaConf.to_container(OmegaConf.load(TASK_DIR / f"pocket_{task}.yaml"))
    settings = PocketSettings.model_validate(raw)
    assert (settings.task, settings.name) == (task, f"pocket_{task}")
    manifest = run(PrepareConfig(task=settings, seed=0), tmp_path / "run")
    assert settings.num_claims is not None
    assert settings.num_claims - 8 < manifest.counts["claims"] <= settings.num_claims
    assert 0 < manifest.counts["held_out"] <= settings.num_held_out
    assert manifest.counts["golden"] == manifest.counts["claims"] + manifest.counts["held_out"]
    assert run(PrepareConfig(task=settings, seed=0), tmp_path / "run") == manifest


@pytest.mark.parametrize("name", TASK_NAMES)
def test_every_key_of_a_task_stands_in_its_file(name: str) -> None:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        raw = OmegaConf.to_container(compose("command/run", overrides=[f"task={name}"]).task)
    assert isinstance(raw, dict)
    if raw["kind"] != "pocket":
        raw["path"] = "data.jsonl"
    settings = TypeAdapter(TaskSettings).validate_python(raw)
    assert set(raw) == set(type(settings).model_fields)
    assert settings.name == name


def test_a_task_without_a_source_says_what_to_give() -> None:
    with pytest.raises(ValueError, match=r"give either task\.path=FILE .* or task\.hub_id=NAME, got neither"):
        task_settings("truthfulqa")


def test_a_folder_belongs_to_what_follows_from_it(tmp_path: Path) -> None:
    folder = tmp_path / "claims"
    folder.mkdir()
    write_source(folder / "train.jsonl", ROWS)
    config = config_of(folder / "train.jsonl")
    config = config.model_copy(
        update={"task": config.task.model_copy(update={"path": None, "hub_id": str(folder), "split": "train"})}
    )
    whole = run(config, tmp_path / "run")
    assert run(config, tmp_path / "run") == whole
    write_source(folder / "train.jsonl", ROWS[::-1])
    with pytest.raises(RunDirectoryError, match="source has changed since"):
        run(config, tmp_path / "run")


def test_claims_that_were_counted_belong_to_what_counted_them(tmp_path: Path) -> None:
    config = config_of(write_source(tmp_path / "data.jsonl", ROWS), max_claim_tokens=100)

    def count(texts: Sequence[str]) -> NDArray[np.int64]:
        return np.array([len(text.split()) for text in texts])

    run(config, tmp_path / "run", count, tokenizer="one")
    with pytest.raises(RunDirectoryError, match="tokenizer has changed since"):
        run(config, tmp_path / "run", count, tokenizer="other")
