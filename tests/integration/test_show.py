"""`icm show` and `icm diff`: every label beside its text, what speaks for it, and how two labellings differ."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from icm.commands.run import run
from icm.config import Config, load_command
from icm.files.records import LABELS, LabelRow, read_claims, read_rows
from icm.show.explain import explain, find
from icm.show.labelled import read_run
from icm.show.sheet import inert, sheet

Icm = Callable[..., tuple[int, str, str]]

ROWS = [
    ("7", "Ist =1+1 zwei?", "ja", '=HYPERLINK("x")'),
    ("8", "Ist 1+1 drei?", "nein", "-3.5"),
    ("9", "Ist =1+1 zwei?", "ja", "@cmd"),
    ("10", "[bold]Grün[/bold] <b>", "", "+49 30"),
    ("11", "", "nein", "x"),
    ("12", "Gut?", "ja", "y"),
    ("13", "Schlecht?", "nein", "z"),
]
TASK = (
    "task=custom",
    "model=fake",
    "task.template='{Frage} Das ist'",
    "task.group_columns=[]",
    "task.num_held_out=1",
    "task.num_claims=null",
    "task.labels=[{name: nein, verbalizer: ' nein'}, {name: ja, verbalizer: ' ja'}]",
    "task.relations=[]",
    "task.answer_column=null",
    "task.gold_column=label",
    "evaluate.shots=[0]",
    "evaluate.num_resamples=100",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a source and a run on it, made once for all tests here."""
    directory = tmp_path_factory.mktemp("made")
    path = directory / "own.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "Frage", "label", "Notiz"), *ROWS])
    places, config = load_command(Config, "run", *TASK, f"task.path={path}", f"out_dir={directory / 'r'}")
    run(places, config, Console(quiet=True))
    return directory


@pytest.fixture
def source(made: Path) -> Iterator[Path]:
    before = (made / "own.csv").read_bytes()
    yield made / "own.csv"
    (made / "own.csv").write_bytes(before)


@pytest.fixture
def run_dir(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made / "r", tmp_path / "r")


def read_sheet(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_table_holds_every_row_and_column_of_the_source_in_order(run_dir: Path) -> None:
    lines = read_sheet(run_dir / "labels.csv")
    assert list(lines[0])[:4] == ["id", "Frage", "label", "Notiz"]
    assert [(line["id"], line["label"]) for line in lines] == [(row[0], row[2]) for row in ROWS]
    assert [line["Notiz"].removeprefix("'") for line in lines] == [row[3] for row in ROWS]
    labelled = {row.id: row.name for row in read_rows(run_dir / "elicit" / LABELS, LabelRow)}
    assert {line["icm_id"]: line["icm_label"] for line in lines if line["icm_id"]} == labelled
    # A row that repeats another one has its label, and says so.
    assert (lines[2]["icm_id"], lines[2]["icm_label"]) == (lines[0]["icm_id"], lines[0]["icm_label"])
    notes = [line["note"] for line in lines]
    assert notes[2] == "duplicate" or notes[0] == "duplicate"
    assert notes[4] == "empty: column 'Frage' is empty"
    assert notes.count("held out") == 1 or notes.count("held out") == 2


def test_no_cell_of_the_table_is_a_formula(run_dir: Path) -> None:
    cells = [cell for line in csv.reader((run_dir / "labels.csv").read_text().splitlines()) for cell in line]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "@", "\t", "\r")]
    assert "-3.5" in cells  # a number is no formula


@pytest.mark.parametrize("cell", ["=1+1", "+1 2", "-x", "@a", "\tx", "\rx", "-1-1", "=", "+"])
def test_a_cell_that_looks_like_a_formula_is_inert(cell: str) -> None:
    assert inert(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["-3.5", "+1e-3", "a=1", "", "0", "'=1", "-.5"])
def test_other_cells_stay_as_they_are(cell: str) -> None:
    assert inert(cell) == cell


def test_the_table_can_be_read_back_as_labels(icm: Icm, run_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.csv"
    copy.write_bytes((run_dir / "labels.csv").read_bytes())
    status, out, err = icm("diff", str(run_dir), str(copy))
    assert status == 0, err
    assert "agreement 100.0 %" in out
    assert " 0 differ" in out


def test_a_table_that_somebody_has_edited_is_not_written_over(icm: Icm, run_dir: Path, source: Path) -> None:
    (run_dir / "labels.csv").write_text("mine")
    assert icm("diagnose", f"run_dir={run_dir}")[0] == 0
    assert (run_dir / "labels.csv").read_text() == "mine"


def test_without_its_source_the_table_is_made_of_the_claims(run_dir: Path, source: Path) -> None:
    whole = sheet(read_run(run_dir))
    source.write_text("other")
    lines = sheet(read_run(run_dir))
    assert lines[0] == ["Frage", "id", "row", "claim", "label", *whole[0][-5:]]
    of_whole = {tuple(line[5:]) for line in whole[1:] if line[4]}
    assert {tuple(line[2:]) for line in lines[1:]} == of_whole


def test_labels_can_be_named_by_text_and_by_row(icm: Icm, run_dir: Path, tmp_path: Path) -> None:
    labelled = [line for line in read_sheet(run_dir / "labels.csv") if line["icm_id"]]
    by_text, by_row = tmp_path / "text.jsonl", tmp_path / "row.csv"
    by_text.write_text("".join(json.dumps({"Frage": x["Frage"], "label": x["icm_label"]}) + "\n" for x in labelled))
    by_row.write_text("row,label\n" + "".join(f"{line['row']}.0,{line['icm_label']}\n" for line in labelled))
    for file in (by_text, by_row):
        status, out, err = icm("diff", str(run_dir), str(file))
        assert status == 0, err
        assert "agreement 100.0 %, kappa" in out
    by_row.write_text("row,label\n99,ja\n")
    status, _, err = icm("diff", str(run_dir), str(by_row))
    assert (status, "there is no claim {'row': '99'}" in err) == (2, True)


def test_show_lists_labels_beside_their_texts(icm: Icm, run_dir: Path) -> None:
    status, out, err = icm("show", str(run_dir))
    assert status == 0, err
    for claim in read_claims(run_dir / "prepare" / "claims.jsonl"):
        assert claim.id[:8] in out
    # What a data set holds is no markup.
    assert "[bold]Grün[/bold] <b>" in out or "[bold]" not in (run_dir / "prepare" / "claims.jsonl").read_text()


def test_the_least_sure_labels_come_first(icm: Icm, run_dir: Path) -> None:
    rows = read_rows(run_dir / "elicit" / LABELS, LabelRow)
    out = icm("show", str(run_dir), "--uncertain", "limit=2")[1]
    expected = sorted(rows, key=lambda row: row.probability or 0)[:2]
    assert [line.split()[0] for line in out.splitlines()[2:4]] == [row.id[:8] for row in expected]


def test_show_explains_one_claim(icm: Icm, run_dir: Path) -> None:
    claim = read_claims(run_dir / "prepare" / "claims.jsonl")[0]
    status, out, err = icm("show", str(run_dir), "--claim", claim.id[:6])
    assert status == 0, err
    told = explain(read_run(run_dir), 0)
    assert claim.text in out
    assert f"label: {told.row.name}, probability" in out
    assert "constraints: none bear on it" in out
    assert "rival labelling" in out
    assert told.contexts
    assert all(segment in out for segment in told.contexts[0])
    row = told.source_rows[0]
    assert f"claim {claim.id}" in icm("show", f"--row={row}", str(run_dir))[1]


def test_what_stood_before_a_claim_are_all_the_others_with_their_labels(run_dir: Path) -> None:
    labelled = read_run(run_dir)
    verbalizers = labelled.task.label_space.verbalizers
    for position in range(len(labelled.claims)):
        (context,) = explain(labelled, position).contexts
        others = [
            claim.text + verbalizers[row.label]
            for claim, row in zip(labelled.claims, labelled.rows, strict=True)
            if row.label is not None and claim is not labelled.claims[position]
        ]
        assert sorted(context) == sorted(others)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--claim", "zz"), "no claim of this run has it"),
        (("--claim", ""), "claim= is empty"),
        (("--row", "99"), "became no claim of this run"),
        (("--row", "0", "--claim", "a"), "give one of the two"),
        (("--disagrees", "nowhere.csv"), "no such file"),
        (("one", "more"), "one word too many"),
        (("limit=0",), "greater than or equal to 1"),
    ],
)
def test_a_wrong_question_is_named(icm: Icm, run_dir: Path, arguments: tuple[str, ...], problem: str) -> None:
    status, _, err = icm("show", str(run_dir), *arguments)
    assert status == 2
    assert problem in err


def test_diff_lists_the_claims_that_differ(icm: Icm, run_dir: Path, tmp_path: Path) -> None:
    rows = read_rows(run_dir / "elicit" / LABELS, LabelRow)
    other = {"ja": "nein", "nein": "ja"}
    turned = rows[1]
    assert turned.name
    path = tmp_path / "by hand.csv"
    path.write_text("id,label\n" + "".join(f"{r.id},{other[str(r.name)] if r is turned else r.name}\n" for r in rows))
    status, out, err = icm("diff", str(run_dir), str(path))
    assert status == 0, err
    assert " 1 differ" in out
    (line,) = [line for line in out.splitlines() if line.startswith(turned.id[:8])]
    assert line.split()[1:3] == [turned.name, other[turned.name]]
    # The same claims are what `icm show --disagrees` shows.
    assert turned.id[:8] in icm("show", str(run_dir), "--disagrees", str(path))[1]


def test_corrections_go_over_the_labels_and_leave_their_file_alone(icm: Icm, run_dir: Path, tmp_path: Path) -> None:
    before = (run_dir / "elicit" / LABELS).read_bytes()
    row = read_rows(run_dir / "elicit" / LABELS, LabelRow)[0]
    path = tmp_path / "corrections.csv"
    path.write_text(f"id,label\n{row.id},{'nein' if row.name == 'ja' else 'ja'}\n")
    out = icm("diff", str(run_dir), str(run_dir), f"corrections={path}")[1]
    assert " 1 differ" in out
    assert "corrected by corrections.csv" in icm("show", str(run_dir), "--claim", row.id, f"corrections={path}")[1]
    assert (run_dir / "elicit" / LABELS).read_bytes() == before


def test_runs_that_have_nothing_in_common_are_refused(icm: Icm, run_dir: Path, source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("Frage,label\n" + "".join(f"Anders {number}?,ja\n" for number in range(6)))
    assert icm("run", *TASK, f"task.path={other}", f"out_dir={tmp_path / 'o'}")[0] == 0
    status, _, err = icm("diff", str(run_dir), str(tmp_path / "o"))
    assert (status, "no claim in common" in err) == (2, True)
    status, _, err = icm("diff", str(run_dir), str(tmp_path / "nothing"))
    assert (status, "no such file" in err) == (2, True)


def test_find_takes_every_claim_of_a_row(run_dir: Path) -> None:
    labelled = read_run(run_dir)
    for position, claim in enumerate(labelled.claims):
        for row in (row for row, ids in labelled.source_rows.items() if claim.id in ids):
            assert position in find(labelled, row=row)
