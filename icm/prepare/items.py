"""What a task builder yields: claims beside their golden labels, and the rows that became neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from icm.claims import TRUE_FALSE, Claim, LabelSpace
from icm.files.records import RejectedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskItem:
    """A claim and, apart from it, its golden label (`None` where the source has none).

    Nothing in the claim derives from the label or from `row`, the number of the source row from 0.
    """

    claim: Claim
    golden_label: int | None
    row: int


class TaskItems(NamedTuple):
    """All that a source holds: the claims in source order, with repetitions, and the rows that became none.

    `unused` names the columns that nothing is made of.
    """

    items: list[TaskItem]
    rejected: list[RejectedRow]
    label_space: LabelSpace = TRUE_FALSE
    unused: tuple[str, ...] = ()
