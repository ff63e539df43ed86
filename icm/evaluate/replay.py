"""The labels of a search replayed from its trace and compared with golden labels at each step. Knows no search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from icm.claims import ClaimId
from icm.evaluate.schema import TraceMetrics, TracePoint
from icm.files.records import TraceRow


def replay(
    trace: Sequence[TraceRow], golden: Mapping[ClaimId, int], final: Mapping[ClaimId, int], max_points: int
) -> TraceMetrics:
    """Replay the labels of a trace and say how right they were after each of at most `max_points` (≥ 2) steps.

    `final` are the labels that the search returned, by labelled claim.
    """
    # Evenly spaced from the first position to the last; rounding may make two of them one where there are few steps.
    kept = set(np.linspace(0, len(trace) - 1, min(len(trace), max_points)).round().astype(int).tolist())
    labels: dict[ClaimId, int] = {}
    # Counted along, by what each step changes: counting anew would cost steps times claims.
    num_right = num_scored = 0
    points = []
    for position, row in enumerate(trace):
        for claim, label in row.changes.items():
            before = labels.pop(claim, None)
            if label is not None:
                labels[claim] = label
            if claim in golden:
                # An unlabelled claim is `None`, which no golden label equals.
                num_right += (label == golden[claim]) - (before == golden[claim])
                num_scored += (label is not None) - (before is not None)
        if position in kept:
            point = TracePoint(
                accuracy=num_right / num_scored if num_scored else None,
                labelled=len(labels),
                **row.model_dump(include={"step", "utility", "violations", "tokens"}),
            )
            points.append(point)
    # Step 0 is the initial labelling, which nobody proposed.
    moves = [row for row in trace if row.step > 0]
    return TraceMetrics(
        num_steps=len(moves),
        num_accepted=sum(row.accepted for row in moves),
        num_differing=sum(labels.get(claim) != final.get(claim) for claim in labels.keys() | final.keys()),
        points=tuple(points),
    )
