"""Golden labels: what a data set says is true. Only evaluation, the task builders and tests may import this module.

The search never sees these: they live in a file, a type and a module of their own, and an import contract keeps
every module on the path from claims to labels away from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from icm.claims import UNLABELLED, Claim, ClaimId, Labels, freeze
from icm.errors import SchemaError
from icm.files.records import read_rows, write_rows


class GoldenRow(BaseModel):
    """A line of `gold.jsonl`: a claim and its golden label as an index into the label space."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: ClaimId
    label: int


def load(path: Path, num_labels: int) -> dict[ClaimId, int]:
    """Read golden labels by claim.

    Raises:
        SchemaError: The file is missing or malformed, a label is outside the alphabet, or an id stands twice.
    """
    golden: dict[ClaimId, int] = {}
    for number, row in enumerate(read_rows(path, GoldenRow), start=1):
        if not 0 <= row.label < num_labels:
            raise SchemaError(f"{path}:{number}: label must be from 0 to {num_labels - 1}, got {row.label}")
        if row.id in golden:
            raise SchemaError(f"{path}:{number}: id {row.id!r} stands twice")
        golden[row.id] = row.label
    return golden


def save(path: Path, golden: Mapping[ClaimId, int]) -> None:
    """Write golden labels sorted by claim."""
    write_rows(path, [GoldenRow(id=claim, label=golden[claim]) for claim in sorted(golden)])


def as_labels(golden: Mapping[ClaimId, int], claims: Sequence[Claim]) -> Labels:
    """Return the golden labels of claims as a label vector (N,), `UNLABELLED` where the data set has none."""
    return freeze(np.array([golden.get(claim.id, UNLABELLED) for claim in claims], dtype=np.int8))
