"""What a search works on: the claims, their constraints and U over their labellings. Knows no search and no file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from consistency import compile_constraints
from icm.claims import Claim, LabelSpace
from icm.contexts import Contexts, ContextSettings, KShot, TokenLimit, Tree, draw_order
from icm.errors import ConfigError
from icm.files.labels import read_anchors
from icm.files.records import TaskRecord
from icm.objective import Objective, ObjectiveSettings
from icm.prompts import render_demo
from icm.relations import constraints_from
from icm.scoring.protocol import LabelScorer


class ProblemSettings(BaseModel):
    """What a labelling is worth, besides the claims and the model.

    Attributes:
        seed: Draws the order of the claims in the contexts, and everything random in a search.
        objective: What U measures.
        contexts: What stands before a claim when its label is predicted.
        anchors: File of labels that the user vouches for, see `icm.files.labels`; `None` if there are none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    objective: ObjectiveSettings
    contexts: ContextSettings
    anchors: Path | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """The claims as the search sees them.

    Attributes:
        claims: The claims, in the order of their ids.
        task: What their labels mean.
        objective: U over their labellings.
        arrange: The contexts of these claims in another of the orders that the seed gives.
    """

    claims: Sequence[Claim]
    task: TaskRecord
    objective: Objective
    arrange: Callable[[int], Contexts]

    @property
    def groups(self) -> NDArray[np.int64]:
        """(N,) the group of each claim, from 0."""
        return np.unique([claim.group for claim in self.claims], return_inverse=True)[1]


def build_problem(claims: Sequence[Claim], task: TaskRecord, scorer: LabelScorer, settings: ProblemSettings) -> Problem:
    """Put together what a search needs to know of a set of claims.

    Args:
        claims: The claims.
        task: What their labels mean.
        scorer: The model, bound to the task's label space.
        settings: What U measures, and in which contexts.

    Raises:
        ConfigError: The class prior does not fit the label space.
        SchemaError: The anchors file is missing or malformed, or names what the task does not have.
    """
    space = task.label_space
    group_names = [claim.group for claim in claims]
    demos = [[render_demo(claim, label, space) for label in range(len(space))] for claim in claims]
    limit = _token_limit(demos, scorer) if isinstance(settings.contexts, KShot) else None
    num_orders = settings.contexts.num_orders if isinstance(settings.contexts, Tree) else 1

    def arrange(draw: int) -> Contexts:
        return Contexts(settings.contexts, demos, group_names, draw_order(group_names, settings.seed, draw), limit)

    contexts = [arrange(draw) for draw in range(num_orders)]
    constraints = constraints_from(claims, task.relations, len(space))
    arrays = compile_constraints(constraints, num_claims=len(claims), num_labels=len(space))
    queries = [claim.text for claim in claims]
    evidence = read_anchors(settings.anchors, claims, space)
    _check_prior(settings.objective, space)
    objective = Objective(settings.objective, contexts, queries, scorer, arrays, evidence)
    return Problem(claims, task, objective, arrange)


def _check_prior(settings: ObjectiveSettings, space: LabelSpace) -> None:
    if settings.class_prior is not None and len(settings.class_prior) != len(space):
        raise ConfigError(
            f"objective.class_prior={list(settings.class_prior)} needs one share for each of the {len(space)} labels, "
            f"{', '.join(space.names)}"
        )


def _token_limit(demos: Sequence[Sequence[str]], scorer: LabelScorer) -> TokenLimit | None:
    """Return what the model's context has room for; a query needs the room of the longest demo it can become."""
    if scorer.context_length is None:
        return None
    segments = [segment for labelled in demos for segment in labelled]
    counts = scorer.count_tokens(segments)
    longest = counts.reshape(len(demos), -1).max(axis=1)
    # One token more for what a tokenizer may put before everything.
    room = (scorer.context_length - 1 - longest).tolist()
    return TokenLimit(dict(zip(segments, counts.tolist(), strict=True)), room)
