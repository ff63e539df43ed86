"""Golden labels meet elicited labels here: claims, labels and trace to `Metrics`. Asks no model and reads no file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from icm import golden as gold
from icm.claims import UNLABELLED, Claim, ClaimId, Labels, freeze
from icm.evaluate.replay import replay
from icm.evaluate.schema import BaselineResult, Metrics
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
        claims: The searched claims.
        golden: Of the searched and the held-out claims.
        rows: The row of `labels.jsonl` for each searched claim, in the order of `claims`.
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
    """Compare elicited with golden labels in every way that needs no model: without controls and accuracy in context.

    At least one searched claim must have a golden label.
    """
    space, claims, labels = elicitation.task.label_space, elicitation.claims, elicitation.labels
    golden = gold.as_labels(elicitation.golden, claims)
    confusion = confusion_matrix(labels, golden, len(space))
    classes = class_scores(confusion, space.names)
    of_labels = accuracy_of(labels, golden, claims, resampling)
    binary = len(space) == 2
    scored = (labels != UNLABELLED) & (golden != UNLABELLED)
    probabilities = np.array([np.nan if row.probability is None else row.probability for row in elicitation.rows])
    return Metrics(
        task=elicitation.task.name,
        label_names=space.names,
        confidence_level=resampling.confidence_level,
        num_claims=len(claims),
        num_labelled=int((labels != UNLABELLED).sum()),
        num_without_gold=int((golden == UNLABELLED).sum()),
        coverage=float((labels != UNLABELLED).mean()),
        accuracy=of_labels,
        # The last column of the confusion matrix, unlabelled, adds to the sum and never to the diagonal.
        accuracy_unlabelled_wrong=float(np.trace(confusion) / confusion.sum()),
        # With more than two labels there is no one way to turn them round.
        flipped_accuracy=accuracy_of(_flipped(labels), golden, claims, resampling) if binary else None,
        polarity=polarity(of_labels) if binary and of_labels else None,
        balanced_accuracy=balanced_accuracy(classes),
        classes=classes,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        calibration=calibration(probabilities[scored], (labels == golden)[scored], num_bins),
        trace=replay(
            elicitation.trace,
            elicitation.golden,
            {row.id: row.label for row in elicitation.rows if row.label is not None},
            max_trace_points,
        ),
        baselines=baselines(elicitation, resampling),
        controls=(),
        num_held_out=len(elicitation.held_out),
        in_context=None,
        in_context_missing=None,
    )


def accuracy_of(labels: Labels, golden: Labels, claims: Sequence[Claim], resampling: Resampling) -> Accuracy | None:
    """Return the accuracy over the claims that have both labels, `None` if none has."""
    # A claim that either side leaves out is neither right nor wrong.
    scored = np.flatnonzero((labels != UNLABELLED) & (golden != UNLABELLED))
    if not scored.size:
        return None
    return accuracy(labels[scored] == golden[scored], [claims[int(k)].group for k in scored], resampling)


def baselines(elicitation: Elicitation, resampling: Resampling) -> tuple[BaselineResult, ...]:
    """Return what needs no model: the majority class, and the surface rules, which label binary claims only."""
    space = elicitation.task.label_space
    majority = most_frequent(gold.as_labels(elicitation.golden, elicitation.claims))
    # It reads golden labels, so it is no rule that a user could follow; it shows what guessing well would give.
    text = f"always {space.names[majority]}, the golden majority (a control)"

    def always(claims: Sequence[Claim]) -> Labels:
        return freeze(np.full(len(claims), majority, dtype=np.int8))

    control = _baseline("majority", text, always, elicitation, resampling)
    if len(space) == 2:
        rules = (_baseline(name, *rule, elicitation, resampling) for name, rule in SURFACE_RULES.items())
        return (control, *rules)
    # The rules are listed all the same, so that every report has the same rows.
    reason = "the rule speaks of true and false claims"
    silent = (BaselineResult(name=name, rule=text, not_applicable=reason) for name, (text, _) in SURFACE_RULES.items())
    return (control, *silent)


def disagreements(elicitation: Elicitation) -> list[tuple[Claim, LabelRow, str]]:
    """Return the claims whose label is not the golden one, with their rows and the names of their golden labels.

    The most probable labels come first, since there the model is sure; labels without a probability come last.
    """
    names = elicitation.task.label_space.names
    wrong = [
        (claim, row, names[elicitation.golden[claim.id]])
        for claim, row in zip(elicitation.claims, elicitation.rows, strict=True)
        # A claim without a golden label disagrees with nothing: it falls back to its own label.
        if row.label is not None and elicitation.golden.get(claim.id, row.label) != row.label
    ]
    # The id breaks ties, so that the report is the same bytes again.
    return sorted(wrong, key=lambda each: (-(each[1].probability or 0.0), each[0].id))


def _baseline(name: str, text: str, rule: Rule, elicitation: Elicitation, resampling: Resampling) -> BaselineResult:
    by_rule = rule(elicitation.claims)

    def accuracy_on(claims: Sequence[Claim]) -> Accuracy | None:
        labels = rule(claims)
        if isinstance(labels, str):
            return None
        return accuracy_of(labels, gold.as_labels(elicitation.golden, claims), claims, resampling)

    return BaselineResult(
        name=name,
        rule=text,
        claims=accuracy_on(elicitation.claims),
        # A rule may apply to the held-out claims alone, so each set is asked by itself.
        held_out=accuracy_on(elicitation.held_out),
        agreement=None if isinstance(by_rule, str) else _agreement(by_rule, elicitation.labels),
        not_applicable=by_rule if isinstance(by_rule, str) else None,
    )


def _agreement(by_rule: Labels, labels: Labels) -> float | None:
    both = (by_rule != UNLABELLED) & (labels != UNLABELLED)
    return float((by_rule == labels)[both].mean()) if both.any() else None


def _flipped(labels: Labels) -> Labels:
    return freeze(np.where(labels == UNLABELLED, UNLABELLED, 1 - labels))
