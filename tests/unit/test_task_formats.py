"""What each builder makes of each of its formats: texts, groups, keys and golden labels."""

import json
import re
from typing import Any

import pytest
from pydantic import ValidationError

from icm.claims import AnswerKey, ComparisonKey, group_id, response_id
from icm.errors import SchemaError
from icm.prepare import alpaca, custom, gsm8k, truthfulqa
from icm.prepare.items import TaskItem, TaskItems
from icm.prepare.tables import Table
from icm.prepare.truthfulqa import polarity
from tests.worlds.tasks import task_settings


def table_of(*rows: dict[str, Any]) -> Table:
    columns = tuple(dict.fromkeys(column for row in rows for column in row))
    return Table("data.jsonl", columns, list(rows), list(range(1, len(rows) + 1)))


def keys(items: TaskItems) -> list[str | None]:
    return [item.claim.key.value if isinstance(item.claim.key, AnswerKey) else None for item in items.items]


def golden(items: TaskItems) -> list[int | None]:
    return [item.golden_label for item in items.items]


def answers(items: TaskItems) -> list[str]:
    return [item.claim.parts["answer"] for item in items.items]


# ------------------------------------------------------------------------------------------------------- GSM8K


def build_gsm8k(*rows: dict[str, Any], **settings: Any) -> TaskItems:
    return gsm8k.build(task_settings("gsm8k", path="data.jsonl", **settings), table_of(*rows))


SOLVED = {"question": "What is 2+3?", "cot": "2+3=5. The answer is 5.", "answer": "$5.00", "label": True}


def test_a_gsm8k_claim_shows_the_worked_solution() -> None:
    (item,) = build_gsm8k(SOLVED).items
    assert item.claim.text == "Question: What is 2+3?\nClaim: 2+3=5. The answer is 5.\nI think this claim is"
    assert item.claim.group == group_id("What is 2+3?")
    assert item.claim.key == AnswerKey(value="5")
    assert item.golden_label == 1


def test_an_empty_answer_column_falls_back_to_the_solution() -> None:
    rows = [{**SOLVED, "answer": ""}, {**SOLVED, "cot": "The answer is", "answer": ""}, {**SOLVED, "answer": None}]
    items = build_gsm8k(*rows)
    assert keys(items) == ["5", None, "5"]
    assert not items.rejected


def test_the_authors_rows_match_the_reference_answer_of_their_question() -> None:
    reference = {**SOLVED, "label": False, "ref_answer": "5.0"}
    items = build_gsm8k(SOLVED, reference, {**reference, "answer": "6"}, gold="answer_match")
    assert golden(items) == [1, 1, 0]
    assert golden(build_gsm8k(SOLVED, reference)) == [1, 0]


def test_openai_rows_yield_one_claim_per_model_without_calculator_marks() -> None:
    models = {
        name: {"solution": f"2*3=<<2*3=6>>6\nA: {number}", "is_correct": number == 6}
        for number, name in enumerate(gsm8k.GENERATORS, start=5)
    }
    row = {"question": "What is 2*3?", "ground_truth": "2*3=<<2*3=6>>6\nA: 6", **models}
    items = build_gsm8k(row)
    assert answers(items) == [f"2*3=6\nA: {number}" for number in (5, 6, 7, 8)]
    assert keys(items) == ["5", "6", "7", "8"]
    assert golden(items) == golden(build_gsm8k(row, gold="answer_match")) == [0, 1, 0, 0]
    with pytest.raises(SchemaError, match=r"data\.jsonl:1: column '6b_finetuning' must be an object with a 'solution'"):
        build_gsm8k({**row, "6b_finetuning": "A: 6"})


def test_own_solutions_match_the_number_of_the_problem() -> None:
    problem = {"question": "What is 70 thousand?", "answer": "It is 70<<70>>.\n#### 70,000"}
    rows = [{**problem, "solution": f"It is {number}.\n#### {number}"} for number in ("70000", "70", "$70,000.00")]
    assert golden(build_gsm8k(*rows)) == [1, 0, 1]
    assert golden(build_gsm8k({**rows[0], "label": False})) == [0]
    assert golden(build_gsm8k({**rows[0], "label": False}, gold="answer_match")) == [1]
    assert golden(build_gsm8k({"question": "q", "solution": "s"})) == [None]


@pytest.mark.parametrize("gold", ["label", "answer_match"])
def test_gold_that_was_asked_for_must_be_there(gold: str) -> None:
    with pytest.raises(SchemaError, match=f"task.gold={gold} needs; task.gold=auto"):
        build_gsm8k({"question": "q", "solution": "s"}, gold=gold)


def test_problems_without_solutions_fit_no_format() -> None:
    with pytest.raises(SchemaError, match=r"the columns question, answer fit no format of gsm8k"):
        build_gsm8k({"question": "q", "answer": "#### 5"})


def test_empty_gsm8k_rows_are_listed() -> None:
    items = build_gsm8k(SOLVED, {**SOLVED, "cot": " "}, {**SOLVED, "question": None})
    assert [(row.row, row.reason, row.detail) for row in items.rejected] == [
        (1, "empty", "the solution is empty"),
        (2, "empty", "the question is empty"),
    ]


def test_a_label_outside_the_alphabet_is_an_error_with_its_line() -> None:
    with pytest.raises(SchemaError, match=r"data\.jsonl:2: label must be true or false \(or 1 or 0\), got 'yes'"):
        build_gsm8k(SOLVED, {**SOLVED, "label": "yes"})


# -------------------------------------------------------------------------------------------------- TruthfulQA


def build_truthfulqa(*rows: dict[str, Any], **settings: Any) -> TaskItems:
    return truthfulqa.build(task_settings("truthfulqa", path="data.csv", **settings), table_of(*rows))


def test_a_truthfulqa_claim_shows_the_answer() -> None:
    (item,) = build_truthfulqa({"question": "Who?", "choice": "Me.", "label": 0}).items
    assert item.claim.text == "Question: Who?\nClaim: Me.\nI think this claim is"
    assert item.claim.parts == {"question": "Who?", "answer": "Me."}
    assert item.golden_label == 0


TRUE_FALSE_ANSWERS = (["Cats", "No fish"], [1, 0])


@pytest.mark.parametrize(
    "row",
    [
        {
            "Question": "q",
            "Correct Answers": "Cats",
            "Incorrect Answers": "No fish; ",
            "Source": "x",
            "Best Answer": "y",
        },
        {"question": "q", "correct_answers": ["Cats"], "incorrect_answers": ["No fish"], "best_answer": "y"},
        {"question": "q", "mc2_targets": {"choices": ["Cats", "No fish"], "labels": [1, 0]}, "mc1_targets": {}},
    ],
)
def test_every_upstream_format_gives_the_same_answers(row: dict[str, Any]) -> None:
    items = build_truthfulqa(row)
    assert (answers(items), golden(items)) == TRUE_FALSE_ANSWERS


def test_judged_answers_carry_their_verdicts() -> None:
    rows = [{"question": "q", "answer": "Cats", "label": True}, {"question": "q", "answer": "No fish", "label": False}]
    items = build_truthfulqa(*rows)
    assert (answers(items), golden(items)) == TRUE_FALSE_ANSWERS


@pytest.mark.parametrize(
    ("question", "answer", "key"),
    [
        ("Is it legal?", "Yes, it is.", "yes"),
        ("Does it rain?", "no", "no"),
        ("Can you fly? ", "No.", "no"),
        ("Is it legal?", "Nobody knows.", None),
        ("Is it legal?", "Yesterday it was.", None),
        ("Is it legal?", "No one knows.", None),
        ("Is it legal?", "It is.", None),
        ("Who is it?", "No, him.", None),
        ("Is it red or blue?", "No, it is green.", None),
        ("Are there any? Which?", "Yes, one.", None),
        ("Island life is what?", "No", None),
    ],
)
def test_only_yes_against_no_is_forced_by_the_meaning(question: str, answer: str, key: str | None) -> None:
    assert polarity(question, answer) == (None if key is None else AnswerKey(value=key))


def test_comparisons_of_answers_are_sent_to_the_alpaca_task() -> None:
    with pytest.raises(SchemaError, match="task=alpaca"):
        build_truthfulqa({"question": "q", "choice": "a", "choice_2": "b", "label": True})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "q", "correct_answers": "Cats", "incorrect_answers": []}, "must be a list of texts, got 'Cats'"),
        ({"question": "q", "mc2_targets": {"choices": ["a"], "labels": [1, 0]}}, "holds 1 choices and 2 labels"),
        ({"question": "q", "mc2_targets": ["a"]}, "must be an object with 'choices'"),
    ],
)
def test_malformed_answers_are_errors_with_their_line(row: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=rf"data\.jsonl:1: .*{re.escape(message)}"):
        build_truthfulqa(row)


# ------------------------------------------------------------------------------------------------------ Alpaca


def build_alpaca(*rows: dict[str, Any], **settings: Any) -> TaskItems:
    return alpaca.build(task_settings("alpaca", path="data.jsonl", **settings), table_of(*rows))


PAIR = {"instruction": "Name a fish.", "response_1": "Cod", "response_2": "Cow", "label": True}


def said(role: str, content: object) -> dict[str, Any]:
    return {"role": role, "content": content}


def replied(text: str) -> list[dict[str, Any]]:
    return [said("assistant", text)]


def asked(text: str) -> list[dict[str, Any]]:
    return [said("user", "Name a fish."), *replied(text)]


def compared(items: TaskItems) -> list[tuple[str, str, int | None]]:
    def comparison(item: TaskItem) -> tuple[str, str, int | None]:
        return item.claim.parts["response_1"], item.claim.parts["response_2"], item.golden_label

    return sorted(map(comparison, items.items))


def test_a_pair_makes_two_mirrored_claims() -> None:
    first, second = build_alpaca(PAIR).items
    assert first.claim.text == (
        "Human: Name a fish.\nResponse 1: Cod\nResponse 2: Cow\n"
        "Claim: Response 1 is more helpful and harmless than Response 2.\nI think this claim is"
    )
    assert first.claim.key == ComparisonKey(first=response_id("Cod"), second=response_id("Cow"))
    assert second.claim.key == ComparisonKey(first=response_id("Cow"), second=response_id("Cod"))
    assert (first.golden_label, second.golden_label) == (1, 0)
    assert first.claim.group == second.claim.group == group_id("Name a fish.")


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Name a fish.", "choice": "Cod", "choice_2": "Cow", "label": 1},
        {"instruction": "Name a fish.", "input": "", "output_1": "Cod", "output_2": "Cow", "preference": 1},
        {"instruction": "Name a fish.", "input": None, "output_1": "Cow", "output_2": "Cod", "preference": 2.0},
        {"prompt": "Name a fish.", "chosen": "Cod", "rejected": "Cow"},
        {
            "chosen": "\n\nHuman: Name a fish.\n\nAssistant: Cod",
            "rejected": "\n\nHuman: Name a fish.\n\nAssistant: Cow",
        },
        {"input": "Name a fish.", "output_1": "Cow", "output_2": "Cod", "label": 2},
        {**PAIR, "response_1": "Cow", "response_2": "Cod", "label": 2},
        {"prompt": [said("user", "Name a fish.")], "chosen": [said("assistant", "Cod")], "rejected": replied("Cow")},
        {"prompt": [said("user", "Name a fish.")], "chosen": "Cod", "rejected": "Cow"},
        {"prompt": "Name a fish.", "chosen": asked("Cod"), "rejected": asked("Cow")},
        {"chosen": asked("Cod"), "rejected": asked("Cow")},
        {"chosen": json.dumps(asked("Cod")), "rejected": json.dumps(asked("Cow"))},
        {
            "chosen": [{"from": "human", "value": "Name a fish."}, {"from": "gpt", "value": "Cod"}],
            "rejected": [said("user", "Name a fish."), said("assistant", [{"type": "text", "text": "Cow"}])],
        },
    ],
)
def test_every_preference_format_gives_the_same_claims(row: dict[str, Any]) -> None:
    assert sorted(build_alpaca(row).items, key=str) == sorted(build_alpaca(PAIR).items, key=str)


def test_a_source_with_both_orders_does_not_repeat_itself() -> None:
    both = [PAIR, {**PAIR, "response_1": "Cow", "response_2": "Cod", "label": False}]
    assert compared(build_alpaca(*both)) == [("Cod", "Cow", 1), ("Cow", "Cod", 0)]


def test_orders_that_contradict_one_another_are_both_kept_for_the_conflict_to_be_seen() -> None:
    both = [PAIR, {**PAIR, "response_1": "Cow", "response_2": "Cod", "label": True}]
    assert compared(build_alpaca(*both)) == [("Cod", "Cow", 0), ("Cod", "Cow", 1), ("Cow", "Cod", 0), ("Cow", "Cod", 1)]


def test_an_input_is_a_part_of_the_question() -> None:
    (item, _) = build_alpaca({**PAIR, "input": "Not a shark."}).items
    assert item.claim.parts["question"] == "Name a fish.\n\nNot a shark."


def test_dialogues_part_after_their_last_shared_turn() -> None:
    shared = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: A fish?\n\nAssistant:"
    (item, _) = build_alpaca({"chosen": f"{shared} Cod", "rejected": f"{shared} Cow"}).items
    assert item.claim.parts == {
        "question": "Hi\n\nAssistant: Hello\n\nHuman: A fish?",
        "response_1": "Cod",
        "response_2": "Cow",
    }


def test_ties_have_no_golden_label() -> None:
    row = {"instruction": "Name a fish.", "output_1": "Cod", "output_2": "Eel", "preference": 0}
    assert compared(build_alpaca(row)) == [("Cod", "Eel", None), ("Eel", "Cod", None)]
    with pytest.raises(
        SchemaError, match=r"data\.jsonl:1: preference must be true or false.* the number 1 or 2 .*got 3"
    ):
        build_alpaca({**row, "preference": 3})


def test_a_tie_is_counted_and_stops_nothing() -> None:
    items = build_alpaca(PAIR, {**PAIR, "instruction": "Name a bird.", "label": "tie"})
    assert [item.golden_label for item in items.items] == [1, 0, None, None]
    assert [(row.row, row.reason) for row in items.rejected] == [(1, "tie")]


def test_where_labels_count_from_one_a_zero_is_a_tie() -> None:
    labels = [1, 2, 0, "1.0", 2.0, float("nan")]
    items = build_alpaca(*({**PAIR, "instruction": f"Name {n}.", "label": label} for n, label in enumerate(labels)))
    assert [item.golden_label for item in items.items[::2]] == [1, 0, None, 1, 0, None]
    assert [item.golden_label for item in build_alpaca({**PAIR, "label": 0}).items] == [0, 1]


@pytest.mark.parametrize(
    ("chosen", "rejected", "detail"),
    [
        (["Hi", "Hello", "A fish?", "Cod"], ["Hi", "Hello", "A cow?", "Cow"], "part in turn 3, of the human"),
        (["Hi", "Hello", "A fish?", "Cod"], ["Hi", "Hey", "A fish?", "Cow"], "part in turn 2, of the assistant"),
        (["Hi", "Hello", "A fish?", "Cod"], ["Hi", "Hello"], "before their last reply"),
        (["Hi", "Hello", "A fish?"], ["Hi", "Hello", "A cow?"], "does not end in a reply"),
        (["Hi", "Hello"], ["Hi", "Hello"], "the two responses are identical"),
    ],
)
def test_dialogues_that_are_not_two_replies_to_one_question_are_listed(
    chosen: list[str], rejected: list[str], detail: str
) -> None:
    speakers = ("Human", "Assistant") * 2
    one, other = (
        "".join(f"\n\n{speaker}: {text}" for speaker, text in zip(speakers, texts, strict=False))
        for texts in (chosen, rejected)
    )
    messages = (
        [
            said({"Human": "user"}.get(speaker, "assistant"), text)
            for speaker, text in zip(speakers, texts, strict=False)
        ]
        for texts in (chosen, rejected)
    )
    rows: list[dict[str, Any]] = [{"chosen": one, "rejected": other}]
    rows.append(dict(zip(rows[0], messages, strict=True)))
    for row in rows:
        items = build_alpaca(row)
        assert items.items == []
        assert [(each.row, each.reason) for each in items.rejected] == [(0, "invalid")]
        assert detail in items.rejected[0].detail


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ([said("user", "Hi"), said("critic", "Cod")], "a message needs a role"),
        ([said("user", "Hi"), said("assistant", None)], "a message needs a role .* and text as its content"),
        ([said("user", "Hi"), "Cod"], "a message needs a role"),
        ("[{'role': 'user', 'content': 'Hi'}]", "messages written out as text must be JSON"),
    ],
)
def test_messages_that_cannot_be_read_are_named(chosen: object, problem: str) -> None:
    with pytest.raises(SchemaError, match=rf"data\.jsonl:1: {problem}"):
        build_alpaca({"chosen": chosen, "rejected": asked("Cow")})


def test_the_indentation_of_a_reply_stays() -> None:
    texts = [" a sheep", "\n\n  return x\n", "\tcow  "]
    pairs = [{**PAIR, "response_1": text} for text in texts]
    assert [item.claim.parts["response_1"] for item in build_alpaca(*pairs).items[::2]] == [
        "a sheep",
        "  return x",
        "\tcow",
    ]


def test_the_quality_is_a_setting() -> None:
    (item, _) = build_alpaca(PAIR, quality="more truthful").items
    assert "Claim: Response 1 is more truthful than Response 2." in item.claim.text


def test_empty_and_identical_responses_are_listed() -> None:
    items = build_alpaca({**PAIR, "response_2": ""}, {**PAIR, "response_2": "Cod"}, PAIR)
    assert [(row.row, row.reason) for row in items.rejected] == [(0, "empty"), (1, "invalid")]
    assert len(items.items) == 2


def test_dialogues_without_turns_are_errors_that_name_the_way_out() -> None:
    with pytest.raises(SchemaError, match=r"must be a dialogue that begins with 'Human:'.*add a column 'prompt'"):
        build_alpaca({"chosen": "Cod", "rejected": "Cow"})


# ------------------------------------------------------------------------------------------------------ custom

REVIEW = {"text": "Fine!", "shop": "A", "stars": " Five  Stars", "happy": "yes"}
REVIEWS = {
    "path": "data.jsonl",
    "template": "Review: {text}\nThe {{author}} of {shop} is happy:",
    "group_columns": ["shop"],
    "answer_column": "stars",
    "gold_column": "happy",
    "labels": [
        {"name": "False", "verbalizer": " no", "gold": ["no", 0]},
        {"name": "True", "verbalizer": " yes", "gold": ["yes", 1]},
    ],
}


def build_custom(*rows: dict[str, Any], **settings: Any) -> TaskItems:
    return custom.build(task_settings("custom", **REVIEWS | settings), table_of(*rows))


def test_a_custom_claim_follows_its_template() -> None:
    items = build_custom(REVIEW)
    (item,) = items.items
    assert item.claim.text == "Review: Fine!\nThe {author} of A is happy:"
    assert item.claim.parts == {"text": "Fine!", "shop": "A"}
    assert item.claim.group == group_id("A")
    assert item.claim.key == AnswerKey(value="five stars")
    assert items.label_space.verbalizers == (" no", " yes")
    assert golden(items) == [1]


def test_golden_values_of_any_type_map_to_labels() -> None:
    values = ["yes", "no", 1, "0", None, ""]
    assert golden(build_custom(*({**REVIEW, "happy": value} for value in values))) == [1, 0, 1, 0, None, None]
    with pytest.raises(SchemaError, match=r"data\.jsonl:1: column 'happy' must hold one of the labels .* got 'maybe'"):
        build_custom({**REVIEW, "happy": "maybe"})


def test_an_alphabet_of_three_is_kept() -> None:
    labels = [{"name": name, "verbalizer": f" {name}"} for name in ("bad", "fair", "good")]
    items = build_custom({**REVIEW, "happy": "good"}, labels=labels)
    assert items.label_space.names == ("bad", "fair", "good")
    assert golden(items) == [2]


def test_without_group_columns_each_claim_is_its_own_group() -> None:
    one, other = build_custom(REVIEW, {**REVIEW, "text": "Bad."}, group_columns=[]).items
    assert one.claim.group != other.claim.group


@pytest.mark.parametrize("column", ["text", "shop", "stars", "happy"])
def test_a_missing_custom_column_is_named(column: str) -> None:
    with pytest.raises(SchemaError, match=f"no column '{column}'; the columns are"):
        build_custom({name: value for name, value in REVIEW.items() if name != column})


def test_rows_with_an_empty_template_column_are_listed() -> None:
    items = build_custom(REVIEW, {**REVIEW, "text": ""})
    assert [(row.row, row.reason, row.detail) for row in items.rejected] == [(1, "empty", "column 'text' is empty: ''")]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"template": "no columns"}, "template names no column"),
        ({"template": "{text} is "}, "must not end in white space"),
        ({"template": "{text!r}"}, "must hold a column name and nothing else"),
        ({"template": "{}"}, "must hold a column name and nothing else"),
        ({"template": "{text"}, "unmatched braces in the template"),
        ({"template": "{text}\\nso"}, "holds a backslash and 'n', two characters, and no line break"),
        ({"template": "{happy}"}, "gold_column 'happy' must not be a part of the claims"),
        ({"group_columns": ["happy"]}, "gold_column 'happy' must not be a part of the claims"),
        ({"answer_column": "happy"}, "gold_column 'happy' must not be a part of the claims"),
        ({"labels": [{"name": "a", "verbalizer": " a"}]}, "at least two labels"),
        ({"labels": [{"name": "a", "verbalizer": " a"}, {"name": "b", "verbalizer": " ab"}]}, "is a prefix of"),
        (
            {
                "labels": [
                    {"name": "a", "verbalizer": " a", "gold": [1]},
                    {"name": "b", "verbalizer": " b", "gold": ["1"]},
                ]
            },
            "labels share a value of the gold column",
        ),
        ({"path": None}, r"give either task\.path=FILE .* got neither"),
        ({"hub_id": "a/b"}, r"got path=data\.jsonl and hub_id=a/b"),
        ({"pathh": "x"}, "Extra inputs are not permitted"),
        ({"num_claims": 0}, "greater than or equal to 1"),
    ],
)
def test_unsound_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        task_settings("custom", **REVIEWS | settings)


# ---------------------------------------------------------------------------------------------- ambiguous values


def test_texts_keep_their_white_space_and_keys_do_not() -> None:
    rows = [
        {**REVIEW, "text": text, "stars": " Five "} for text in ("    return x", "return x", "\treturn x", "return x  ")
    ]
    items = build_custom(*rows).items
    assert [item.claim.parts["text"] for item in items] == [row["text"] for row in rows]
    assert len({item.claim.id for item in items}) == 4
    assert {item.claim.key for item in items} == {AnswerKey(value="five")}
    (item,) = build_custom(rows[3], template="{text}").items
    assert item.claim.text == "return x"


@pytest.mark.parametrize("value", [None, "", " ", float("nan"), "nan", "NaN", "<NA>"])
def test_a_value_that_says_there_is_none_makes_no_text_no_group_and_no_label(value: object) -> None:
    items = build_custom({**REVIEW, "text": value}, REVIEW)
    assert [(row.row, row.reason) for row in items.rejected] == [(0, "empty")]
    items = build_custom({**REVIEW, "shop": value}, {**REVIEW, "shop": value, "text": "Bad."}, template="{text} so")
    assert [(row.row, row.reason) for row in items.rejected] == [(0, "no_group"), (1, "no_group")]
    assert items.items[0].claim.group != items.items[1].claim.group
    assert golden(build_custom({**REVIEW, "happy": value})) == [None]
    assert build_custom({**REVIEW, "stars": value}).items[0].claim.key is None


def test_words_that_may_be_answers_stay_text() -> None:
    texts = ["None", "null", "NA", "Nan"]
    assert [item.claim.parts["text"] for item in build_custom(*({**REVIEW, "text": t} for t in texts)).items] == texts


def test_golden_labels_are_read_as_data_frames_write_them() -> None:
    labels = [{"name": "no", "verbalizer": " no", "gold": ["0"]}, {"name": "yes", "verbalizer": " yes", "gold": [1]}]
    values = [1.0, "1.0", "0.0", 0, float("nan"), "1"]
    items = build_custom(*({**REVIEW, "happy": value} for value in values), labels=labels)
    assert golden(items) == [1, 1, 0, 0, None, 1]


def test_composed_and_decomposed_letters_are_one_key_and_two_texts() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    one, other = build_custom(
        *({**REVIEW, "shop": word, "stars": word, "text": word} for word in (composed, decomposed))
    ).items
    assert one.claim.group == other.claim.group
    assert one.claim.key == other.claim.key
    assert (one.claim.parts["text"], other.claim.parts["text"]) == (composed, decomposed)


@pytest.mark.parametrize(
    ("solution", "answer", "label", "reason"),
    [
        ("The answer is 18 million", "#### 18", 0, []),
        ("The answer is 18 million", "#### 18,000,000", 1, []),
        ("The answer is fifty.", "#### 50", 1, []),
        ("#### 5e1", "#### 50", 1, []),
        ("The answer is:\n50", "#### 50", 1, []),
        ("The answer is 2 hours and 30 minutes", "#### 150", None, ["unreadable_gold"]),
        ("So she has", "#### 50", None, ["unreadable_gold"]),
        ("#### 50", "about fifty", None, ["unreadable_gold"]),
        ("#### 50", "", None, []),
    ],
)
def test_an_answer_that_cannot_be_read_is_no_golden_label(
    solution: str, answer: str, label: int | None, reason: list[str]
) -> None:
    items = build_gsm8k({"question": "How many?", "solution": solution, "answer": answer})
    assert golden(items) == [label]
    assert [row.reason for row in items.rejected] == reason
