"""What a task builder yields: claims beside their golden labels, and the rows that became neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from icm.claims import TRUE_FALSE, Claim, LabelSpace
from icm.files.records import RejectedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskItem:
    """A claim and, apart from it, its golden label (`None` where the source has none).

    Attributes:
        claim: The claim; nothing in it derives from the golden label.
        golden_label: Index into the task's label space.
        row: Number of the source row, from 0, for the list of rejected rows; it reaches no claim.
    """

    claim: Claim
    golden_label: int | None
    row: int


class TaskItems(NamedTuple):
    """All that a source holds for a task.

    Attributes:
        items: The claims in source order, with repetitions.
        rejected: The rows that could not become a claim.
        label_space: What the labels mean.
    """

    items: list[TaskItem]
    rejected: list[RejectedRow]
    label_space: LabelSpace = TRUE_FALSE
