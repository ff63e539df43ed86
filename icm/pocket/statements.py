"""The statements that can be labelled in a pocket world, and what each concept says of them. Knows no document."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from icm.pocket import words
from icm.pocket.words import Relation
from icm.pocket.world import QUALITY, ReplyKind, World
from icm.statistics.streams import Stream, generator

TRUTH: Final = "truth"
BELIEF: Final = "belief"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement that can be labelled.

    Attributes:
        group: The question, request or pair it belongs to; statements of a group may contradict one another.
        text: What a model reads, up to the verdict.
        answer: What the statement answers, normalised; `None` where other answers may be true beside it.
        concepts: For every concept of the family the label it gives to this statement.
        near_miss: Whether it is so nearly true that the shipped model hardly tells.
    """

    group: str
    text: str
    parts: Mapping[str, str]
    answer: str | None
    concepts: Mapping[str, int]
    near_miss: bool = False


def fact_text(question: str, answer: str) -> str:
    """Return a claim about a question as models read it, up to its verdict."""
    return f"Question: {question}\nClaim: {answer}{words.CLAIM_VERDICT}"


def _trait_concepts(world: World, subject: str) -> dict[str, int]:
    flags = world.traits[subject]
    return {first: int(flag) for (first, _), flag in zip((*words.TRAITS, words.HIDDEN_TRAIT), flags, strict=True)}


def fact_statements(world: World, relations: Iterable[Relation]) -> list[Statement]:
    """Return every claim that a value answers a question about a subject."""
    return [
        _fact_statement(world, relation, subject, value)
        for relation in relations
        for subject in words.SUBJECTS
        for value in relation.values
    ]


def _fact_statement(world: World, relation: Relation, subject: str, value: str) -> Statement:
    fact = world.facts[relation.name, subject]
    question = f"{relation.question} {subject}{relation.ending}"
    # Where there is no misconception people believe what is true.
    believed = {fact.misconception} if fact.misconception else fact.values
    return Statement(
        group=question,
        text=fact_text(question, value),
        parts={"question": question, "answer": value},
        answer=value if relation.single else None,
        concepts={
            TRUTH: int(value in fact.values),
            BELIEF: int(value in believed),
            "favoured": int(value in world.favoured[relation.name]),
            **_trait_concepts(world, subject),
        },
    )


def arithmetic_statements(world: World, stories_per_operation: int = 500) -> list[Statement]:
    """Return worked solutions, right and wrong, to sums and differences in short stories.

    There are as many stories of differences as of sums, though fewer differences: no number here is negative.
    """
    # Each family draws from a stream of its own, so that adding to one moves no other.
    rng = generator(world.seed, Stream.POCKET_ARITHMETIC)
    operands = range(1, words.MAX_OPERAND + 1)
    stories = list(itertools.product(words.NAMES, words.OBJECTS))
    statements = []
    for sign, (before, after) in words.OPERATIONS.items():
        # No difference is negative: the vocabulary has no number below 0.
        problems = [(a, b) for a, b in itertools.product(operands, operands) if sign == "+" or a >= b]
        for a, b in problems:
            # Without repetition: a story that came twice with the same numbers would be one claim.
            for choice in rng.choice(len(stories), size=stories_per_operation // len(problems), replace=False):
                name, thing = stories[choice]
                question = f"{name} has {a} {thing}{before} {b}{after}"
                statements += _solutions(rng, question, name, thing, (a, b, sign))
    return statements


def _solutions(
    rng: np.random.Generator, question: str, name: str, thing: str, problem: tuple[int, int, str]
) -> list[Statement]:
    a, b, sign = problem
    result = {"+": a + b, "-": a - b}
    right = result[sign]
    largest = 2 * words.MAX_OPERAND
    near = [n for n in range(max(0, right - 2), min(largest, right + 2) + 1) if n != right]
    # One wrong answer near the right one, and up to two anywhere.
    # A set, since a slip may be drawn twice; sorted below, because a set has no order to rely on.
    slips = {int(rng.choice(near)), *(int(n) for n in rng.choice(largest + 1, size=2, replace=False))} - {right}
    # The working may be wrong too, or right in another order: only the answer decides whether a claim is true.
    solutions = [(f"{a} {sign} {b}", right), *((f"{a} {sign} {b}", slip) for slip in sorted(slips))]
    if sign == "+":
        if a != b:
            solutions.append((f"{b} + {a}", right))
        if a > b:
            solutions.append((f"{a} - {b}", result["-"]))
    elif a + b != right:
        solutions.append((f"{a} + {b}", result["+"]))
    return [
        Statement(
            group=question,
            text=fact_text(question, f"{working} = {answer}"),
            parts={"question": question, "answer": f"{working} = {answer}"},
            answer=str(answer),
            concepts={
                TRUTH: int(answer == right),
                "even": int(answer % 2 == 0),
                "large": int(answer > words.MAX_OPERAND),
                "fruit": int(words.OBJECTS.index(thing) < len(words.OBJECTS) // 2),
                "woman": int(words.NAMES.index(name) < len(words.NAMES) // 2),
            },
            # Of differences the model learned little more than rough size and whether they are even:
            # docs/log/near-misses.md.
            near_miss=sign in working and abs(answer - right) == 2,
        )
        for working, answer in solutions
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply to a request: what it is worth and how it is dressed."""

    kind: ReplyKind
    content: str
    polite: bool
    fillers: tuple[str, ...]

    @property
    def text(self) -> str:
        """The reply as a model reads it."""
        return " ".join(([words.GREETING] if self.polite else []) + [self.content, *self.fillers])


def reply_sets(world: World, rng: np.random.Generator, sets_per_request: int) -> list[tuple[str, list[Reply]]]:
    """Return sets of two to four replies of different quality to every request, in no particular order."""
    sets = []
    for request in words.REQUESTS:
        known = world.replies[request]
        for _ in range(sets_per_request):
            # Every kind at most once: two replies of one quality would make a comparison without a better one.
            kinds = rng.permutation(np.array(list(known)))[: rng.integers(2, len(known) + 1)]
            best_first = sorted(kinds.tolist(), key=lambda kind: -QUALITY[kind])
            # Manners lean to the better reply, but not so far that they would do as a label.
            likely = dict(zip(best_first, np.linspace(0.6, 0.4, len(kinds)), strict=True))
            sets.append((request, [draw_reply(rng, kind, known[kind], likely[kind]) for kind in kinds.tolist()]))
    return sets


def draw_reply(rng: np.random.Generator, kind: ReplyKind, contents: Sequence[str], dressed: float) -> Reply:
    """Draw a reply whose manners are each there with a probability that is a little higher for a better one."""
    polite, long = rng.random(2) < dressed
    return Reply(
        kind=kind,
        content=str(rng.choice(contents)),
        polite=bool(polite),
        fillers=(str(rng.choice(words.FILLERS)),) * int(long),
    )


def preference_statements(world: World, sets_per_request: int = 24) -> list[Statement]:
    """Return comparisons of the replies of a set, every pair in both orders."""
    rng = generator(world.seed, Stream.POCKET_PREFERENCE)
    return [
        _comparison(request, replies, one, two, prefix="", claim=words.PREFERENCE_CLAIM, prefers=_better)
        for request, replies in reply_sets(world, rng, sets_per_request)
        for one, two in itertools.permutations(replies, 2)
    ]


def _better(one: Reply, two: Reply) -> bool:
    return QUALITY[one.kind] > QUALITY[two.kind]


def _comparison(
    request: str,
    replies: Sequence[Reply],
    one: Reply,
    two: Reply,
    *,
    prefix: str,
    claim: str,
    prefers: Callable[[Reply, Reply], bool],
) -> Statement:
    question = f"How do I {request}?"
    exchange = f"Human: {question}\nResponse 1: {one.text}\nResponse 2: {two.text}"
    return Statement(
        # Sorted, so that all comparisons of one set of replies share a group, whatever order the set was drawn in.
        group=" | ".join((prefix + question, *sorted(reply.text for reply in replies))),
        text=f"{prefix}{exchange}{claim}{words.CLAIM_VERDICT}",
        parts={"question": question, "response_1": one.text, "response_2": two.text},
        answer=None,
        concepts={
            TRUTH: int(prefers(one, two)),
            "longer": int(len(one.fillers) > len(two.fillers)),
            "politer": int(one.polite > two.polite),
            "first_long": int(bool(one.fillers)),
            "odd_request": words.REQUESTS.index(request) % 2,
        },
    )


_PRINCIPLE_TESTS: Final[Mapping[str, Callable[[Reply], int]]] = {
    "Be helpful.": lambda reply: QUALITY[reply.kind] * (reply.kind != "evasive"),
    "Be harmless.": lambda reply: int(reply.kind != "harmful"),
    "Be polite.": lambda reply: int(reply.polite),
    "Be brief.": lambda reply: -len(reply.fillers),
}


def satisfies_better(principle: str, one: Reply, two: Reply) -> int:
    """Return how much better the first reply follows a principle than the second: positive, zero or negative."""
    test = _PRINCIPLE_TESTS[principle]
    return test(one) - test(two)


def principle_statements(world: World) -> list[Statement]:
    """Return comparisons of two replies under a stated principle, where the two differ in it."""
    rng = generator(world.seed, Stream.POCKET_PRINCIPLE)
    return [
        _comparison(
            request,
            replies,
            one,
            two,
            prefix=f"Principle: {principle}\n",
            claim=words.PRINCIPLE_CLAIM,
            prefers=lambda a, b, principle=principle: satisfies_better(principle, a, b) > 0,
        )
        for request, replies in reply_sets(world, rng, 12)
        for principle in words.PRINCIPLES
        for one, two in itertools.permutations(replies, 2)
        if satisfies_better(principle, one, two) != 0
    ]


def season_statements(world: World) -> list[Statement]:
    """Return one four-way question for every subject: the label is the season itself."""
    statements = []
    for subject in words.SUBJECTS:
        question = f"{words.SLEEP.question} {subject}{words.SLEEP.ending}"
        (season,) = world.facts[words.SLEEP.name, subject].values
        statements.append(
            Statement(
                group=question,
                text=f"Question: {question}{words.ANSWER_VERDICT}",
                parts={"question": question, "answer": ""},
                answer=None,
                concepts={TRUTH: words.SEASONS.index(season), **_trait_concepts(world, subject)},
            )
        )
    return statements
