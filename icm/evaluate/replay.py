"""The labels of a search replayed from its trace and compared with golden labels at each step. Knows no search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from icm.claims import ClaimId
from icm.evaluate.schema import TraceMetrics, TracePoint
from icm.files.records import TraceRow


def replay(
    trace: Sequence[TraceRow],
    golden: Mapping[ClaimId, int],
    final: Mapping[ClaimId, int],
    max_points: int,
) -> TraceMetrics:
    """Replay the labels of a trace and say how right they were after each of at most `max_points` steps.

    Args:
        trace: The rows, first to last.
        golden: Golden labels by claim.
        final: The labels that the search returned, by labelled claim.
        max_points: Steps to keep, at least 2.
    """
    kept = _evenly_spaced(len(trace), max_points)
    labels: dict[ClaimId, int] = {}
    num_right = num_scored = 0
    points = []
    for position, row in enumerate(trace):
        for claim, label in row.changes.items():
            before = labels.pop(claim, None)
            if label is not None:
                labels[claim] = label
            if claim in golden:
                num_right += (label == golden[claim]) - (before == golden[claim])
                num_scored += (label is not None) - (before is not None)
        if position in kept:
            points.append(_point(row, num_right / num_scored if num_scored else None, len(labels)))
    moves = [row for row in trace if row.step > 0]
    return TraceMetrics(
        num_steps=len(moves),
        num_accepted=sum(row.accepted for row in moves),
        num_differing=sum(labels.get(claim) != final.get(claim) for claim in labels.keys() | final.keys()),
        points=tuple(points),
    )


def _point(row: TraceRow, accuracy: float | None, labelled: int) -> TracePoint:
    return TracePoint(
        step=row.step,
        accuracy=accuracy,
        labelled=labelled,
        utility=row.utility,
        violations=row.violations,
        tokens=row.tokens,
    )


def _evenly_spaced(length: int, max_points: int) -> set[int]:
    """Return positions from 0 to length - 1, both included."""
    return set(np.linspace(0, length - 1, min(length, max_points)).round().astype(int).tolist())
