"""Label files survive every spelling, and no malformed line gets past the reader or comes without its place."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icm.claims import ABSENT_WORDS, Claim, LabelSpace, claim_id
from icm.errors import SchemaError
from icm.files.labels import read_elicited_labels, read_labels
from icm.files.records import LabelRow, write_rows

# No surrogates: they are no UTF-8. No NUL: the csv module of Python 3.11 does not read it.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
NAMES = st.lists(
    TEXT.filter(lambda text: text.strip() not in ABSENT_WORDS), min_size=2, max_size=4, unique_by=str.strip
)
PROBABILITIES = st.none() | st.floats(0, 1)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Claim], LabelSpace, list[LabelRow]]:
    """Draw claims with distinct texts, a label space, and a row for some of the claims."""
    names = tuple(draw(NAMES))
    # A letter to tell verbalizers apart keeps one from being a prefix of another.
    space = LabelSpace(names=names, verbalizers=tuple(f" {number}" for number in range(len(names))))
    answers = draw(st.lists(TEXT.filter(str.strip), min_size=1, max_size=5, unique_by=str.strip))
    claims = [
        Claim(id=claim_id("g", text), group="g", text=text, parts={"question": "q?", "answer": answer})
        for answer in answers
        for text in [f"q? {answer.strip()}:"]
    ]
    rows = []
    for claim in claims:
        label = draw(st.none() | st.integers(0, len(names) - 1))
        name = None if label is None else names[label]
        rows.append(LabelRow(id=claim.id, group="g", label=label, name=name, probability=draw(PROBABILITIES)))
    return claims, space, rows


def spelled(data: st.DataObject, claim: Claim, row: LabelRow, space: LabelSpace) -> dict[str, Any]:
    """Return the columns of a row in one of the spellings that are read."""
    naming: dict[str, Any] = data.draw(
        st.sampled_from([{"id": claim.id}, {"text": claim.text}, {"text": f"{claim.text} "}, dict(claim.parts)])
    )
    spellings: list[Any] = [None, ""]
    if row.label is not None:
        spellings = [row.label, float(row.label), space.names[row.label]]
        if str(row.label) not in {name.strip() for name in space.names}:
            spellings += [str(row.label), f"{row.label}.0"] if f"{row.label}.0" not in space.names else [str(row.label)]
        if len(space) == 2:
            spellings.append(bool(row.label))
    known_as = data.draw(st.sampled_from(["probability", "reliability"]))
    return {**naming, "label": data.draw(st.sampled_from(spellings)), known_as: row.probability, "note": "x"}


@given(world=worlds(), data=st.data())
def test_every_spelling_is_read_as_the_same_rows_from_json_lines(
    tmp_path_factory: pytest.TempPathFactory, world: Any, data: st.DataObject
) -> None:
    claims, space, rows = world
    lines = [spelled(data, claim, row, space) for claim, row in zip(claims, rows, strict=True)]
    path = tmp_path_factory.mktemp("labels") / "labels.jsonl"
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig"]))
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding=encoding)
    assert list(read_labels(path, space, claims).values()) == rows


@given(world=worlds(), data=st.data())
def test_csv_holds_the_same_rows(tmp_path_factory: pytest.TempPathFactory, world: Any, data: st.DataObject) -> None:
    claims, space, rows = world
    naming = data.draw(st.sampled_from(["id", "text", "parts"]))
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    with path.open("w", encoding=data.draw(st.sampled_from(["utf-8", "utf-8-sig"])), newline="") as file:
        columns = ["question", "answer"] if naming == "parts" else [naming]
        writer = csv.DictWriter(file, [*columns, "label", "probability"])
        writer.writeheader()
        for claim, row in zip(claims, rows, strict=True):
            names = {"id": claim.id, "text": claim.text, **claim.parts}
            label = "" if row.label is None else space.names[row.label]
            writer.writerow({name: names[name] for name in columns} | {"label": label, "probability": row.probability})
    assert list(read_labels(path, space, claims).values()) == rows


@given(world=worlds())
def test_what_the_elicit_stage_writes_is_read_back(tmp_path_factory: pytest.TempPathFactory, world: Any) -> None:
    claims, space, rows = world
    path = tmp_path_factory.mktemp("labels") / "labels.jsonl"
    write_rows(path, rows)
    assert read_elicited_labels(path, space, claims) == rows


def read_or_refuse(path: Path, space: LabelSpace, claims: list[Claim] | None) -> tuple[list[LabelRow], str]:
    """Return the rows of a file, or none and the error."""
    try:
        return list(read_labels(path, space, claims).values()), ""
    except SchemaError as error:
        return [], str(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
COLUMNS = st.sampled_from(["id", "text", "question", "answer", "label", "probability", "reliability", "margin"])


@given(world=worlds(), columns=st.dictionaries(COLUMNS, JSON, max_size=6), good=st.booleans())
def test_a_line_of_anything_is_read_or_named(
    tmp_path_factory: pytest.TempPathFactory, world: Any, columns: Any, good: Any
) -> None:
    """A line either says a label of the space about one of the claims, or the error begins with its place."""
    claims, space, _ = world
    line = columns | ({"id": claims[0].id} if good else {})
    path = tmp_path_factory.mktemp("labels") / "labels.jsonl"
    path.write_text("\n" + json.dumps(line) + "\n", encoding="utf-8")
    rows, problem = read_or_refuse(path, space, claims)
    assert not problem or problem.startswith(f"{path}:2: ")
    for row in rows:
        assert row.id in {claim.id for claim in claims}
        assert row.label is None or 0 <= row.label < len(space)
        assert row.probability is None or 0 <= row.probability <= 1
    assert problem or len(rows) == 1


@given(content=st.binary(max_size=80), suffix=st.sampled_from([".csv", ".jsonl"]))
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str) -> None:
    path: Path = tmp_path_factory.mktemp("labels") / f"labels{suffix}"
    path.write_bytes(content)
    space = LabelSpace(names=("False", "True"), verbalizers=(" False", " True"))
    rows, problem = read_or_refuse(path, space, None)
    assert rows == []
    assert not problem or problem.startswith(f"{path}:")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_an_empty_file_holds_no_labels(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"labels{suffix}"
    path.touch()
    assert read_labels(path, LabelSpace(names=("a", "b"), verbalizers=(" a", " b"))) == {}
