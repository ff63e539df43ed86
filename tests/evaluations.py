"""Elicitations with chosen labels, as values and as run directories, for the tests of what compares them with gold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from icm import golden as gold
from icm.claims import TRUE_FALSE, AnswerKey, Claim, ClaimId, LabelSpace, claim_id, group_id
from icm.evaluate.against_golden import Elicitation
from icm.files.records import (
    CLAIMS,
    GOLD,
    HELD_OUT,
    LABELS,
    TASK,
    TRACE,
    LabelRow,
    Manifest,
    TaskRecord,
    TraceRow,
    write_json,
    write_rows,
)
from icm.files.stage_dir import StageDir
from icm.scoring.fake import ConceptScorer
from icm.statistics.estimates import Resampling

QUICK = Resampling(seed=0, num_resamples=200, confidence_level=0.95)


def answer_claim(question: str, answer: str, key: str | None = None) -> Claim:
    """Return a pointwise claim."""
    group = group_id(question)
    text = f"Question: {question}\nClaim: {answer}\nI think this claim is"
    return Claim(
        id=claim_id(group, text),
        group=group,
        text=text,
        parts={"question": question, "answer": answer},
        key=None if key is None else AnswerKey(value=key),
    )


def comparison_claim(question: str, first: str, second: str) -> Claim:
    """Return a claim that the first response is better."""
    group = group_id(question)
    text = f"Human: {question}\nResponse 1: {first}\nResponse 2: {second}\nI think Response 1 is better:"
    parts = {"question": question, "response_1": first, "response_2": second}
    return Claim(id=claim_id(group, text), group=group, text=text, parts=parts)


def elicitation(
    num_groups: int = 12, num_wrong: int = 6, num_unlabelled: int = 4, space: LabelSpace = TRUE_FALSE, seed: int = 0
) -> Elicitation:
    """Return claims in groups of four, half of them held out, labelled right but for the first few."""
    random = np.random.default_rng(seed)
    everything = [
        answer_claim(
            f"What is number {number}?", f"It is {answer} <b>&</b> {'no ' * (answer % 2)}more", str(answer % 3)
        )
        for number in range(2 * num_groups)
        for answer in range(4)
    ]
    golden = {claim.id: int(random.integers(len(space))) for claim in everything}
    searched, held_out = everything[: 4 * num_groups], everything[4 * num_groups :]
    rows = []
    for position, claim in enumerate(searched):
        wrong, unlabelled = position < num_wrong, position >= len(searched) - num_unlabelled
        label = None if unlabelled else (golden[claim.id] + wrong) % len(space)
        rows.append(_label_row(claim, label, space, float(random.uniform(0.5, 1.0)), position))
    return Elicitation(
        task=TaskRecord(name="numbers", label_space=space, relations=()),
        claims=searched,
        held_out=held_out,
        golden=golden,
        rows=rows,
        trace=trace_of([(row.id, row.label) for row in rows]),
    )


def _label_row(claim: Claim, label: int | None, space: LabelSpace, probability: float, step: int) -> LabelRow:
    return LabelRow(
        id=claim.id,
        group=claim.group,
        label=label,
        name=None if label is None else space.names[label],
        probability=None if label is None else probability,
        margin=None if label is None else float(np.log(probability / (1 - probability))),
        last_changed=None if label is None else step,
    )


def trace_of(changes: Sequence[tuple[ClaimId, int | None]]) -> list[TraceRow]:
    """Return a trace that starts empty and makes one change in each step."""
    labels: dict[ClaimId, int] = {}
    rows = [TraceRow(step=0, violations=0, utility=0.0, labelled=0, tokens=0, changes={})]
    for step, (claim, label) in enumerate(changes, start=1):
        labels.pop(claim, None)
        if label is not None:
            labels[claim] = label
        rows.append(
            TraceRow(
                step=step,
                temperature=1.0,
                claim=claim,
                label=label,
                delta_utility=0.1,
                violations=0,
                utility=0.1 * step,
                labelled=len(labels),
                tokens=10 * step,
                changes={claim: label},
            )
        )
    return rows


def concept_scorer(of: Elicitation) -> ConceptScorer:
    """Return a scorer that learns the golden labels from its context."""
    truth = {claim.text: of.golden[claim.id] for claim in (*of.claims, *of.held_out)}
    return ConceptScorer(truth, of.task.label_space)


def write_run(of: Elicitation, directory: Path, golden: Mapping[ClaimId, int] | None = None) -> tuple[Path, Path]:
    """Write the directories of the prepare and the elicit stage and return them."""
    prepare_dir, elicit_dir = directory / "prepare", directory / "elicit"
    write_rows(prepare_dir / CLAIMS, of.claims)
    write_rows(prepare_dir / HELD_OUT, of.held_out)
    gold.save(prepare_dir / GOLD, of.golden if golden is None else golden)
    write_json(prepare_dir / TASK, of.task.model_dump(mode="json"))
    prepared = StageDir(prepare_dir, "prepare").finish(
        Manifest(stage="prepare", config={}), outputs=(CLAIMS, HELD_OUT, GOLD, TASK)
    )
    write_rows(elicit_dir / LABELS, of.rows)
    write_rows(elicit_dir / TRACE, of.trace)
    StageDir(elicit_dir, "elicit").finish(
        Manifest(
            stage="elicit",
            config={"search": {"kind": "annealing", "note": "<script>alert(1)</script>"}},
            inputs={name: prepared.outputs[name] for name in (CLAIMS, TASK)},
            cost={"prompts": 1200, "forwarded_tokens": 48210, "model_seconds": 3.25},
        ),
        outputs=(LABELS, TRACE),
    )
    return prepare_dir, elicit_dir
