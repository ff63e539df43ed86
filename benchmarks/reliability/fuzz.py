"""Random bytes and random tables for the readers of tables, labels, anchors and answers: never a traceback.

Usage: python -m benchmarks.reliability.fuzz [--seconds 60] [--seed 0] [--readers tables ...]

Hypothesis draws files: rows of odd values, spelt as JSON, JSON Lines, CSV or Parquet, whole or with bytes altered, cut
off, doubled or added. A reader may return rows or raise an error of `icm.errors`; anything else is a fault, which is
shrunk and shown with its seed. Round after round gets another seed until the time is up, so a run is repeated by its
first seed.

The last line of the output is a JSON object: `examples`, by reader; `tracebacks`; `seeds`, of the rounds with a fault.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.reliability.cases.build import jsonl, listed, table
from icm.claims import TRUE_FALSE, Claim, claim_id
from icm.errors import IcmError
from icm.files.labels import read_anchors, read_labels
from icm.files.tables import FILE_TYPES, read_table
from icm.prepare import alpaca, custom, gsm8k, truthfulqa
from icm.prepare.answers import final_answer, normalise_number
from icm.prepare.assemble import assemble
from icm.prepare.settings import AlpacaSettings, CustomSettings, Gsm8kSettings, TruthfulqaSettings
from icm.prepare.tables import Table, columns_of
from icm.training.reward.judged_pairs import read_judged_pairs

ROUND: Final = 200
"""Examples of a reader in a round."""

SOURCE: Final = {"path": Path("rows.jsonl"), "hub_id": None, "hub_config": None, "split": "train"}
COMMON: Final = {"name": "t", "num_claims": None, "num_held_out": 0, "relations": (), "max_claim_tokens": None} | SOURCE

CLAIMS: Final = [
    Claim(id=claim_id("g", text), group="g", text=text, parts={"question": "q", "answer": text})
    for text in ("yes", "no", " yes", "caf\u00e9")
]

# ------------------------------------------------------------------------------------------------------ strategies

WORDS: Final = st.sampled_from(
    ["", " ", "yes", "no", "nan", "None", "true", "1", "2", "0.0", "1e999", "tie", "q", "#### 5", "The answer is fifty",
     "\u0000", "\u2028", "\ufeff", "caf\u00e9", "cafe\u0301", "\ud800", '"', ";", "\t", "\n\nHuman: a\n\nAssistant: b",
     "</s>", "{text}", "=1+1", "9" * 50]
)  # fmt: skip
TEXTS: Final = WORDS | st.text(max_size=20)
SCALARS: Final = TEXTS | st.none() | st.booleans() | st.integers() | st.floats()
MESSAGES: Final = st.lists(
    st.fixed_dictionaries(
        {}, optional={"role": TEXTS | st.sampled_from(["user", "assistant", "system"]), "content": SCALARS}
    ),
    max_size=3,
)
VALUES: Final = SCALARS | MESSAGES | st.lists(SCALARS, max_size=3) | st.dictionaries(TEXTS, SCALARS, max_size=2)
COLUMNS: Final = st.sampled_from(
    ["id", "text", "label", "reliability", "probability", "question", "answer", "solution", "cot", "choice", "choice_2",
     "instruction", "input", "output_1", "output_2", "response_1", "response_2", "prompt", "chosen", "rejected",
     "preference", "mc2_targets", "ref_answer", "ground_truth"]
)  # fmt: skip
LAYOUTS: Final = st.sampled_from(
    [
        ("text", "label"),
        ("id", "label", "reliability"),
        ("question", "answer", "label"),
        ("question", "solution", "answer", "label"),
        ("question", "cot", "answer", "label", "ref_answer"),
        ("question", "choice", "label"),
        ("question", "choice", "choice_2", "label"),
        ("question", "mc2_targets"),
        ("instruction", "output_1", "output_2", "preference"),
        ("instruction", "input", "response_1", "response_2", "label"),
        ("input", "output_1", "output_2", "label"),
        ("prompt", "chosen", "rejected"),
        ("chosen", "rejected"),
    ]
)


@st.composite
def rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw rows of one of the layouts that a reader knows, or of any columns."""
    columns = draw(LAYOUTS | st.lists(COLUMNS, min_size=1, max_size=4, unique=True).map(tuple))
    return draw(st.lists(st.fixed_dictionaries(dict.fromkeys(columns, VALUES)), min_size=1, max_size=4))


@st.composite
def files(draw: st.DrawFn) -> tuple[str, bytes]:
    """Draw the name and the content of a file: rows in some spelling, whole or damaged, or any bytes."""
    suffix = draw(st.sampled_from([*FILE_TYPES, ".txt", ".jsonl.gz"]))
    made = draw(rows())
    spelt = draw(st.sampled_from([jsonl, listed, lambda made: table(made, draw(st.sampled_from(",;\t|")))]))
    try:
        content = spelt(made)
    except (UnicodeEncodeError, ValueError):
        content = b""
    content = draw(st.just(content) | st.binary(max_size=60))
    for _ in range(draw(st.integers(0, 2))):
        content = _damaged(draw, content)
    return f"rows{suffix}", content


def _damaged(draw: st.DrawFn, content: bytes) -> bytes:
    at = draw(st.integers(0, len(content)))
    match draw(st.sampled_from(["cut", "insert", "double", "mark", "utf-16"])):
        case "cut":
            return content[:at]
        case "insert":
            return content[:at] + draw(st.binary(max_size=3)) + content[at:]
        case "double":
            return content[:at] + content
        case "mark":
            return b"\xef\xbb\xbf" + content
        case _:
            return content.decode("latin-1").encode("utf-16")


# --------------------------------------------------------------------------------------------------------- readers


def _of_file(read: Callable[[Path], object]) -> Callable[[Path, tuple[str, bytes]], None]:
    def run(folder: Path, drawn: tuple[str, bytes]) -> None:
        name, content = drawn
        (folder / name).write_bytes(content)
        read(folder / name)

    return run


def _of_tasks(_: Path, made: list[dict[str, Any]]) -> None:
    """Build and assemble the rows as every task would."""
    source = Table("rows.jsonl", columns_of(made), made, list(range(1, len(made) + 1)))
    labels = ({"name": "a", "verbalizer": " a", "gold": ("0",)}, {"name": "b", "verbalizer": " b", "gold": ("1",)})
    own = {"template": "{text} so", "group_columns": ("text",), "answer_column": None, "labels": labels}
    for build, told in (
        (gsm8k.build, Gsm8kSettings(kind="gsm8k", format="auto", gold="auto", **COMMON)),
        (truthfulqa.build, TruthfulqaSettings(kind="truthfulqa", format="auto", **COMMON)),
        (alpaca.build, AlpacaSettings(kind="alpaca", format="auto", quality="better", **COMMON)),
        (custom.build, CustomSettings(kind="custom", gold_column="label", **own, **COMMON)),
    ):
        try:
            assemble(build(told, source), told, 0)  # type: ignore[arg-type]
        except IcmError:
            continue


def _of_answers(_: Path, text: str) -> None:
    answer = final_answer(text)
    # A normal form is read as itself, or equal answers could differ.
    if answer is not None and normalise_number(answer) != answer:
        raise AssertionError(f"{answer!r} is read as {normalise_number(answer)!r}")


READERS: Final[Mapping[str, tuple[st.SearchStrategy[Any], Callable[[Path, Any], None]]]] = {
    "tables": (files(), _of_file(lambda path: read_table(path, untyped=".jsonl"))),
    "labels": (files(), _of_file(lambda path: read_labels(path, TRUE_FALSE, CLAIMS))),
    "anchors": (files(), _of_file(lambda path: read_anchors(path, CLAIMS, TRUE_FALSE))),
    "judged pairs": (files(), _of_file(lambda path: read_judged_pairs(path, "Human: {question}\nAssistant:"))),
    "tasks": (rows(), _of_tasks),
    "answers": (
        st.lists(TEXTS | st.sampled_from(["####", "A:", "\\boxed{", "}", "\\frac{1}{2}", "1,5", "½"])).map(" ".join),
        _of_answers,
    ),
}


def fuzz(reader: str, number: int, examples: int = ROUND) -> int:
    """Give a reader a round of files; return how many.

    Raises:
        Exception: The reader raised something that is no error of `icm.errors`, for the smallest file that was found.
    """
    strategy, read = READERS[reader]
    count = 0

    # No data base and no `generate` from before: a seed alone decides what is drawn.
    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much),
    )
    @given(strategy)
    def one(drawn: Any) -> None:
        nonlocal count
        count += 1
        with tempfile.TemporaryDirectory() as folder:
            try:
                read(Path(folder), drawn)
            except IcmError:
                return

    one()
    return count


def main() -> None:
    """Fuzz the readers in turn until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of the first round; each round counts one on")
    parser.add_argument("--readers", nargs="+", default=list(READERS), choices=list(READERS))
    options = parser.parse_args()
    examples: Counter[str] = Counter()
    faults: list[tuple[str, int]] = []
    until, number = time.monotonic() + options.seconds, options.seed
    while time.monotonic() < until:
        for reader in options.readers:
            try:
                examples[reader] += fuzz(reader, number)
            except Exception:
                faults.append((reader, number))
                traceback.print_exc(file=sys.stderr)
        number += 1
    print(json.dumps({"examples": dict(examples), "tracebacks": len(faults), "seeds": faults}))


if __name__ == "__main__":
    main()
