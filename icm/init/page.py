"""The task file that `icm init` writes: YAML with a comment on every key, to be corrected by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from icm.init.guess import Column, Guess
from icm.init.settings import InitSettings


def task_yaml(found: Guess, settings: InitSettings, columns: Mapping[str, Column], path: str) -> str:
    """Return the text of a task file.

    Args:
        found: What the table is taken for.
        settings: How the table is read.
        columns: The columns of the table.
        path: Where the table lies, from the folder of the task file.
    """
    how = "".join(
        f"{key}: {_flow(value)}\n"
        for key, value in (("delimiter", settings.delimiter), ("encoding", settings.encoding))
        if value is not None
    )
    group = [] if found.group is None else [found.group]
    return f"""\
# Written by `icm init`. Correct it where it is wrong, then: icm run task=THIS FILE
# Columns of the data: {", ".join(columns).replace(chr(10), " ")}
kind: custom
name: {_flow(settings.file.name.partition(".")[0] or "mine")}
path: {_flow(path)}   # from the folder of this file
{how}
# The text of a claim up to its label, columns in braces, \\n for a line break. No white space at the end: labels begin
# with a space.
template: {_flow(found.template)}

# The labels. verbalizer: what the model says; gold: values of the gold column that mean it. Names alone would do:
# labels: [{", ".join(name for name, _ in found.labels)}]
labels:
{"".join(_label(name, values) for name, values in found.labels)}
# Column of golden labels, for the evaluation alone; the search never sees it. null: there is none.
gold_column: {_flow(found.gold)}

# Rows with equal values in these columns form a group: claims about one thing. []: each row is by itself.
group_columns: {_flow(group)}
# Within a group equal values of this column are the same answer; relations compare it. null: there is none.
answer_column: {_flow(found.answer)}
# What the claims of a group say about one another, if anything:
#   {{kind: same_answer}}        claims with the same answer have the same label
#   {{kind: different_answer}}   of two claims with different answers at most one is true
#   {{kind: exactly_one}}        exactly one answer of a group is true (up to six claims)
relations: []

num_claims: null     # claims to label; null: all that are not held out
num_held_out: null   # claims for the evaluation; null: a third, at most 128, none without a gold column
"""


def _label(name: str, values: tuple[str, ...]) -> str:
    gold = f", gold: {_flow(list(values))}" if values and values != (name,) else ""
    return f"  - {{name: {_flow(name)}, verbalizer: {_flow(f' {name}')}{gold}}}\n"


def _flow(value: Any) -> str:
    # JSON is YAML, and its quotes keep a label `no` or `1` a text.
    return json.dumps(value, ensure_ascii=False)
