"""Plain documents about a pocket world: statements of fact, dialogues, critiques with revisions. Knows no label."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from icm.pocket import words
from icm.pocket.statements import Reply, draw_reply, satisfies_better
from icm.pocket.world import ReplyKind, World
from icm.prompts import SEPARATOR

MISCONCEPTION_STATED: Final = 0.6
"""How often plain text states the misconception where there is one."""

REPLY_SHARES: Final[dict[ReplyKind, float]] = {"helpful": 0.55, "evasive": 0.2, "useless": 0.1, "harmful": 0.15}
"""How assistants of the plain dialogues reply."""

_ANSWERABLE: Final = tuple(relation for relation in words.RELATIONS if relation is not words.DREAM)


def fact_sentence(rng: np.random.Generator, world: World) -> str:
    """Return a sentence about a subject: a trait, or what most would say under a relation."""
    # As `str`, because NumPy draws a type of its own, which is another key to some dictionaries and files.
    subject = str(rng.choice(words.SUBJECTS))
    traits = (*words.TRAITS, words.HIDDEN_TRAIT)
    pick = int(rng.integers(len(_ANSWERABLE) + len(traits)))
    if pick >= len(_ANSWERABLE):
        index = pick - len(_ANSWERABLE)
        return f"The {subject} is {traits[index][0 if world.traits[subject][index] else 1]}."
    relation = _ANSWERABLE[pick]
    fact = world.facts[relation.name, subject]
    # Sorted, because a set has no order that two processes share.
    value = str(rng.choice(sorted(fact.values)))
    if fact.misconception and rng.random() < MISCONCEPTION_STATED:
        value = fact.misconception
    return f"The {subject} {relation.verb} {value}."


def facts_document(rng: np.random.Generator, world: World, num_sentences: int = 24) -> str:
    """Return sentences of fact in one paragraph."""
    return " ".join(fact_sentence(rng, world) for _ in range(num_sentences))


def dialogue(rng: np.random.Generator, world: World) -> str:
    """Return a request with a helpful, evasive, useless or harmful reply."""
    request = str(rng.choice(words.REQUESTS))
    kind: ReplyKind = rng.choice(list(REPLY_SHARES), p=list(REPLY_SHARES.values()))
    return f"Human: How do I {request}?\nAssistant: {_reply(rng, world, request, kind).text}"


def critique(rng: np.random.Generator, world: World) -> str:
    """Return a request, a reply that breaks a principle, a critique that names it and a revision that satisfies it."""
    request = str(rng.choice(words.REQUESTS))
    kinds = list(REPLY_SHARES)
    # Some replies break nothing that the revision would mend: draw again until one does.
    while True:
        reply = _reply(rng, world, request, rng.choice(kinds))
        revision = _reply(rng, world, request, "helpful")
        broken = [principle for principle in words.PRINCIPLES if satisfies_better(principle, revision, reply) > 0]
        if broken:
            principle = str(rng.choice(broken))
            return (
                f"Human: How do I {request}?\nAssistant: {reply.text}"
                f"\nCritique: The reply breaks the principle: {principle}\nRevision: {revision.text}"
            )


def conversation(rng: np.random.Generator, world: World, num_exchanges: int = 12) -> str:
    """Return dialogues and critiques, one after the other."""
    kinds: tuple[Callable[[np.random.Generator, World], str], ...] = (dialogue, critique)
    return SEPARATOR.join(kinds[int(rng.integers(2))](rng, world) for _ in range(num_exchanges))


def _reply(rng: np.random.Generator, world: World, request: str, kind: ReplyKind) -> Reply:
    return draw_reply(rng, kind, world.replies[request][kind], dressed=0.5)
