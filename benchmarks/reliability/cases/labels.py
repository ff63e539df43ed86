"""D2: labels and anchors that a user gives."""

from __future__ import annotations

import codecs
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.reliability.case import Case, Check
from benchmarks.reliability.cases.build import TEXTS, in_every_format, jsonl, listed, table
from icm.files.labels import read_labels
from icm.files.records import CLAIMS, TASK, read_claims, read_task

NAMED: Final = [{"text": f"{text} so", "label": number % 2} for number, text in enumerate(TEXTS)]
"""A label for each claim of the finished run."""


def export(file: str) -> tuple[str, ...]:
    """Return the command that exports labels of a file."""
    return ("export", "run_dir={dir}/run", f"labels={{dir}}/{file}", "out_dir={dir}/export")


def anchored(file: str) -> tuple[str, ...]:
    """Return the command that elicits with anchors of a file."""
    return (
        "elicit",
        f"anchors={{dir}}/{file}",
        "model=fake",
        "search=zero_shot",
        "overwrite=true",
        "out_dir={dir}/run",
    )


def labels_read(file: str, number: int) -> Check:
    """Check that a file of labels says what was meant, by reading it as the stages do."""

    def check(folder: Path) -> str | None:
        prepared = folder / "run" / "prepare"
        claims, space = read_claims(prepared / CLAIMS), read_task(prepared / TASK).label_space
        read = {row.id: row.label for row in read_labels(folder / file, space, claims).values()}
        meant = {row["text"]: row["label"] for row in NAMED[:number]}
        found = {claim.text: read[claim.id] for claim in claims if claim.id in read}
        return None if found == meant else f"labels {found}"

    return check


def _formats() -> Iterator[Case]:
    for file, content in in_every_format(NAMED).items():
        file = file.replace("rows", "labels")
        yield Case("D2", f"labels as {file}", export(file), {file: content}, check=labels_read(file, 6), run=True)
        yield Case("D2", f"anchors as {file}", anchored(file), {file: content}, run=True)
    marked = {
        "labels.jsonl": codecs.BOM_UTF8 + jsonl(NAMED),
        "labels.csv": codecs.BOM_UTF8 + table(NAMED),
        "labels.csv.gz": gzip.compress(codecs.BOM_UTF8 + table(NAMED, ";")),
        "labels.json": codecs.BOM_UTF8 + listed(NAMED),
        "labels.tsv": table(NAMED, "\t").decode().encode("utf-16"),
    }
    for file, content in marked.items():
        check = labels_read(file, 6)
        yield Case("D2", f"byte-order mark in {file}", export(file), {file: content}, check=check, run=True)
        yield Case("D2", f"byte-order mark in anchors, {file}", anchored(file), {file: content}, run=True)


FIRST: Final = NAMED[0]["text"]
BAD: Final[dict[str, tuple[list[dict[str, Any]], tuple[str, ...]]]] = {
    "a foreign id": ([*NAMED, {"id": "nowhere", "label": 1}], ("no claim", "nowhere", "claims.jsonl")),
    "a foreign text": ([{"text": "Nobody said so", "label": 1}], ("no claim", "Nobody said so", "claims.jsonl")),
    "two labels of one claim": ([NAMED[0], {"text": FIRST, "label": 1}], (":2:", "leave one of them out")),
    "a label outside the alphabet": ([{"text": FIRST, "label": 2}], ("label must be", "'False', 'True'", "got 2")),
    "a label in words": ([{"text": FIRST, "label": "perhaps"}], ("label must be", "got 'perhaps'")),
    "no column of labels": ([{"text": FIRST, "verdict": 1}], ("no column 'label'", "text, verdict")),
    "no claim named": ([{"label": 1}], ("does not say which claim", "give its id")),
    "a probability of 2": ([{"text": FIRST, "label": 1, "probability": 2}], ("from 0 to 1", "got 2")),
    "two different probabilities": (
        [{"text": FIRST, "label": 1, "probability": 0.6, "reliability": 0.9}],
        ("one thing", "leave one of them out"),
    ),
}


def _bad() -> Iterator[Case]:
    for name, (rows, refused) in BAD.items():
        for command in (export, anchored):
            yield Case("D2", name, command("labels.jsonl"), {"labels.jsonl": jsonl(rows)}, refused=refused, run=True)
    unsure = [{"text": FIRST, "label": 1, "reliability": 0.3}]
    refused = ("above chance", "got 0.3")
    yield Case(
        "D2", "an anchor below chance", anchored("a.jsonl"), {"a.jsonl": jsonl(unsure)}, refused=refused, run=True
    )
    certain = [{"text": FIRST, "label": 1, "reliability": 1}]
    refused = ("below 1", "got 1.0")
    yield Case(
        "D2", "an anchor beyond doubt", anchored("a.jsonl"), {"a.jsonl": jsonl(certain)}, refused=refused, run=True
    )
    yield Case(
        "D2", "no anchor at all", anchored("a.jsonl"), {"a.jsonl": b"\n"}, refused=("holds no anchor",), run=True
    )
    nulls = jsonl([{"text": FIRST, "label": None}])
    yield Case("D2", "an anchor of null", anchored("a.jsonl"), {"a.jsonl": nulls}, refused=("label must be",), run=True)
    for command in (export, anchored):
        yield Case("D2", "no such file", command("none.jsonl"), {}, refused=("no such file", "none.jsonl"), run=True)
        torn = {"labels.jsonl": b'{"text": "Bri'}
        refused = ("labels.jsonl:1", "not valid JSON")
        yield Case("D2", "a line cut short", command("labels.jsonl"), torn, refused=refused, run=True)


def _few() -> Iterator[Case]:
    told = ("most claims have no label", "4 of 6 claims")
    yield Case(
        "D2", "labels of a few claims", export("few.jsonl"), {"few.jsonl": jsonl(NAMED[:2])}, told=told, run=True
    )
    told = ("2 of 6 claims are without a label",)
    yield Case("D2", "labels of most claims", export("most.csv"), {"most.csv": table(NAMED[:4])}, told=told, run=True)
    frame = [{**row, "label": float(row["label"])} for row in NAMED[:3]] + [{**NAMED[3], "label": float("nan")}]
    files = {"frame.jsonl": "".join(json.dumps(row) + "\n" for row in frame).encode()}
    yield Case("D2", "labels as a data frame writes them", export("frame.jsonl"), files, told=("3 of 6",), run=True)


CASES: Final = [*_formats(), *_bad(), *_few()]
