"""What stood before a claim when its label was decided, put together again from the settings. Asks no model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from icm.claims import Labels
from icm.objective import LeaveOneOut
from icm.prequential import Prequential
from icm.problem import Problem


def contexts_of(problem: Problem, labels: Labels, claim: int) -> list[Sequence[str]]:
    """Return the labelled claims before one claim, for each order that its probability was averaged over.

    Args:
        problem: The claims as the search saw them.
        labels: (N,) the labels that the search returned.
        claim: Position of the claim.
    """
    match problem.objective:
        case LeaveOneOut() as objective:
            contexts = [arranged.context_of(labels, claim) for arranged in objective.contexts]
            return [[segment for run in context.runs() for segment in run] for context in contexts]
        case Prequential() as objective:
            return [
                reading.demos[: int(np.flatnonzero(claims == claim)[0])]
                for claims, reading in objective.readings(labels).values()
                if claim in claims
            ]
        case _:
            raise TypeError(f"no contexts of {type(problem.objective).__name__}")
