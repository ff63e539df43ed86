"""From what claims mean to the constraints on their labels. The only reader of `Claim.key`; knows no model.

A relation speaks about the claims of one group and looks at nothing but their keys, so constraints follow from the
meaning of the claims alone. Except for `same_answer` and `table`, relations speak about truth and need a binary label
space. `consistency` reads its two labels as `icm.claims.AFFIRMING` does.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, combinations, product
from math import prod
from typing import Annotated, Final, Literal, Self, TypeVar, assert_never

from pydantic import BaseModel, ConfigDict, Field, model_validator

from consistency import Constraint, acyclic, contradiction, equivalence, exactly_one, forbid, implication
from consistency.constraints import MASK_BITS
from icm.claims import AFFIRMING, AnswerKey, Claim, ComparisonKey
from icm.errors import ConfigError

KeyT = TypeVar("KeyT", AnswerKey, ComparisonKey)
Group = list[tuple[int, KeyT]]
"""The claims of one group that carry a key of one kind: their positions and keys."""

Rule = tuple[tuple[int, ...], int]
"""A scope and its mask of forbidden joint assignments."""


Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""What one violation costs, in units of the inconsistency I."""

MAX_CONSTRAINTS: Final = 200_000
"""Most constraints of one relation. Pairs grow with the square of a group: a column that most rows leave empty, or that
holds one value for all, would make millions, and no search of them would end."""

_STRICT: Final = ConfigDict(frozen=True, extra="forbid")


class Relation(BaseModel):
    """A relation that follows from the keys of claims alone; `kind` says which.

    - `same_answer`: claims with the same answer have the same label, of any alphabet of up to eight. Every pair is a
      constraint, so an answer that n claims give counts n*(n-1)/2 times, as in the released code.
    - `different_answer`: claims with different answers are not both true. Every pair is a constraint.
    - `exactly_one`: exactly one of the answers in a group is true. For groups of up to six claims. Claims with the same
      answer may be true together; that they must agree is for `same_answer` to say.
    - `mirrored`: of two claims that compare the same responses in opposite order, exactly one is true: no ties.
    - `transitive`: comparisons put no three responses in a circle; a false comparison says the reverse, as in
      `mirrored`. Every choice of one claim per pair is a constraint: one for three responses compared in one order
      each, eight when both orders of all three pairs are claims. None follows from the rest while labels are missing.
    """

    model_config = _STRICT

    weight: Weight = 1.0
    kind: Literal["same_answer", "different_answer", "exactly_one", "mirrored", "transitive"]


class Implication(BaseModel):
    """If the claims of a group that give one answer are true, those that give another answer are true as well.

    For groups whose answers are about one thing, such as what kind of animal it is: "dog" implies "mammal".
    """

    model_config = _STRICT

    weight: Weight = 1.0
    kind: Literal["implication"] = "implication"
    premise: str = Field(min_length=1)
    conclusion: str = Field(min_length=1)

    @model_validator(mode="after")
    def _is_about_two_answers(self) -> Self:
        # Compared as the claims will be: "Dog" and "dog" are one answer.
        if normal_answer(self.premise) == normal_answer(self.conclusion):
            raise ValueError(f"premise and conclusion must be different answers, got {self.premise!r} for both")
        return self


class Table(BaseModel):
    """Some joint labels of the claims that give some answers in a group are forbidden, for label spaces of any size.

    Every choice of one claim per answer is a constraint. A group in which nobody gives one of the answers has none.

    Attributes:
        answers: The answers, in the order in which each row of the table lists their labels.
        forbidden: The rows that violate the relation, labels as indices into the label space; or
        allowed: the rows that satisfy it, all others violating it. Exactly one of the two is given.
    """

    model_config = _STRICT

    weight: Weight = 1.0
    kind: Literal["table"] = "table"
    answers: tuple[str, ...] = Field(min_length=1)
    forbidden: tuple[tuple[int, ...], ...] | None = Field(default=None, min_length=1)
    allowed: tuple[tuple[int, ...], ...] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if (self.forbidden is None) == (self.allowed is None):
            raise ValueError("a table has either `forbidden` or `allowed` rows, and not both")
        if len(set(map(normal_answer, self.answers))) < len(self.answers):
            raise ValueError(f"the answers of a table must be different, got {list(self.answers)}")
        for row in self.rows:
            if len(row) != len(self.answers) or min(row) < 0:
                raise ValueError(
                    f"a row has one label for each of {len(self.answers)} answers, as indices from 0, got {list(row)}"
                )
        return self

    @property
    def rows(self) -> tuple[tuple[int, ...], ...]:
        """The rows that are listed, forbidden or allowed."""
        return self.forbidden or self.allowed or ()


RelationSpec = Annotated[Relation | Implication | Table, Field(discriminator="kind")]
"""One relation as a configuration states it, told apart by `kind`."""


def constraints_from(claims: Sequence[Claim], relations: Sequence[RelationSpec], num_labels: int) -> list[Constraint]:
    """Return what the relations demand of the labels: scopes are positions in `claims`, names the relations' titles.

    Claims without a key of the kind that a relation is about take no part in it.

    Raises:
        ConfigError: A relation does not fit the size of the label space, a group is too large for it, or it would make
            more than `MAX_CONSTRAINTS` constraints.
    """
    # Here too, since callers of the library need not have been through the settings.
    check_label_space(relations, num_labels)
    check_size(relations, claims)
    return [
        Constraint(scope=scope, forbidden=forbidden, weight=relation.weight, name=title_of(relation))
        for relation in relations
        for scope, forbidden in _rules(relation, claims, num_labels)
    ]


def check_size(relations: Sequence[RelationSpec], claims: Sequence[Claim]) -> None:
    """Check that no relation makes more than `MAX_CONSTRAINTS` constraints, without making them.

    Raises:
        ConfigError: One does.
    """
    for relation in relations:
        sizes = num_constraints(relation, claims)
        if (total := sum(sizes.values())) > MAX_CONSTRAINTS:
            largest = max(sizes, key=lambda group: sizes[group])
            texts = [claim.text for claim in claims if claim.group == largest]
            raise ConfigError(
                f"relation {title_of(relation)!r} would make {total:,} constraints, at most {MAX_CONSTRAINTS:,} are "
                f"allowed; {sizes[largest]:,} of them come from one group of {len(texts):,} claims, such as "
                f"{texts[0][:60]!r}: if these are not about one thing, name other group columns, else search fewer "
                f"claims or remove the relation"
            )


def check_groups(relations: Sequence[RelationSpec], claims: Sequence[Claim]) -> None:
    """Check that no group of claims is too large for a relation, without making its constraints.

    Raises:
        ConfigError: One is.
    """
    for relation in relations:
        # Of all relations this one alone binds a whole group in one constraint.
        if relation.kind == "exactly_one":
            for _ in _in_groups(claims, AnswerKey, lambda group: [_one_answer(group, claims)]):
                pass


def num_constraints(relation: RelationSpec, claims: Sequence[Claim]) -> dict[str, int]:
    """Return how many constraints a relation makes of each group, by arithmetic."""
    kind = ComparisonKey if relation.kind in ("mirrored", "transitive") else AnswerKey
    groups: dict[str, list[AnswerKey | ComparisonKey]] = defaultdict(list)
    for claim in claims:
        if isinstance(claim.key, kind):
            groups[claim.group].append(claim.key)
    return {group: _num_rules(relation, keys) for group, keys in groups.items()}


def _num_rules(relation: RelationSpec, keys: Sequence[AnswerKey | ComparisonKey]) -> int:
    equal = Counter(keys)
    same_pairs = sum(map(_pairs_of, equal.values()))
    match relation.kind:
        case "same_answer":
            return same_pairs
        case "different_answer":
            return _pairs_of(len(keys)) - same_pairs
        case "exactly_one":
            return 1
        case "mirrored":
            # Every pair is counted from both its sides.
            compared = [key for key in equal if isinstance(key, ComparisonKey) and key.first != key.second]
            return sum(equal[key] * equal[ComparisonKey(first=key.second, second=key.first)] for key in compared) // 2
        case "transitive":
            return _num_triangles(equal)
        case "implication" | "table":
            answers = Counter(normal_answer(key.value) for key in keys if isinstance(key, AnswerKey))
            return prod(answers[answer] for answer in _named_answers(relation))
        case _:
            assert_never(relation.kind)


def _pairs_of(number: int) -> int:
    return number * (number - 1) // 2


def _num_triangles(keys: Mapping[AnswerKey | ComparisonKey, int]) -> int:
    """Return how many choices of three comparisons compare three responses with one another."""
    # Of each response, how many claims compare it with which other.
    compared: dict[str, Counter[str]] = defaultdict(Counter)
    for key, count in keys.items():
        if isinstance(key, ComparisonKey) and key.first != key.second:
            compared[key.first][key.second] += count
            compared[key.second][key.first] += count
    return sum(
        compared[a][b] * compared[b][c] * compared[a][c]
        for a in compared
        for b in compared[a]
        # Each triangle once: from its first corner, its corners in order.
        for c in compared[b].keys() & compared[a].keys()
        if a < b < c
    )


def check_label_space(relations: Sequence[RelationSpec], num_labels: int) -> None:
    """Check that relations can speak about claims with so many labels.

    Raises:
        ConfigError: One cannot.
    """
    for relation in relations:
        match relation:
            case Relation(kind="same_answer"):
                if num_labels**2 > MASK_BITS:
                    raise ConfigError(
                        f"relation 'same_answer' takes up to 8 labels, but the label space has {num_labels}; "
                        f"remove it from the relations of the task"
                    )
            case Table():
                _check_table(relation, num_labels)
            # All others are about truth, which takes one label that affirms a claim and one that denies it.
            case _ if num_labels != 2:
                raise ConfigError(
                    f"relation {relation.kind!r} is about true and false claims, but the label space has {num_labels} "
                    f"labels; remove it from the relations of the task, only 'same_answer' and 'table' fit other "
                    f"label spaces"
                )


def _check_table(table: Table, num_labels: int) -> None:
    size = num_labels ** len(table.answers)
    if size > MASK_BITS:
        raise ConfigError(
            f"relation {title_of(table)!r} has {num_labels} labels for each of {len(table.answers)} answers, so "
            f"{size} rows, but a table holds up to {MASK_BITS}; split it into tables over fewer answers"
        )
    for row in table.rows:
        if max(row) >= num_labels:
            raise ConfigError(
                f"relation {title_of(table)!r} has the row {list(row)}, but the label space has {num_labels} labels: "
                f"0 to {num_labels - 1}"
            )


def check_answers_occur(relations: Sequence[RelationSpec], claims: Sequence[Claim]) -> None:
    """Check that every answer a relation names is given by some claim, so that a misspelt one is noticed.

    Raises:
        ConfigError: One is not.
    """
    # Sorted for the message: a set of texts has another order in every process.
    known = sorted({normal_answer(claim.key.value) for claim in claims if isinstance(claim.key, AnswerKey)})
    for relation in relations:
        for answer in _named_answers(relation):
            if answer not in known:
                raise ConfigError(
                    f"relation {title_of(relation)!r} names the answer {answer!r}, which no claim gives; "
                    f"the answers are {_some(known)}"
                )


def title_of(relation: RelationSpec) -> str:
    """Return what the constraints of a relation are called, in reports too."""
    if isinstance(relation, Implication):
        return f"implication: {relation.premise} -> {relation.conclusion}"
    return f"table: {', '.join(relation.answers)}" if isinstance(relation, Table) else relation.kind


def _named_answers(relation: RelationSpec) -> tuple[str, ...]:
    if isinstance(relation, Implication):
        return normal_answer(relation.premise), normal_answer(relation.conclusion)
    return tuple(map(normal_answer, relation.answers)) if isinstance(relation, Table) else ()


def _some(answers: Sequence[str], most: int = 10) -> str:
    if not answers:
        return "none: no claim has an answer (does the task know which column holds it?)"
    more = f" and {len(answers) - most} more" if len(answers) > most else ""
    return ", ".join(map(repr, answers[:most])) + more


def normal_answer(answer: str) -> str:
    """Return an answer without what does not count when relations compare it: case, spacing, composed letters."""
    # `casefold`, not `lower`: it also makes the German sharp s equal to the SS of capitals. Composed after it, since
    # folding may take a letter apart.
    return " ".join(unicodedata.normalize("NFC", answer.casefold()).split())


def _rules(relation: RelationSpec, claims: Sequence[Claim], num_labels: int) -> Iterator[Rule]:
    match relation.kind:
        case "same_answer":
            return _in_groups(claims, AnswerKey, lambda group: _pairs(group, equivalence(num_labels), same=True))
        case "different_answer":
            return _in_groups(claims, AnswerKey, lambda group: _pairs(group, contradiction(), same=False))
        case "exactly_one":
            return _in_groups(claims, AnswerKey, lambda group: [_one_answer(group, claims)])
        case "mirrored":
            return _in_groups(claims, ComparisonKey, _mirrored)
        case "transitive":
            return _in_groups(claims, ComparisonKey, _transitive)
        case "implication" | "table":
            # One mask for all groups: a table of 64 rows is built once, not once for each choice of claims.
            mask = _table_mask(relation, num_labels) if isinstance(relation, Table) else implication()
            answers = _named_answers(relation)
            return _in_groups(claims, AnswerKey, lambda group: _choices(group, answers, mask))
        case _:
            assert_never(relation.kind)


def _in_groups(
    claims: Sequence[Claim], kind: type[KeyT], rules: Callable[[Group[KeyT]], Iterable[Rule]]
) -> Iterator[Rule]:
    # Groups stand in the order of their first claim, so the constraints, and with them every sum of weights, do too.
    groups: dict[str, Group[KeyT]] = {}
    for position, claim in enumerate(claims):
        if isinstance(claim.key, kind):
            groups.setdefault(claim.group, []).append((position, claim.key))
    return chain.from_iterable(map(rules, groups.values()))


def _pairs(group: Group[AnswerKey], forbidden: int, *, same: bool) -> Iterator[Rule]:
    for (i, one), (j, other) in combinations(group, 2):
        if (one == other) is same:
            yield (i, j), forbidden


def _one_answer(group: Group[AnswerKey], claims: Sequence[Claim]) -> Rule:
    # A mask has one bit for each joint assignment, and 2^6 = 64 bits is all that the kernels read.
    if 2 ** len(group) > MASK_BITS:
        raise ConfigError(
            f"relation 'exactly_one' takes groups of up to 6 claims, but group {claims[group[0][0]].group!r} has "
            f"{len(group)}; use 'different_answer', which forbids every pair of true answers, or smaller groups"
        )
    answers = [key.value for _, key in group]
    # Which answers are alike decides the mask, not what they say: groups of one pattern share a cached mask.
    pattern = tuple(answers.index(answer) for answer in answers)
    return tuple(i for i, _ in group), _one_answer_mask(pattern)


@lru_cache(maxsize=1024)
def _one_answer_mask(answers: tuple[int, ...]) -> int:
    def is_forbidden(labels: tuple[int, ...]) -> bool:
        return len({answer for answer, label in zip(answers, labels, strict=True) if label == AFFIRMING}) != 1

    return forbid(len(answers), 2, is_forbidden)


def _choices(group: Group[AnswerKey], answers: Sequence[str], forbidden: int) -> Iterator[Rule]:
    """Apply one mask to every choice of a claim for each answer."""
    givers = [[i for i, key in group if normal_answer(key.value) == answer] for answer in answers]
    # An answer that nobody gives leaves an empty list, so the product is empty: the group has no constraint.
    for scope in product(*givers):
        yield scope, forbidden


def _table_mask(table: Table, num_labels: int) -> int:
    # A row is forbidden if it is listed among the forbidden, or not listed among the allowed.
    listed = set(table.rows)
    return forbid(len(table.answers), num_labels, lambda labels: (labels in listed) == (table.forbidden is not None))


def _mirrored(group: Group[ComparisonKey]) -> Iterator[Rule]:
    forbidden = exactly_one(2)
    for (i, one), (j, other) in combinations(group, 2):
        # A claim that compares a response with itself mirrors itself, which says nothing.
        if one != other and (one.first, one.second) == (other.second, other.first):
            yield (i, j), forbidden


def _transitive(group: Group[ComparisonKey]) -> Iterator[Rule]:
    comparisons: dict[frozenset[str], Group[ComparisonKey]] = {}
    for i, key in group:
        comparisons.setdefault(frozenset((key.first, key.second)), []).append((i, key))
    # Sorted by content hash, so that the constraints do not depend on the iteration order of sets.
    responses = sorted(frozenset().union(*comparisons))
    for circle in combinations(responses, 3):
        # Side p of the triangle compares corners p and p + 1; either order of the two is a claim about that side.
        sides = [comparisons.get(frozenset((circle[p], circle[(p + 1) % 3])), []) for p in range(3)]
        for (i, ab), (j, bc), (k, ca) in product(*sides):
            # Whether each claim, read as it stands, points round the triangle in the direction of `circle`.
            yield (i, j, k), acyclic((ab.first == circle[0], bc.first == circle[1], ca.first == circle[2]))
