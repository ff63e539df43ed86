"""The evaluate stage on run directories made by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from icm.claims import TRUE_FALSE, LabelSpace
from icm.errors import ConfigError, RunDirectoryError, SchemaError
from icm.evaluate.against_golden import disagreements
from icm.evaluate.schema import Metrics
from icm.evaluate.settings import EvaluateConfig
from icm.evaluate.stage import run
from icm.files.records import MANIFEST, METRICS, dump_row
from icm.files.stage_dir import StageDir, read_manifest, read_result
from icm.scoring.fake import HashScorer
from tests.worlds import concept_scorer, elicitation, evaluate_settings, write_run

CONFIG = evaluate_settings(shots=(0, 4, 8), draws=2, num_resamples=100)


def test_the_stage_writes_all_its_files_and_the_manifest_describes_them(tmp_path: Path) -> None:
    of = elicitation()
    manifest = run(CONFIG, *write_run(of, tmp_path), tmp_path / "evaluate", concept_scorer(of))
    metrics = read_result(tmp_path / "evaluate", "evaluate", METRICS, Metrics)
    assert metrics.accuracy is not None
    assert metrics.in_context is not None
    assert metrics.accuracy.num_claims == 44
    assert metrics.in_context.headline_shots == 8
    assert set(manifest.outputs) == {
        "metrics.json",
        *(
            f"figures/{name}.{suffix}"
            for name in ("in_context", "trace", "reliability", "confusion")
            for suffix in ("png", "svg")
        ),
    }
    # Held out without shots, and two draws of three arms at two numbers of shots; then the claims themselves without
    # shots and after two draws of golden ones, and what calibrates them.
    assert manifest.cost["prompts"] == 48 * (1 + 2 * 3 * 2) + 48 * (1 + 2) + 3 + 1
    assert set(manifest.inputs) >= {"claims.jsonl", "gold.jsonl", "labels.jsonl", "trace.jsonl"}


def test_evaluating_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    of = elicitation()
    directories = write_run(of, tmp_path)
    for name in ("one", "two"):
        run(CONFIG, *directories, tmp_path / name, concept_scorer(of))
    same = ["metrics.json", *(path.relative_to(tmp_path / "one") for path in (tmp_path / "one/figures").iterdir())]
    for name in same:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_a_complete_evaluation_is_left_as_it_is(tmp_path: Path) -> None:
    of = elicitation()
    directories = write_run(of, tmp_path)
    scorer = concept_scorer(of)
    first = run(CONFIG, *directories, tmp_path / "evaluate", scorer)
    spent = scorer.cost
    assert run(CONFIG, *directories, tmp_path / "evaluate", scorer) == first
    assert scorer.cost == spent


def test_other_settings_need_another_directory(tmp_path: Path) -> None:
    of = elicitation()
    directories = write_run(of, tmp_path)
    run(CONFIG, *directories, tmp_path / "evaluate", None)
    with pytest.raises(RunDirectoryError, match="draws was 2, now 3"):
        run(CONFIG.model_copy(update={"draws": 3}), *directories, tmp_path / "evaluate", None)


def test_without_a_model_everything_else_is_measured(tmp_path: Path) -> None:
    run(CONFIG, *write_run(elicitation(), tmp_path), tmp_path / "evaluate", None)
    metrics = read_result(tmp_path / "evaluate", "evaluate", METRICS, Metrics)
    assert metrics.in_context is None
    assert metrics.in_context_missing == "no model was given"
    assert metrics.accuracy is not None
    assert metrics.accuracy.value == pytest.approx(38 / 44)
    assert not (tmp_path / "evaluate/figures/in_context.png").exists()


def test_flipping_the_golden_labels_swaps_accuracy_and_flipped_accuracy(tmp_path: Path) -> None:
    of = elicitation()
    run(CONFIG, *write_run(of, tmp_path / "a"), tmp_path / "a/evaluate", None)
    flipped = {claim: 1 - label for claim, label in of.golden.items()}
    run(CONFIG, *write_run(of, tmp_path / "b", flipped), tmp_path / "b/evaluate", None)
    plain, other = (
        read_result(tmp_path / "a/evaluate", "evaluate", METRICS, Metrics),
        read_result(tmp_path / "b/evaluate", "evaluate", METRICS, Metrics),
    )
    assert other.accuracy is not None
    assert plain.flipped_accuracy is not None
    assert other.accuracy.value == plain.flipped_accuracy.value
    assert (plain.polarity, other.polarity) == ("upright", "flipped")


def test_a_missing_gold_file_is_named_with_the_way_out(tmp_path: Path) -> None:
    directories = write_run(elicitation(), tmp_path)
    (directories[0] / "gold.jsonl").unlink()
    with pytest.raises(
        RunDirectoryError, match=r"gold\.jsonl is missing since `icm prepare` wrote it; run `icm prepare` again"
    ):
        run(CONFIG, *directories, tmp_path / "evaluate", None)


def test_a_gold_file_without_golden_labels_is_named(tmp_path: Path) -> None:
    of = elicitation()
    with pytest.raises(SchemaError, match=r"gold\.jsonl: none of the searched claims has a golden label"):
        run(CONFIG, *write_run(of, tmp_path, {}), tmp_path / "evaluate", None)


def test_an_unfinished_stage_is_refused(tmp_path: Path) -> None:
    directories = write_run(elicitation(), tmp_path)
    (directories[1] / MANIFEST).unlink()
    with pytest.raises(RunDirectoryError, match="run `icm elicit`"):
        run(CONFIG, *directories, tmp_path / "evaluate", None)


def test_an_altered_labels_file_is_refused(tmp_path: Path) -> None:
    directories = write_run(elicitation(), tmp_path)
    with (directories[1] / "labels.jsonl").open("a") as file:
        file.write("\n")
    with pytest.raises(RunDirectoryError, match=r"labels\.jsonl is altered"):
        run(CONFIG, *directories, tmp_path / "evaluate", None)


def test_labels_of_other_claims_are_refused(tmp_path: Path) -> None:
    one = write_run(elicitation(), tmp_path / "one")
    other = write_run(elicitation(num_groups=13), tmp_path / "other")
    with pytest.raises(RunDirectoryError, match="labels for other claims"):
        run(CONFIG, one[0], other[1], tmp_path / "evaluate", None)


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda rows: [*rows, rows[0].model_copy(update={"margin": 9.0})], "stands twice"),
        (lambda rows: rows[1:], "has no line for claim"),
        (lambda rows: [rows[0].model_copy(update={"label": 2}), *rows[1:]], "from 0 to 1 or null, got 2"),
        (lambda rows: [rows[0].model_copy(update={"id": "0" * 16}), *rows[1:]], "there is no claim"),
    ],
)
def test_labels_that_do_not_fit_the_claims_are_refused(tmp_path: Path, alter: Any, message: str) -> None:
    of = elicitation()
    prepare_dir, elicit_dir = write_run(of, tmp_path)
    (elicit_dir / "labels.jsonl").write_text("".join(map(dump_row, alter(of.rows))))
    manifest = read_manifest(elicit_dir, "elicit")
    StageDir(elicit_dir, "elicit", manifest.config, manifest.inputs).finish({}, outputs=("labels.jsonl", "trace.jsonl"))
    with pytest.raises(SchemaError, match=message):
        run(CONFIG, prepare_dir, elicit_dir, tmp_path / "evaluate", None)


def test_a_scorer_for_another_label_space_is_refused(tmp_path: Path) -> None:
    space = LabelSpace(names=("a", "b", "c"), verbalizers=(" a", " b", " c"))
    directories = write_run(elicitation(space=space), tmp_path)
    with pytest.raises(ConfigError, match="3 labels"):
        run(CONFIG, *directories, tmp_path / "evaluate", HashScorer(TRUE_FALSE))


def test_an_interrupted_evaluation_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    of = elicitation()
    directories = write_run(of, tmp_path)
    scorer = concept_scorer(of)
    run(CONFIG, *directories, tmp_path / "whole", scorer)
    spent = scorer.cost
    shutil.copytree(tmp_path / "whole", tmp_path / "interrupted")
    config = json.loads((tmp_path / "interrupted" / MANIFEST).read_text())["config"]
    (tmp_path / "interrupted" / MANIFEST).unlink()
    (tmp_path / "interrupted/settings.json").write_text(json.dumps(config))
    (tmp_path / "interrupted/metrics.json").write_text("{")
    run(CONFIG, *directories, tmp_path / "interrupted", scorer)
    assert scorer.cost == spent
    assert read_result(tmp_path / "interrupted", "evaluate", METRICS, Metrics) == read_result(
        tmp_path / "whole", "evaluate", METRICS, Metrics
    )


def test_disagreements_are_the_wrong_labels_most_probable_first() -> None:
    of = elicitation(num_wrong=6)
    listed = disagreements(of)
    probabilities = [row.probability or 0.0 for _, row, _ in listed]
    assert len(listed) == 6
    assert probabilities == sorted(probabilities, reverse=True)
    assert all(row.name != golden for _, row, golden in listed)


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"confidence_level": 1.0}, {"shots": [-1]}, {"shot": [1]}])
def test_settings_out_of_range_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        EvaluateConfig.model_validate(CONFIG.model_dump() | wrong)
