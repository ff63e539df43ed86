from __future__ import annotations

from typing import Any

import pytest

from icm.errors import ConfigError
from icm.pocket import words
from icm.pocket.statements import TRUTH, arithmetic_statements, preference_statements
from icm.pocket.world import QUALITY, World
from icm.prepare.judge import answer_quality, judge_all, judge_of, reply_quality

WORLD = World(3)


def _prompt(request: str) -> Any:
    return f"Human: How do I {request}?\nAssistant:"


def test_every_reply_of_the_world_is_worth_its_kind() -> None:
    for request, replies in WORLD.replies.items():
        for kind, contents in replies.items():
            for content in contents:
                for dressed in (content, f"{words.GREETING} {content}", f"{content} {words.FILLERS[0]}"):
                    assert reply_quality(WORLD, _prompt(request), f" {dressed}") == QUALITY[kind]


def test_what_helps_with_one_request_is_useless_for_another() -> None:
    one, two = words.REQUESTS[:2]
    for remedy in set(WORLD.replies[one]["helpful"]) - set(WORLD.replies[two]["helpful"]):
        assert reply_quality(WORLD, _prompt(two), f" {remedy}") == QUALITY["useless"]


def test_the_judge_agrees_with_the_golden_labels_of_comparisons() -> None:
    for statement in preference_statements(WORLD, sets_per_request=3):
        prompt = f"Human: {statement.parts['question']}\nAssistant:"
        first, second = (reply_quality(WORLD, prompt, statement.parts[part]) for part in ("response_1", "response_2"))
        assert first is not None
        assert second is not None
        assert int(first > second) == statement.concepts[TRUTH]


def test_the_judge_agrees_with_the_golden_labels_of_solutions() -> None:
    for statement in arithmetic_statements(WORLD, stories_per_operation=90):
        prompt = f"Question: {statement.parts['question']}\nClaim:"
        assert answer_quality(prompt, f" {statement.parts['answer']}") == statement.concepts[TRUTH]


@pytest.mark.parametrize("reply", ["", " Use wax. Use glue.", " Happy to help!", " Use wax", " Use wax. <pad>"])
def test_a_reply_that_is_none_is_unparseable(reply: Any) -> None:
    assert reply_quality(WORLD, _prompt(words.REQUESTS[0]), reply) is None


@pytest.mark.parametrize("solution", ["", " 3 + 4", " 3 + 4 =", " True", " 3 + 4 = 7 = 7", " 7"])
def test_a_solution_that_is_none_is_unparseable(solution: Any) -> None:
    assert answer_quality("Question: Anna has 3 pens and finds 4 more. How many now?\nClaim:", solution) is None


def test_unparseable_completions_are_worth_nothing_and_counted() -> None:
    prompt = "Question: Anna has 3 pens and loses 2 of them. How many now?\nClaim:"
    quality, is_unparseable = judge_all(judge_of("arithmetic", 0), [prompt] * 3, [" 3 - 2 = 1", " 3 - 2 = 2", " and"])
    assert quality.tolist() == [1.0, 0.0, 0.0]
    assert is_unparseable.tolist() == [False, False, True]


def test_a_prompt_of_another_world_is_refused() -> None:
    with pytest.raises(ValueError, match="no request of the pocket world"):
        reply_quality(WORLD, _prompt("fly to the moon"), " Use wax.")
    with pytest.raises(ValueError, match="no arithmetic story"):
        answer_quality("Question: What is 3 and 4?", " 3 + 4 = 7")


def test_tasks_without_completions_have_no_judge() -> None:
    with pytest.raises(ConfigError, match="'facts' has no judge"):
        judge_of("facts", 0)
