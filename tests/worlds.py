"""Small worlds that several tests share: claims whose truth a scorer knows, prepared run directories."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from icm.claims import TRUE_FALSE, AnswerKey, Claim, claim_id, group_id
from icm.config import load
from icm.elicit.settings import ElicitSettings
from icm.files.records import CLAIMS, TASK, Manifest, TaskRecord, write_json, write_rows
from icm.files.stage_dir import StageDir
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


def elicit_settings(seed: int = 0, *overrides: str) -> ElicitSettings:
    """Return the settings of an elicit stage: the paper's chain under the released objective, changed where asked."""
    return load(f"seed={seed}", "search=annealing", "objective=released_code", *overrides).for_elicit()
