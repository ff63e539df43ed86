"""Two labellings side by side: how far they agree, and where they differ. Asks no model and writes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from icm.claims import UNLABELLED
from icm.diagnose.measures import kappa
from icm.files.labels import label_vector
from icm.files.records import LabelRow
from icm.show.labelled import LabelledRun, labels_of


class Difference(NamedTuple):
    """How two labellings of one set of claims differ.

    Attributes:
        others: The other row of each claim of the run, in their order; one without a label where there is none.
        num_both: Claims that both label.
        num_only_one: Claims that only one of the two labels.
        agreement: Share of the claims labelled by both that have one label; `None` if there are none.
        kappa: The same beyond chance: 1 for equal labellings, 0 for chance.
        differing: Positions of the claims that the two label otherwise.
    """

    others: tuple[LabelRow, ...]
    num_both: int
    num_only_one: int
    agreement: float | None
    kappa: float | None
    differing: tuple[int, ...]


def compare(run: LabelledRun, other: Path) -> Difference:
    """Return how the labels of another run, or of a file, differ from those of a run.

    Raises:
        RunDirectoryError: The other directory has no labels.
        SchemaError: The labels cannot be read, or speak of other claims or other labels.
    """
    found = labels_of(other, run)
    one = run.labels
    two = label_vector({claim: row.label for claim, row in found.items()}, run.claims)
    both = (one != UNLABELLED) & (two != UNLABELLED)
    return Difference(
        others=tuple(found.get(claim.id, LabelRow(id=claim.id)) for claim in run.claims),
        num_both=int(both.sum()),
        num_only_one=int(((one != UNLABELLED) ^ (two != UNLABELLED)).sum()),
        agreement=float(np.mean(one[both] == two[both])) if both.any() else None,
        kappa=kappa(one, two) if both.any() else None,
        differing=tuple(np.flatnonzero(both & (one != two)).tolist()),
    )
