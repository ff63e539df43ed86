"""The real data sets: every row becomes claims or is listed, the counts are known, and gold reaches no claim.

The files are not part of the repository. They are looked for in `data` under the directory that ICM_SHARED_DIR names,
else under `shared` beside the repository.
"""

import gzip
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from icm.claims import AnswerKey, Claim, ComparisonKey
from icm.files.records import CLAIMS, HELD_OUT, TASK, read_claims
from icm.prepare.assemble import PreparedTask, assemble
from icm.prepare.build import build
from icm.prepare.settings import PrepareConfig, TaskSettings
from icm.prepare.stage import run
from tests.worlds.tasks import task_settings

SHARED = Path(os.environ.get("ICM_SHARED_DIR", Path(__file__).parents[2].parent / "shared"))
DATA = SHARED / "data"

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"no data sets in {DATA}: set ICM_SHARED_DIR to the directory that holds data/"
)

GSM8K, TRUTHFULQA, ALPACA = {"kind": "gsm8k"}, {"kind": "truthfulqa"}, {"kind": "alpaca"}
TRUTHFUL_PAIRS = {**ALPACA, "quality": "more truthful"}

# settings, file, claims, groups, claims with a key, golden labels, true ones among them, rejected
COUNTS = [
    (GSM8K, "gsm8k/icm_official_test.jsonl.gz", 2308, 577, 2299, 2308, 1101, {"near_duplicate": 1}),
    (GSM8K, "gsm8k/openai_model_solutions.jsonl.gz", 4131, 1034, 4121, 4131, 1575, {"duplicate": 5}),
    (TRUTHFULQA, "truthfulqa/icm_official_train.jsonl.gz", 2080, 520, 269, 2080, 941, {}),
    (TRUTHFULQA, "truthfulqa/icm_official_test.jsonl.gz", 817, 119, 96, 817, 352, {}),
    (
        TRUTHFULQA,
        "truthfulqa/TruthfulQA_2021-10.csv",
        *(5018, 658, 568, 5017, 2289),
        {"duplicate": 4, "conflicting_gold": 1},
    ),
    (
        TRUTHFULQA,
        "truthfulqa/TruthfulQA_2025-01.csv",
        *(4883, 637, 559, 4882, 2239),
        {"duplicate": 4, "conflicting_gold": 1},
    ),
    (TRUTHFULQA, "truthfulqa/human_judged_answers.jsonl.gz", 14700, 658, 1281, 14700, 6331, {"near_duplicate": 304}),
    (TRUTHFUL_PAIRS, "truthfulqa/icm_official_train_preference.jsonl.gz", 5890, 443, 5890, 5890, 2945, {}),
    (TRUTHFUL_PAIRS, "truthfulqa/icm_official_test_preference.jsonl.gz", 4816, 185, 4816, 4816, 2408, {}),
    (ALPACA, "alpaca/icm_official_test.jsonl.gz", 746, 352, 746, 746, 373, {}),
    (ALPACA, "alpaca/pandalm_human.jsonl.gz", 1266, 129, 1266, 1266, 633, {"near_duplicate": 10}),
    (ALPACA, "alpaca/autoj_human.jsonl.gz", 1634, 710, 1634, 1634, 817, {}),
    (ALPACA, "alpaca/llmbar_processed_human.jsonl.gz", 760, 277, 760, 760, 380, {"invalid": 1}),
    (ALPACA, "alpaca/llmbar.jsonl.gz", 678, 338, 678, 678, 339, {"near_duplicate": 1}),
    (ALPACA, "alpaca/alpaca_eval_gpt4.jsonl.gz", 7696, 649, 7696, 7696, 3848, {"near_duplicate": 4}),
    (
        ALPACA,
        "hh_rlhf/harmless-base_test.jsonl.gz",
        *(4600, 2298, 4600, 4600, 2300),
        {"empty": 4, "invalid": 5, "near_duplicate": 3},
    ),
    (
        ALPACA,
        "hh_rlhf/helpful-base_test.jsonl.gz",
        *(4632, 2316, 4632, 4632, 2316),
        {"empty": 4, "invalid": 9, "near_duplicate": 3},
    ),
]
OFFICIAL = [
    (GSM8K, "gsm8k/icm_official_test.jsonl.gz", ("question", "cot", "answer")),
    (TRUTHFULQA, "truthfulqa/icm_official_train.jsonl.gz", ("question", "choice")),
    (ALPACA, "alpaca/icm_official_test.jsonl.gz", ("question", "choice", "choice_2")),
]


def all_of(settings: dict[str, Any], file: str) -> PreparedTask:
    task = settings_of(settings, DATA / file, num_claims=None, num_held_out=0)
    return assemble(build(task), task, seed=0)


def settings_of(settings: dict[str, Any], path: Path, **more: Any) -> TaskSettings:
    return task_settings(settings["kind"], **{**settings, "path": path, **more})


def rows_of(file: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def answer_pairs(claims: Iterable[Claim]) -> Iterable[tuple[Claim, Claim, bool]]:
    """Yield the pairs of claims of one group that carry answers, and whether the answers are the same."""
    groups: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        if isinstance(claim.key, AnswerKey):
            groups[claim.group].append(claim)
    for group in groups.values():
        for one, other in combinations(group, 2):
            yield one, other, one.key == other.key


@pytest.mark.parametrize(
    ("settings", "file", "claims", "groups", "keys", "golden", "true", "rejected"),
    COUNTS,
    ids=[row[1] for row in COUNTS],
)
def test_every_row_is_a_claim_or_listed(
    settings: dict[str, Any],
    file: str,
    claims: int,
    groups: int,
    keys: int,
    golden: int,
    true: int,
    rejected: dict[str, int],
) -> None:
    prepared = all_of(settings, file)
    assert len(prepared.claims) == claims
    assert len({claim.group for claim in prepared.claims}) == groups
    assert sum(claim.key is not None for claim in prepared.claims) == keys
    assert (len(prepared.golden), sum(prepared.golden.values())) == (golden, true)
    assert Counter(row.reason for row in prepared.rejected) == rejected


@pytest.mark.parametrize(("settings", "file", "columns"), OFFICIAL, ids=[row[1] for row in OFFICIAL])
def test_claims_need_no_column_that_derives_from_gold(
    tmp_path: Path, settings: dict[str, Any], file: str, columns: tuple[str, ...]
) -> None:
    bare = tmp_path / "bare.jsonl"
    bare.write_text("".join(json.dumps({c: row[c] for c in columns}) + "\n" for row in reversed(rows_of(file))))
    for name, source in (("full", DATA / file), ("bare", bare)):
        task = settings_of(settings, source, num_claims=256, num_held_out=128)
        run(PrepareConfig(task=task, seed=0), tmp_path / name)
    for name in (CLAIMS, HELD_OUT, TASK):
        assert (tmp_path / "full" / name).read_bytes() == (tmp_path / "bare" / name).read_bytes()
    assert len(read_claims(tmp_path / "bare" / CLAIMS)) == 256


@pytest.mark.parametrize(
    ("settings", "file"),
    [
        (GSM8K, "gsm8k/icm_official_test.jsonl.gz"),
        ({**GSM8K, "gold": "answer_match"}, "gsm8k/icm_official_test.jsonl.gz"),
        (GSM8K, "gsm8k/openai_model_solutions.jsonl.gz"),
        (TRUTHFULQA, "truthfulqa/icm_official_train.jsonl.gz"),
        (TRUTHFULQA, "truthfulqa/icm_official_test.jsonl.gz"),
        (TRUTHFULQA, "truthfulqa/TruthfulQA_2021-10.csv"),
        (TRUTHFULQA, "truthfulqa/TruthfulQA_2025-01.csv"),
    ],
)
def test_no_two_different_answers_of_a_group_are_true(settings: dict[str, Any], file: str) -> None:
    prepared = all_of(settings, file)
    different = [(one, other) for one, other, same in answer_pairs(prepared.claims) if not same]
    assert len(different) > 100
    assert not [pair for pair in different if all(prepared.golden.get(claim.id) for claim in pair)]


def test_the_same_final_answer_has_the_same_golden_label_unless_the_label_judges_the_steps() -> None:
    def split(settings: dict[str, Any], file: str) -> tuple[int, int]:
        prepared = all_of(settings, file)
        same = [(one, other) for one, other, same in answer_pairs(prepared.claims) if same]
        differ = [pair for pair in same if len({prepared.golden[claim.id] for claim in pair}) == 2]
        return len(same), len(differ)

    assert split({**GSM8K, "gold": "answer_match"}, "gsm8k/icm_official_test.jsonl.gz") == (811, 0)
    assert split(GSM8K, "gsm8k/openai_model_solutions.jsonl.gz") == (1720, 0)
    # The authors' own labels also call right numbers false: 59 for their format, others for their steps.
    assert split(GSM8K, "gsm8k/icm_official_test.jsonl.gz") == (811, 143)


def test_openai_verdicts_are_whether_the_final_answer_matches() -> None:
    rows = {(row["question"], row["solution"].strip()): row for row in rows_of("gsm8k/openai_model_solutions.jsonl.gz")}
    prepared = all_of(GSM8K, "gsm8k/openai_model_solutions.jsonl.gz")
    for claim in prepared.claims:
        row = rows[claim.parts["question"], claim.parts["answer"]]
        reached = claim.key.value if isinstance(claim.key, AnswerKey) else None
        assert prepared.golden[claim.id] == row["label"] == (reached == row["gold_answer"].replace(",", ""))


def test_both_orders_of_every_pair_are_claims_with_opposite_golden_labels() -> None:
    prepared = all_of(ALPACA, "alpaca/icm_official_test.jsonl.gz")
    labels = {
        (claim.group, claim.key.first, claim.key.second): prepared.golden[claim.id]
        for claim in prepared.claims
        if isinstance(claim.key, ComparisonKey)
    }
    assert len(labels) == 746
    assert all(labels[group, second, first] == 1 - label for (group, first, second), label in labels.items())


def test_any_table_can_be_read_by_a_template() -> None:
    settings = {
        "kind": "custom",
        "template": "Request: {prompt}\nThis request is",
        "group_columns": ["type"],
        "gold_column": "label",
        "labels": [{"name": name, "verbalizer": f" {name}"} for name in ("unsafe", "safe")],
    }
    prepared = all_of(settings, "redteam/xstest_prompts.csv")
    assert (prepared.available, sum(prepared.golden.values())) == (450, 250)
