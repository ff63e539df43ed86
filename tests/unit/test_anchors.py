"""Anchors become evidence in U, and bad lines are named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from icm.claims import TRUE_FALSE, freeze
from icm.config import load
from icm.errors import ConfigError, SchemaError
from icm.files.labels import read_anchors
from icm.objective import base_log_odds, prior_knowledge
from icm.problem import build_problem
from icm.scoring.fake import HashScorer
from tests.worlds import make_claims, make_task

CLAIMS, _ = make_claims(num_groups=4, per_group=3)


def anchors_file(directory: Path, *rows: dict[str, object]) -> Path:
    path = directory / "anchors.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_evidence_is_the_log_likelihood_of_each_label(tmp_path: Path) -> None:
    row = {"id": CLAIMS[2].id, "label": 1, "reliability": 0.9}
    evidence = read_anchors(anchors_file(tmp_path, row, row), CLAIMS, TRUE_FALSE)
    assert np.allclose(evidence[2], 2 * np.log([0.1, 0.9]))
    assert not np.delete(evidence, 2, axis=0).any()


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"id": "nowhere", "label": 1}, "there is no claim {'id': 'nowhere'}"),
        ({"id": CLAIMS[0].id, "label": 2}, "label must be 'False', 'True', or from 0 to 1, got 2"),
        ({"id": CLAIMS[0].id, "label": 1, "reliability": 0.4}, "above chance"),
        ({"id": CLAIMS[0].id, "label": 1, "reliability": 1.0}, "reliability"),
    ],
)
def test_a_bad_anchor_is_named_with_its_line(tmp_path: Path, row: dict[str, object], problem: str) -> None:
    path = anchors_file(tmp_path, {"id": CLAIMS[1].id, "label": 0}, row)
    with pytest.raises(SchemaError, match=rf"anchors.jsonl:2: .*{problem}"):
        read_anchors(path, CLAIMS, TRUE_FALSE)


def test_anchors_that_contradict_one_another_are_refused(tmp_path: Path) -> None:
    rows = [{"id": CLAIMS[2].id, "label": label, "reliability": r} for label, r in (("True", 0.9), (1, 0.7), (0, 0.6))]
    read_anchors(anchors_file(tmp_path, *rows[:2]), CLAIMS, TRUE_FALSE)
    with pytest.raises(SchemaError, match=r"anchors.jsonl:3: .* given the label 'False' here and another one in .*:1;"):
        read_anchors(anchors_file(tmp_path, *rows), CLAIMS, TRUE_FALSE)


def test_a_file_without_anchors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="holds no anchor; give it a line, or leave anchors= out"):
        read_anchors(anchors_file(tmp_path), CLAIMS, TRUE_FALSE)


def test_anchors_have_the_format_of_every_label_file(tmp_path: Path) -> None:
    claim = CLAIMS[2]
    lines = ({"id": claim.id}, {"text": claim.text}, claim.parts, {"row": 7}, {"row": 7.0, "note": "by hand"})
    expected = read_anchors(anchors_file(tmp_path, {"id": claim.id, "label": "True"}), CLAIMS, TRUE_FALSE)
    for line in lines:
        path = anchors_file(tmp_path, {**line, "label": "True"})
        assert np.array_equal(read_anchors(path, CLAIMS, TRUE_FALSE, {7: [claim.id]}), expected)


@pytest.mark.parametrize("column", ["relability", "Reliabilty", "probabilty", "probabilities"])
def test_a_misspelt_reliability_is_not_ignored(tmp_path: Path, column: str) -> None:
    path = anchors_file(tmp_path, {"id": CLAIMS[0].id, "label": 1, column: 0.6})
    with pytest.raises(SchemaError, match=r"anchors.jsonl:1: column '\w+' is probably meant as"):
        read_anchors(path, CLAIMS, TRUE_FALSE)


def test_utility_rises_by_the_evidence_for_the_labels(tmp_path: Path) -> None:
    path = anchors_file(tmp_path, {"id": CLAIMS[2].id, "label": 1, "reliability": 0.9})
    labels = freeze(np.ones(12))
    utilities = []
    for anchors in ("null", str(path)):
        settings = load(f"anchors={anchors}").for_elicit()
        problem = build_problem(CLAIMS, make_task(), HashScorer(TRUE_FALSE), settings)
        utilities.append(problem.objective.evaluate(labels).utility)
    assert utilities[1] - utilities[0] == pytest.approx(np.log(0.9))


def test_a_class_prior_is_worth_most_where_the_labels_follow_it() -> None:
    nothing = np.zeros((10, 2))
    known = [prior_knowledge(freeze(np.arange(10) < num_true), nothing, (0.9, 0.1)) for num_true in range(11)]
    assert np.argmax(known) == 1
    assert known[1] == pytest.approx(0.0)
    assert known[10] == pytest.approx(10 * np.log(0.1))


def test_a_class_prior_of_another_length_is_refused() -> None:
    settings = load("objective.class_prior=[0.2,0.3,0.5]").for_elicit()
    with pytest.raises(ConfigError, match=r"needs one share for each of the 2 labels, False, True"):
        build_problem(CLAIMS, make_task(), HashScorer(TRUE_FALSE), settings)


def test_base_log_odds_leave_the_claim_itself_out() -> None:
    given = np.array([1, 1, 1, 0], dtype=np.int8)
    expected = [np.log((2 + 0.5) / (1 + 0.5)), np.log((0 + 0.5) / (3 + 0.5))]
    assert np.allclose(base_log_odds(given, 2)[[0, 3], given[[0, 3]]], expected)
