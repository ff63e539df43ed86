"""G: the answer stands in the context, because a text stands in the source more than once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.reliability.case import Case
from benchmarks.reliability.cases.build import every, gold_is, jsonl, number_is, prepare, rejected
from icm.files.records import CLAIMS, HELD_OUT, read_claims

BY_QUESTION: Final = "task.group_columns=[question]"
SPLIT: Final = ("task.num_claims=8", "task.num_held_out=4")


def apart(folder: Path) -> str | None:
    """Check that no text is both searched and held out."""
    searched, held_out = (
        {claim.text for claim in read_claims(folder / "run" / "prepare" / name)} for name in (CLAIMS, HELD_OUT)
    )
    return f"searched and held out: {sorted(searched & held_out)[:3]}" if searched & held_out else None


def _doors(number: int) -> list[dict[str, object]]:
    return [
        {"question": f"Is door {n} open?", "text": answer, "label": label}
        for n in range(number)
        for label, answer in enumerate(("No", "Yes"))
    ]


def _cases() -> Iterator[Case]:
    doors = jsonl(_doors(20))
    check = every(number_is(2), gold_is(1, 1), rejected(duplicate=38))
    command = prepare("rows.jsonl", BY_QUESTION)
    yield Case("G", "one text in 20 groups", command, {"rows.jsonl": doors}, told=("38 duplicate",), check=check)
    refused = ("need 12 claims", "holds 2", "38 duplicate", "ask for fewer")
    yield Case("G", "too few texts for a split", (*command, *SPLIT), {"rows.jsonl": doors}, refused=refused)
    gates = [{"question": f"gate {n}", "text": f"Gate {n} is open", "label": 1} for n in range(12)]
    rows = jsonl([*_doors(20), *gates])
    told = ("38 duplicate",)
    yield Case(
        "G", "texts on both sides of the split", (*command, *SPLIT), {"rows.jsonl": rows}, told=told, check=apart
    )
    turned = [{"question": f"q{n}", "text": "Yes", "label": n % 2} for n in range(4)]
    check = every(number_is(1), gold_is(0, 0), rejected(duplicate=3, conflicting_gold=1))
    yield Case("G", "one text with two golden labels", command, {"rows.jsonl": jsonl(turned)}, check=check)
    variants = {
        "case": ("It is open", "IT IS OPEN"),
        "spaces": ("It is open", "It  is open "),
        "the last mark": ("It is open", "It is open."),
        "wide letters": ("It is open", "It is \uff4fpen"),
    }
    for name, texts in variants.items():
        near = [{"question": f"q{n}", "text": text, "label": 1} for n, text in enumerate(texts)]
        check = every(number_is(2), rejected(near_duplicate=1))
        told = ("1 near_duplicate", "rejected.jsonl")
        yield Case("G", f"texts but for {name}", command, {"rows.jsonl": jsonl(near)}, told=told, check=check)
    exact = {
        "line ends": ("a\nb", "a\r\nb"),
        "composed letters": ("caf\u00e9", "cafe\u0301"),
        "nothing": ("a b", "a b"),
    }
    for name, texts in exact.items():
        same = [{"question": f"q{n}", "text": text, "label": 1} for n, text in enumerate(texts)]
        check = every(number_is(1), rejected(duplicate=1))
        yield Case(
            "G", f"texts but for {name}", command, {"rows.jsonl": jsonl(same)}, told=("1 duplicate",), check=check
        )
    answers = [{"question": "Is it?", "answer": answer, "label": n} for n, answer in enumerate(("Yes", "yes", "No"))]
    told = ("1 near_duplicate",)
    command = prepare("rows.jsonl", task=("task=truthfulqa",))
    yield Case(
        "G", "an answer in two spellings", command, {"rows.jsonl": jsonl(answers)}, told=told, check=number_is(3)
    )


CASES: Final = list(_cases())
