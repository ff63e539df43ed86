"""Elicitations with chosen labels, for the tests of what compares them with gold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from icm.claims import TRUE_FALSE, Claim, ClaimId, LabelSpace
from icm.evaluate.against_golden import Elicitation
from icm.files.records import LabelRow, TaskRecord, TraceRow
from icm.statistics.estimates import Resampling
from tests.worlds.claims import answer_claim
from tests.worlds.scorers import ConceptScorer

QUICK = Resampling(seed=0, num_resamples=200, confidence_level=0.95)


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
