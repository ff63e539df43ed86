"""Readers of what users hand in raise our errors and no others; `benchmarks.reliability.fuzz` does it for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.reliability.case import Case, happened
from benchmarks.reliability.cases import all_cases
from benchmarks.reliability.fuzz import READERS, fuzz
from icm.errors import SchemaError


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_returns_or_raises_an_error_of_ours(reader: str) -> None:
    assert fuzz(reader, number=0, examples=60) >= 60


def test_a_fault_of_a_reader_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_: Path, drawn: tuple[str, bytes]) -> None:
        assert b"Human" not in drawn[1]

    monkeypatch.setitem(READERS, "careless", (READERS["tables"][0], read))
    with pytest.raises(AssertionError):
        fuzz("careless", number=0)


def test_what_happens_to_a_case_is_told_apart(tmp_path: Path) -> None:
    def refuse(_: Path) -> None:
        raise SchemaError("rows.jsonl:1: column 'text' is odd; rename it")

    def go_on(_: Path) -> None:
        print("1 duplicate")  # noqa: T201

    def fail(_: Path) -> None:
        raise KeyError("text")

    expected = [
        (refuse, {"refused": ("odd", "rename")}, "refused"),
        (refuse, {"refused": ("strange",)}, "unclear"),
        (refuse, {}, "unclear"),
        (go_on, {"told": ("1 duplicate",)}, "told"),
        (go_on, {"told": ("2 duplicate",)}, "silent"),
        (go_on, {"check": lambda folder: "no claims"}, "silent"),
        (go_on, {"refused": ("odd",)}, "silent"),
        (fail, {}, "traceback"),
        (fail, {"refused": ("text",)}, "traceback"),
    ]
    for number, (command, told, outcome) in enumerate(expected):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert happened(Case("D", str(number), command, {}, **told), folder, folder)[0] == outcome, number


def test_there_are_many_cases_of_every_kind_and_no_two_of_one_name() -> None:
    kinds = [case.kind for case in all_cases()]
    assert len(kinds) >= 150
    assert {"D", "D2", "E", "F", "G", "I"} <= set(kinds)
