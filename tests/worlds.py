"""Small worlds that several tests share: claims whose truth a scorer knows, prepared run directories."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from icm.chain import AnnealingSettings
from icm.claims import TRUE_FALSE, AnswerKey, Claim, claim_id, group_id
from icm.contexts import Tree
from icm.elicit import ElicitSettings
from icm.objective import ObjectiveSettings
from icm.records import CLAIMS, TASK, Manifest, StageDir, TaskRecord, write_json, write_rows
from icm.relations import DifferentAnswer, SameAnswer


def make_claims(num_groups: int, per_group: int, seed: int = 0) -> tuple[list[Claim], dict[str, int]]:
    """Return claims in the order of their ids, and the hidden truth by text: one answer of each group is right."""
    random = np.random.default_rng(seed)
    claims, truth = [], {}
    for number in range(num_groups):
        question = f"Question: what is number {number}?"
        group = group_id(question)
        right = int(random.integers(per_group))
        for answer in range(per_group):
            text = f"{question}\nClaim: {answer}\nI think this claim is"
            parts = {"question": question, "answer": str(answer)}
            key = AnswerKey(value=str(answer))
            claims.append(Claim(id=claim_id(group, text), group=group, text=text, parts=parts, key=key))
            truth[text] = int(answer == right)
    return sorted(claims, key=lambda claim: claim.id), truth


def make_task() -> TaskRecord:
    """Return a binary task in which different answers contradict and equal ones agree."""
    relations = (
        SameAnswer(kind="same_answer", weight=1.0),
        DifferentAnswer(kind="different_answer", weight=1.0),
    )
    return TaskRecord(name="numbers", label_space=TRUE_FALSE, relations=relations)


def write_prepared(directory: Path, claims: list[Claim]) -> None:
    """Write what the prepare stage leaves, without golden labels."""
    write_rows(directory / CLAIMS, claims)
    write_json(directory / TASK, make_task().model_dump(mode="json"))
    StageDir(directory, "prepare").finish(Manifest(stage="prepare", config={}), outputs=(CLAIMS, TASK))


def chain_settings(**changes: object) -> AnnealingSettings:
    """Return Algorithm 1 with the published numbers, changed where asked."""
    settings = {
        "kind": "annealing",
        "name": "annealing",
        "steps_per_claim": 3.0,
        "num_initial": 8,
        "initial": "random",
        "schedule": {"kind": "logarithmic", "initial": 10.0, "final": 0.01, "rate": 0.99},
        "clock": "steps",
        "related_weight": 100.0,
        "repair_rounds": 10,
        "repair_options": "all",
        "result": "final",
    }
    return AnnealingSettings.model_validate(settings | changes)


def elicit_settings(seed: int = 0, **changes: object) -> ElicitSettings:
    """Return the settings of an elicit stage; `changes` go to its chain."""
    return ElicitSettings(
        seed=seed,
        search=chain_settings(**changes),
        objective=ObjectiveSettings(alpha=30.0, predictability="margin", reduction="mean"),
        contexts=Tree(),
    )
