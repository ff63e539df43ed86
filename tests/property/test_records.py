"""Files keep what was written into them, and say where they do not hold what they should."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icm import golden
from icm.claims import TRUE_FALSE, Claim, ClaimId, LabelSpace
from icm.elicit.checkpoint import Checkpoint, load_checkpoint
from icm.errors import RunDirectoryError, SchemaError
from icm.files.records import (
    LabelRow,
    TaskRecord,
    TraceRow,
    dump_row,
    read_claims,
    read_rows,
    write_json,
    write_rows,
)
from icm.scoring.protocol import ScoringCost
from tests.worlds import CLAIMS, make_claims, make_task

TEXT = st.text(min_size=1, max_size=40)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TRACE_ROWS = st.builds(
    TraceRow,
    step=st.integers(0),
    temperature=st.none() | FLOATS,
    claim=st.none() | TEXT,
    label=st.none() | st.integers(0, 5),
    delta_utility=st.none() | FLOATS,
    accepted=st.booleans(),
    violations=st.integers(0),
    utility=FLOATS,
    labelled=st.integers(0),
    tokens=st.integers(0),
    changes=st.dictionaries(TEXT, st.none() | st.integers(0, 5), max_size=3),
)


@given(claims=st.lists(CLAIMS, min_size=1, max_size=5, unique_by=lambda claim: claim.id))
def test_claims_survive_their_file(tmp_path_factory: pytest.TempPathFactory, claims: list[Claim]) -> None:
    path = tmp_path_factory.mktemp("claims") / "claims.jsonl"
    write_rows(path, claims)
    assert read_claims(path) == claims


@given(rows=st.lists(TRACE_ROWS, max_size=5))
def test_trace_rows_survive_their_file_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, rows: list[TraceRow]
) -> None:
    path = tmp_path_factory.mktemp("trace") / "trace.jsonl"
    write_rows(path, rows)
    assert read_rows(path, TraceRow) == rows


def test_no_line_of_a_claims_file_carries_a_label(tmp_path: Path) -> None:
    claims, _ = make_claims(num_groups=2, per_group=2)
    for claim in claims:
        assert set(json.loads(dump_row(claim))) == {"id", "group", "text", "parts", "key"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"group": "g"}', r"labels.jsonl:2: id: Field required"),
        ('{"id": "a", "group": "g", "label": "yes"}', r"labels.jsonl:2: label: .* got 'yes'"),
        ("not json", r"labels.jsonl:2: Invalid JSON"),
        ('{"id": "a", "group": "g", "colour": 1}', r"labels.jsonl:2: colour: Extra inputs are not permitted"),
    ],
)
def test_a_line_that_does_not_fit_is_named_by_its_number(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"id": "b", "group": "g"}\n' + line + "\n")
    with pytest.raises(SchemaError, match=said):
        read_rows(path, LabelRow)


def test_golden_labels_outside_the_alphabet_and_repeated_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "gold.jsonl"
    path.write_text('{"id":"a","label":2}\n')
    with pytest.raises(SchemaError, match=r"gold.jsonl:1: label must be 'False', 'True', or from 0 to 1, got 2"):
        golden.load(path, TRUE_FALSE)
    path.write_text('{"id":"a","label":1}\n{"id":"a","label":0}\n')
    with pytest.raises(SchemaError, match=r"gold.jsonl:2: claim 'a' stands twice"):
        golden.load(path, TRUE_FALSE)
    golden.save(path, {ClaimId("b"): 1, ClaimId("a"): 0})
    assert golden.load(path, TRUE_FALSE) == {"a": 0, "b": 1}


@pytest.mark.parametrize(
    ("names", "verbalizers", "said"),
    [
        (("True",), (" True",), "at least two labels"),
        (("a", "b"), (" yes", " yes, surely"), "' yes' is a prefix of verbalizer ' yes, surely'"),
        (("a", "a"), (" x", " y"), "must differ"),
        (("a", "b"), (" x", " "), "must not be blank"),
        (("a", "b"), (" x",), "one verbalizer"),
    ],
)
def test_an_unsound_alphabet_is_refused(names: tuple[str, ...], verbalizers: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LabelSpace(names=names, verbalizers=verbalizers)


def test_a_task_survives_its_file(tmp_path: Path) -> None:
    task = make_task()
    write_json(tmp_path / "task.json", task.model_dump(mode="json"))
    assert TaskRecord.model_validate_json((tmp_path / "task.json").read_text()) == task
    assert task.label_space == TRUE_FALSE


def test_a_checkpoint_survives_its_file_and_no_other_content_does(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"
    checkpoint = Checkpoint(
        state={"step": 3, "labels": [0, 1, -1], "best_utility": 0.1 + 0.2},
        trace_bytes=10,
        trace_sha256="ab" * 32,
        journal_bytes=20,
        cost=ScoringCost(prompts=4, model_seconds=0.5),
        seconds=1.5,
    )
    assert load_checkpoint(path) is None
    checkpoint.save(path)
    assert load_checkpoint(path) == checkpoint
    for broken in (path.read_text()[:-20], path.read_text().replace('"step": 3', '"step": 4'), "{}", ""):
        path.write_text(broken)
        with pytest.raises(RunDirectoryError, match="is corrupt"):
            load_checkpoint(path)
