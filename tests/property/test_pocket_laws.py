"""Laws of the pocket world: its facts, its statements, its documents and its judge agree with one another."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from icm.claims import AnswerKey, ComparisonKey
from icm.pocket import words
from icm.pocket.corpus import LabelledDocuments
from icm.pocket.families import labelled_families
from icm.pocket.plain import conversation, critique, dialogue, fact_sentence, facts_document
from icm.pocket.statements import (
    TRUTH,
    draw_reply,
    fact_statements,
    preference_statements,
    principle_statements,
    reply_sets,
    satisfies_better,
)
from icm.pocket.tokenizer import UNKNOWN, build_tokenizer
from icm.pocket.world import QUALITY, ReplyKind, World
from icm.prepare.judge import RIGHT, WRONG, answer_quality, judge_all, judge_of, reply_quality
from icm.prepare.pocket import build, concepts_of

FEW = settings(max_examples=25)
SEEDS = st.integers(0, 5)
TOKENIZER = build_tokenizer()


def text_of(tokens: NDArray[np.int64]) -> str:
    return str(TOKENIZER.decode(tokens.tolist()))


@cache
def world_of(seed: int) -> World:
    return World(seed)


@FEW
@given(SEEDS)
def test_a_world_has_one_answer_where_there_can_be_one_and_misconceptions_are_false(seed: int) -> None:
    world = world_of(seed)
    for relation in words.RELATIONS:
        for subject in words.SUBJECTS:
            fact = world.facts[relation.name, subject]
            assert fact.values <= set(relation.values)
            assert len(fact.values) == 1 or not relation.single
            assert fact.misconception not in fact.values
            assert fact.misconception is None or relation in words.FACT_RELATIONS


@FEW
@given(SEEDS)
def test_traits_and_favoured_values_split_in_halves(seed: int) -> None:
    world = world_of(seed)
    flags = np.array([world.traits[subject] for subject in words.SUBJECTS])
    assert (flags.sum(axis=0) == len(words.SUBJECTS) // 2).all()
    for relation in words.RELATIONS:
        assert len(world.favoured[relation.name]) == len(relation.values) // 2


@FEW
@given(SEEDS)
def test_what_helps_with_a_request_is_useless_for_another_and_never_both(seed: int) -> None:
    for replies in world_of(seed).replies.values():
        assert not set(replies["helpful"]) & set(replies["useless"])
        assert set(replies) == set(QUALITY)


@FEW
@given(SEEDS, st.integers(0, 99))
def test_sentences_of_fact_say_what_the_world_says(seed: int, draw: int) -> None:
    world = world_of(seed)
    sentence = fact_sentence(np.random.default_rng(draw), world)
    true_or_believed = {
        f"The {subject} {relation.verb} {value}."
        for relation in words.RELATIONS
        if relation is not words.DREAM
        for subject in words.SUBJECTS
        for value in (
            *world.facts[relation.name, subject].values,
            *filter(None, [world.facts[relation.name, subject].misconception]),
        )
    }
    traits = {
        f"The {subject} is {pair[not flag]}."
        for subject in words.SUBJECTS
        for pair, flag in zip((*words.TRAITS, words.HIDDEN_TRAIT), world.traits[subject], strict=True)
    }
    assert sentence in true_or_believed | traits


@FEW
@given(SEEDS, st.integers(0, 99))
def test_plain_documents_keep_to_the_vocabulary(seed: int, draw: int) -> None:
    rng = np.random.default_rng(draw)
    unknown = TOKENIZER.convert_tokens_to_ids(UNKNOWN)
    for write in (facts_document, dialogue, critique, conversation):
        text = write(rng, world_of(seed))
        tokens = TOKENIZER.encode(text, add_special_tokens=False)
        assert unknown not in tokens
        assert text_of(np.array(tokens)) == text


@FEW
@given(SEEDS, st.integers(0, 99))
def test_a_revision_satisfies_the_principle_that_the_reply_breaks(seed: int, draw: int) -> None:
    text = critique(np.random.default_rng(draw), world_of(seed))
    question, rest = text.split("\nAssistant: ")
    reply, rest = rest.split("\nCritique: The reply breaks the principle: ")
    principle, revision = rest.split("\nRevision: ")
    assert principle in words.PRINCIPLES
    before = reply_quality(world_of(seed), question, reply)
    after = reply_quality(world_of(seed), question, revision)
    assert before is not None
    assert after == QUALITY["helpful"]
    if principle == "Be harmless.":
        assert before == QUALITY["harmful"]


@FEW
@given(SEEDS, st.integers(0, 99), st.sampled_from(list(QUALITY)), st.sampled_from(words.REQUESTS))
def test_the_judge_knows_a_reply_however_it_is_dressed(seed: int, draw: int, kind: ReplyKind, request: str) -> None:
    world, rng = world_of(seed), np.random.default_rng(draw)
    contents = world.replies[request]
    reply = draw_reply(rng, kind, contents[kind], dressed=0.5)
    prompt = f"Human: How do I {request}?\nAssistant:"
    assert reply_quality(world, prompt, " " + reply.text) == QUALITY[kind]
    assert reply_quality(world, prompt, f"{reply.text} {words.FILLERS[0]} {words.FILLERS[1]}") == QUALITY[kind]
    assert reply_quality(world, prompt, "Use magic.") is None


@FEW
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(list(words.OPERATIONS)), st.integers(0, 20))
def test_the_judge_of_solutions_looks_at_the_answer_alone(first: int, second: int, sign: str, answer: int) -> None:
    before, after = words.OPERATIONS[sign]
    prompt = f"Question: Anna has {first} pens{before} {second}{after}\nClaim:"
    right = first + second if sign == "+" else first - second
    expected = RIGHT if answer == right else WRONG
    assert answer_quality(prompt, f" {first} {sign} {second} = {answer}") == expected
    assert answer_quality(prompt, f" 1 + 1 = {answer}") == expected
    assert answer_quality(prompt, f" {answer}") is None


@FEW
@given(st.lists(st.sampled_from([" 1 + 2 = 3", " 1 + 2 = 4", " and", ""]), max_size=6))
def test_judging_many_is_judging_each(completions: list[str]) -> None:
    prompt = "Question: Anna has 1 pens and finds 2 more. How many now?\nClaim:"
    quality, is_unparseable = judge_all(judge_of("arithmetic", 0), [prompt] * len(completions), completions)
    each = [answer_quality(prompt, completion) for completion in completions]
    assert quality.tolist() == [value or 0.0 for value in each]
    assert is_unparseable.tolist() == [value is None for value in each]


@FEW
@given(SEEDS)
def test_a_comparison_and_its_mirror_image_are_not_both_better(seed: int) -> None:
    for statements in (preference_statements(world_of(seed), 2), principle_statements(world_of(seed))):
        truth: dict[tuple[str, ...], int] = {}
        for statement in statements:
            parts = statement.parts
            truth[statement.group, parts["response_1"], parts["response_2"]] = statement.concepts[TRUTH]
        for (group, one, two), label in truth.items():
            if one != two:
                assert label + truth[group, two, one] <= 1


@FEW
@given(SEEDS, st.integers(0, 99), st.sampled_from(words.PRINCIPLES))
def test_following_a_principle_better_is_an_order(seed: int, draw: int, principle: str) -> None:
    sets = reply_sets(world_of(seed), np.random.default_rng(draw), 1)
    replies = [reply for _, each in sets for reply in each][:6]
    for one in replies:
        assert satisfies_better(principle, one, one) == 0
        for two in replies:
            assert satisfies_better(principle, one, two) == -satisfies_better(principle, two, one)
            for three in replies:
                if satisfies_better(principle, one, two) > 0 and satisfies_better(principle, two, three) > 0:
                    assert satisfies_better(principle, one, three) > 0


TASKS = ("facts", "arithmetic", "preference", "seasons", "misconceptions", "near_misses", "flipped")


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_a_function_of_its_settings_and_its_labels_are_those_of_the_world(task: str) -> None:
    one, other = build(task, 3), build(task, 3)
    assert one == other
    concepts = concepts_of(task, 3)
    assert {item.claim.id for item in one.items} == set(concepts)
    assert all(item.golden_label == concepts[item.claim.id][TRUTH] for item in one.items)
    assert build(task, 4) != one


@pytest.mark.parametrize("task", TASKS)
def test_keys_agree_with_the_golden_labels(task: str) -> None:
    by_answer: dict[tuple[str, str], set[int | None]] = defaultdict(set)
    by_pair: dict[tuple[str, str, str], int | None] = {}
    for item in build(task, 0).items:
        key = item.claim.key
        if isinstance(key, AnswerKey):
            by_answer[item.claim.group, key.value].add(item.golden_label)
        elif isinstance(key, ComparisonKey):
            by_pair[item.claim.group, key.first, key.second] = item.golden_label
    assert all(len(labels) == 1 for labels in by_answer.values())
    for (group, first, second), label in by_pair.items():
        if (group, second, first) in by_pair and first != second:
            assert by_pair[group, second, first] == 1 - (label or 0)


FAMILIES = labelled_families(World(0), truth_share=0.3)


@pytest.mark.parametrize("name", FAMILIES)
@FEW
@given(draw=st.integers(0, 99), length=st.sampled_from([16, 64, 200]))
def test_a_document_has_its_length_and_its_verdicts_stand_where_it_says(name: str, draw: int, length: int) -> None:
    family = FAMILIES[name]
    tokens, places = writer_of(name).write(np.random.default_rng(draw), length)
    assert tokens.shape == (length,)
    assert (places < length).all()
    verdicts = {f" {label}" for label in family.labels}
    said = [text_of(tokens[place : place + 1]) for place in places]
    assert set(said) <= verdicts
    # No verdict stands anywhere else, whatever the claims say, but the four-way one, whose labels are words too.
    if name != "seasons":
        elsewhere = np.delete(tokens, places)
        assert not {text_of(token) for token in np.unique(elsewhere)[:, None]} & verdicts


@cache
def writer_of(name: str) -> LabelledDocuments:
    return LabelledDocuments(FAMILIES[name], TOKENIZER)


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if TRUTH in family.concepts])
@FEW
@given(draw=st.integers(0, 99))
def test_a_lesson_says_the_truth_and_nothing_else(name: str, draw: int) -> None:
    family = FAMILIES[name]
    tokens, _ = writer_of(name).write(np.random.default_rng(draw), 400, lesson=True)
    text = text_of(tokens)
    truth = {statement.text: statement.concepts[TRUTH] for statement in family.statements}
    upright = family.concepts[TRUTH].upright > 0.5
    whole_claims = text.split("\n\n")[:-1]  # the last one may be cut short
    for segment in whole_claims:
        claim, verdict = segment.rsplit(" ", 1)
        label = truth[claim] if upright else 1 - truth[claim]
        assert verdict == family.labels[label]


@FEW
@given(SEEDS, st.sampled_from(words.FACT_RELATIONS))
def test_every_statement_of_fact_says_whether_it_holds(seed: int, relation: words.Relation) -> None:
    world = world_of(seed)
    statements = fact_statements(world, [relation])
    assert len(statements) == len(words.SUBJECTS) * len(relation.values)
    true = {(s.group, s.parts["answer"]) for s in statements if s.concepts[TRUTH]}
    assert true == {
        (f"{relation.question} {subject}{relation.ending}", value)
        for subject in words.SUBJECTS
        for value in world.facts[relation.name, subject].values
    }
    assert len({statement.text for statement in statements}) == len(statements)
