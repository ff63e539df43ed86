"""From what claims mean to the constraints on their labels. The only reader of `Claim.key`; knows no model.

A relation speaks about the claims of one group and looks at nothing but their keys, so constraints follow from the
meaning of the claims alone. Except for `same_answer`, relations speak about truth and need a binary label space, in
which index 1 affirms a claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, combinations, product
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from consistency import Constraint, acyclic, contradiction, equivalence, exactly_one, forbid
from consistency.builders import TRUE
from consistency.constraints import MASK_BITS
from icm.claims import AnswerKey, Claim, ComparisonKey
from icm.errors import ConfigError

KeyT = TypeVar("KeyT", AnswerKey, ComparisonKey)
Group = list[tuple[int, KeyT]]
"""The claims of one group that carry a key of one kind: their positions and keys."""

Rule = tuple[tuple[int, ...], int]
"""A scope and its mask of forbidden joint assignments."""


class _Relation(BaseModel):
    """What all relations have: the weight of one violation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class SameAnswer(_Relation):
    """Claims with the same answer have the same label, of any alphabet of up to eight.

    Every pair is a constraint, so an answer that n claims give counts n*(n-1)/2 times, as in the released code.
    """

    kind: Literal["same_answer"] = "same_answer"


class DifferentAnswer(_Relation):
    """Claims with different answers are not both true. Every pair is a constraint."""

    kind: Literal["different_answer"] = "different_answer"


class ExactlyOne(_Relation):
    """Exactly one of the answers in a group is true: some claim affirms one, and no claim another.

    For groups of up to six claims. Claims with the same answer may be true together; that they must agree is for
    `same_answer` to say.
    """

    kind: Literal["exactly_one"] = "exactly_one"


class Mirrored(_Relation):
    """Of two claims that compare the same responses in opposite order, exactly one is true: there are no ties."""

    kind: Literal["mirrored"] = "mirrored"


class Transitive(_Relation):
    """Comparisons put no three responses in a circle; a comparison that is false says the reverse, as in `mirrored`.

    Every choice of one claim per pair is a constraint: one for three responses compared in one order each, eight
    when both orders of all three pairs are claims. None of them is implied by the others while labels are missing.
    """

    kind: Literal["transitive"] = "transitive"


RelationSpec = Annotated[
    SameAnswer | DifferentAnswer | ExactlyOne | Mirrored | Transitive,
    Field(discriminator="kind"),
]
"""One relation as a configuration states it, told apart by `kind`."""


def constraints_from(claims: Sequence[Claim], relations: Sequence[RelationSpec], num_labels: int) -> list[Constraint]:
    """Return what the relations demand of the labels: scopes are positions in `claims`, names the relations' kinds.

    Claims without a key of the kind that a relation is about take no part in it.

    Raises:
        ConfigError: A relation does not fit the size of the label space, or a group is too large for it.
    """
    for relation in relations:
        _check_label_space(relation, num_labels)
    return [
        Constraint(scope=scope, forbidden=forbidden, weight=relation.weight, name=relation.kind)
        for relation in relations
        for scope, forbidden in _rules(relation, claims, num_labels)
    ]


def _check_label_space(relation: RelationSpec, num_labels: int) -> None:
    if isinstance(relation, SameAnswer):
        if num_labels**2 > MASK_BITS:
            raise ConfigError(
                f"relation 'same_answer' takes up to 8 labels, but the label space has {num_labels}; "
                f"remove it from the relations of the task"
            )
    elif num_labels != 2:
        raise ConfigError(
            f"relation {relation.kind!r} is about true and false claims, but the label space has {num_labels} labels; "
            f"remove it from the relations of the task, only 'same_answer' fits other label spaces"
        )


def _rules(relation: RelationSpec, claims: Sequence[Claim], num_labels: int) -> Iterator[Rule]:
    match relation:
        case SameAnswer():
            return _in_groups(claims, AnswerKey, lambda group: _pairs(group, equivalence(num_labels), same=True))
        case DifferentAnswer():
            return _in_groups(claims, AnswerKey, lambda group: _pairs(group, contradiction(), same=False))
        case ExactlyOne():
            return _in_groups(claims, AnswerKey, lambda group: [_one_answer(group, claims)])
        case Mirrored():
            return _in_groups(claims, ComparisonKey, _mirrored)
        case Transitive():
            return _in_groups(claims, ComparisonKey, _transitive)


def _in_groups(
    claims: Sequence[Claim], kind: type[KeyT], rules: Callable[[Group[KeyT]], Iterable[Rule]]
) -> Iterator[Rule]:
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
    if 2 ** len(group) > MASK_BITS:
        raise ConfigError(
            f"relation 'exactly_one' takes groups of up to 6 claims, but group {claims[group[0][0]].group!r} has "
            f"{len(group)}; use 'different_answer', which forbids every pair of true answers, or smaller groups"
        )
    answers = [key.value for _, key in group]
    pattern = tuple(answers.index(answer) for answer in answers)
    return tuple(i for i, _ in group), _one_answer_mask(pattern)


@lru_cache(maxsize=1024)
def _one_answer_mask(answers: tuple[int, ...]) -> int:
    def is_forbidden(labels: tuple[int, ...]) -> bool:
        return len({answer for answer, label in zip(answers, labels, strict=True) if label == TRUE}) != 1

    return forbid(len(answers), 2, is_forbidden)


def _mirrored(group: Group[ComparisonKey]) -> Iterator[Rule]:
    forbidden = exactly_one(2)
    for (i, one), (j, other) in combinations(group, 2):
        if one != other and (one.first, one.second) == (other.second, other.first):
            yield (i, j), forbidden


def _transitive(group: Group[ComparisonKey]) -> Iterator[Rule]:
    comparisons: dict[frozenset[str], Group[ComparisonKey]] = {}
    for i, key in group:
        comparisons.setdefault(frozenset((key.first, key.second)), []).append((i, key))
    responses = sorted(frozenset().union(*comparisons))
    for circle in combinations(responses, 3):
        sides = [comparisons.get(frozenset((circle[p], circle[(p + 1) % 3])), []) for p in range(3)]
        for (i, ab), (j, bc), (k, ca) in product(*sides):
            yield (i, j, k), acyclic((ab.first == circle[0], bc.first == circle[1], ca.first == circle[2]))
