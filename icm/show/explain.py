"""Everything that is known of one label: what stood before it, its constraints, the rival labelling. Asks no model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pydantic import TypeAdapter, ValidationError

from consistency import Constraint
from icm.claims import UNLABELLED, Claim, Labels
from icm.errors import ConfigError, IcmError
from icm.files.records import LabelRow
from icm.problem import ProblemSettings, build_problem
from icm.relations import constraints_from
from icm.scoring.open import ModelSettings, open_counter
from icm.show.before import contexts_of
from icm.show.labelled import LabelledRun, model_settings


class Bond(NamedTuple):
    """A constraint on a claim: its relation, the other claims that it binds, and whether the labels violate it."""

    relation: str
    others: tuple[int, ...]
    is_violated: bool


class Explanation(NamedTuple):
    """What is known of one label.

    Attributes:
        position: Of the claim in the run.
        source_rows: The rows of the source that the claim stands in.
        contexts: The labelled claims before it, as the model read them, for each order that was averaged over.
        no_contexts: Why these are not known; `None` where they are.
        bonds: The constraints on it.
        rival: The label that the rival labelling gives it; `None` where there is no rival.
    """

    position: int
    claim: Claim
    row: LabelRow
    source_rows: tuple[int, ...]
    contexts: Sequence[Sequence[str]]
    no_contexts: str | None
    bonds: tuple[Bond, ...]
    rival: str | None


def explain(run: LabelledRun, position: int) -> Explanation:
    """Return what is known of the label of one claim.

    Args:
        run: The labels.
        position: Of the claim in `run.claims`.
    """
    claim = run.claims[position]
    contexts, no_contexts = _contexts(run, position)
    return Explanation(
        position=position,
        claim=claim,
        row=run.rows[position],
        source_rows=tuple(row for row, ids in run.source_rows.items() if claim.id in ids),
        contexts=contexts,
        no_contexts=no_contexts,
        bonds=bonds(run, position),
        rival=rival_label(run, claim),
    )


def find(run: LabelledRun, claim: str | None = None, row: int | None = None) -> list[int]:
    """Return the positions of the claims that an id, the beginning of one, or a row of the source names.

    Raises:
        ConfigError: There is no such claim, or the beginning fits several.
    """
    if claim is not None:
        found = [position for position, each in enumerate(run.claims) if each.id.startswith(claim)]
        if len(found) == 1:
            return found
        how_many = f"{len(found)} claims begin with it" if found else "no claim of this run has it"
        raise ConfigError(f"claim={claim}: {how_many}; the ids stand in {run.directory / 'prepare' / 'claims.jsonl'}")
    ids = run.source_rows.get(-1 if row is None else row, ())
    found = [position for position, each in enumerate(run.claims) if each.id in ids]
    if not found:
        held_out = "is held out" if ids else "became no claim of this run, or was not chosen"
        raise ConfigError(f"row={row} (from 0) {held_out}; labels.csv says of every row what became of it")
    return found


def bonds(run: LabelledRun, position: int) -> tuple[Bond, ...]:
    """Return the constraints on one claim."""
    space = run.task.label_space
    constraints = constraints_from(run.claims, run.task.relations, len(space))
    return tuple(
        Bond(each.name, _others(each, position), _is_violated(each, run.labels, len(space)))
        for each in constraints
        if position in each.scope
    )


def rival_label(run: LabelledRun, claim: Claim) -> str | None:
    """Return the name of the label that the rival labelling gives a claim; `None` where there is no rival."""
    if run.rival is None:
        return None
    label = run.rival.labels.get(claim.id)
    return run.task.label_space.names[label] if label is not None and label != UNLABELLED else None


def _is_violated(constraint: Constraint, labels: Labels, num_labels: int) -> bool:
    # In Python and not in the compiled kernel, which takes seconds to compile where nothing else needs it.
    scope = labels[list(constraint.scope)].tolist()
    assignment = sum(label * num_labels**place for place, label in enumerate(scope))
    return UNLABELLED not in scope and bool(constraint.forbidden >> assignment & 1)


def _others(constraint: Constraint, position: int) -> tuple[int, ...]:
    return tuple(each for each in constraint.scope if each != position)


def _contexts(run: LabelledRun, position: int) -> tuple[Sequence[Sequence[str]], str | None]:
    """Return what stood before a claim, or why that cannot be told."""
    if run.elicited is None:
        return [], "these labels come from a file, which no search decided on"
    told = model_settings(run.directory)
    if told is None:
        return [], f"{run.directory} does not say which model was asked"
    try:
        settings = ProblemSettings.model_validate(
            {name: run.elicited.config[name] for name in ProblemSettings.model_fields if name in run.elicited.config}
        )
        # The orders follow from the settings; a tokenizer says how many claims fit the context.
        scorer = open_counter(TypeAdapter(ModelSettings).validate_python(told), run.task.label_space)
        problem = build_problem(run.claims, run.task, scorer, settings, run.source_rows)
    except ValidationError:
        return [], "the run was made by another version of icm"
    except IcmError as error:
        return [], str(error)
    return contexts_of(problem, np.asarray(run.labels), position), None
