"""Published files of judged pairs, each in its own layout."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from icm.errors import SchemaError
from icm.training.reward.judged_pairs import read_judged_pairs
from tests.worlds.files import write_all

PROMPT = "Human: {question}\nAssistant:"
TRANSCRIPT = "\n\nHuman: hi\n\nAssistant: hello\n\nHuman: more\n\nAssistant:"


def write(path: Path, rows: list[dict]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "b", "subset": "s"}, [("a", "b", "s")]),
        ({"prompt": "q", "chosen": ["a", "c"], "rejected": ["b"]}, [("a", "b", ""), ("c", "b", "")]),
        ({"instruction": "q", "response_1": "a", "response_2": "b", "label": False}, [("b", "a", "")]),
        ({"question": "q", "choice": "a", "choice_2": "b", "label": 1}, [("a", "b", "")]),
    ],
)
def test_every_layout_is_read(tmp_path: Path, row: dict, expected: list[tuple[str, str, str]]) -> None:
    pairs, rejected = read_judged_pairs(write(tmp_path / "pairs.jsonl.gz", [row]), PROMPT)
    assert [(pair.better, pair.worse, pair.subset) for pair in pairs] == [(f" {a}", f" {b}", s) for a, b, s in expected]
    assert {pair.prompt for pair in pairs} == {"Human: q\nAssistant:"}
    assert rejected == []


def test_transcripts_are_split_before_their_last_reply(tmp_path: Path) -> None:
    rows = [
        {"chosen": TRANSCRIPT + " good", "rejected": TRANSCRIPT + " bad"},
        {"chosen": TRANSCRIPT + " good", "rejected": "\n\nHuman: other\n\nAssistant: bad"},
        {"chosen": TRANSCRIPT + " same", "rejected": TRANSCRIPT + " same"},
    ]
    pairs, rejected = read_judged_pairs(write(tmp_path / "pairs.jsonl", rows), PROMPT)
    (pair,) = pairs
    assert (pair.prompt, pair.better, pair.worse) == (TRANSCRIPT.strip(), " good", " bad")
    assert [row.row for row in rejected] == [1, 2]


def test_the_two_orders_of_a_pair_are_one_pair(tmp_path: Path) -> None:
    rows = [
        {"question": "q", "choice": "a", "choice_2": "b", "label": True},
        {"question": "q", "choice": "b", "choice_2": "a", "label": False},
    ]
    pairs, rejected = read_judged_pairs(write(tmp_path / "pairs.jsonl", rows), PROMPT)
    assert len(pairs) == 1
    assert [row.reason for row in rejected] == ["duplicate"]


def test_every_type_of_file_gives_the_same_pairs(tmp_path: Path) -> None:
    rows = [{"prompt": f"q{n}", "chosen": "a", "rejected": "b", "subset": "s"} for n in range(2)]
    for path in write_all(tmp_path, rows, list(rows[0])):
        pairs, rejected = read_judged_pairs(path, PROMPT)
        assert [(pair.prompt, pair.better, pair.subset) for pair in pairs] == [
            ("Human: q0\nAssistant:", " a", "s"),
            ("Human: q1\nAssistant:", " a", "s"),
        ], path.name
        assert rejected == []


def test_chat_messages_are_pairs_under_the_template(tmp_path: Path) -> None:
    def dialogue(reply: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": "q"}, {"role": "assistant", "content": reply}]

    rows = [
        {"prompt": "q", "chosen": dialogue("a"), "rejected": dialogue("b"), "score_chosen": 8.0},
        {"prompt": dialogue("")[:1], "chosen": dialogue("a")[1:], "rejected": dialogue("c")[1:]},
    ]
    pairs, _ = read_judged_pairs(write(tmp_path / "pairs.jsonl", rows), PROMPT)
    assert [(pair.prompt, pair.better, pair.worse) for pair in pairs] == [
        ("Human: q\nAssistant:", " a", " b"),
        ("Human: q\nAssistant:", " a", " c"),
    ]


def test_a_tie_or_a_row_without_a_verdict_is_listed_and_stops_nothing(tmp_path: Path) -> None:
    labels = [1, 2, 0, None, "tie"]
    rows = [{"input": f"q{n}", "output_1": "a", "output_2": "b", "label": label} for n, label in enumerate(labels)]
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps(rows))
    pairs, rejected = read_judged_pairs(path, PROMPT)
    assert [pair.better for pair in pairs] == [" a", " b"]
    assert [(row.row, row.reason) for row in rejected] == [(2, "tie"), (3, "invalid"), (4, "tie")]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"a": 1}\n', "the columns a fit no format of judged pairs"),
        ("not json\n", ":1: not valid JSON"),
        ("[1]", "row 0: must be a JSON object"),
        ('{"prompt": "q", "chosen": true, "rejected": "b"}', ":1: column 'chosen' must be text"),
        ('{"question": "q", "choice": "a", "choice_2": "b", "label": 3}', ":1: label must be true or false"),
        ('{"question": "q", "choice": "a", "choice_2": "b", "label": null}', "1 rows were rejected, .*: nobody said"),
        ("", "holds no pair"),
    ],
)
def test_an_unusable_file_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(content)
    with pytest.raises(SchemaError, match=problem):
        read_judged_pairs(path, PROMPT)
    with pytest.raises(SchemaError, match="no such file"):
        read_judged_pairs(tmp_path / "missing.jsonl", PROMPT)


@pytest.mark.parametrize(
    ("name", "num_pairs"),
    [("reward_eval/rm_bench_chat", 897), ("hh_rlhf/helpful-base_test", 2316), ("alpaca/llmbar", 339)],
)
def test_published_files_are_read_without_dropping_anything_silently(name: str, num_pairs: int) -> None:
    path = Path(os.environ.get("ICM_SHARED_DIR", "../shared")) / "data" / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is not there; set ICM_SHARED_DIR")
    pairs, rejected = read_judged_pairs(path, PROMPT)
    with gzip.open(path, "rt") as lines:
        num_rows = sum(1 for _ in lines)
    per_row = 9 if "rm_bench" in name else 1
    assert len(pairs) == num_pairs
    assert len(pairs) + len(rejected) == num_rows * per_row
