from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from icm.pocket import words
from icm.pocket.corpus import Corpus, LabelledDocuments
from icm.pocket.families import labelled_families
from icm.pocket.plain import conversation, facts_document
from icm.pocket.statements import TRUTH, fact_statements
from icm.pocket.tokenizer import build_tokenizer
from icm.pocket.world import World
from icm.prompts import SEPARATOR

WORLD = World(3)
FAMILIES = labelled_families(WORLD, truth_share=0.3)
TOKENIZER = build_tokenizer()


def _tokens(text: str) -> Any:
    return TOKENIZER.encode(text, add_special_tokens=False)


def _is_known(text: str) -> Any:
    return TOKENIZER.unk_token_id not in _tokens(text)


def _labelled(family: Any) -> Any:
    return [f"{s.text} {family.labels[s.concepts[TRUTH]]}" for s in family.statements]


def test_equal_seeds_give_equal_worlds() -> None:
    again = World(3)
    assert again.facts == WORLD.facts
    assert again.traits == WORLD.traits
    assert again.replies == WORLD.replies


def test_other_seeds_give_other_facts_in_the_same_words() -> None:
    other = World(4)
    assert other.facts != WORLD.facts
    assert other.facts.keys() == WORLD.facts.keys()


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_statement_is_made_of_known_words(family: Any) -> None:
    for text in _labelled(family):
        assert _is_known(text)


@pytest.mark.parametrize("write", [facts_document, conversation])
def test_plain_documents_are_made_of_known_words(write: Any) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert _is_known(write(rng, WORLD))


def test_tokens_of_a_prompt_are_the_tokens_of_its_segments() -> None:
    rng = np.random.default_rng(0)
    segments = [text for family in FAMILIES.values() for text in rng.choice(_labelled(family), size=8)]
    rng.shuffle(segments)
    by_segment = _tokens(segments[0]) + [token for s in segments[1:] for token in _tokens(SEPARATOR + s)]
    assert by_segment == _tokens(SEPARATOR.join(segments))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_decoding_gives_the_text_back(family: Any) -> None:
    text = SEPARATOR.join(_labelled(family)[:5])
    assert TOKENIZER.decode(_tokens(text)) == text


@pytest.mark.parametrize("text", ["What color is the unicorn?", "The cats"])
def test_a_word_outside_the_world_is_unknown_even_if_a_known_one_begins_it(text: str) -> None:
    assert not _is_known(text)


def test_questions_with_one_answer_have_one_true_claim() -> None:
    for relation in words.FACT_RELATIONS:
        statements = fact_statements(WORLD, [relation])
        true_per_group = {s.group: 0 for s in statements}
        for statement in statements:
            true_per_group[statement.group] += statement.concepts[TRUTH]
            assert (statement.answer is not None) == relation.single
        assert set(true_per_group.values()) == ({1} if relation.single else {1, 2})


def test_no_document_is_labelled_by_the_hidden_trait() -> None:
    assert all(words.HIDDEN_TRAIT[0] not in family.concepts for family in FAMILIES.values())


def test_shares_of_concepts_leave_room_for_labels_without_a_concept() -> None:
    for truth_share in (0.05, 0.3, 0.45):
        for family in labelled_families(WORLD, truth_share).values():
            assert 0 < sum(concept.share for concept in family.concepts.values()) < 1


def test_a_lesson_holds_the_true_verdicts() -> None:
    family = FAMILIES["arithmetic"]
    tokens, verdicts = LabelledDocuments(family, TOKENIZER).write(np.random.default_rng(0), 200, lesson=True)
    truth = set(_labelled(family))
    document = str(TOKENIZER.decode(tokens[: verdicts[-1] + 1].tolist()))
    segments = document.split(SEPARATOR)
    assert len(segments) == len(verdicts) > 10
    assert set(segments) <= truth


def test_a_verdict_place_holds_a_verdict() -> None:
    rng = np.random.default_rng(1)
    for family in FAMILIES.values():
        tokens, verdicts = LabelledDocuments(family, TOKENIZER).write(rng, 160)
        assert len(tokens) == 160
        assert {str(TOKENIZER.decode([int(tokens[place])])).strip() for place in verdicts} <= set(family.labels)


def test_batches_are_a_function_of_the_generator() -> None:
    corpus = Corpus(WORLD, TOKENIZER, truth_share=0.3)
    one, two = (corpus.batch(np.random.default_rng(5), 16, 96, dict.fromkeys(FAMILIES, 0.5)) for _ in range(2))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])
    assert (one[1][:, 0] == 0).all()
    assert (one[1].sum(axis=1) > 0).all()
