"""D: values that are ambiguous or missing, in every format and at every reader."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.reliability.case import Case
from benchmarks.reliability.cases.build import (
    ROWS,
    every,
    gold_is,
    in_every_format,
    jsonl,
    listed,
    number_is,
    prepare,
    rejected,
    six,
    table,
    texts_are,
)
from icm.training.reward.judged_pairs import read_judged_pairs


def judged_pairs(folder: Path) -> None:
    """Read the file of judged pairs of a case."""
    (path,) = folder.glob("pairs.*")
    read_judged_pairs(path, "Human: {question}\nAssistant:")


TWICE: Final = {
    "rows.csv": b"text,label,text\nfirst,0,second\n",
    "rows.tsv": b"text\tlabel\ttext\nfirst\t0\tsecond\n",
    "rows.csv.gz": gzip.compress(b"text,label,text\nfirst,0,second\n"),
    "rows.jsonl": b'{"text": "first", "label": 0, "text": "second"}\n',
    "rows.json": b'[{"text": "first", "label": 0, "text": "second"}]',
    "rows.ndjson": b'{"text": "a", "label": 0}\n{"text": "first", "meta": {"a": 1, "a": 2}, "label": 0}\n',
}
MISSING: Final = {
    "null": None,
    "NaN": float("nan"),
    "empty": "",
    "spaces": "  ",
    "nan as a word": "nan",
    "<NA>": "<NA>",
}


def _twice() -> Iterator[Case]:
    for file, content in TWICE.items():
        yield Case("D", f"a column twice, {file}", prepare(file), {file: content}, refused=("twice", "rename"))
    labels = {
        "labels.csv": b"text,label,label\nBridge 0 stands so,0,1\n",
        "labels.jsonl": b'{"text": "Bridge 0 stands so", "label": 0, "label": 1}\n',
    }
    for file, content in labels.items():
        for command, named in (("export", "labels"), ("elicit", "anchors")):
            where = ("run_dir={dir}/run", "out_dir={dir}/export") if command == "export" else ("out_dir={dir}/run",)
            arguments = (command, *where, f"{named}={{dir}}/{file}", *(("model=fake",) if command == "elicit" else ()))
            yield Case("D", f"a label twice, {file}", arguments, {file: content}, refused=("twice", "rename"), run=True)
    pairs = b'{"prompt": "q", "chosen": "a", "rejected": "b", "chosen": "c"}\n'
    yield Case(
        "D", "a response twice", judged_pairs, {"pairs.jsonl": pairs}, refused=("'chosen' stands twice", "rename")
    )


def _missing() -> Iterator[Case]:
    for name, value in MISSING.items():
        rows = [{"text": value, "label": 0}, *ROWS]
        files = {"rows.jsonl": jsonl(rows)} if name == "NaN" else in_every_format(rows)
        for file, content in files.items():
            check = every(six, rejected(empty=1))
            yield Case("D", f"text {name}, {file}", prepare(file), {file: content}, told=("1 empty",), check=check)
        rows = [{"text": "Gate", "label": value}, *ROWS]
        check = every(number_is(7), gold_is(3, 3))
        yield Case("D", f"gold {name}", prepare("rows.jsonl"), {"rows.jsonl": jsonl(rows)}, check=check)
        grouped = [{"question": value if n % 2 else f"q{n}", "text": f"a{n}", "label": 0} for n in range(8)]
        command = prepare("rows.jsonl", "task.group_columns=[question]", "task.answer_column=text", DIFFERENT)
        told = ("4 no_group", "rejected.jsonl")
        yield Case("D", f"group {name}", command, {"rows.jsonl": jsonl(grouped)}, told=told, check=number_is(8))


DIFFERENT: Final = "task.relations=[{kind: different_answer, weight: 1.0}]"


def _large() -> Iterator[Case]:
    strangers = [{"question": "all", "text": f"a{n}", "label": 0} for n in range(1500)]
    command = prepare("rows.jsonl", "task.group_columns=[question]", "task.answer_column=text", DIFFERENT)
    refused = ("1,124,250 constraints", "at most 200,000", "1,500 claims", "other group columns")
    yield Case("D", "one group of strangers", command, {"rows.jsonl": jsonl(strangers)}, refused=refused)
    nobody = [{**row, "question": None} for row in strangers]
    told = ("1,500 no_group",)
    yield Case(
        "D", "1,500 rows without a group", command, {"rows.jsonl": jsonl(nobody)}, told=told, check=number_is(1500)
    )


def _letters() -> Iterator[Case]:
    words = {"composed": "caf\u00e9", "decomposed": "cafe\u0301"}
    rows = [{"question": word, "text": f"{name} {word}", "answer": word, "label": 1} for name, word in words.items()]
    command = prepare("rows.jsonl", "task.group_columns=[question]", "task.answer_column=answer", DIFFERENT)

    def one_group(folder: Path) -> str | None:
        from benchmarks.reliability.cases.build import claims_of

        claims = claims_of(folder)
        same = len({claim.group for claim in claims}) == 1 and len({claim.key for claim in claims}) == 1
        kept = all(any(word in claim.text for claim in claims) for word in words.values())
        return None if same and kept else "letters that are composed otherwise are other keys, or texts were changed"

    files = {"rows.jsonl": jsonl(rows)}
    yield Case("D", "letters composed in two ways", command, files, check=every(number_is(2), one_group))
    twins = [{"text": word, "label": 1} for word in words.values()]
    yield Case(
        "D", "one text composed in two ways", prepare("rows.jsonl"), {"rows.jsonl": jsonl(twins)}, told=("1 duplicate",)
    )


def _numbers() -> Iterator[Case]:
    bad = {
        "Infinity": (b'{"text": Infinity, "label": 0}\n', ("Infinity",)),
        "1e999": (b'{"text": 1e999, "label": 0}\n', ("'text' must be text",)),
        "a list": (b'{"text": ["a"], "label": 0}\n', ("'text' must be text", "['a']")),
        "an object": (b'{"text": {"a": 1}, "label": 0}\n', ("'text' must be text",)),
        "true": (b'{"text": true, "label": 0}\n', ("'text' must be text", "True")),
        "a lone surrogate": (b'{"text": "\\ud800", "label": 0}\n', ("not valid Unicode",)),
        "another label": (b'{"text": "a", "label": 7}\n', ("must hold one of the labels", "'7'", "task.labels")),
    }
    for name, (content, refused) in bad.items():
        refused = ("rows.jsonl:1", *refused)
        yield Case("D", f"{name} for a text", prepare("rows.jsonl"), {"rows.jsonl": content}, refused=refused)
    long = json.dumps([{"text": "Gate", "n": 0, "label": 0}]).replace('"n": 0', f'"n": {"9" * 5000}').encode()
    yield Case("D", "a number of 5,000 digits elsewhere", prepare("rows.json"), {"rows.json": long}, check=number_is(1))
    deep = b'{"text": "a", "meta": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"
    refused = ("rows.jsonl:1", "nested too deeply")
    yield Case("D", "lists in lists in lists", prepare("rows.jsonl"), {"rows.jsonl": deep}, refused=refused)
    frame = [{"text": f"Gate {n}", "label": label} for n, label in enumerate([1.0, 0.0, "1.0", "0.0", float("nan")])]
    yield Case(
        "D", "gold as a data frame writes it", prepare("rows.jsonl"), {"rows.jsonl": jsonl(frame)}, check=gold_is(2, 2)
    )
    words = [{"text": word, "label": 1} for word in ("None", "null", "NA", "Nan")]
    kept = texts_are("None so", "null so", "NA so", "Nan so")
    yield Case("D", "words that may be answers", prepare("rows.csv"), {"rows.csv": table(words)}, check=kept)
    mixed = [{"text": "Gate", "label": 1}, {"text": "Gate", "label": 0}]
    check = every(gold_is(0, 0), rejected(duplicate=1, conflicting_gold=1))
    yield Case("D", "two golden labels of one claim", prepare("rows.json"), {"rows.json": listed(mixed)}, check=check)
    lacking = b'{"text": "a", "label": 0}\n{"label": 0}\n'
    refused = ("rows.jsonl:2", "no column 'text'")
    yield Case("D", "a row without the column", prepare("rows.jsonl"), {"rows.jsonl": lacking}, refused=refused)


CASES: Final = [*_twice(), *_missing(), *_large(), *_letters(), *_numbers()]
