"""A run as its stages left it: claims with their labels, for everything that shows them. Opens no golden label."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from icm.claims import Claim, ClaimId, Labels
from icm.errors import RunDirectoryError, SchemaError
from icm.files.labels import SourceRows, label_vector, overlay, read_elicited_labels, read_labels, read_source_rows
from icm.files.records import (
    ALTERNATIVES,
    CLAIMS,
    LABELS,
    MANIFEST,
    ROWS,
    TASK,
    AlternativeRow,
    LabelRow,
    Manifest,
    TaskRecord,
    read_claims,
    read_rows,
    read_task,
)
from icm.files.stage_dir import verify, verify_labelled

RUN: Final = "run.json"

RIVAL_AGREEMENT: Final = 0.8
"""Another labelling is another concept if it agrees on at most this share, as in `conf/diagnose/default.yaml`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledRun:
    """The claims of a run with labels, those of its search or others.

    Attributes:
        directory: Of the run.
        prepared: Manifest of the prepare stage.
        elicited: Manifest of the elicit stage; `None` where the labels come from elsewhere.
        rows: The row of each claim, in the order of `claims`.
        source_rows: Which claims the rows of the source stand for.
        alternatives: The labellings that the search found, by falling U; the labels themselves may be among them.
        origin: Where the labels come from, for people.
    """

    directory: Path
    task: TaskRecord
    claims: Sequence[Claim]
    prepared: Manifest
    elicited: Manifest | None
    rows: Sequence[LabelRow]
    source_rows: SourceRows
    alternatives: Sequence[AlternativeRow]
    origin: str

    @property
    def labels(self) -> Labels:
        """The labels of `claims`, (N,)."""
        return label_vector({row.id: row.label for row in self.rows}, self.claims)

    @property
    def rival(self) -> AlternativeRow | None:
        """The best labelling found that is another concept; if there is none, the best other one."""
        own = {row.id: row.label for row in self.rows}
        others = [each for each in self.alternatives if dict(each.labels) != own]
        concepts = [each for each in others if each.agreement <= RIVAL_AGREEMENT]
        return max(concepts or others, key=lambda each: each.utility, default=None)


def read_run(directory: Path, labels: Path | None = None, corrections: Path | None = None) -> LabelledRun:
    """Read the labels of a run, or other labels of its claims.

    Args:
        directory: Of the run.
        labels: File of labels to take in place of those of the elicit stage; it may leave claims out.
        corrections: File of labels that go over those; what they replace stays in its file.

    Raises:
        RunDirectoryError: There is no run, or a stage that is needed has not finished or was altered.
        SchemaError: A file is malformed, or names a claim that the run does not have.
    """
    if not directory.is_dir():
        raise RunDirectoryError(f"{directory}: there is no such run; name the directory of one, as out_dir= gave it")
    run = _with_labels(directory, labels) if labels else _elicited(directory)
    if corrections is None:
        return run
    corrected = read_labels(corrections, run.task.label_space, run.claims, rows=run.source_rows)
    return replace(run, rows=overlay(run.rows, corrected), origin=f"{run.origin}, corrected by {corrections.name}")


def labels_of(place: Path, run: LabelledRun) -> dict[ClaimId, LabelRow]:
    """Return the labels of another run, or of a label file, for the claims of a run that both have.

    Raises:
        RunDirectoryError: The place is a directory without a finished elicit stage.
        SchemaError: The file is malformed, its labels have other names, or the two have no claim in common.
    """
    if not place.is_dir():
        return read_labels(place, run.task.label_space, run.claims, rows=run.source_rows)
    other = _elicited(place)
    if other.task.label_space.names != run.task.label_space.names:
        raise SchemaError(
            f"{place} has the labels {', '.join(other.task.label_space.names)}, but {run.directory} has "
            f"{', '.join(run.task.label_space.names)}; only runs with the same labels can be compared"
        )
    known = {claim.id for claim in run.claims}
    common = {row.id: row for row in other.rows if row.id in known}
    if not common:
        raise SchemaError(f"{place} and {run.directory} have no claim in common, so there is nothing to compare")
    return common


def model_settings(directory: Path) -> Mapping[str, Any] | None:
    """Return the settings of the model that a run remembers; `None` if it remembers none."""
    path = directory / RUN
    return json.loads(path.read_text(encoding="utf-8")).get("model") if path.exists() else None


def _elicited(directory: Path) -> LabelledRun:
    prepare_dir, elicit_dir = directory / "prepare", directory / "elicit"
    if (prepare_dir / MANIFEST).exists() and not (elicit_dir / MANIFEST).exists():
        raise RunDirectoryError(f"{directory} has no labels yet; run `icm elicit run_dir={directory}` first")
    alternatives = [ALTERNATIVES] if (elicit_dir / ALTERNATIVES).exists() else []
    prepared, elicited = verify_labelled(prepare_dir, elicit_dir, (CLAIMS, TASK), (LABELS, *alternatives))
    task, claims = read_task(prepare_dir / TASK), read_claims(prepare_dir / CLAIMS)
    return LabelledRun(
        directory=directory,
        task=task,
        claims=claims,
        prepared=prepared,
        elicited=elicited,
        rows=read_elicited_labels(elicit_dir / LABELS, task.label_space, claims),
        source_rows=read_source_rows(prepare_dir / ROWS),
        alternatives=read_rows(elicit_dir / ALTERNATIVES, AlternativeRow) if alternatives else [],
        origin=f"search {elicited.config.get('search', {}).get('name', '')}".strip(),
    )


def _with_labels(directory: Path, path: Path) -> LabelledRun:
    prepare_dir = directory / "prepare"
    prepared = verify(prepare_dir, "prepare", CLAIMS, TASK)
    task, claims = read_task(prepare_dir / TASK), read_claims(prepare_dir / CLAIMS)
    source_rows = read_source_rows(prepare_dir / ROWS)
    found = read_labels(path, task.label_space, claims, rows=source_rows)
    return LabelledRun(
        directory=directory,
        task=task,
        claims=claims,
        prepared=prepared,
        elicited=None,
        rows=[found.get(claim.id, LabelRow(id=claim.id, group=claim.group)) for claim in claims],
        source_rows=source_rows,
        alternatives=[],
        origin=path.name,
    )
