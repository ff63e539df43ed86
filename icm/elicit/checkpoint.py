"""Checkpoints of a search: where it stands, and how long its files were then. Knows no search and no model.

A resumed search cuts trace and journal back to the lengths written here, so that it asks and writes exactly what the
uninterrupted search would have asked and written.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from icm.errors import RunDirectoryError
from icm.files.records import Record, digest_of, first_problem, write_text
from icm.scoring.protocol import ScoringCost


class Checkpoint(Record):
    """A search between two steps, with what it cost so far and how long its files are.

    Its evaluations are not kept: the journal answers them without a model. The trace, which has no check sums of its
    own as the journal has, is told from another one by the SHA-256 of its bytes so far.
    """

    state: dict[str, Any]
    trace_bytes: int
    trace_sha256: str
    journal_bytes: int
    cost: ScoringCost
    seconds: float

    def save(self, path: Path) -> None:
        """Write the checkpoint in the place of the one before, atomically."""
        content = self.model_dump(mode="json")
        # The hash stands beside the content, so that a file that was cut short or edited is noticed.
        write_text(path, json.dumps({"sha256": digest_of(content), "checkpoint": content}) + "\n")


def load_checkpoint(path: Path) -> Checkpoint | None:
    """Read a checkpoint; `None` where there is none.

    Raises:
        RunDirectoryError: The file is not what was written.
    """
    if not path.exists():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        content = stored["checkpoint"]
        if stored["sha256"] != digest_of(content):
            raise ValueError("its content does not match its hash")
        return Checkpoint.model_validate(content)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        # Wrong JSON, a wrong hash and pydantic raise a ValueError; the other two mean JSON of another shape.
        problem = first_problem(error) if isinstance(error, ValidationError) else str(error)
        raise RunDirectoryError(
            f"{path} is corrupt ({problem}), or of another version of icm; delete that file and run the same command "
            f"again: the search starts over, but the journal beside it still answers everything the model was asked"
        ) from None
