"""Claims, and the task and labels that go with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from icm.claims import TRUE_FALSE, AnswerKey, Claim, ClaimId, ComparisonKey, claim_id
from icm.files.records import LabelRow, TaskRecord
from icm.prepare import shapes
from icm.relations import Relation


def make_claim(
    group: str, text: str, key: AnswerKey | ComparisonKey | None = None, parts: Mapping[str, str] | None = None
) -> Claim:
    """Return a claim of any text in a group that is named as it stands."""
    return Claim(id=claim_id(group, text), group=group, text=text, parts=parts or {}, key=key)


def answer_claim(question: str, answer: str, key: str | None = None) -> Claim:
    """Return the claim that an answer is right, as the tasks write it."""
    return shapes.answer_claim(question, answer, None if key is None else AnswerKey(value=key))


def keyed_answer(question: str, answer: str) -> Claim:
    """Return the claim that an answer is right; the answer is its key too."""
    return answer_claim(question, answer, answer)


def comparison_claim(question: str, first: str, second: str) -> Claim:
    """Return the claim that the first response is better, as the tasks write it."""
    return shapes.comparison_claim(question, first, second, "better")


def make_claims(num_groups: int, per_group: int, seed: int = 0) -> tuple[list[Claim], dict[str, int]]:
    """Return claims in the order of their ids, and the hidden truth by text: one answer of each group is right."""
    random = np.random.default_rng(seed)
    claims, truth = [], {}
    for number in range(num_groups):
        question = f"what is number {number}?"
        right = int(random.integers(per_group))
        for answer in range(per_group):
            claim = keyed_answer(question, str(answer))
            claims.append(claim)
            truth[claim.text] = int(answer == right)
    return sorted(claims, key=lambda claim: claim.id), truth


def make_task() -> TaskRecord:
    """Return a binary task in which different answers contradict and equal ones agree."""
    relations = (
        Relation(kind="same_answer", weight=1.0),
        Relation(kind="different_answer", weight=1.0),
    )
    return TaskRecord(name="numbers", label_space=TRUE_FALSE, relations=relations)


def given(labels: Iterable[tuple[Claim, int | tuple[int, float]]]) -> dict[ClaimId, LabelRow]:
    """Return labels by claim: an index, or an index with its probability."""
    rows = {}
    for claim, label in labels:
        index, probability = label if isinstance(label, tuple) else (label, None)
        rows[claim.id] = LabelRow(id=claim.id, group=claim.group, label=index, probability=probability)
    return rows
