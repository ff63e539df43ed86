"""What a search works on: the claims, their constraints and U over their labellings. Knows no search and no file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from consistency import ConstraintArrays, compile_constraints
from icm.claims import Claim, LabelSpace
from icm.contexts import Contexts, ContextSettings, KShot, TokenLimit, Tree, draw_order
from icm.errors import ConfigError
from icm.files.labels import SourceRows, read_anchors
from icm.files.records import TaskRecord
from icm.objective import LeaveOneOut, LeaveOneOutSettings, Objective, ObjectiveSettings, PrequentialSettings
from icm.prequential import BlockPlan, Prequential
from icm.prompts import render_demos
from icm.relations import constraints_from
from icm.scoring.protocol import LabelScorer

FEWEST_IN_CONTEXT: Final = 4
"""Claims that a model's context must hold to be read one after the other: with fewer before it hardly any label is
predicted from others."""


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
        return group_numbers(self.claims)

    def reordered(self, draw: int) -> Objective:
        """Return U with the claims in other orders that the seed gives, those of another draw."""
        match self.objective:
            case Prequential():
                return self.objective.in_orders(draw)
            case LeaveOneOut():
                return replace(self.objective, contexts=[self.arrange(draw)])
            case _:
                raise TypeError(f"no other orders of {type(self.objective).__name__}")


def group_numbers(claims: Sequence[Claim]) -> NDArray[np.int64]:
    """Return the group of each claim, from 0: (N,)."""
    # Numbered by sorted name, which is a content hash, so the numbers do not depend on the order of the claims.
    return np.unique([claim.group for claim in claims], return_inverse=True)[1]


def check_problem(claims: Sequence[Claim], task: TaskRecord, settings: ProblemSettings) -> None:
    """Find what of the settings does not fit the claims, which needs no model.

    Raises:
        ConfigError: The class prior does not fit the label space, there is a single claim to read, or a group is
            larger than the block that must hold it.
    """
    _check_prior(settings.objective, task.label_space)
    if not isinstance(settings.objective, PrequentialSettings):
        return
    if len(claims) < 2:
        raise ConfigError(
            f"objective=prequential predicts each label from labels read before, but the task has {len(claims)} "
            f"claims; give at least two (task.num_claims)"
        )
    largest = int(np.bincount(group_numbers(claims)).max())
    if settings.objective.keep_groups and settings.objective.block_size < largest:
        raise ConfigError(
            f"objective.block_size={settings.objective.block_size} is smaller than the largest group, of {largest} "
            f"claims, which objective.keep_groups=true reads in one block; set objective.block_size={largest} or more, "
            f"or objective.keep_groups=false"
        )


def build_problem(
    claims: Sequence[Claim],
    task: TaskRecord,
    scorer: LabelScorer,
    settings: ProblemSettings,
    rows: SourceRows | None = None,
) -> Problem:
    """Put together what a search needs to know of a set of claims.

    Args:
        claims: The claims.
        task: What their labels mean.
        scorer: The model, bound to the task's label space.
        settings: What U measures, and in which contexts.
        rows: Which claims the rows of the source stand for, where anchors may be named by them.

    Raises:
        ConfigError: The class prior does not fit the label space, or blocks do not fit the groups or the model.
        SchemaError: The anchors file is missing or malformed, or names what the task does not have.
    """
    check_problem(claims, task, settings)
    space = task.label_space
    group_names = [claim.group for claim in claims]
    demos = render_demos(claims, space)
    # Only k_shot can show fewer claims; where the other contexts do not fit, the forecast refuses them.
    limit = _token_limit(demos, scorer) if isinstance(settings.contexts, KShot) else None
    num_orders = settings.contexts.num_orders if isinstance(settings.contexts, Tree) else 1

    # A function, since most searches never ask for another order.
    def arrange(draw: int) -> Contexts:
        return Contexts(settings.contexts, demos, group_names, draw_order(group_names, settings.seed, draw), limit)

    constraints = constraints_from(claims, task.relations, len(space))
    arrays = compile_constraints(constraints, num_claims=len(claims), num_labels=len(space))
    evidence = read_anchors(settings.anchors, claims, space, rows)
    match settings.objective:
        case PrequentialSettings() as told:
            objective = _reading(told, settings.seed, claims, demos, scorer, arrays, evidence)
        case LeaveOneOutSettings() as told:
            contexts = [arrange(draw) for draw in range(num_orders)]
            queries = [claim.text for claim in claims]
            objective = LeaveOneOut(told, contexts, queries, scorer, arrays, evidence)
    return Problem(claims, task, objective, arrange)


def read_in_order(problem: Problem, settings: PrequentialSettings, seed: int) -> Prequential:
    """Return U over the same claims where they are read one after the other, whatever the search maximised.

    Args:
        problem: What was searched. Where its U reads the claims in order already, that U is returned.
        settings: How the claims are read otherwise; a class prior that the search knew is kept.
        seed: Seed of the orders.

    Raises:
        ConfigError: The model's context does not hold a few of the longest claims.
    """
    objective = problem.objective
    if isinstance(objective, Prequential):
        return objective
    settings = settings.model_copy(update={"class_prior": objective.settings.class_prior})
    demos = render_demos(problem.claims, problem.task.label_space)
    return _reading(settings, seed, problem.claims, demos, objective.scorer, objective.constraints, objective.evidence)


def _reading(
    settings: PrequentialSettings,
    seed: int,
    claims: Sequence[Claim],
    demos: Sequence[Sequence[str]],
    scorer: LabelScorer,
    constraints: ConstraintArrays,
    evidence: NDArray[np.float64],
) -> Prequential:
    """Return U over claims that are read one after the other; raises as `_block_plan` does."""
    plan = _block_plan(settings, seed, claims, demos, scorer)
    return Prequential(settings, plan, [claim.text for claim in claims], demos, scorer, constraints, evidence)


def _block_plan(
    settings: PrequentialSettings,
    seed: int,
    claims: Sequence[Claim],
    demos: Sequence[Sequence[str]],
    scorer: LabelScorer,
) -> BlockPlan:
    """Return in which blocks the claims are read.

    Raises:
        ConfigError: The model's context does not hold a few of the longest claims, or the largest group.
    """
    counts = scorer.count_tokens([segment for labelled in demos for segment in labelled])
    # The segments were laid out claim by claim, label by label: a row for each claim.
    tokens = counts.reshape(len(demos), -1).max(axis=1)
    groups = group_numbers(claims)
    # One token more for what a tokenizer may put before everything.
    room = None if scorer.context_length is None else scorer.context_length - 1
    if room is not None:
        # The longest claims, since any of them may meet in one block.
        needed = int(np.sort(tokens)[-min(FEWEST_IN_CONTEXT, tokens.size) :].sum())
        what = f"{FEWEST_IN_CONTEXT} of the longest claims"
        # With weights `bincount` adds up the tokens of each group.
        if settings.keep_groups and np.bincount(groups, weights=tokens).max() > needed:
            needed, what = int(np.bincount(groups, weights=tokens).max()), "the largest group"
        if needed > room:
            raise ConfigError(
                f"{what} have {needed:,} tokens, but the model's context holds {scorer.context_length:,}, so labels "
                f"cannot be predicted from others; leave long claims out with task.max_claim_tokens"
            )
    return BlockPlan(seed, groups, settings.block_size, settings.keep_groups, tokens, room)


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
    return dict(zip(segments, counts.tolist(), strict=True)), room
