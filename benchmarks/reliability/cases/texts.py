"""E: the text of a claim is what the model reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from benchmarks.reliability.case import Case
from benchmarks.reliability.cases.build import OWN, jsonl, prepare, table, texts_are

CODE: Final = ("    return x", "return x", "\treturn x", "return x  ", "if x:\n    return y", "\n\n  y")


LABELS: Final = (
    'task.labels=[{name: "0", verbalizer: " a\\nb", gold: ["0"]}, {name: "1", verbalizer: " b", gold: ["1"]}]'
)


def _white_space() -> Iterator[Case]:
    rows = [{"text": text, "label": number % 2} for number, text in enumerate(CODE)]
    check = texts_are(*(f"{text} so" for text in CODE))
    for file, content in {"rows.jsonl": jsonl(rows), "rows.csv": table(rows), "rows.tsv": table(rows, "\t")}.items():
        yield Case("E", f"white space of code, {file}", prepare(file), {file: content}, check=check)
    bare = [*OWN[:1], 'task.template="{text}"', *OWN[2:]]
    check = texts_are("    return x", "return y")
    files = {"rows.jsonl": jsonl([{"text": "    return x", "label": 0}, {"text": "return y \n", "label": 1}])}
    yield Case("E", "white space before a verdict", prepare("rows.jsonl", task=bare), files, check=check)


def _settings() -> Iterator[Case]:
    files = {"rows.jsonl": jsonl([{"text": "Gate", "label": 0}])}
    refused = ("backslash", "write a real one", "YAML")
    for name, argument in {
        "a line break of two characters": 'task.template="{text}\\nso"',
        "a tab of two characters": 'task.template="{text}\\tso"',
        "a line break of two characters in a verbalizer": LABELS,
    }.items():
        yield Case("E", name, prepare("rows.jsonl", argument), files, refused=refused)
    check = texts_are("Gate\nso")
    yield Case("E", "a real line break", prepare("rows.jsonl", 'task.template="{text}\nso"'), files, check=check)
    check = texts_are("{a} Gate so")
    yield Case(
        "E", "braces in a template", prepare("rows.jsonl", 'task.template="{{a}} {text} so"'), files, check=check
    )
    for name, template, refused in (
        ("a template that ends in a space", "{text} ", ("must not end in white space",)),
        ("a template without a column", "so", ("names no column", "{question}")),
        ("a template with open braces", "{text", ("unmatched braces",)),
        ("a template over the golden column", "{label} {text}", ("gold_column", "must not be a part")),
    ):
        yield Case("E", name, prepare("rows.jsonl", f'task.template="{template}"'), files, refused=refused)


def _tokens() -> Iterator[Case]:
    # The pocket model knows few words, and none of its control tokens is one.
    known = "Ann has 3 pens"
    for control in ("<pad>", "<unk>"):
        rows = [{"text": f"{known} {control}", "label": 0}, {"text": known, "label": 1}]
        command = ("run", *prepare("rows.jsonl")[1:], "model=local", "search=zero_shot", "objective=lift")
        refused = ("does not know", "put it in words that the model knows")
        yield Case(
            "E", f"the control token {control} in a claim", command, {"rows.jsonl": jsonl(rows)}, refused=refused
        )


CASES: Final = [*_white_space(), *_settings(), *_tokens()]
