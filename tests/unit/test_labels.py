"""Label files: every spelling of a claim and of a label is read alike, and what is wrong is said with its line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from consistency.builders import TRUE
from icm import golden
from icm.claims import AFFIRMING, TRUE_FALSE, UNLABELLED, Claim, ClaimId, LabelSpace, claim_id, freeze
from icm.errors import SchemaError
from icm.files.labels import (
    label_rows,
    label_vector,
    num_unlabelled,
    read_anchors,
    read_elicited_labels,
    read_labels,
    told_of_unlabelled,
)
from icm.files.records import LabelRow, dump_row, write_rows
from tests.worlds import make_claims
from tests.worlds.files import write_all

CLAIMS, _ = make_claims(num_groups=2, per_group=2)
FIRST, SECOND = CLAIMS[:2]
MOODS = LabelSpace(names=("sad", "1", "glad"), verbalizers=(" sad", " one", " glad"))


def label_file(directory: Path, *lines: str, name: str = "labels.jsonl") -> Path:
    path = directory / name
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def one_label(directory: Path, columns: dict[str, object], space: LabelSpace = TRUE_FALSE) -> LabelRow:
    """Return the one row of a file about the first claim."""
    rows = read_labels(label_file(directory, json.dumps(columns)), space, CLAIMS)
    assert list(rows) == [FIRST.id]
    return rows[FIRST.id]


@pytest.mark.parametrize(
    "columns",
    [
        {"id": FIRST.id},
        {"text": FIRST.text},
        {"text": f" {FIRST.text}\n"},
        dict(FIRST.parts),
        {**FIRST.parts, "answer": int(FIRST.parts["answer"])},
        {**FIRST.parts, "text": "what a data frame of ours calls text", "annotator": 7},
        {"id": FIRST.id, "text": SECOND.text},
        {"id": None, **FIRST.parts},
    ],
)
def test_a_claim_is_named_by_id_text_or_parts(tmp_path: Path, columns: dict[str, object]) -> None:
    row = one_label(tmp_path, {**columns, "label": 1})
    assert (row.group, row.label, row.name) == (FIRST.group, 1, "True")


@pytest.mark.parametrize(
    ("label", "index"),
    [
        *((1, 1), (0, 0), (1.0, 1), ("True", 1), (" False ", 0), ("true", 1), ("FALSE", 0), ("1", 1), ("0.0", 0)),
        *((True, 1), (False, 0), (None, None), ("", None), (float("nan"), None), ("nan", None)),
    ],
)
def test_a_binary_label_is_a_name_an_index_or_a_truth_value(tmp_path: Path, label: object, index: int | None) -> None:
    assert one_label(tmp_path, {"id": FIRST.id, "label": label}).label == index


def test_text_that_is_a_name_and_an_index_is_the_name(tmp_path: Path) -> None:
    labels = ["glad", "2", "1", 1, 0]
    read = [one_label(tmp_path, {"id": FIRST.id, "label": label}, MOODS).label for label in labels]
    assert read == [2, 2, 1, 1, 0]
    flipped = LabelSpace(names=("1", "0"), verbalizers=(" one", " nought"))
    assert one_label(tmp_path, {"id": FIRST.id, "label": "1"}, flipped).label == 0
    assert one_label(tmp_path, {"id": FIRST.id, "label": 1}, flipped).label == 1


def test_probability_and_reliability_are_one_thing(tmp_path: Path) -> None:
    for columns in ({"probability": 0.75}, {"reliability": "0.75"}, {"probability": 0.75, "reliability": 0.75}):
        assert one_label(tmp_path, {"id": FIRST.id, "label": 1, **columns}).probability == 0.75


def test_a_probability_that_is_nan_is_not_known(tmp_path: Path) -> None:
    assert one_label(tmp_path, {"id": FIRST.id, "label": 1, "probability": float("nan")}).probability is None


def test_labels_are_read_from_every_type_of_table(tmp_path: Path) -> None:
    rows = [{"id": FIRST.id, "label": "True"}, {"id": SECOND.id, "label": None}]
    for path in write_all(tmp_path, rows, ["id", "label"]):
        read = read_labels(path, TRUE_FALSE, CLAIMS)
        assert [row.label for row in read.values()] == [1, None], path.name


def test_csv_with_a_byte_order_mark_and_quoted_line_breaks_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.CSV"
    path.write_text(
        f"question,answer,label,probability\n{FIRST.parts['question']},{FIRST.parts['answer']},True,0.9\n"
        f"{SECOND.parts['question']},{SECOND.parts['answer']},,\n",
        encoding="utf-8-sig",
    )
    rows = read_labels(path, TRUE_FALSE, CLAIMS)
    assert [(row.id, row.label, row.probability) for row in rows.values()] == [
        (FIRST.id, 1, 0.9),
        (SECOND.id, None, None),
    ]
    path.write_text(f'text,label\n"{FIRST.text}",1\n"{SECOND.text}",maybe\n')
    # The text of a claim has three lines, so the second row begins on the fifth line of the file.
    with pytest.raises(SchemaError, match=r"labels.CSV:5: label must be 'False', 'True', or from 0 to 1 or null"):
        read_labels(path, TRUE_FALSE, CLAIMS)


def test_jsonl_with_a_byte_order_mark_and_blank_lines_is_read(tmp_path: Path) -> None:
    path = label_file(tmp_path, f'\ufeff{{"id": "{FIRST.id}", "label": 1}}', "", f'{{"id": "{SECOND.id}", "label": 0}}')
    assert [row.label for row in read_labels(path, TRUE_FALSE, CLAIMS).values()] == [1, 0]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not valid JSON"),
        ("[1]", "a line must be a JSON object"),
        ("[" * 100_000, "not JSON that can be read"),
        (f'{{"id": "{FIRST.id}"}}', "has no column 'label'; its columns are id"),
        (f'{{"id": "{FIRST.id}", "label": 2}}', "label must be 'False', 'True', or from 0 to 1 or null, got 2"),
        (f'{{"id": "{FIRST.id}", "label": -1}}', "got -1"),
        (f'{{"id": "{FIRST.id}", "label": 0.5}}', "got 0.5"),
        (f'{{"id": "{FIRST.id}", "label": 1e999}}', "got inf"),
        (f'{{"id": "{FIRST.id}", "label": [1]}}', r"got \[1\]"),
        (f'{{"id": "{FIRST.id}", "label": "maybe"}}', "got 'maybe'"),
        (
            f'{{"id": "{FIRST.id}", "label": 1, "probability": 1.5}}',
            "probability must be a number from 0 to 1, got 1.5",
        ),
        (
            f'{{"id": "{FIRST.id}", "label": 1, "reliability": true}}',
            "reliability must be a number from 0 to 1, got True",
        ),
        (f'{{"id": "{FIRST.id}", "label": 1, "probability": 0.5, "reliability": 0.6}}', "are one thing"),
        (f'{{"id": "{FIRST.id}", "label": 1, "margin": "wide"}}', "margin: .*got 'wide'"),
        ('{"id": "nowhere", "label": 1}', "there is no claim {'id': 'nowhere'} in this task; .* claims.jsonl"),
        ('{"text": "nothing", "label": 1}', "there is no claim {'text': 'nothing'}"),
        ('{"question": "what?", "answer": "0", "label": 1}', "there is no claim {'answer': '0', 'question': 'what"),
        (
            '{"question": "what?", "label": 1}',
            "does not say which claim .* give its id, or text, or answer and question",
        ),
        (f'{{"id": "{SECOND.id}", "label": 1}}', "stands twice, and the lines differ"),
        (f'{{"text": {json.dumps(SECOND.text)}, "label": "True"}}', "stands twice"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = label_file(tmp_path, f'{{"id": "{SECOND.id}", "label": 0}}', line)
    with pytest.raises(SchemaError, match=rf"labels\.jsonl:2: .*{problem}"):
        read_labels(path, TRUE_FALSE, CLAIMS)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"id,label\nx\n", r":2: 1 fields under a header of 2"),
        (b"id,label,label\nx,0,1\n", r":1: the header has column 'label' twice"),
        (b"id,label\nx,\xff\n", r":2: not UTF-8 text"),
        (b'id,label\n"x"y,1\n', r":2: not valid CSV"),
    ],
)
def test_a_bad_csv_is_named(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(SchemaError, match=rf"labels\.csv{problem}"):
        read_labels(tmp_path / "labels.csv", TRUE_FALSE, CLAIMS)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(SchemaError, match="no such file"):
            read_labels(path, TRUE_FALSE, CLAIMS)


def test_lines_that_repeat_one_another_count_once(tmp_path: Path) -> None:
    by_id, by_text = {"id": FIRST.id, "label": 1}, {"text": FIRST.text, "label": "True"}
    path = label_file(tmp_path, json.dumps(by_id), json.dumps(by_text))
    assert len(read_labels(path, TRUE_FALSE, CLAIMS)) == 1


def test_a_text_of_several_claims_needs_an_id(tmp_path: Path) -> None:
    twins = [Claim(id=claim_id(group, "same"), group=group, text="same", parts={}) for group in ("a", "b")]
    path = label_file(tmp_path, '{"text": "same", "label": 1}')
    with pytest.raises(SchemaError, match=r":1: 2 claims have this text; give the id"):
        read_labels(path, TRUE_FALSE, twins)
    assert read_labels(label_file(tmp_path, f'{{"id": "{twins[1].id}", "label": 1}}'), TRUE_FALSE, twins)


def test_claims_that_differ_in_white_space_are_told_apart_by_their_text(tmp_path: Path) -> None:
    texts = ["  return x so", "return x so"]
    claims = [Claim(id=claim_id(text, text), group=text, text=text, parts={"text": text[:-3]}) for text in texts]
    for way, named in (("text", texts), ("parts", [text[:-3] for text in texts])):
        lines = [json.dumps({"text": text, "label": label}) for label, text in enumerate(named)]
        read = read_labels(label_file(tmp_path, *lines), TRUE_FALSE, claims)
        assert [read[claim.id].label for claim in claims] == [0, 1], way


def test_how_many_claims_are_without_a_label_is_said(tmp_path: Path) -> None:
    path = label_file(tmp_path, f'{{"id": "{FIRST.id}", "label": 1}}', f'{{"id": "{SECOND.id}", "label": null}}')
    without = num_unlabelled(read_labels(path, TRUE_FALSE, CLAIMS), CLAIMS)
    assert without == 3
    assert told_of_unlabelled(path, 3, 4) == (
        f"{path}: most claims have no label here: 3 of 4 claims are without a label and take no part"
    )
    assert told_of_unlabelled(path, 1, 4) == f"{path}: 1 of 4 claims are without a label and take no part"
    assert told_of_unlabelled(path, 0, 4) is None


def test_a_part_may_have_the_name_of_another_column(tmp_path: Path) -> None:
    claim = Claim(id=claim_id("g", "Is it so: yes"), group="g", text="Is it so: yes", parts={"text": "yes"})
    rows = read_labels(label_file(tmp_path, '{"text": "yes", "label": 1}'), TRUE_FALSE, [claim])
    assert list(rows) == [claim.id]


def test_true_labels_may_be_required_and_other_columns_refused(tmp_path: Path) -> None:
    path = label_file(tmp_path, f'{{"id": "{FIRST.id}", "label": null, "colour": 1}}')
    assert read_labels(path, TRUE_FALSE, CLAIMS)[FIRST.id].label is None
    with pytest.raises(SchemaError, match=r":1: label must be 'False', 'True', or from 0 to 1, got None"):
        read_labels(path, TRUE_FALSE, CLAIMS, unlabelled=False)
    with pytest.raises(SchemaError, match=r":1: there is no column 'colour' in such a file"):
        read_labels(path, TRUE_FALSE, CLAIMS, other_columns=False)


def test_elicited_labels_come_in_the_order_of_the_claims_and_are_complete(tmp_path: Path) -> None:
    rows = [LabelRow(id=claim.id, group=claim.group, label=1, name="True", margin=2.5) for claim in CLAIMS]
    path = label_file(tmp_path, *(dump_row(row).strip() for row in rows[::-1]))
    assert read_elicited_labels(path, TRUE_FALSE, CLAIMS) == rows
    write_rows(path, rows[1:])
    with pytest.raises(SchemaError, match=r"has no line for claim .* run `icm elicit` again"):
        read_elicited_labels(path, TRUE_FALSE, CLAIMS)


def test_labels_of_another_run_serve_as_anchors(tmp_path: Path) -> None:
    row = LabelRow(id=FIRST.id, group=FIRST.group, label=1, name="True", probability=0.9, margin=2.2, last_changed=3)
    evidence = read_anchors(label_file(tmp_path, dump_row(row).strip()), CLAIMS, TRUE_FALSE)
    assert np.allclose(evidence[0], np.log([0.1, 0.9]))
    assert not evidence[1:].any()


def test_rows_and_vectors_are_two_forms_of_the_same_labels() -> None:
    labels = freeze([1, UNLABELLED, 0, 1])
    rows = label_rows(labels, CLAIMS, TRUE_FALSE)
    assert [row.name for row in rows] == ["True", "False", "True"]
    assert label_vector({row.id: row.label for row in rows}, CLAIMS).tolist() == labels.tolist()
    assert label_vector({FIRST.id: None, ClaimId("other"): 1}, CLAIMS).tolist() == [UNLABELLED] * 4


def test_golden_labels_keep_their_bytes_and_need_no_claims(tmp_path: Path) -> None:
    path = tmp_path / "gold.jsonl"
    golden.save(path, {ClaimId("b"): 1, ClaimId("a"): 0})
    assert path.read_bytes() == b'{"id":"a","label":0}\n{"id":"b","label":1}\n'
    with pytest.raises(SchemaError, match=r"gold.jsonl:1: label must be .*, got None"):
        golden.load(label_file(tmp_path, '{"id":"a","label":null}', name="gold.jsonl"), TRUE_FALSE)


def test_consistency_and_claims_agree_on_the_label_that_affirms() -> None:
    assert TRUE == AFFIRMING
