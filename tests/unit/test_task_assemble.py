"""Assembling: repetitions, contradictions and lengths are counted, and the supply is checked before anything else."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from icm.claims import AnswerKey, Claim, claim_id
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


def untold(group: str, text: str, label: int | None, row: int) -> TaskItem:
    """Return a claim whose text does not say what it is about."""
    claim = Claim(id=claim_id(group, text), group=group, text=text, parts={"text": text})
    return TaskItem(claim=claim, golden_label=label, row=row)


def test_one_text_in_several_groups_stands_once_and_on_one_side_of_the_split() -> None:
    items = [
        untold(f"door {n}", answer, label, 2 * n + label)
        for n in range(20)
        for label, answer in ((0, "No"), (1, "Yes"))
    ]
    items += [untold(f"gate {n}", f"open {n}", 1, 40 + n) for n in range(8)]
    prepared = prepare(items, num_claims=5, num_held_out=5)
    texts = [[claim.text for claim in side] for side in (prepared.claims, prepared.held_out)]
    assert not {*texts[0]} & {*texts[1]}
    assert prepared.available == 10
    assert Counter(reason for _, reason in reasons(prepared)) == {"duplicate": 38}
    assert "in another group" in prepared.rejected[0].detail


def test_one_text_with_two_golden_labels_in_two_groups_has_none() -> None:
    prepared = prepare([untold("a", "Yes", 1, 0), untold("b", "Yes", 0, 1), untold("b", "No", 1, 2)])
    assert list(prepared.golden.values()) == [1]
    assert {reason for _, reason in reasons(prepared)} == {"conflicting_gold", "duplicate"}


def test_near_duplicates_are_listed_and_stay() -> None:
    texts = ["It is open", "it is  open.", "IT IS OPEN!", "It is not open", "Cafe\u0301", "Caf\u00e9"]
    prepared = prepare([untold(f"g{row}", text, None, row) for row, text in enumerate(texts)])
    assert len(prepared.claims) == 5
    assert Counter(reason for _, reason in reasons(prepared)) == {"near_duplicate": 2, "duplicate": 1}


def test_too_many_constraints_of_one_relation_are_refused_before_anything_is_written() -> None:
    items = [item("one question", f"a{n}", None, n, key=str(n)) for n in range(700)]
    relations = [{"kind": "different_answer"}]
    with pytest.raises(
        ConfigError, match=r"would make 244,650 constraints, at most 200,000 .* one group of 700 claims"
    ):
        prepare(items, relations=relations)
    assert len(prepare(items, relations=[{"kind": "same_answer"}]).claims) == 700


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
