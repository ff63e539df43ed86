"""Laws of the domain's values and of the labelling rules that ask no model."""

from __future__ import annotations

import random
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icm import golden
from icm.claims import (
    UNLABELLED,
    AnswerKey,
    Claim,
    LabelSpace,
    claim_id,
    freeze,
    group_id,
    response_id,
)
from icm.surface import SURFACE_RULES, Rule, answer_frequency, keywords, length
from tests.worlds import CLAIMS, answer_claim, comparison_claim, make_claim

FEW = settings(max_examples=25)
PARTS = st.lists(st.text(max_size=6), min_size=1, max_size=3)
ANSWERS = st.sampled_from(["yes", "no, never", "perhaps", "it is red", "it is a very long answer", "cannot say"])
WORLDS = st.lists(st.tuples(st.sampled_from(["q1", "q2", "q3"]), ANSWERS, st.booleans()), min_size=1, max_size=10)


@FEW
@given(PARTS, PARTS)
def test_ids_are_equal_exactly_where_what_they_name_is(one: list[str], other: list[str]) -> None:
    assert (group_id(*one) == group_id(*other)) == (one == other)


@FEW
@given(st.text(max_size=6), st.text(max_size=6), st.text(max_size=6))
def test_where_one_part_ends_matters(one: str, middle: str, other: str) -> None:
    assert (group_id(one + middle, other) == group_id(one, middle + other)) == (middle == "")


@FEW
@given(st.text(max_size=8))
def test_ids_of_different_kinds_differ(text: str) -> None:
    assert len({group_id(text), response_id(text), claim_id("", text), claim_id(text, "")}) == (4 if text else 3)


@FEW
@given(st.lists(st.integers(-1, 5), max_size=9))
def test_frozen_labels_are_a_copy_that_cannot_be_written(values: list[int]) -> None:
    source = np.array(values, dtype=np.int8)
    labels = freeze(source)
    source += 1
    assert labels.tolist() == values
    with pytest.raises(ValueError, match="read-only"):
        labels[...] = 0


WORDS = st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=4)


@FEW
@given(WORDS, WORDS)
def test_an_alphabet_is_sound_or_refused(names: list[str], verbalizers: list[str]) -> None:
    sound = (
        len(names) == len(verbalizers) >= 2
        and len(set(names)) == len(names)
        and not any(
            i != j and other.startswith(one) for i, one in enumerate(verbalizers) for j, other in enumerate(verbalizers)
        )
    )
    if sound:
        assert len(LabelSpace(names=tuple(names), verbalizers=tuple(verbalizers))) == len(names)
    else:
        with pytest.raises(ValueError, match=r"label|verbalizer"):
            LabelSpace(names=tuple(names), verbalizers=tuple(verbalizers))


@FEW
@given(st.dictionaries(st.sampled_from([claim_id("g", str(i)) for i in range(9)]), st.integers(0, 2)))
def test_golden_labels_survive_their_file(tmp_path_factory: pytest.TempPathFactory, labels: dict) -> None:
    path = tmp_path_factory.mktemp("gold") / "gold.jsonl"
    golden.save(path, labels)
    assert golden.load(path, LabelSpace(names=("a", "b", "c"), verbalizers=(" a", " b", " c"))) == labels
    assert path.read_text().splitlines() == sorted(path.read_text().splitlines())
    claims = [make_claim("g", str(i)) for i in range(9)]
    assert golden.as_labels(labels, claims).tolist() == [labels.get(claim.id, UNLABELLED) for claim in claims]


def built(world: list[tuple[str, str, bool]]) -> list[Claim]:
    return [answer_claim(question, answer, answer if keyed else None) for question, answer, keyed in world]


@pytest.mark.parametrize("rule", [rule for _, rule in SURFACE_RULES.values()], ids=list(SURFACE_RULES))
@FEW
@given(world=WORLDS, seed=st.integers(0, 99))
def test_a_rule_does_not_look_at_the_order_of_the_claims(rule: Rule, world: list, seed: int) -> None:
    claims = built(world)
    order = random.Random(seed).sample(range(len(claims)), len(claims))
    one, other = rule(claims), rule([claims[at] for at in order])
    if isinstance(one, str) or isinstance(other, str):
        assert other == one
    else:
        assert other.tolist() == one[order].tolist()


@FEW
@given(WORLDS)
def test_an_answer_is_affirmed_where_it_stands_twice(world: list[tuple[str, str, bool]]) -> None:
    claims = built(world)
    keys = [(claim.group, claim.key.value) for claim in claims if isinstance(claim.key, AnswerKey)]
    labels = answer_frequency(claims)
    if not any(keys.count(key) > 1 for key in keys):
        assert isinstance(labels, str)
        return
    assert not isinstance(labels, str)
    for claim, label in zip(claims, labels.tolist(), strict=True):
        if isinstance(claim.key, AnswerKey):
            assert label == int(keys.count((claim.group, claim.key.value)) > 1)
        else:
            assert label == UNLABELLED


@FEW
@given(WORLDS)
def test_an_answer_is_affirmed_where_it_is_longer_than_the_median(world: list[tuple[str, str, bool]]) -> None:
    claims = built(world)
    labels = length(claims)
    for place, claim in enumerate(claims):
        lengths = [len(other.parts["answer"]) for other in claims if other.group == claim.group]
        is_longer = int(len(claim.parts["answer"]) > median(lengths))
        expected = is_longer if len(lengths) > 1 else UNLABELLED
        if isinstance(labels, str):
            assert expected == UNLABELLED
        else:
            assert labels[place] == expected


@FEW
@given(st.text("ab", min_size=1, max_size=5), st.text("ab", min_size=1, max_size=5))
def test_the_longer_response_is_the_better_one(first: str, second: str) -> None:
    labels = length([comparison_claim("q", first, second), comparison_claim("q", second, first)])
    assert not isinstance(labels, str)
    assert labels.tolist() == [int(len(first) > len(second)), int(len(second) > len(first))]


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("It does NOT.", 1),
        ("He can’t.", 1),
        ("Perhaps so", 1),
        ("MOST of them", 1),
        ("a knot", 0),
        ("the maypole", 0),
        ("It is red.", 0),
    ],
)
def test_negations_and_hedges_are_whole_words(answer: str, label: int) -> None:
    labels = keywords([answer_claim("q", answer), answer_claim("q", "never")])
    assert not isinstance(labels, str)
    assert labels.tolist() == [label, 1]


@FEW
@given(st.lists(CLAIMS, max_size=5))
def test_rules_give_a_label_or_none_for_any_claims(claims: list[Claim]) -> None:
    for _, rule in SURFACE_RULES.values():
        labels = rule(claims)
        if isinstance(labels, str):
            assert labels
        else:
            assert labels.shape == (len(claims),)
            assert set(labels.tolist()) <= {UNLABELLED, 0, 1}
