"""Metamorphic laws of the task builders: what changes in a source without changing its meaning changes no claim."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icm.claims import AnswerKey, ComparisonKey
from icm.files.records import NOTED
from icm.prepare import alpaca, custom, gsm8k, truthfulqa
from icm.prepare.assemble import assemble
from icm.prepare.items import TaskItem, TaskItems
from icm.prepare.settings import (
    AlpacaSettings,
    CustomSettings,
    Gsm8kSettings,
    SourceSettings,
    TruthfulqaSettings,
)
from icm.prepare.tables import Table
from tests.worlds.tasks import task_settings

FEW = settings(max_examples=25)
HERE: dict[str, Any] = {"path": "rows.jsonl"}
WORDS = st.sampled_from(["red", "green", "blue", "four of them", "5", "it depends", "Yes.", "No, never"])
QUESTIONS = st.sampled_from(["What is it?", "Is it so?", "How many are left?", "Why?"])
VERDICTS = st.sampled_from([True, False, 1, 0, "true", "False", "1.0", None, ""])

TABLES: dict[str, tuple[SourceSettings, st.SearchStrategy[dict[str, Any]]]] = {
    "gsm8k authors": (
        task_settings("gsm8k", **HERE),
        st.fixed_dictionaries(
            {
                "question": QUESTIONS,
                "cot": st.sampled_from(["3 + 4 = 7\n#### 7", "The answer is 8.", "cut sho"]),
                "answer": st.sampled_from(["", "7", "$8.00"]),
                "label": VERDICTS,
            }
        ),
    ),
    "gsm8k solutions": (
        task_settings("gsm8k", **HERE),
        st.fixed_dictionaries(
            {
                "question": QUESTIONS,
                "solution": st.sampled_from(["<<3+4=7>>7\n#### 7", "#### 8", "nothing stated"]),
                "answer": st.sampled_from(["#### 7", "no number", ""]),
                "label": VERDICTS,
            }
        ),
    ),
    "truthfulqa answers": (
        task_settings("truthfulqa", **HERE),
        st.fixed_dictionaries({"question": QUESTIONS, "answer": WORDS, "label": VERDICTS}),
    ),
    "alpaca pairs": (
        task_settings("alpaca", **HERE),
        st.fixed_dictionaries(
            {"instruction": QUESTIONS, "input": WORDS, "response_1": WORDS, "response_2": WORDS, "label": VERDICTS}
        ),
    ),
    "custom": (
        task_settings(
            "custom",
            **HERE,
            template="Q: {question}\nA: {answer}\nVerdict:",
            group_columns=("question",),
            answer_column="answer",
            gold_column="label",
        ),
        st.fixed_dictionaries(
            {"question": QUESTIONS, "answer": WORDS, "label": st.sampled_from(["True", "0", 1, None, ""])}
        ),
    ),
}


def build(settings: SourceSettings, rows: list[dict[str, Any]]) -> TaskItems:
    columns = tuple(dict.fromkeys(column for row in rows for column in row))
    table = Table("rows.jsonl", columns, rows, list(range(1, len(rows) + 1)))
    match settings:
        case Gsm8kSettings():
            return gsm8k.build(settings, table)
        case TruthfulqaSettings():
            return truthfulqa.build(settings, table)
        case AlpacaSettings():
            return alpaca.build(settings, table)
        case CustomSettings():
            return custom.build(settings, table)
        case _:
            raise AssertionError(settings)


def claims_of(items: TaskItems) -> list[str]:
    return sorted(repr(item.claim) for item in items.items)


def gold_of(items: TaskItems) -> set[tuple[str, int | None]]:
    return {(item.claim.id, item.golden_label) for item in items.items}


@pytest.mark.parametrize("name", TABLES)
@FEW
@given(data=st.data(), seed=st.integers(0, 99))
def test_the_order_of_the_rows_changes_no_claim_and_no_golden_label(name: str, data: st.DataObject, seed: int) -> None:
    settings, row = TABLES[name]
    rows = data.draw(st.lists(row, min_size=1, max_size=8))
    shuffled = random.Random(seed).sample(rows, len(rows))
    one, other = build(settings, rows), build(settings, shuffled)
    assert set(claims_of(one)) == set(claims_of(other))
    assert gold_of(one) == gold_of(other)
    assert sorted(r.detail for r in one.rejected) == sorted(r.detail for r in other.rejected)


@pytest.mark.parametrize("name", TABLES)
@FEW
@given(data=st.data())
def test_golden_columns_change_no_claim(name: str, data: st.DataObject) -> None:
    settings, row = TABLES[name]
    rows = data.draw(st.lists(row, min_size=1, max_size=8))
    without = [{**each, "label": None} for each in rows]
    assert claims_of(build(settings, rows)) == claims_of(build(settings, without))


@pytest.mark.parametrize("name", TABLES)
@FEW
@given(data=st.data())
def test_columns_that_no_format_declares_are_not_read(name: str, data: st.DataObject) -> None:
    settings, row = TABLES[name]
    rows = data.draw(st.lists(row, min_size=1, max_size=6))
    noisy = [{**each, "zz_note": {"deep": [1, True]}, "zz_id": number} for number, each in enumerate(rows)]
    one, other = build(settings, rows), build(settings, noisy)
    # They are named as unused, by the task that names any, and nothing else differs.
    assert other._replace(unused=one.unused) == one
    assert {*other.unused} - {*one.unused} <= {"zz_note", "zz_id"}


@pytest.mark.parametrize("name", TABLES)
@FEW
@given(data=st.data())
def test_a_row_becomes_claims_or_is_listed_with_its_number(name: str, data: st.DataObject) -> None:
    settings, row = TABLES[name]
    rows = data.draw(st.lists(row, min_size=1, max_size=8))
    built = build(settings, rows)
    numbers = {item.row for item in built.items} | {rejected.row for rejected in built.rejected}
    assert numbers == set(range(len(rows)))
    assert not {item.row for item in built.items} & {
        rejected.row for rejected in built.rejected if rejected.reason not in NOTED
    }


@pytest.mark.parametrize("name", TABLES)
@FEW
@given(data=st.data())
def test_two_sources_together_hold_what_each_of_them_holds(name: str, data: st.DataObject) -> None:
    settings, row = TABLES[name]
    if name in ("gsm8k authors", "alpaca pairs"):
        return  # there a row may speak of another one: a reference answer, or the other order of a pair
    rows = data.draw(st.lists(row, min_size=2, max_size=8))
    cut = data.draw(st.integers(1, len(rows) - 1))
    parts = build(settings, rows[:cut]), build(settings, rows[cut:])
    assert claims_of(build(settings, rows)) == sorted(claims_of(parts[0]) + claims_of(parts[1]))


@FEW
@given(
    st.lists(
        st.fixed_dictionaries({"question": QUESTIONS, "cot": st.just("#### 7"), "ref_answer": st.just("7")}), min_size=1
    )
)
def test_a_reference_answer_labels_by_the_number_alone(rows: list[dict[str, Any]]) -> None:
    spelled = [{**row, "ref_answer": "$7.00", "cot": "The answer is 7.0."} for row in rows]
    assert {item.golden_label for item in build(task_settings("gsm8k", **HERE), rows).items} == {1}
    assert {item.golden_label for item in build(task_settings("gsm8k", **HERE), spelled).items} == {1}


@FEW
@given(WORDS, WORDS, st.sampled_from([True, False, None]))
def test_swapping_two_responses_swaps_their_claims_and_turns_their_labels_round(
    one: str, other: str, verdict: bool | None
) -> None:
    def item(first: str, second: str, label: bool | None) -> list[TaskItem]:
        row = {"instruction": "Why?", "response_1": first, "response_2": second, "label": label}
        return build(task_settings("alpaca", **HERE), [row]).items

    turned = None if verdict is None else not verdict
    assert {(i.claim.id, i.golden_label) for i in item(one, other, verdict)} == {
        (i.claim.id, i.golden_label) for i in item(other, one, turned)
    }


@FEW
@given(st.lists(st.tuples(WORDS, WORDS, VERDICTS), min_size=1, max_size=6))
def test_every_pair_has_its_mirror_image_with_the_opposite_label(pairs: list[tuple[str, str, Any]]) -> None:
    rows = [{"question": "Why?", "choice": a, "choice_2": b, "label": label} for a, b, label in pairs]
    items = build(task_settings("alpaca", **HERE), rows).items
    labels: dict[tuple[str, str], set[int | None]] = {}
    for item in items:
        assert isinstance(item.claim.key, ComparisonKey)
        labels.setdefault((item.claim.key.first, item.claim.key.second), set()).add(item.golden_label)
    for (first, second), values in labels.items():
        mirrored = {None if value is None else 1 - value for value in values}
        assert labels[second, first] == mirrored


@pytest.mark.parametrize(
    ("value", "truth"), [("1", 1), ("1.0", 1), ("2", 0), (2, 0), ("0", None), (1.5, None), ("", None)]
)
def test_an_alpaca_farm_preference_names_the_better_output(value: Any, truth: int | None) -> None:
    row = {"instruction": "Why?", "output_1": "red", "output_2": "blue", "preference": value}
    first = build(task_settings("alpaca", **HERE), [row]).items[0]
    assert first.golden_label == truth


@FEW
@given(st.lists(WORDS, min_size=1, max_size=4), st.lists(WORDS, max_size=4))
def test_the_three_upstream_forms_of_truthfulqa_say_the_same(right: list[str], wrong: list[str]) -> None:
    settings = task_settings("truthfulqa", **HERE)
    generation = {"question": "Is it so?", "correct_answers": right, "incorrect_answers": wrong}
    targets = {"choices": right + wrong, "labels": [1] * len(right) + [0] * len(wrong)}
    csv = {"Question": "Is it so?", "Correct Answers": "; ".join(right), "Incorrect Answers": "; ".join(wrong) + ";"}
    one = build(settings, [generation])
    assert one.items == build(settings, [{"question": "Is it so?", "mc2_targets": targets}]).items
    assert one.items == build(settings, [csv]).items
    assert [item.golden_label for item in one.items] == [1] * len(right) + [0] * len(wrong)


@FEW
@given(st.sampled_from(["yes", "Yes.", "YES, always", "No", "no; never", "Nobody", "Yesterday", "it is yes"]))
def test_only_yes_or_no_to_a_question_for_one_of_them_is_a_key(answer: str) -> None:
    def key(question: str) -> AnswerKey | None:
        return truthfulqa.polarity(question, answer)

    said = answer.lower().split(",")[0].rstrip(".").split(";")[0]
    expected = AnswerKey(value=said) if said in ("yes", "no") else None
    assert key("Is it so?") == key("DOES it rain") == expected
    assert key("Is it this or that?") is None
    assert key("Why is it so?") is None


@FEW
@given(st.permutations([0, 1, 2]))
def test_the_order_of_the_alphabet_renames_the_golden_labels_and_nothing_else(order: list[int]) -> None:
    labels: list[dict[str, Any]] = [
        {"name": "low", "verbalizer": " low", "gold": ["l"]},
        {"name": "middle", "verbalizer": " middle", "gold": ["m", 2]},
        {"name": "high", "verbalizer": " high"},
    ]
    rows: list[Mapping[str, Any]] = [{"q": f"{value}?", "gold": value} for value in ("l", "m", 2, "2", "high", None)]

    def built(alphabet: list[dict[str, Any]]) -> list[TaskItem]:
        settings = task_settings(
            "custom", **HERE, template="{q}:", group_columns=(), labels=alphabet, gold_column="gold"
        )
        return build(settings, [dict(row) for row in rows]).items

    one, other = built(labels), built([labels[index] for index in order])
    assert [item.claim for item in one] == [item.claim for item in other]
    for before, after in zip(one, other, strict=True):
        expected = None if before.golden_label is None else order.index(before.golden_label)
        assert after.golden_label == expected


SIZES = st.lists(st.integers(1, 4), min_size=2, max_size=8)


@FEW
@given(sizes=SIZES, seed=st.integers(0, 9), shuffle=st.integers(0, 9), data=st.data())
def test_the_choice_of_claims_depends_on_no_row_number_and_no_golden_label(
    sizes: list[int], seed: int, shuffle: int, data: st.DataObject
) -> None:
    rows = [
        {"question": f"q{group}", "answer": f"a{place}", "label": data.draw(st.booleans())}
        for group, size in enumerate(sizes)
        for place in range(size)
    ]
    settings = task_settings("truthfulqa", **HERE)
    wanted = task_settings("truthfulqa", **HERE, num_claims=None, num_held_out=max(sizes))
    flipped = [{**row, "label": not row["label"]} for row in random.Random(shuffle).sample(rows, len(rows))]
    if sum(sizes) <= max(sizes) + 1:
        return
    one, other = (assemble(build(settings, each), wanted, seed) for each in (rows, flipped))
    assert one.claims == other.claims
    assert one.held_out == other.held_out
    assert other.golden == {claim: 1 - label for claim, label in one.golden.items()}
    chosen = {claim.id for claim in (*one.claims, *one.held_out)}
    assert set(one.golden) == chosen
    assert one.available == len(rows)


@FEW
@given(st.integers(1, 5), st.integers(0, 3))
def test_repeated_rows_are_counted_and_change_no_choice(copies: int, seed: int) -> None:
    rows = [{"question": f"q{number}", "answer": "a", "label": True} for number in range(4)]
    settings = task_settings("truthfulqa", **HERE)
    wanted = task_settings("truthfulqa", **HERE, num_claims=None, num_held_out=1)
    once = assemble(build(settings, rows), wanted, seed)
    often = assemble(build(settings, rows * copies), wanted, seed)
    assert (once.claims, once.held_out, once.golden) == (often.claims, often.held_out, often.golden)
    assert [row.reason for row in often.rejected] == ["duplicate"] * (len(rows) * (copies - 1))
