"""Exports read back by the libraries they are for; the card says how the labels were made and how good they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
import yaml
from rich.console import Console

from icm.claims import TRUE_FALSE
from icm.commands.export import run as run_command
from icm.config import Places, load
from icm.diagnose import stage as diagnose
from icm.diagnose.schema import DIAGNOSIS, Diagnosis
from icm.elicit import stage as elicit
from icm.errors import ConfigError, RunDirectoryError, SchemaError
from icm.evaluate import stage as evaluate
from icm.export.stage import run
from icm.files.records import read_claims, read_task
from icm.files.stage_dir import read_result
from icm.prepare import stage as prepare
from icm.scoring.open import open_scorer
from tests.worlds import export_settings

QUIET = Console(quiet=True)
ALL_FILES = {
    "trl/preference.jsonl",
    "trl/kto.jsonl",
    "trl/sft.jsonl",
    "axolotl/preference.jsonl",
    "openrlhf/preference.jsonl",
    "openrlhf/prompts.jsonl",
    "verl/prompts.parquet",
    "datasets/preference",
    "datasets/kto",
    "datasets/sft",
}


def _elicited(task: str, run_dir: Path, *overrides: Any) -> Any:
    """A run on a pocket task as far as its labels, by the fake scorer."""
    config = load(f"task={task}", "task.num_claims=48", "model=fake", f"out_dir={run_dir}", *overrides)
    prepare.run(config.for_prepare(), run_dir / "prepare")
    scorer = open_scorer(config.model, read_task(run_dir / "prepare" / "task.json").label_space)
    elicit.run(config.for_elicit(), run_dir / "prepare", run_dir / "elicit", scorer, QUIET)
    return config, scorer


@pytest.fixture(scope="module")
def comparisons(tmp_path_factory: pytest.TempPathFactory) -> Any:
    run_dir = tmp_path_factory.mktemp("comparisons")
    _elicited("pocket_preference", run_dir)
    return run_dir


@pytest.fixture(scope="module")
def exported(comparisons: Any) -> Any:
    out_dir = comparisons / "export"
    return run(export_settings(), comparisons, comparisons / "elicit" / "labels.jsonl", out_dir), out_dir


def _stored(path: Path) -> Any:
    stored = datasets.load_from_disk(str(path))
    assert isinstance(stored, datasets.DatasetDict)
    return stored["train"].to_list()


def _rows(path: Path) -> Any:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_format_is_written_and_counted(exported: Any) -> None:
    manifest, out_dir = exported
    assert set(manifest.counts["rows"]) == ALL_FILES
    for name, count in manifest.counts["rows"].items():
        path = out_dir / name
        found = (
            len(_rows(path))
            if path.suffix == ".jsonl"
            else pq.read_table(path).num_rows
            if path.suffix == ".parquet"
            else len(_stored(path))
        )
        assert found == count > 0, name


def test_the_manifest_lists_every_file(exported: Any) -> None:
    manifest, out_dir = exported
    files = {str(path.relative_to(out_dir)) for path in out_dir.rglob("*") if path.is_file()}
    assert files == {*manifest.outputs, "manifest.json"}


def test_pairs_are_those_of_the_labels_averaged_over_both_orders(comparisons: Any, exported: Any) -> None:
    _, out_dir = exported
    true = {
        row["id"]: row["probability"] if row["label"] else 1 - row["probability"]
        for row in _rows(comparisons / "elicit" / "labels.jsonl")
        if row["label"] is not None
    }
    better = {}
    for claim in read_claims(comparisons / "prepare" / "claims.jsonl"):
        if claim.id in true:
            question, one, two = (claim.parts[part] for part in ("question", "response_1", "response_2"))
            better.setdefault((claim.group, question, one, two), []).append(true[claim.id])
            better.setdefault((claim.group, question, two, one), []).append(1 - true[claim.id])
    expected = {
        (group, f"Human: {question}\nAssistant:", f" {one}", f" {two}"): pytest.approx(sum(found) / len(found))
        for (group, question, one, two), found in better.items()
        if sum(found) > len(found) / 2
    }
    rows = _rows(out_dir / "trl" / "preference.jsonl")
    assert rows
    keys = ("group", "prompt", "chosen", "rejected")
    assert {tuple(row[key] for key in keys): row["probability"] for row in rows} == expected


def test_verdicts_are_the_labelled_claims(comparisons: Any, exported: Any) -> None:
    _, out_dir = exported
    labels = {row["id"]: row["label"] for row in _rows(comparisons / "elicit" / "labels.jsonl")}
    expected = [
        {"prompt": claim.text, "completion": TRUE_FALSE.verbalizers[labels[claim.id]]}
        for claim in read_claims(comparisons / "prepare" / "claims.jsonl")
        if labels[claim.id] is not None
    ]
    assert _rows(out_dir / "trl" / "sft.jsonl") == expected
    assert _stored(out_dir / "datasets" / "sft") == expected


def test_chat_formats_hold_the_bare_question(exported: Any) -> None:
    _, out_dir = exported
    plain = {(row["chosen"].strip(), row["rejected"].strip()) for row in _rows(out_dir / "trl" / "preference.jsonl")}
    for row in _rows(out_dir / "openrlhf" / "preference.jsonl"):
        (asked,), (chosen,), (rejected,) = row["prompt"], row["chosen"], row["rejected"]
        assert asked["role"] == "user"
        assert asked["content"].startswith("How do I ")
        assert (chosen["role"], rejected["role"]) == ("assistant", "assistant")
        assert (chosen["content"], rejected["content"]) in plain
    config = yaml.safe_load((out_dir / "axolotl" / "datasets.yaml").read_text())["datasets"][0]
    row = _rows(out_dir / config["path"])[0]
    assert set(row) == {config[f"field_{name}"] for name in ("messages", "chosen", "rejected")}
    assert row["chosen"]["role"] == "assistant"


def test_prompts_for_reinforcement_learning_hold_no_answer(exported: Any) -> None:
    _, out_dir = exported
    rows = pq.read_table(out_dir / "verl" / "prompts.parquet").to_pylist()
    assert [row["extra_info"]["index"] for row in rows] == list(range(len(rows)))
    assert {row["reward_model"]["ground_truth"] for row in rows} == {""}
    asked = [row["prompt"][0]["content"] for row in rows]
    assert len(set(asked)) == len(asked)
    assert asked == [row["prompt"][0]["content"] for row in _rows(out_dir / "openrlhf" / "prompts.jsonl")]


def test_trl_reads_what_was_exported(exported: Any) -> None:
    from trl.data_utils import is_conversational, unpair_preference_dataset

    _, out_dir = exported
    files = str(out_dir / "trl" / "preference.jsonl")
    pairs = datasets.load_dataset("json", data_files=files, split="train", cache_dir=str(out_dir.parent / "cache"))
    assert not is_conversational(pairs[0])
    unpaired = unpair_preference_dataset(pairs.select_columns(["prompt", "chosen", "rejected"])).to_list()
    key = lambda row: (row["prompt"], row["completion"], row["label"])  # noqa: E731
    assert sorted(map(key, unpaired)) == sorted(map(key, _rows(out_dir / "trl" / "kto.jsonl")))


def test_the_card_says_how_the_labels_were_made(exported: Any) -> None:
    manifest, out_dir = exported
    card = (out_dir / "README.md").read_text()
    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front)["license"] == "apache-2.0"
    assert [each["data_files"] for each in yaml.safe_load(front)["configs"]] == [
        "trl/preference.jsonl",
        "trl/kto.jsonl",
        "trl/sft.jsonl",
    ]
    assert "No label was given" in body
    assert "**Not verified**" in body
    assert f"| labelled claims | {manifest.counts['rows']['trl/sft.jsonl']} of 48 |" in body
    for name in manifest.counts["rows"]:
        assert f"`{name}`" in body


def test_an_evaluation_of_these_labels_is_quoted_and_changes_no_row(
    comparisons: Any, exported: Any, tmp_path: Path
) -> None:
    config, scorer = _elicited("pocket_preference", tmp_path, "evaluate.shots=[0]", "evaluate.draws=1")
    evaluate.run(config.evaluate, tmp_path / "prepare", tmp_path / "elicit", tmp_path / "evaluate", scorer)
    run(export_settings(), tmp_path, tmp_path / "elicit" / "labels.jsonl", tmp_path / "export")
    metrics = json.loads((tmp_path / "evaluate" / "metrics.json").read_text())
    card = (tmp_path / "export" / "README.md").read_text()
    assert f"accuracy {metrics['accuracy']['value']:.1%}" in card
    assert f"polarity: {metrics['polarity']}" in card
    _, without = exported
    for path in without.rglob("*.jsonl"):
        assert (tmp_path / "export" / path.relative_to(without)).read_bytes() == path.read_bytes()


def test_the_card_quotes_the_diagnosis_of_these_labels_and_of_no_others(tmp_path: Path) -> None:
    config, scorer = _elicited("pocket_preference", tmp_path)
    diagnose.run(config.diagnose, tmp_path / "prepare", tmp_path / "elicit", tmp_path / "diagnose", scorer)
    found = read_result(tmp_path / "diagnose", "diagnose", DIAGNOSIS, Diagnosis)
    assert found.reasons, "labels of the fake scorer mean nothing, and something must say so"
    run(export_settings(formats=("trl",)), tmp_path, tmp_path / "elicit" / "labels.jsonl", tmp_path / "export")
    card = (tmp_path / "export" / "README.md").read_text()
    assert f"**{found.verdict}**" in card
    assert all(f"- {reason}" in card for reason in found.reasons)
    run(export_settings(formats=("trl",)), tmp_path, tmp_path / "prepare" / "gold.jsonl", tmp_path / "others")
    assert "**Not diagnosed**" in (tmp_path / "others" / "README.md").read_text()


def test_labels_from_elsewhere_are_not_called_elicited(comparisons: Any, tmp_path: Path) -> None:
    run(export_settings(formats=("trl",)), comparisons, comparisons / "prepare" / "gold.jsonl", tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "which no elicitation of this package made" in card
    assert "No label was given" not in card
    assert {path.name for path in tmp_path.iterdir()} == {"README.md", "manifest.json", "trl"}


def test_single_answers_are_desirable_or_not_by_their_label(tmp_path: Path) -> None:
    _elicited("pocket_facts", tmp_path)
    run(export_settings(formats=("trl",)), tmp_path, tmp_path / "prepare" / "gold.jsonl", tmp_path / "export")
    golden = {row["id"]: row["label"] for row in _rows(tmp_path / "prepare" / "gold.jsonl")}
    expected = [
        {
            "prompt": f"Question: {claim.parts['question']}\nClaim:",
            "completion": f" {claim.parts['answer']}",
            "label": bool(golden[claim.id]),
        }
        for claim in read_claims(tmp_path / "prepare" / "claims.jsonl")
    ]
    assert _rows(tmp_path / "export" / "trl" / "kto.jsonl") == expected


def test_labels_without_a_preference_structure_are_exported_as_verdicts_and_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _elicited("pocket_seasons", tmp_path, "task.num_claims=24", "task.num_held_out=0")
    places = Places(run_dir=tmp_path, out_dir=tmp_path / "export")
    run_command(places, export_settings(), Console(width=300))
    out = capsys.readouterr().out
    labelled = sum(row["label"] is not None for row in _rows(tmp_path / "elicit" / "labels.jsonl"))
    assert f"trl/sft.jsonl ({labelled})" in out
    assert "no preference pairs: " in out
    assert "the label space is ['spring', 'summer', 'autumn', 'winter']" in out
    assert not (tmp_path / "export" / "trl" / "preference.jsonl").exists()
    assert not (tmp_path / "export" / "trl" / "kto.jsonl").exists()
    assert "There are no preference pairs" in (tmp_path / "export" / "README.md").read_text()


def test_the_hub_is_refused_offline_before_anything_is_written(
    comparisons: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    places = Places(run_dir=comparisons, out_dir=tmp_path / "export", hub_id="somebody/labels")
    with pytest.raises(ConfigError, match=r"HF_HUB_OFFLINE forbids the Hub.*hf upload somebody/labels"):
        run_command(places, export_settings(), QUIET)
    assert not (tmp_path / "export").exists()


def test_labels_that_were_never_elicited_are_refused(comparisons: Any, tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="run `icm elicit`"):
        run(export_settings(), comparisons, tmp_path / "elicit" / "labels.jsonl", tmp_path / "export")
    with pytest.raises(SchemaError, match="no such file of labels"):
        run(export_settings(), comparisons, tmp_path / "mine.jsonl", tmp_path / "export")


def test_a_file_without_labels_is_refused(comparisons: Any, tmp_path: Path) -> None:
    claim = _rows(comparisons / "prepare" / "claims.jsonl")[0]["id"]
    (tmp_path / "mine.jsonl").write_text(json.dumps({"id": claim, "label": None}) + "\n")
    with pytest.raises(SchemaError, match="none of the 48 claims has a label"):
        run(export_settings(), comparisons, tmp_path / "mine.jsonl", tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_an_altered_export_is_noticed(comparisons: Any, tmp_path: Path) -> None:
    labels = comparisons / "elicit" / "labels.jsonl"
    run(export_settings(formats=("trl",)), comparisons, labels, tmp_path)
    (tmp_path / "trl" / "sft.jsonl").write_text("")
    with pytest.raises(RunDirectoryError, match="altered since `icm export` wrote it"):
        run(export_settings(formats=("trl",)), comparisons, labels, tmp_path)


def test_exports_of_one_name_are_told_apart_by_the_datasets_library(comparisons: Any, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (comparisons / "elicit" / "labels.jsonl").read_text().split("\n")[:-1]]
    found = []
    for name, flip in (("one", 0), ("two", 1)):
        labels = tmp_path / f"{name}.jsonl"
        labels.write_text("".join(json.dumps({"id": row["id"], "label": row["label"] ^ flip}) + "\n" for row in rows))
        out_dir = tmp_path / name / "export"
        run(export_settings(), comparisons, labels, out_dir)
        stored = datasets.load_dataset(str(out_dir), "sft", split="train", cache_dir=str(tmp_path / "cache"))
        assert list(stored) == _rows(out_dir / "trl" / "sft.jsonl")
        found.append(list(stored))
    assert found[0] != found[1]
