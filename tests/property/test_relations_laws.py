"""What relations mean, said a second time: constraints from claims against plain rules over answers and responses."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations, permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consistency import Constraint, reference
from icm.claims import AnswerKey, Claim, ComparisonKey
from icm.errors import ConfigError
from icm.relations import (
    Implication,
    Relation,
    RelationSpec,
    Table,
    check_answers_occur,
    constraints_from,
    normal_answer,
    num_constraints,
    title_of,
)
from tests.worlds import make_claim

FEW = settings(max_examples=25)
ANSWERS = st.lists(st.sampled_from("abc"), min_size=1, max_size=5)
PAIRS = st.lists(
    st.tuples(st.sampled_from("wxyz"), st.sampled_from("wxyz")).filter(lambda pair: pair[0] != pair[1]),
    min_size=1,
    max_size=6,
    unique=True,
)


def answers(group: str, values: Iterable[str]) -> list[Claim]:
    return [make_claim(group, f"{i}: {value}", AnswerKey(value=value)) for i, value in enumerate(values)]


def comparisons(group: str, pairs: Iterable[tuple[str, str]]) -> list[Claim]:
    return [make_claim(group, f"{a} over {b}", ComparisonKey(first=a, second=b)) for a, b in pairs]


def holds(constraints: Sequence[Constraint], labels: Sequence[int], num_labels: int = 2) -> bool:
    return reference.count_violations(constraints, labels, num_labels) == 0


@FEW
@given(ANSWERS, st.integers(2, 4))
def test_same_answer_counts_the_pairs_that_differ(values: list[str], num_labels: int) -> None:
    constraints = constraints_from(answers("q", values), [Relation(kind="same_answer")], num_labels)
    random.seed(0)
    for _ in range(20):
        labels = [random.randrange(-1, num_labels) for _ in values]
        expected = sum(
            values[i] == values[j] and -1 not in (labels[i], labels[j]) and labels[i] != labels[j]
            for i, j in combinations(range(len(values)), 2)
        )
        assert reference.count_violations(constraints, labels, num_labels) == expected


@FEW
@given(ANSWERS)
def test_different_answers_count_the_pairs_that_are_both_true(values: list[str]) -> None:
    constraints = constraints_from(answers("q", values), [Relation(kind="different_answer")], 2)
    for labels in product((-1, 0, 1), repeat=len(values)):
        expected = sum(
            values[i] != values[j] and labels[i] == labels[j] == 1 for i, j in combinations(range(len(values)), 2)
        )
        assert reference.count_violations(constraints, labels, 2) == expected


@FEW
@given(ANSWERS)
def test_exactly_one_answer_is_affirmed(values: list[str]) -> None:
    constraints = constraints_from(answers("q", values), [Relation(kind="exactly_one")], 2)
    for labels in product((0, 1), repeat=len(values)):
        affirmed = {value for value, label in zip(values, labels, strict=True) if label}
        assert holds(constraints, labels) == (len(affirmed) == 1)


@FEW
@given(ANSWERS)
def test_an_implication_is_the_implication_of_every_choice(values: list[str]) -> None:
    constraints = constraints_from(answers("q", values), [Implication(premise="a", conclusion="B ")], 2)
    for labels in product((0, 1), repeat=len(values)):
        told = dict.fromkeys("ab", frozenset[int]()) | {
            answer: frozenset(label for value, label in zip(values, labels, strict=True) if value == answer)
            for answer in "ab"
        }
        assert holds(constraints, labels) == (not (1 in told["a"] and 0 in told["b"]))


@FEW
@given(st.sets(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=8), ANSWERS)
def test_allowed_rows_and_the_forbidden_rest_are_one_table(rows: set[tuple[int, int]], values: list[str]) -> None:
    rest = set(product(range(3), repeat=2)) - rows
    claims = answers("q", values)
    one = constraints_from(claims, [Table(answers=("a", "b"), allowed=tuple(sorted(rows)))], 3)
    other = constraints_from(claims, [Table(answers=("a", "b"), forbidden=tuple(sorted(rest)))], 3)
    assert one == other
    for labels in product(range(3), repeat=len(values)):
        choices = product(
            *[[label for value, label in zip(values, labels, strict=True) if value == name] for name in "ab"]
        )
        assert holds(one, labels, 3) == all(choice in rows for choice in choices)


@FEW
@given(PAIRS)
def test_mirrored_comparisons_disagree(pairs: list[tuple[str, str]]) -> None:
    constraints = constraints_from(comparisons("q", pairs), [Relation(kind="mirrored")], 2)
    for labels in product((0, 1), repeat=len(pairs)):
        told = dict(zip(pairs, labels, strict=True))
        expected = all(told[a, b] != told[b, a] for a, b in pairs if (b, a) in told)
        assert holds(constraints, labels) == expected


@FEW
@given(PAIRS)
def test_labels_from_an_order_of_the_responses_satisfy_everything(pairs: list[tuple[str, str]]) -> None:
    constraints = constraints_from(comparisons("q", pairs), [Relation(kind="mirrored"), Relation(kind="transitive")], 2)
    for order in permutations("wxyz"):
        labels = [int(order.index(a) < order.index(b)) for a, b in pairs]
        assert holds(constraints, labels)


@FEW
@given(st.permutations(list(combinations("wxyz", 2))), st.lists(st.booleans(), min_size=6, max_size=6))
def test_what_satisfies_everything_over_all_pairs_is_an_order(pairs: list[tuple[str, str]], turned: list[bool]) -> None:
    stated = [(b, a) if turn else (a, b) for (a, b), turn in zip(pairs, turned, strict=True)]
    constraints = constraints_from(comparisons("q", stated), [Relation(kind="transitive")], 2)
    orders = {tuple(int(order.index(a) < order.index(b)) for a, b in stated) for order in permutations("wxyz")}
    satisfying = {labels for labels in product((0, 1), repeat=6) if holds(constraints, labels)}
    assert satisfying == orders


ALL: tuple[RelationSpec, ...] = (
    Relation(kind="same_answer", weight=0.5),
    Relation(kind="different_answer"),
    Relation(kind="exactly_one", weight=2.0),
    Relation(kind="mirrored"),
    Relation(kind="transitive", weight=3.0),
    Implication(premise="a", conclusion="b"),
    Table(answers=("b", "c"), forbidden=((1, 1), (0, 0))),
)


@st.composite
def worlds(draw: st.DrawFn) -> list[Claim]:
    claims = [make_claim("q0", "a claim without a key")]
    for group in range(draw(st.integers(1, 3))):
        claims += answers(f"answers {group}", draw(ANSWERS))
        claims += comparisons(f"comparisons {group}", draw(PAIRS))
    return claims


def meanings(constraints: Sequence[Constraint], claims: Sequence[Claim]) -> list[tuple[object, ...]]:
    """What constraints say, by ids of claims: the satisfying joint labels do not depend on the order of a scope."""
    said = []
    for constraint in constraints:
        size = len(constraint.scope)
        bad = [
            frozenset(zip((claims[place].id for place in constraint.scope), labels, strict=True))
            for labels in product((0, 1), repeat=size)
            if constraint.forbidden >> sum(label << place for place, label in enumerate(labels)) & 1
        ]
        said.append((constraint.name, constraint.weight, tuple(sorted(map(sorted, bad)))))
    return sorted(said)


@FEW
@given(worlds(), st.integers(0, 99))
def test_permuting_the_claims_changes_nothing_that_is_said(claims: list[Claim], seed: int) -> None:
    shuffled = random.Random(seed).sample(claims, len(claims))
    one = meanings(constraints_from(claims, ALL, 2), claims)
    other = meanings(constraints_from(shuffled, ALL, 2), shuffled)
    assert one == other


@FEW
@given(worlds(), st.integers(0, 99))
def test_the_order_of_the_relations_only_orders_the_constraints(claims: list[Claim], seed: int) -> None:
    shuffled = random.Random(seed).sample(ALL, len(ALL))
    by_name = defaultdict(list)
    for constraint in constraints_from(claims, ALL, 2):
        by_name[constraint.name].append(constraint)
    expected = [constraint for relation in shuffled for constraint in by_name[title_of(relation)]]
    assert constraints_from(claims, shuffled, 2) == expected


@FEW
@given(worlds())
def test_renaming_the_groups_and_the_responses_changes_nothing(claims: list[Claim]) -> None:
    def renamed(claim: Claim) -> Claim:
        key = claim.key
        if isinstance(key, ComparisonKey):
            key = ComparisonKey(first="the " + key.first, second="the " + key.second)
        return make_claim("x" + claim.group, claim.text, key)

    one = constraints_from(claims, ALL, 2)
    other = constraints_from([renamed(claim) for claim in claims], ALL, 2)
    assert one == other


@FEW
@given(worlds())
def test_constraints_never_leave_a_group_and_never_touch_a_claim_without_a_key(claims: list[Claim]) -> None:
    for constraint in constraints_from(claims, ALL, 2):
        members = [claims[place] for place in constraint.scope]
        assert len({claim.group for claim in members}) == 1
        assert all(claim.key is not None for claim in members)


@FEW
@given(worlds(), st.floats(0.1, 10))
def test_weights_scale_the_inconsistency(claims: list[Claim], factor: float) -> None:
    scaled = [relation.model_copy(update={"weight": relation.weight * factor}) for relation in ALL]
    one, other = constraints_from(claims, ALL, 2), constraints_from(claims, scaled, 2)
    labels = [random.Random(0).randrange(2) for _ in claims]
    assert reference.inconsistency(other, labels, 2) == pytest.approx(factor * reference.inconsistency(one, labels, 2))


@FEW
@given(st.text(max_size=10), st.sampled_from([" ", "\t", "\n", "  "]))
def test_case_and_spacing_do_not_make_an_answer_another(answer: str, space: str) -> None:
    normal = normal_answer(answer)
    assert normal_answer(normal) == normal
    assert normal_answer(space + answer + space) == normal
    assert normal_answer(answer.replace(" ", space)) == normal


@FEW
@given(st.lists(st.sampled_from("abcdefghijklmnop"), min_size=1, unique=True))
def test_an_answer_that_nobody_gives_is_named_beside_at_most_ten_that_are_given(given_answers: list[str]) -> None:
    claims = answers("q", given_answers)
    check_answers_occur([Implication(premise=given_answers[0], conclusion="z")], [*claims, *answers("r", "z")])
    with pytest.raises(ValueError, match="names the answer 'z', which no claim gives") as caught:
        check_answers_occur([Implication(premise=given_answers[0], conclusion="z")], claims)
    listed = str(caught.value).split("the answers are ")[1]
    assert listed.count("'") == 2 * min(10, len(given_answers))
    assert (f"and {len(given_answers) - 10} more" in listed) == (len(given_answers) > 10)


KINDS: tuple[RelationSpec, ...] = (
    *(Relation(kind=kind) for kind in ("same_answer", "different_answer", "exactly_one", "mirrored", "transitive")),
    Implication(premise="a", conclusion="b"),
    Table(answers=("a", "b", "c"), forbidden=((1, 1, 1),)),
)


@FEW
@given(ANSWERS, ANSWERS, PAIRS, PAIRS)
def test_constraints_are_counted_as_they_are_made(
    one: list[str], other: list[str], pairs: list[tuple[str, str]], more: list[tuple[str, str]]
) -> None:
    # Each pair twice in one group, as when a source repeats a comparison under another text.
    again = [make_claim("p", f"again {a} over {b}", ComparisonKey(first=a, second=b)) for a, b in pairs]
    claims = [*answers("q", one), *answers("r", other), *comparisons("p", pairs), *again, *comparisons("s", more)]
    for relation in KINDS:
        made = constraints_from(claims, [relation], 2)
        counted = num_constraints(relation, claims)
        assert sum(counted.values()) == len(made)
        for group, number in counted.items():
            assert number == sum(claims[constraint.scope[0]].group == group for constraint in made)


def test_too_many_constraints_are_refused_before_they_are_made() -> None:
    claims = answers("strangers", map(str, range(1500)))
    with pytest.raises(
        ConfigError, match=r"'different_answer' would make 1,124,250 constraints, at most 200,000 .* of 1,500"
    ):
        constraints_from(claims, [Relation(kind="different_answer")], 2)
    assert constraints_from(claims, [Relation(kind="same_answer")], 2) == []


def test_an_answer_is_the_same_however_its_letters_are_composed() -> None:
    assert normal_answer("cafe\u0301") == normal_answer("caf\u00e9") == normal_answer("CAFE\u0301")
