from collections import defaultdict
from typing import Any, get_args

import pytest

from icm.claims import TRUE_FALSE, AnswerKey, ComparisonKey
from icm.errors import ConfigError
from icm.pocket.tokenizer import build_tokenizer
from icm.prepare.pocket import PocketTask, build
from icm.prompts import render_demo

TASKS = get_args(PocketTask)


def _build(task: str, world_seed: int = 0) -> Any:
    return build(task, world_seed)


def _by_group(items: Any) -> Any:
    groups = defaultdict(list)
    for item in items:
        groups[item.claim.group].append(item)
    return groups


@pytest.mark.parametrize("task", TASKS)
def test_claims_are_distinct_and_made_of_known_words(task: str) -> None:
    built = _build(task)
    items, rejected, space = built.items, built.rejected, built.label_space
    assert not rejected
    assert len({item.claim.id for item in items}) == len(items) > 40
    tokenizer = build_tokenizer()
    for item in items[:: max(1, len(items) // 200)]:
        assert item.golden_label is not None
        assert tokenizer.unk_token_id not in tokenizer(render_demo(item.claim, item.golden_label, space)).input_ids


@pytest.mark.parametrize("task", ["facts", "arithmetic", "misconceptions"])
def test_equal_answers_share_a_label_and_at_most_one_answer_is_true(task: str) -> None:
    for group in _by_group(_build(task).items).values():
        labels = {}
        for item in group:
            if isinstance(item.claim.key, AnswerKey):
                assert labels.setdefault(item.claim.key.value, item.golden_label) == item.golden_label
        assert sum(labels.values()) <= 1


def test_questions_with_several_true_answers_carry_no_key() -> None:
    several = [group for group in _by_group(_build("facts").items).values() if sum(i.golden_label for i in group) > 1]
    assert several
    assert all(item.claim.key is None for group in several for item in group)


@pytest.mark.parametrize("task", ["preference", "principle"])
def test_mirrored_claims_have_opposite_labels(task: str) -> None:
    labels = {}
    for item in _build(task).items:
        key = item.claim.key
        assert isinstance(key, ComparisonKey)
        labels[item.claim.group, key.first, key.second] = item.golden_label
    for (group, first, second), label in labels.items():
        assert labels[group, second, first] == 1 - label


def test_preferences_in_a_group_are_transitive() -> None:
    for group in _by_group(_build("preference").items).values():
        better = {(i.claim.key.first, i.claim.key.second) for i in group if i.golden_label}
        for first, second in better:
            assert all((first, third) in better for middle, third in better if middle == second)


def test_one_claim_in_a_hundred_is_true_in_the_imbalanced_task() -> None:
    labels = [item.golden_label for item in _build("imbalance").items]
    assert labels.count(1) / len(labels) == pytest.approx(0.01, abs=0.001)


def test_near_misses_are_a_task_of_their_own() -> None:
    def wrong_by_two(item: Any) -> bool:
        working, result = item.claim.parts["answer"].split(" = ")
        first, sign, second = working.split()
        exact = int(first) + int(second) if sign == "+" else int(first) - int(second)
        return abs(exact - int(result)) == 2

    assert not any(wrong_by_two(item) for item in _build("arithmetic").items)
    near_misses = _build("near_misses").items
    assert all(wrong_by_two(item) for item in near_misses if item.golden_label == 0)
    assert {item.golden_label for item in near_misses} == {0, 1}


def test_every_misconceived_question_has_its_truth_and_a_falsehood() -> None:
    for group in _by_group(_build("misconceptions").items).values():
        assert {item.golden_label for item in group} == {0, 1}


def test_the_hidden_concept_labels_the_claims_of_the_facts() -> None:
    facts, hidden = _build("facts").items, _build("hidden_concept").items
    assert [item.claim for item in facts] == [item.claim for item in hidden]
    assert [item.golden_label for item in facts] != [item.golden_label for item in hidden]


def test_seasons_have_four_labels() -> None:
    built = _build("seasons")
    items, space = built.items, built.label_space
    assert space != TRUE_FALSE
    assert {item.golden_label for item in items} == set(range(len(space))) == {0, 1, 2, 3}


def test_equal_seeds_give_equal_tasks_and_other_seeds_others() -> None:
    assert _build("facts", 5) == _build("facts", 5)
    assert _build("facts", 5) != _build("facts", 6)


def test_an_unknown_task_is_refused_with_the_names_of_all() -> None:
    with pytest.raises(ConfigError, match=r"task\.task=fact .*misconceptions"):
        _build("fact")
