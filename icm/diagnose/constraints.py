"""How much the constraints have to do with the labels elicited. Judges nothing and knows no golden label."""

from __future__ import annotations

import numpy as np

from consistency.binding import Tally, tally_binding
from consistency.kernels import violated
from icm.claims import UNLABELLED
from icm.diagnose.elicited import Elicited
from icm.diagnose.schema import ConstraintTally
from icm.relations import constraints_from


def tally_constraints(elicited: Elicited, penalty: float) -> list[ConstraintTally]:
    """Return for each relation how many of its constraints the labels violate, and how many bind.

    Args:
        elicited: The labels; the model is asked for every claim once, in the context of the others.
        penalty: What a violated weight of 1 costs, nats.

    Returns:
        A tally for each relation that makes a constraint; none if no claim is labelled.

    Raises:
        ScoringError: The model returned NaN.
    """
    objective = elicited.problem.objective
    relations, num_labels = elicited.problem.task.relations, objective.scorer.num_labels
    names = [each.name for each in constraints_from(elicited.problem.claims, relations, num_labels)]
    if not names or (elicited.labels == UNLABELLED).all():
        return []
    tallies = tally_binding(objective.constraints, names, objective.predict_all(elicited.labels), penalty)
    is_violated = violated(objective.constraints, elicited.labels)
    return [_of_labels(tally, int(is_violated[np.array(names) == tally.name].sum())) for tally in tallies]


def _of_labels(tally: Tally, num_violated: int) -> ConstraintTally:
    """Return the tally with what the labels found violate in place of what the best labelling would."""
    return ConstraintTally(
        name=tally.name,
        num_constraints=tally.num_constraints,
        num_violated=num_violated,
        num_opposed=tally.num_opposed,
        num_binding=tally.num_binding,
        num_undecided=tally.num_undecided,
    )
