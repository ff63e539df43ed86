"""Assembling: repetitions, contradictions and lengths are counted, and the supply is checked before anything else."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from icm.claims import AnswerKey
from icm.errors import ConfigError, SchemaError
from icm.files.records import RejectedRow
from icm.prepare.assemble import PreparedTask, assemble
from icm.prepare.items import TaskItem, TaskItems
from icm.prepare.shapes import answer_claim
from tests.worlds.tasks import task_settings


def item(question: str, answer: str, label: int | None, row: int, key: str | None = None) -> TaskItem:
    claim = answer_claim(question, answer, None if key is None else AnswerKey(value=key))
    return TaskItem(claim=claim, golden_label=label, row=row)


def prepare(items: Sequence[TaskItem], rejected: Sequence[RejectedRow] = (), **settings: Any) -> PreparedTask:
    count_tokens = settings.pop("count_tokens", None)
    merged = {"num_claims": None, "num_held_out": 0, **settings}
    return assemble(TaskItems(list(items), list(rejected)), task_settings("pocket_facts", **merged), 0, count_tokens)


def reasons(prepared: PreparedTask) -> list[tuple[int, str]]:
    return [(row.row, row.reason) for row in prepared.rejected]


QUESTIONS = [item(f"q{n}", f"a{m}", m, 3 * n + m) for n in range(6) for m in range(3)]


def count_characters(segments: Sequence[str]) -> np.ndarray:
    return np.array([len(segment) for segment in segments], dtype=np.int64)


def test_a_repeated_claim_stands_once() -> None:
    prepared = prepare([item("q", "a", 1, 0), item("q", "b", 0, 1), item("q", "a", 1, 2), item("q", "a", None, 3)])
    assert len(prepared.claims) == prepared.available == 2
    assert sorted(prepared.golden.values()) == [0, 1]
    assert reasons(prepared) == [(2, "duplicate"), (3, "duplicate")]


def test_which_repetition_stands_does_not_depend_on_the_order_of_rows() -> None:
    one, other = item("q", "a", 1, 0, key="5"), item("q", "a", 1, 1, key="6")
    assert prepare([one, other]).claims == prepare([other, one]).claims


def test_a_claim_with_contradictory_gold_stays_without_a_golden_label() -> None:
    prepared = prepare([item("q", "a", 1, 0), item("q", "a", 0, 1), item("q", "b", 1, 2)])
    assert len(prepared.claims) == 2
    assert list(prepared.golden.values()) == [1]
    assert reasons(prepared) == [(1, "conflicting_gold"), (1, "duplicate")]
    assert "row 1 says 0, row 0 says 1" in prepared.rejected[0].detail


def test_claims_over_the_context_are_rejected_by_their_tokens() -> None:
    long = item("q0", "long" * 50, 1, 99)
    prepared = prepare([*QUESTIONS, long], max_claim_tokens=100, count_tokens=count_characters)
    assert len(prepared.claims) == len(QUESTIONS)
    assert reasons(prepared) == [(99, "over_context")]
    assert "at most 100 are allowed" in prepared.rejected[0].detail


def test_a_token_limit_needs_a_tokenizer() -> None:
    with pytest.raises(ConfigError, match=r"task\.max_claim_tokens=100 needs a tokenizer"):
        prepare(QUESTIONS, max_claim_tokens=100)


def test_rejections_of_the_builder_are_kept_in_row_order() -> None:
    empty = RejectedRow(row=1, reason="empty", detail="the answer is empty")
    prepared = prepare([item("q", "a", 1, 0), item("q", "a", 1, 2)], [empty])
    assert reasons(prepared) == [(1, "empty"), (2, "duplicate")]


def test_other_seeds_choose_other_groups() -> None:
    settings = task_settings("pocket_facts", num_claims=6, num_held_out=0)
    choices = {
        frozenset(claim.id for claim in assemble(TaskItems(QUESTIONS, []), settings, seed).claims) for seed in range(20)
    }
    assert len(choices) > 5


def test_asking_for_more_than_there_is_says_how_many_there_are() -> None:
    with pytest.raises(ConfigError) as error:
        prepare(QUESTIONS, num_claims=16, num_held_out=3)
    assert "task.num_claims=16 and task.num_held_out=3 need 19 claims" in str(error.value)
    assert "the source holds 18 in 6 groups" in str(error.value)
    assert "task.num_claims=null" in str(error.value)


def test_held_out_claims_must_leave_some_to_search() -> None:
    with pytest.raises(ConfigError, match=r"task\.num_claims=null and task\.num_held_out=18 need 19 claims"):
        prepare(QUESTIONS, num_held_out=18)


@pytest.mark.parametrize(("key", "other"), [("num_claims", "num_held_out"), ("num_held_out", "num_claims")])
def test_a_limit_below_the_smallest_group_is_refused(key: str, other: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"task\.{key}=2 leaves room for no whole group: the smallest of 6 groups has 3"
    ):
        prepare(QUESTIONS, [], **{key: 2, other: 3})


def test_a_source_of_which_nothing_is_left_says_why() -> None:
    empty = RejectedRow(row=7, reason="empty", detail="the answer is empty")
    with pytest.raises(
        SchemaError, match="no row of the source became a claim, 1 were rejected; the first: row 7: the"
    ):
        prepare([], [empty])
    with pytest.raises(SchemaError, match="no row of the source became a claim, 18 were rejected"):
        prepare(QUESTIONS, max_claim_tokens=1, count_tokens=count_characters)
