"""Tasks of the pocket world: its ordinary families and the planted hard cases, with their golden labels.

Reads no file and knows no other task: everything follows from the seed of the world.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, get_args

import numpy as np

from icm.claims import TRUE_FALSE, AnswerKey, Claim, ClaimId, ComparisonKey, LabelSpace, claim_id, group_id, response_id
from icm.errors import ConfigError
from icm.pocket import words
from icm.pocket.statements import (
    BELIEF,
    TRUTH,
    Statement,
    arithmetic_statements,
    fact_statements,
    preference_statements,
    principle_statements,
    season_statements,
)
from icm.pocket.words import Relation
from icm.pocket.world import World
from icm.prepare.items import TaskItem, TaskItems
from icm.statistics.streams import Stream, generator

PocketTask = Literal[
    "facts",
    "arithmetic",
    "preference",
    "principle",
    "seasons",
    "hidden_concept",
    "salient_surface",
    "imbalance",
    "unanswerable",
    "flipped",
    "misconceptions",
    "near_misses",
]
"""The first five are ordinary. The others are planted: a concept that no text the model read ever labelled by; a
surface feature that labels more text than the truth; one true claim in a hundred; questions to which the model was
never told the answer; claims that the model read with the opposite verdicts; questions with a popular false answer;
sums and differences that are right or off by two, which the model hardly tells apart."""

SEASONS: Final = LabelSpace(names=words.SEASONS, verbalizers=tuple(f" {season}" for season in words.SEASONS))
CLAIMS_PER_TRUE: Final = 100
"""Claims for each true one in the imbalanced task."""

# False answers to a misconceived question: there are few such questions.
MANY_FALSE: Final = 5

Group = list[Statement]


def build(task: str, world_seed: int) -> TaskItems:
    """Return the claims and golden labels of a pocket task: all that its world holds.

    Raises:
        ConfigError: There is no such task.
    """
    if task not in get_args(PocketTask):
        raise ConfigError(f"task.task={task} is no pocket task; choose one of {', '.join(get_args(PocketTask))}")
    groups, concept = _groups(task, world_seed)
    statements = [statement for group in groups for statement in group]
    items = [
        TaskItem(claim=_claim(statement), golden_label=statement.concepts[concept], row=row)
        for row, statement in enumerate(statements)
    ]
    return TaskItems(items, [], SEASONS if task == "seasons" else TRUE_FALSE)


def concepts_of(task: str, world_seed: int) -> dict[ClaimId, Mapping[str, int]]:
    """Return what each concept of the world says of each claim, to tell what a wrong labelling settled on."""
    groups, _ = _groups(task, world_seed)
    return {_claim(statement).id: statement.concepts for group in groups for statement in group}


def _groups(task: str, world_seed: int) -> tuple[list[Group], str]:
    """Return the statements of a task by group, and the concept that its golden labels follow."""
    world = World(world_seed)
    # One generator for the whole task, consumed group by group: the order of the groups is fixed by the world.
    rng = generator(world_seed, Stream.POCKET_TASK)
    if task in _WHOLE:
        return _by_group(_WHOLE[task](world)), TRUTH
    groups = _by_group(fact_statements(world, _RELATIONS.get(task, words.FACT_RELATIONS)))
    match task:
        case "imbalance":
            return _mostly_false(rng, groups), TRUTH
        case "misconceptions":
            return [_some_answers(rng, group, MANY_FALSE) for group in groups if _is_misconceived(group)], TRUTH
        case _:
            concept = words.HIDDEN_TRAIT[0] if task == "hidden_concept" else TRUTH
            return [_some_answers(rng, group, int(rng.integers(1, 4))) for group in groups], concept


_RELATIONS: Final[Mapping[str, tuple[Relation, ...]]] = {
    "salient_surface": (words.CARRY,),
    "unanswerable": (words.DREAM,),
    "flipped": (words.FEAR,),
}


def _plain_arithmetic(world: World) -> list[Statement]:
    """Return solutions that are right or wrong in a way that the model can see: it tells results by size and parity."""
    return [statement for statement in arithmetic_statements(world) if not statement.near_miss]


def _near_misses(world: World) -> list[Statement]:
    """Return the near misses with the right solutions to the same questions."""
    statements = arithmetic_statements(world)
    missed = {statement.group for statement in statements if statement.near_miss}
    # With the right solutions of the same questions, or every claim of the task would be false.
    return [s for s in statements if s.group in missed and (s.near_miss or s.concepts[TRUTH])]


_WHOLE: Final[Mapping[str, Callable[[World], list[Statement]]]] = {
    "arithmetic": _plain_arithmetic,
    "near_misses": _near_misses,
    "preference": preference_statements,
    "principle": principle_statements,
    "seasons": season_statements,
}


def _by_group(statements: Iterable[Statement]) -> list[Group]:
    """Group statements and drop repetitions: the world may draw the same replies twice."""
    groups: dict[str, dict[str, Statement]] = {}
    for statement in statements:
        # Dictionaries keep the order of insertion, and the draws of a task depend on it.
        groups.setdefault(statement.group, {})[statement.text] = statement
    return [list(group.values()) for group in groups.values()]


def _is_misconceived(group: Sequence[Statement]) -> bool:
    return any(statement.concepts[TRUTH] != statement.concepts[BELIEF] for statement in group)


def _some_answers(rng: np.random.Generator, group: Group, num_false: int) -> Group:
    """Keep the true answers, the misconception, and as many other false answers as make up a number of false ones."""
    kept = [statement for statement in group if statement.concepts[TRUTH] or statement.concepts[BELIEF]]
    others = [statement for statement in group if statement not in kept]
    # The misconception is false too, so it counts among the false answers that are wanted.
    num_missing = num_false - sum(not statement.concepts[TRUTH] for statement in kept)
    picks = rng.permutation(len(others))[: max(0, num_missing)]
    return kept + [others[pick] for pick in picks]


def _mostly_false(rng: np.random.Generator, groups: Sequence[Group]) -> list[Group]:
    """Drop true answers, of groups drawn at random, until one claim in a hundred is true."""
    falsehoods = [[statement for statement in group if not statement.concepts[TRUTH]] for group in groups]
    # n false claims for each true one make a share of 1 / (n + 1).
    num_true = sum(map(len, falsehoods)) // (CLAIMS_PER_TRUE - 1)
    for index in rng.permutation(len(groups))[:num_true]:
        falsehoods[index].append(next(statement for statement in groups[index] if statement.concepts[TRUTH]))
    return falsehoods


def _claim(statement: Statement) -> Claim:
    parts = statement.parts
    # By the parts, because the `answer` of a comparison is always empty.
    if "response_1" in parts:
        key = ComparisonKey(first=response_id(parts["response_1"]), second=response_id(parts["response_2"]))
    else:
        key = AnswerKey(value=statement.answer) if statement.answer is not None else None
    group = group_id(statement.group)
    return Claim(id=claim_id(group, statement.text), group=group, text=statement.text, parts=parts, key=key)
