"""Golden labels: what a data set says is true. Only evaluation, the task builders and tests may import this module.

The search never sees these: they live in a file, a type and a module of their own, and an import contract keeps
every module on the path from claims to labels away from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from icm.claims import Claim, ClaimId, Labels, LabelSpace
from icm.files.labels import label_vector, read_labels
from icm.files.records import write_rows


def load(path: Path, space: LabelSpace) -> dict[ClaimId, int]:
    """Read golden labels by claim, as indices into the label space.

    Raises:
        SchemaError: The file is missing or malformed, a label is outside the alphabet, or lines contradict one another.
    """
    # This package writes the file, so a column that means nothing here tells of a mistake.
    rows = read_labels(path, space, unlabelled=False, other_columns=False)
    return {claim: row.label for claim, row in rows.items() if row.label is not None}


def save(path: Path, golden: Mapping[ClaimId, int]) -> None:
    """Write golden labels sorted by claim."""
    # By id, which is a content hash: the order of the lines tells nothing of the source.
    write_rows(path, ({"id": claim, "label": golden[claim]} for claim in sorted(golden)))


def as_labels(golden: Mapping[ClaimId, int], claims: Sequence[Claim]) -> Labels:
    """Return the golden labels of claims as a label vector (N,), `UNLABELLED` where the data set has none."""
    return label_vector(golden, claims)
