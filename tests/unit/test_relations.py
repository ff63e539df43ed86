"""What relations demand of labels, and that they read nothing of a claim but its group and its key."""

from __future__ import annotations

import dataclasses
import random
from itertools import product
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from consistency import Constraint, reference
from icm.claims import AnswerKey, Claim, ComparisonKey, claim_id
from icm.errors import ConfigError
from icm.prepare import custom, tables
from icm.prepare.items import TaskItems
from icm.relations import (
    Implication,
    Relation,
    RelationSpec,
    Table,
    check_answers_occur,
    constraints_from,
)
from tests.worlds import make_claim
from tests.worlds.tasks import task_settings

ALL_RELATIONS = (
    Relation(kind="same_answer", weight=0.5),
    Relation(kind="different_answer"),
    Relation(kind="exactly_one"),
    Relation(kind="mirrored", weight=2.0),
    Relation(kind="transitive"),
    Implication(premise="6", conclusion="4"),
    Table(answers=("4", "5"), forbidden=((0, 1),), weight=3.0),
)


def answers(group: str, *values: str) -> list[Claim]:
    return [make_claim(group, f"{i}: {value}", AnswerKey(value=value)) for i, value in enumerate(values)]


def comparisons(group: str, *pairs: str) -> list[Claim]:
    return [make_claim(group, pair, ComparisonKey(first=pair[0], second=pair[1])) for pair in pairs]


MIXED = [
    *answers("q1", "4", "4", "5"),
    *comparisons("q2", "ab", "ba", "bc", "ac", "ca"),
    *answers("q3", "4", "6"),
    make_claim("q1", "nothing follows from this", None),
]


def satisfied(claims: list[Claim], *relations: RelationSpec, num_labels: int = 2) -> set[tuple[int, ...]]:
    """All labellings of the claims that violate nothing."""
    constraints = constraints_from(claims, relations, num_labels)
    return {
        labels
        for labels in product(range(num_labels), repeat=len(claims))
        if not any(reference.violated(constraints, labels, num_labels))
    }


def meaning(claims: list[Claim], constraints: list[Constraint], num_labels: int = 2) -> list[tuple]:
    """The constraints told in claim ids: which labels of which claims are forbidden, whatever the order."""
    told = []
    for constraint in constraints:
        ids = [claims[i].id for i in constraint.scope]
        forbidden = frozenset(
            frozenset(zip(ids, labels, strict=True))
            for labels in product(range(num_labels), repeat=len(ids))
            if constraint.forbidden >> sum(label * num_labels**p for p, label in enumerate(labels)) & 1
        )
        told.append((constraint.name, constraint.weight, forbidden))
    return sorted(told, key=lambda entry: (entry[0], entry[1], sorted(map(sorted, entry[2]))))


def test_same_answer_makes_equal_labels_of_any_alphabet() -> None:
    assert satisfied(answers("q", "4", "4", "5"), Relation(kind="same_answer"), num_labels=3) == {
        (x, x, y) for x in range(3) for y in range(3)
    }


def test_same_answer_counts_every_pair() -> None:
    constraints = constraints_from(answers("q", "4", "4", "4", "4"), [Relation(kind="same_answer")], 2)
    assert sorted(constraint.scope for constraint in constraints) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


def test_different_answers_are_not_both_true() -> None:
    assert satisfied(answers("q", "4", "5"), Relation(kind="different_answer")) == {(0, 0), (0, 1), (1, 0)}
    assert constraints_from(answers("q", "4", "4"), [Relation(kind="different_answer")], 2) == []


def test_exactly_one_answer_is_affirmed_however_many_claims_give_it() -> None:
    assert satisfied(answers("q", "4", "5", "6"), Relation(kind="exactly_one")) == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}
    assert satisfied(answers("q", "4", "4", "5"), Relation(kind="exactly_one")) == {
        (1, 0, 0),
        (0, 1, 0),
        (1, 1, 0),
        (0, 0, 1),
    }


def test_mirrored_claims_have_opposite_labels() -> None:
    assert satisfied(comparisons("q", "ab", "ba"), Relation(kind="mirrored")) == {(0, 1), (1, 0)}
    assert constraints_from(comparisons("q", "ab", "cb", "aa"), [Relation(kind="mirrored")], 2) == []


@pytest.mark.parametrize("pairs", [("ab", "bc", "ac"), ("ba", "ac", "cb"), ("ca", "bc", "ab")])
def test_transitive_leaves_the_six_orders_of_three_responses(pairs: Any) -> None:
    orders = ["abc", "acb", "bac", "bca", "cab", "cba"]
    expected = {tuple(int(order.index(x) < order.index(y)) for x, y in pairs) for order in orders}
    assert satisfied(comparisons("q", *pairs), Relation(kind="transitive")) == expected


def test_transitive_and_mirrored_leave_the_orders_of_four_responses() -> None:
    pairs = [x + y for x in "abcd" for y in "abcd" if x != y]
    claims = comparisons("q", *pairs)
    constraints = constraints_from(claims, [Relation(kind="mirrored"), Relation(kind="transitive")], 2)
    assert sum(constraint.name == "transitive" for constraint in constraints) == 4 * 8
    forward = [pair for pair in pairs if pair[0] < pair[1]]
    orders = 0
    for labels in product((0, 1), repeat=len(forward)):
        wins = dict(zip(forward, labels, strict=True))
        both = [wins[pair] if pair in wins else 1 - wins[pair[::-1]] for pair in pairs]
        orders += not any(reference.violated(constraints, both, 2))
    assert orders == 24


def test_an_implication_forbids_a_true_premise_beside_a_false_conclusion() -> None:
    animals = answers("q", "mammal", "Dog", "cat")
    assert satisfied(animals, Implication(premise="dog", conclusion="mammal")) == {
        (mammal, dog, cat) for mammal, dog, cat in product((0, 1), repeat=3) if mammal >= dog
    }


def test_a_table_lists_its_answers_in_its_own_order() -> None:
    claims = answers("q", "low", "high")
    rises = Table(answers=("high", "low"), forbidden=((0, 2), (0, 1), (1, 2)))
    assert satisfied(claims, rises, num_labels=3) == {
        (low, high) for low, high in product(range(3), repeat=2) if low <= high
    }


def test_allowed_rows_forbid_all_others() -> None:
    claims = answers("q", "a", "b", "c")
    rows = ((1, 0, 0), (0, 1, 1))
    assert satisfied(claims, Table(answers=("a", "b", "c"), allowed=rows)) == set(rows)


def test_a_table_holds_for_every_choice_of_claims_that_give_its_answers() -> None:
    claims = answers("q", "a", "A ", "b") + answers("other", "b")
    constraints = constraints_from(claims, [Table(answers=("b", "a"), forbidden=((1, 1),))], 2)
    assert [constraint.scope for constraint in constraints] == [(2, 0), (2, 1)]


def test_relations_over_answers_are_named_apart() -> None:
    claims = answers("q", "a", "b")
    relations = [Implication(premise="a", conclusion="b"), Table(answers=("a", "b"), forbidden=((0, 0),))]
    names = [constraint.name for constraint in constraints_from(claims, relations, 2)]
    assert names == ["implication: a -> b", "table: a, b"]


def test_a_table_that_does_not_fit_the_labels_is_refused() -> None:
    wide = Table(answers=tuple("abcd"), forbidden=((0, 0, 0, 0),))
    with pytest.raises(ConfigError, match="'table: a, b, c, d' has 3 labels for each of 4 answers, so 81 rows"):
        constraints_from([], [wide], 3)
    with pytest.raises(ConfigError, match=r"row \[0, 2\], but the label space has 2 labels: 0 to 1"):
        constraints_from([], [Table(answers=("a", "b"), allowed=((0, 2),))], 2)


def test_an_answer_that_no_claim_gives_is_named_with_those_there_are() -> None:
    claims = answers("q", "dog", "mammal")
    check_answers_occur([Implication(premise="DOG", conclusion="mammal"), Relation(kind="same_answer")], claims)
    with pytest.raises(
        ConfigError, match="names the answer 'mamal', which no claim gives; the answers are 'dog', 'mam"
    ):
        check_answers_occur([Implication(premise="dog", conclusion="mamal")], claims)
    with pytest.raises(ConfigError, match="none: no claim has an answer"):
        check_answers_occur([Table(answers=("dog",), forbidden=((1,),))], comparisons("q", "ab"))


ANIMALS = {
    "path": "animals.jsonl",
    "template": "{animal} is a {category}:",
    "group_columns": ["animal"],
    "answer_column": "category",
}


def build_animals(*relations: dict) -> TaskItems:
    rows = [{"animal": "Rex", "category": "dog"}, {"animal": "Rex", "category": "Mammal"}]
    table = tables.Table("animals.jsonl", ("animal", "category"), rows, [1, 2])
    return custom.build(task_settings("custom", **ANIMALS, relations=relations), table)


def test_a_custom_task_checks_its_relations_against_its_table() -> None:
    build_animals({"kind": "implication", "premise": "dog", "conclusion": "mammal", "weight": 2.0})
    with pytest.raises(ConfigError, match="'cat', which no claim gives; the answers are 'dog', 'mammal'"):
        build_animals({"kind": "table", "answers": ["cat", "dog"], "forbidden": [[1, 1]]})
    with pytest.raises(ConfigError, match="128 rows"):
        build_animals({"kind": "table", "answers": list("abcdefg"), "forbidden": [[1] * 7]})


def test_relations_stay_within_groups() -> None:
    claims = answers("q1", "4", "5") + answers("q2", "4", "5")
    assert {constraint.scope for constraint in constraints_from(claims, [Relation(kind="different_answer")], 2)} == {
        (0, 1),
        (2, 3),
    }
    assert constraints_from(answers("q1", "4") + answers("q2", "4"), [Relation(kind="same_answer")], 2) == []


def test_permuting_claims_only_permutes_positions() -> None:
    expected = meaning(MIXED, constraints_from(MIXED, ALL_RELATIONS, 2))
    assert len(expected) == 12 + 1 + 2
    for seed in range(20):
        shuffled = random.Random(seed).sample(MIXED, len(MIXED))
        assert meaning(shuffled, constraints_from(shuffled, ALL_RELATIONS, 2)) == expected


def test_nothing_but_group_and_key_matters() -> None:
    disguised = [
        dataclasses.replace(claim, id=claim_id("", str(i)), text=str(i), parts={"answer": str(i)})
        for i, claim in enumerate(MIXED)
    ]
    assert constraints_from(disguised, ALL_RELATIONS, 2) == constraints_from(MIXED, ALL_RELATIONS, 2)


def test_constraints_carry_the_weight_and_kind_of_their_relation() -> None:
    (constraint,) = constraints_from(answers("q", "4", "5"), [Relation(kind="different_answer", weight=2.5)], 2)
    assert (constraint.weight, constraint.name) == (2.5, "different_answer")


@pytest.mark.parametrize(
    "relation",
    [
        Relation(kind="different_answer"),
        Relation(kind="exactly_one"),
        Relation(kind="mirrored"),
        Relation(kind="transitive"),
    ],
)
def test_truth_relations_refuse_other_label_spaces(relation: Any) -> None:
    with pytest.raises(ConfigError, match=f"{relation.kind}.*3 labels"):
        constraints_from([], [relation], 3)


def test_same_answer_refuses_more_labels_than_a_mask_holds() -> None:
    assert len(constraints_from(answers("q", "4", "4"), [Relation(kind="same_answer")], 8)) == 1
    with pytest.raises(ConfigError, match="has 9"):
        constraints_from([], [Relation(kind="same_answer")], 9)


def test_exactly_one_refuses_a_large_group_by_name() -> None:
    with pytest.raises(ConfigError, match="group 'q7' has 7; use 'different_answer'"):
        constraints_from(answers("q7", *"1234567"), [Relation(kind="exactly_one")], 2)


def test_settings_are_told_apart_by_kind() -> None:
    class Task(BaseModel):
        relations: tuple[RelationSpec, ...]

    task = Task.model_validate({"relations": [{"kind": "mirrored", "weight": 3}, {"kind": "same_answer"}]})
    assert task.relations == (Relation(kind="mirrored", weight=3.0), Relation(kind="same_answer"))


@pytest.mark.parametrize(
    "setting",
    [
        {"kind": "opposite"},
        {"weight": 1.0},
        {"kind": "mirrored", "wieght": 2},
        {"kind": "mirrored", "weight": 0},
        {"kind": "mirrored", "weight": "inf"},
        {"kind": "implication", "premise": "a"},
        {"kind": "implication", "premise": "a", "conclusion": " A"},
        {"kind": "table", "answers": ["a", "b"]},
        {"kind": "table", "answers": ["a", "b"], "allowed": [[0, 0]], "forbidden": [[1, 1]]},
        {"kind": "table", "answers": ["a", "b"], "forbidden": []},
        {"kind": "table", "answers": ["a", "A"], "forbidden": [[1, 1]]},
        {"kind": "table", "answers": ["a", "b"], "forbidden": [[1]]},
        {"kind": "table", "answers": ["a", "b"], "forbidden": [[1, -1]]},
    ],
)
def test_malformed_setting_is_refused(setting: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(RelationSpec).validate_python(setting)
