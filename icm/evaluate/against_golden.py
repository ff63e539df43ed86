"""Golden labels meet elicited labels here: claims, labels and trace to `Metrics`. Asks no model and reads no file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icm import golden as gold
from icm.claims import UNLABELLED, Claim, ClaimId, Labels, freeze
from icm.evaluate.replay import replay
from icm.evaluate.schema import BaselineResult, Disagreement, Metrics
from icm.files.labels import label_vector
from icm.files.records import LabelRow, TaskRecord, TraceRow
from icm.statistics.estimates import Resampling, accuracy
from icm.statistics.schema import Accuracy
from icm.statistics.scores import (
    balanced_accuracy,
    calibration,
    class_scores,
    confusion_matrix,
    most_frequent,
    polarity,
)
from icm.surface import SURFACE_RULES, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Elicitation:
    """What is compared: the files of the stages before, as values.

    Attributes:
        task: What the labels mean.
        claims: The searched claims.
        held_out: The claims kept apart from the search.
        golden: Golden labels by claim, searched and held out.
        rows: The row of `labels.jsonl` for each searched claim, in the order of `claims`.
        trace: The rows of `trace.jsonl`.
    """

    task: TaskRecord
    claims: Sequence[Claim]
    held_out: Sequence[Claim]
    golden: Mapping[ClaimId, int]
    rows: Sequence[LabelRow]
    trace: Sequence[TraceRow]

    @property
    def labels(self) -> Labels:
        """The elicited labels of `claims`, (N,)."""
        return label_vector({row.id: row.label for row in self.rows}, self.claims)


def compare(elicitation: Elicitation, resampling: Resampling, *, num_bins: int, max_trace_points: int) -> Metrics:
    """Compare elicited with golden labels in every way that needs no model; the in-context part is left `None`.

    Args:
        elicitation: What is compared; at least one searched claim has a golden label.
        resampling: How intervals are made.
        num_bins: Bins of the reliability curve.
        max_trace_points: Steps of the trace to keep.
    """
    space, claims, labels = elicitation.task.label_space, elicitation.claims, elicitation.labels
    golden = gold.as_labels(elicitation.golden, claims)
    confusion = confusion_matrix(labels, golden, len(space))
    classes = class_scores(confusion, space.names)
    of_labels = accuracy_of(labels, golden, claims, resampling)
    binary = len(space) == 2
    scored = (labels != UNLABELLED) & (golden != UNLABELLED)
    return Metrics(
        task=elicitation.task.name,
        label_names=space.names,
        confidence_level=resampling.confidence_level,
        num_claims=len(claims),
        num_labelled=int((labels != UNLABELLED).sum()),
        num_without_gold=int((golden == UNLABELLED).sum()),
        coverage=float((labels != UNLABELLED).mean()),
        accuracy=of_labels,
        accuracy_unlabelled_wrong=float(np.trace(confusion) / confusion.sum()),
        flipped_accuracy=accuracy_of(_flipped(labels), golden, claims, resampling) if binary else None,
        polarity=polarity(of_labels) if binary and of_labels else None,
        balanced_accuracy=balanced_accuracy(classes),
        classes=classes,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        calibration=calibration(_probabilities(elicitation.rows)[scored], (labels == golden)[scored], num_bins),
        trace=replay(
            elicitation.trace,
            elicitation.golden,
            {row.id: row.label for row in elicitation.rows if row.label is not None},
            max_trace_points,
        ),
        baselines=baselines(elicitation, resampling),
        num_held_out=len(elicitation.held_out),
        in_context=None,
        in_context_missing=None,
    )


def accuracy_of(labels: Labels, golden: Labels, claims: Sequence[Claim], resampling: Resampling) -> Accuracy | None:
    """Return the accuracy over the claims that have both labels, `None` if none has."""
    scored = np.flatnonzero((labels != UNLABELLED) & (golden != UNLABELLED))
    if not scored.size:
        return None
    return accuracy(labels[scored] == golden[scored], [claims[int(k)].group for k in scored], resampling)


def baselines(elicitation: Elicitation, resampling: Resampling) -> tuple[BaselineResult, ...]:
    """Return what needs no model: the majority class, and the surface rules, which speak of binary claims only."""
    majority = most_frequent(gold.as_labels(elicitation.golden, elicitation.claims))
    name = elicitation.task.label_space.names[majority]
    control = Rule(
        "majority",
        f"always {name}, the golden majority (a control)",
        lambda claims: freeze(np.full(len(claims), majority, dtype=np.int8)),
    )
    if len(elicitation.task.label_space) == 2:
        return tuple(_baseline(rule, elicitation, resampling) for rule in (control, *SURFACE_RULES))
    reason = "the rule speaks of true and false claims"
    silent = (BaselineResult(name=rule.name, rule=rule.text, not_applicable=reason) for rule in SURFACE_RULES)
    return (_baseline(control, elicitation, resampling), *silent)


def disagreements(elicitation: Elicitation) -> list[Disagreement]:
    """Return the claims whose label is not the golden one, the most probable labels first."""
    names = elicitation.task.label_space.names
    wrong = [
        Disagreement(
            claim_id=claim.id,
            text=claim.text,
            label=names[row.label],
            golden=names[elicitation.golden[claim.id]],
            probability=row.probability,
        )
        for claim, row in zip(elicitation.claims, elicitation.rows, strict=True)
        if row.label is not None and elicitation.golden.get(claim.id, row.label) != row.label
    ]
    return sorted(wrong, key=lambda each: (-(each.probability or 0.0), each.claim_id))


def _baseline(rule: Rule, elicitation: Elicitation, resampling: Resampling) -> BaselineResult:
    by_rule = rule.label(elicitation.claims)
    return BaselineResult(
        name=rule.name,
        rule=rule.text,
        claims=_rule_accuracy(rule, elicitation.claims, elicitation, resampling),
        held_out=_rule_accuracy(rule, elicitation.held_out, elicitation, resampling),
        agreement=None if isinstance(by_rule, str) else _agreement(by_rule, elicitation.labels),
        not_applicable=by_rule if isinstance(by_rule, str) else None,
    )


def _rule_accuracy(
    rule: Rule, claims: Sequence[Claim], elicitation: Elicitation, resampling: Resampling
) -> Accuracy | None:
    by_rule = rule.label(claims)
    if isinstance(by_rule, str):
        return None
    return accuracy_of(by_rule, gold.as_labels(elicitation.golden, claims), claims, resampling)


def _agreement(by_rule: Labels, labels: Labels) -> float | None:
    both = (by_rule != UNLABELLED) & (labels != UNLABELLED)
    return float((by_rule == labels)[both].mean()) if both.any() else None


def _flipped(labels: Labels) -> Labels:
    return freeze(np.where(labels == UNLABELLED, UNLABELLED, 1 - labels))


def _probabilities(rows: Sequence[LabelRow]) -> NDArray[np.float64]:
    return np.array([np.nan if row.probability is None else row.probability for row in rows])
