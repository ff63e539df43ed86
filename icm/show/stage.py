"""Which claims of a run `icm show` shows, and in which order. Reads finished stages and writes nothing."""

from __future__ import annotations

from icm.claims import UNLABELLED
from icm.show.explain import find
from icm.show.labelled import LabelledRun, labels_of
from icm.show.settings import ShowSettings


def select(run: LabelledRun, settings: ShowSettings) -> list[int]:
    """Return the positions of the claims that are asked for, all of them if nothing is, in the order to show them.

    Raises:
        ConfigError: A claim or a row is not in the run.
        SchemaError: The labels to compare with are malformed.
    """
    if settings.claim is not None or settings.row is not None:
        return find(run, settings.claim, settings.row)
    chosen = list(range(len(run.claims)))
    if settings.disagrees is not None:
        chosen = differing(run, settings)
    return sorted(chosen, key=lambda position: _sureness(run, position)) if settings.uncertain else chosen


def differing(run: LabelledRun, settings: ShowSettings) -> list[int]:
    """Return the claims that other labels, of a run or of a file, label otherwise."""
    assert settings.disagrees is not None  # the caller has looked
    others = labels_of(settings.disagrees, run)
    labels = run.labels.tolist()
    return [
        position
        for position, claim in enumerate(run.claims)
        if claim.id in others
        and others[claim.id].label not in (None, labels[position])
        and labels[position] != UNLABELLED
    ]


def _sureness(run: LabelledRun, position: int) -> float:
    """Return what sorts the least sure labels first, and claims without a label before them."""
    row = run.rows[position]
    if row.label is None:
        return -1.0
    # A label that says nothing of its probability comes after those that do.
    return 2.0 if row.probability is None else row.probability
