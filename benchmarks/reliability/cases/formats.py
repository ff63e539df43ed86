"""I: layouts of preference data, types of files, delimiters and encodings."""

from __future__ import annotations

import codecs
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.reliability.case import Case
from benchmarks.reliability.cases.ambiguous import judged_pairs
from benchmarks.reliability.cases.build import (
    ROWS,
    Rows,
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
)
from icm.errors import SchemaError
from icm.training.reward.judged_pairs import read_judged_pairs

TASK: Final = ("task=alpaca",)


def said(role: str, text: Any) -> dict[str, Any]:
    """Return a chat message."""
    return {"role": role, "content": text}


def asked(number: int, reply: str) -> list[dict[str, Any]]:
    """Return a dialogue of one question and its reply."""
    return [said("user", f"Name colour {number}"), said("assistant", reply)]


def transcript(*texts: str) -> str:
    """Return a transcript of turns, the human's first."""
    return "".join(f"\n\n{('Human', 'Assistant')[n % 2]}: {text}" for n, text in enumerate(texts))


LAYOUTS: Final[dict[str, Rows]] = {
    "UltraFeedback": [
        {"prompt": f"Name colour {n}", "chosen": asked(n, "red"), "rejected": asked(n, "a stone"), "score_chosen": 8.0}
        for n in range(4)
    ],
    "messages alone": [{"chosen": asked(n, "red"), "rejected": asked(n, "a stone")} for n in range(4)],
    "prompt as messages": [
        {"prompt": asked(n, "")[:1], "chosen": asked(n, "red")[1:], "rejected": asked(n, "a stone")[1:]}
        for n in range(4)
    ],
    "messages with a system prompt": [
        {
            "chosen": [said("system", "Be brief."), *asked(n, "red")],
            "rejected": [said("system", "Be brief."), *asked(n, "a stone")],
        }
        for n in range(4)
    ],
    "from and value": [
        {
            "chosen": [{"from": "human", "value": f"Name colour {n}"}, {"from": "gpt", "value": "red"}],
            "rejected": [{"from": "human", "value": f"Name colour {n}"}, {"from": "gpt", "value": "a stone"}],
        }
        for n in range(4)
    ],
    "transcripts": [
        {"chosen": transcript(f"Name colour {n}", "red"), "rejected": transcript(f"Name colour {n}", "a stone")}
        for n in range(4)
    ],
    "LLMBar": [
        {"input": f"Name colour {n}", "output_1": "red", "output_2": "a stone", "label": 1 + n % 2} for n in range(4)
    ],
    "AlpacaFarm": [
        {"instruction": f"Name colour {n}", "output_1": "red", "output_2": "a stone", "preference": float(1 + n % 2)}
        for n in range(4)
    ],
    "pairs counted from 1": [
        {"instruction": f"Name colour {n}", "response_1": "red", "response_2": "a stone", "label": 1 + n % 2}
        for n in range(4)
    ],
    "prompted": [{"prompt": f"Name colour {n}", "chosen": "red", "rejected": "a stone"} for n in range(4)],
}


def four_pairs(folder: Path) -> None:
    """Read the judged pairs of a case, of which there are four.

    Raises:
        SchemaError: There are not.
    """
    (path,) = folder.glob("pairs.*")
    pairs, _ = read_judged_pairs(path, "Human: {question}\nAssistant:")
    if len(pairs) != 4 or not all(pair.prompt.startswith(("Human: ", "System: ")) for pair in pairs):
        raise SchemaError(f"{path}: {len(pairs)} pairs, expected 4")


def _layouts() -> Iterator[Case]:
    check = every(number_is(8), gold_is(4, 4))
    for name, rows in LAYOUTS.items():
        for file, content in {"rows.jsonl": jsonl(rows), "rows.json": listed(rows)}.items():
            yield Case("I", f"{name}, {file}", prepare(file, task=TASK), {file: content}, check=check)
        yield Case("I", f"{name}", four_pairs, {"pairs.jsonl": jsonl(rows)})
    for file, content in in_every_format(LAYOUTS["prompted"]).items():
        name = file.replace("rows", "pairs")
        yield Case("I", f"judged pairs as {name}", four_pairs, {name: content})
    plain = jsonl(LAYOUTS["prompted"])
    for name, content in {
        "a byte-order mark": codecs.BOM_UTF8 + plain,
        "blank lines": plain.replace(b"\n", b"\n\n"),
        "separators inside of texts": jsonl([{**row, "chosen": "red\u2028or so"} for row in LAYOUTS["prompted"]]),
    }.items():
        yield Case("I", f"judged pairs with {name}", four_pairs, {"pairs.jsonl": content})


def _verdicts() -> Iterator[Case]:
    pairs = LAYOUTS["pairs counted from 1"]
    for tie in ("tie", 0, "both", 1.5):
        rows = jsonl([*pairs, {**pairs[0], "instruction": "Name a tie", "label": tie}])
        check = every(number_is(10), gold_is(4, 4), rejected(tie=1))
        command = prepare("rows.jsonl", task=TASK)
        yield Case("I", f"the label {tie!r} once", command, {"rows.jsonl": rows}, told=("1 tie",), check=check)
        yield Case("I", f"the label {tie!r} once, judged", four_pairs, {"pairs.jsonl": rows})
    rows = jsonl([*pairs, {**pairs[0], "label": "A"}])
    refused = ("rows.jsonl:5", "label must be", "number 1 or 2", "'A'")
    yield Case("I", "a label in letters", prepare("rows.jsonl", task=TASK), {"rows.jsonl": rows}, refused=refused)
    refused = ("pairs.jsonl:5", *refused[1:])
    yield Case("I", "a label in letters", judged_pairs, {"pairs.jsonl": rows}, refused=refused)


def _dialogues() -> Iterator[Case]:
    good = LAYOUTS["transcripts"]
    apart = {
        "in a human turn": (transcript("Hi", "Sure", "Water?", "Daily"), transcript("Hi", "Sure", "Sun?", "Noon")),
        "in an earlier reply": (transcript("Hi", "Sure", "Sun?", "Daily"), transcript("Hi", "No", "Sun?", "Noon")),
        "in their length": (transcript("Hi", "Sure", "Sun?", "Daily"), transcript("Hi", "Sure")),
        "nowhere": (transcript("Hi", "Sure"), transcript("Hi", "Sure")),
    }
    for name, (chosen, turned_down) in apart.items():
        rows = jsonl([*good, {"chosen": chosen, "rejected": turned_down}])
        check = every(number_is(8), rejected(invalid=1))
        command = prepare("rows.jsonl", task=TASK)
        yield Case("I", f"dialogues part {name}", command, {"rows.jsonl": rows}, told=("1 invalid",), check=check)
        yield Case("I", f"dialogues part {name}", four_pairs, {"pairs.jsonl": rows})
    bad = {
        "an unknown speaker": ([said("critic", "Hi")], ("a message needs a role", "critic")),
        "a message without text": ([said("user", None)], ("a message needs a role", "text")),
        "messages of Python": ("[{'role': 'user', 'content': 'Hi'}]", ("messages written out as text must be JSON",)),
        "no speaker at all": ("Hi there", ("a dialogue that begins with 'Human:'", "add a column 'prompt'")),
    }
    for name, (chosen, refused) in bad.items():
        rows = jsonl([{"chosen": chosen, "rejected": asked(0, "red") if isinstance(chosen, list) else chosen}])
        refused = ("rows.jsonl:1", *refused)
        yield Case("I", name, prepare("rows.jsonl", task=TASK), {"rows.jsonl": rows}, refused=refused)


def _files() -> Iterator[Case]:
    for file, content in in_every_format(ROWS).items():
        yield Case("I", f"rows as {file}", prepare(file), {file: content}, check=six)
    marked = {
        "marked.jsonl": codecs.BOM_UTF8 + jsonl(ROWS),
        "marked.csv": codecs.BOM_UTF8 + table(ROWS),
        "utf16.csv": table(ROWS, "\t").decode().encode("utf-16"),
        "utf32.tsv": table(ROWS, "\t").decode().encode("utf-32"),
        "joined.jsonl": (codecs.BOM_UTF8 + jsonl(ROWS[:3])) + (codecs.BOM_UTF8 + jsonl(ROWS[3:])),
        "windows.jsonl": jsonl(ROWS).replace(b"\n", b"\r\n\r\n"),
        "mac.csv": table(ROWS).replace(b"\r\n", b"\r"),
        "lines.json": jsonl(ROWS),
        "list.jsonl": listed(ROWS),
        "semicolon.csv": table(ROWS, ";"),
        "pipe.csv": table(ROWS, "|"),
        "tab.csv": table(ROWS, "\t"),
        "quotes.tsv": b"note\ttext\tlabel\n"
        + b"".join(f'"so" he said\t{r["text"]}\t{r["label"]}\n'.encode() for r in ROWS),
    }
    for file, content in marked.items():
        yield Case("I", file, prepare(file), {file: content}, check=six)
    told = {
        "comma by name": ("rows.txt", table(ROWS), "task.delimiter=comma"),
        "a colon": ("rows.csv", table(ROWS, ":"), 'task.delimiter=":"'),
        "a tab as typed": ("rows.dat", table(ROWS, "\t"), 'task.delimiter="\\t"'),
        "cp1252": ("rows.csv", table([*ROWS[:5], {"text": TEXT_OF_FIVE, "label": 1}]), "task.encoding=cp1252"),
    }
    for name, (file, content, setting) in told.items():
        yield Case("I", f"told: {name}", prepare(file, setting), {file: content}, check=six)
    bad = {
        "a csv of two delimiters": ("rows.csv", b"text,a;b,label\n1,2;3,4\n", ("may be parted by", "task.delimiter")),
        "another encoding": (
            "rows.csv",
            "text,label\nBrücke,1\n".encode("cp1252"),
            ("rows.csv:2", "not UTF-8", "task.encoding"),
        ),
        "UTF-16 without its mark": (
            "rows.csv",
            table(ROWS).decode().encode("utf-16-le"),
            ("NUL", "save the file as UTF-8"),
        ),
        "an object in a json file": ("rows.json", json.dumps({"rows": list(ROWS)}).encode(), ("must hold a list",)),
        "a text in a json file": ("rows.json", b'"text"', ("must hold a list", "'text'")),
        "a row that is no object": ("rows.jsonl", b'{"text": "a", "label": 1}\n[1]\n', ("rows.jsonl:2", "JSON object")),
        "a field too many": ("rows.csv", b"text,label\na,1,2\n", ("rows.csv:2", "3 fields under a header of 2")),
        "an open quote": ("rows.csv", b'text,label\n"a,1\n', ("rows.csv:2", "not valid CSV")),
        "a header alone": ("rows.csv", b"text,label\n", ("the data set is empty", "at least one row")),
        "nothing": ("rows.jsonl", b"", ("the data set is empty",)),
        "a torn gz": ("rows.jsonl.gz", gzip.compress(jsonl(ROWS))[:-9], ("not a gzip file, or cut short",)),
        "a gz that is none": ("rows.csv.gz", table(ROWS), ("not a gzip file",)),
        "a torn Parquet": ("rows.parquet", b"PAR1torn", ("not a Parquet file",)),
        "a torn spreadsheet": ("rows.xlsx", b"PK", ("not an Excel workbook",)),
        "an old spreadsheet": ("rows.xls", b"x", ("unknown file type", ".csv", "delimiter")),
        "a line cut short": ("rows.jsonl", jsonl(ROWS)[:-9], ("rows.jsonl:6", "not valid JSON")),
    }
    for name, (file, content, refused) in bad.items():
        yield Case("I", name, prepare(file), {file: content}, refused=refused)
    wrong = {
        "a delimiter of JSON": ("rows.jsonl", "task.delimiter=tab", jsonl(ROWS), ("is for CSV files", "leave it out")),
        "a delimiter of two": ("rows.csv", 'task.delimiter="::"', table(ROWS), ("one character", "semicolon", "'::'")),
        "no such encoding": ("rows.csv", "task.encoding=klingon", table(ROWS), ("no encoding", "klingon", "utf-8")),
    }
    for name, (file, setting, content, refused) in wrong.items():
        yield Case("I", name, prepare(file, setting), {file: content}, refused=refused)


TEXT_OF_FIVE: Final = "Bridge 5 stands"

CASES: Final = [*_layouts(), *_verdicts(), *_dialogues(), *_files()]
