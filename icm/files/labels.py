"""Anchors: labels that a user vouches for, with how far they can be relied on. Knows no search and no golden file.

Anchors are the user's own evidence (a few checked labels, an easy subset, a weak labeller's verdicts). They enter U as
log-likelihoods, so a search may still overrule an unreliable one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from icm.claims import Claim, ClaimId, LabelSpace
from icm.errors import SchemaError
from icm.files.records import Record, read_rows


class AnchorRow(Record):
    """A line of an anchors file.

    Attributes:
        id: The claim, as in `claims.jsonl`.
        label: Index into the label space.
        reliability: Probability that the label is right, above 1/L and below 1.
    """

    id: ClaimId
    label: int = Field(ge=0)
    reliability: float = Field(default=0.99, gt=0, lt=1)


def read_anchors(path: Path | None, claims: Sequence[Claim], space: LabelSpace) -> NDArray[np.float64]:
    """Return the evidence of an anchors file: (N, L) log-likelihoods in nats, zeros for claims without an anchor.

    Several lines about one claim are independent witnesses: their log-likelihoods add up.

    Raises:
        SchemaError: The file is missing or malformed, or names a claim or a label that the task does not have.
    """
    evidence = np.zeros((len(claims), len(space)))
    if path is None:
        return evidence
    place = {claim.id: index for index, claim in enumerate(claims)}
    for number, row in enumerate(read_rows(path, AnchorRow), start=1):
        where = f"{path}:{number}"
        if row.id not in place:
            raise SchemaError(f"{where}: there is no claim {row.id!r} in this task; ids stand in claims.jsonl")
        if row.label >= len(space):
            raise SchemaError(f"{where}: label must be below {len(space)}, got {row.label}")
        if row.reliability <= 1 / len(space):
            raise SchemaError(
                f"{where}: reliability must be above chance, {1 / len(space):.3g}, got {row.reliability}; "
                f"name the label that is the likelier one"
            )
        others = math.log((1 - row.reliability) / (len(space) - 1))
        evidence[place[row.id]] += others
        evidence[place[row.id], row.label] += math.log(row.reliability) - others
    return evidence
