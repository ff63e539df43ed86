"""The files between the stages: schemas, JSON Lines, manifests, run directories. Knows no stage and no golden label.

A stage writes its files into a directory of its own and the manifest last, atomically. A directory without a manifest
holds no result: it is either being written or was interrupted.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

import icm
from icm.claims import Claim, ClaimId, LabelSpace
from icm.errors import RunDirectoryError, SchemaError
from icm.relations import RelationSpec

Row = TypeVar("Row")

MANIFEST: Final = "manifest.json"
CLAIMS: Final = "claims.jsonl"
HELD_OUT: Final = "held_out.jsonl"
GOLD: Final = "gold.jsonl"
REJECTED: Final = "rejected.jsonl"
TASK: Final = "task.json"
LABELS: Final = "labels.jsonl"
TRACE: Final = "trace.jsonl"
METRICS: Final = "metrics.json"

_RECORDED_VERSIONS: Final = ("numpy", "numba", "torch", "transformers", "tokenizers")


class Record(BaseModel):
    """Base of what is written to files: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskRecord(Record):
    """`task.json`: what the labels of the claims mean and which relations hold between them.

    Attributes:
        name: The task's name in reports.
        label_space: The labels and what a model says for them.
        relations: The relations that hold by the meaning of the claims.
    """

    name: str
    label_space: LabelSpace
    relations: tuple[RelationSpec, ...]


class RejectedRow(Record):
    """A row of the source that became no claim.

    Attributes:
        row: Number of the row in its source, from 0.
        reason: One of a few words that can be counted.
        detail: What exactly was wrong, for a person.
    """

    row: int
    reason: Literal["empty", "duplicate", "over_context", "invalid", "conflicting_gold"]
    detail: str


class LabelRow(Record):
    """A line of `labels.jsonl`; of a claim that ended unlabelled only id and group are known.

    Attributes:
        id: The claim.
        group: The claim's group.
        label: Index into the label space.
        name: Name of the label.
        probability: Probability of the label in its leave-one-out context, normalised over the label space.
        margin: Log-odds of the label against all others in that context, nats.
        last_changed: The step that last set this label; 0 for the initial labels.
    """

    id: ClaimId
    group: str
    label: int | None = None
    name: str | None = None
    probability: float | None = None
    margin: float | None = None
    last_changed: int | None = None


class TraceRow(Record):
    """A line of `trace.jsonl`: one step of the search; step 0 is the initial labelling.

    Attributes:
        step: Number of the step, from 1.
        temperature: Temperature that decided on the proposal.
        claim: The claim whose label was proposed.
        label: The proposed label.
        delta_utility: U of the proposed labelling (repaired) less U of the current one.
        accepted: Whether the proposal became the current labelling; a proposal that changes nothing is accepted.
        violations: Violated constraints after the step.
        utility: U after the step.
        labelled: Labelled claims after the step.
        tokens: Tokens forwarded through the model so far.
        changes: The labels this step set, by claim; `None` where a claim lost its label.
    """

    step: int
    temperature: float | None = None
    claim: ClaimId | None = None
    label: int | None = None
    delta_utility: float | None = None
    accepted: bool = True
    violations: int
    utility: float
    labelled: int
    tokens: int
    changes: Mapping[ClaimId, int | None]


class Manifest(Record):
    """`manifest.json`: written last; its presence says that the directory holds a result.

    Attributes:
        stage: The stage that wrote the directory.
        config: The resolved settings that the result follows from.
        inputs: SHA-256 of the files read, by role.
        outputs: SHA-256 of the files written, by name.
        counts: What was counted on the way (claims, rejected rows, violations …).
        cost: Scoring cost, where a model was asked.
        seconds: Wall time, over all resumed parts.
        versions: Versions of Python, this package and the libraries that decide the numbers.
        created_at: When the result was complete, UTC, ISO 8601.
    """

    stage: str
    config: dict[str, Any]
    inputs: dict[str, str] = {}
    outputs: dict[str, str] = {}
    counts: dict[str, Any] = {}
    cost: dict[str, float] = {}
    seconds: float = 0.0
    versions: dict[str, str] = {}
    created_at: str = ""


# ---------------------------------------------------------------------------------------------------- JSON Lines


def read_rows(path: Path, row_type: type[Row]) -> list[Row]:
    """Read a JSON Lines file into validated rows.

    Raises:
        SchemaError: The file is missing or a line does not fit; the message starts with `path:line`.
    """
    adapter = _adapter(row_type)
    rows = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    rows.append(adapter.validate_json(line))
                except ValidationError as error:
                    raise SchemaError(f"{path}:{number}: {first_problem(error)}") from None
    except FileNotFoundError:
        raise SchemaError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise SchemaError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    return rows


def dump_row(row: Any) -> str:
    """Return a row (pydantic model or dataclass) as one line of JSON with its newline."""
    plain = _adapter(type(row)).dump_python(row, mode="json")
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":")) + "\n"


def write_rows(path: Path, rows: Iterable[Any]) -> None:
    """Write rows as JSON Lines, atomically."""
    write_text(path, "".join(map(dump_row, rows)))


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: the text is on disk under another name before it takes the path's place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON with sorted keys, atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def first_problem(error: ValidationError) -> str:
    """Return the first problem of a validation error in one line: where, what, and the value given."""
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    value = problem.get("input")
    shown = "" if isinstance(value, dict) else f", got {value!r}"
    return f"{where}: {problem['msg']}{shown}" if where else f"{problem['msg']}{shown}"


def read_claims(path: Path) -> list[Claim]:
    """Read a claims file.

    Raises:
        SchemaError: The file is missing, empty, malformed or holds the same id twice.
    """
    claims = read_rows(path, Claim)
    if not claims:
        raise SchemaError(f"{path}: holds no claims")
    seen: dict[ClaimId, int] = {}
    for number, claim in enumerate(claims, start=1):
        if claim.id in seen:
            raise SchemaError(f"{path}:{number}: id {claim.id!r} already stands in line {seen[claim.id]}")
        seen[claim.id] = number
    return claims


def read_task(path: Path) -> TaskRecord:
    """Read `task.json`.

    Raises:
        SchemaError: The file is missing or malformed.
    """
    try:
        return TaskRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SchemaError(f"{path}: no such file") from None
    except ValidationError as error:
        raise SchemaError(f"{path}: {first_problem(error)}") from None


# ------------------------------------------------------------------------------------------------ run directories


@dataclass(frozen=True, slots=True)
class StageDir:
    """The directory of one stage of one run: claimed by its settings first, completed by its manifest last.

    Attributes:
        path: The directory.
        stage: Name of the stage; also the command that makes it, `icm <stage>`.
    """

    path: Path
    stage: str

    def claim(self, config: Mapping[str, Any]) -> Literal["fresh", "interrupted", "complete"]:
        """Take the directory for a run with these settings and say what is there already.

        Raises:
            RunDirectoryError: The directory belongs to a run with other settings, or its files are corrupt.
        """
        settings_path = self.path / "settings.json"
        settings = json.loads(json.dumps(config))
        if (self.path / MANIFEST).exists():
            found = self.read_manifest().config
        elif settings_path.exists():
            found = _load_json(settings_path)
        else:
            write_json(settings_path, settings)
            return "fresh"
        if found != settings:
            raise RunDirectoryError(
                f"{self.path} belongs to a run with other settings ({_first_difference(found, settings)}); "
                f"choose another out_dir, or delete this directory to start again"
            )
        return "complete" if (self.path / MANIFEST).exists() else "interrupted"

    def finish(self, manifest: Manifest, outputs: Iterable[str]) -> Manifest:
        """Complete the result: hash the outputs, then write the manifest. Return it as written."""
        complete = manifest.model_copy(
            update={
                "outputs": {name: sha256_of(self.path / name) for name in outputs},
                "versions": _versions(),
                "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )
        write_json(self.path / MANIFEST, complete.model_dump(mode="json"))
        (self.path / "settings.json").unlink(missing_ok=True)
        return complete

    def read_manifest(self) -> Manifest:
        """Read the manifest of a finished stage.

        Raises:
            RunDirectoryError: There is none, or it is corrupt.
        """
        path = self.path / MANIFEST
        if not path.exists():
            raise RunDirectoryError(
                f"{self.path} has no {MANIFEST}, so it holds no result; run `icm {self.stage}` with the same settings"
            )
        try:
            return Manifest.model_validate(_load_json(path))
        except ValidationError as error:
            raise RunDirectoryError(
                f"{path}: {first_problem(error)}; delete {self.path} and run `icm {self.stage}` again"
            ) from None

    def verify(self, *names: str) -> Manifest:
        """Read the manifest and check that the outputs are the ones it describes.

        Args:
            names: The outputs to check, all if there are none; no other file is opened.

        Raises:
            RunDirectoryError: There is no manifest, or an output is missing or was altered.
        """
        manifest = self.read_manifest()
        for name in names or manifest.outputs:
            path = self.path / name
            if not path.exists() or sha256_of(path) != manifest.outputs.get(name):
                state = "altered" if path.exists() else "missing"
                raise RunDirectoryError(
                    f"{path} is {state} since `icm {self.stage}` wrote it; delete {self.path} and run it again"
                )
        return manifest


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _adapter(row_type: type[Row]) -> TypeAdapter[Row]:
    return TypeAdapter(row_type)


def _load_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunDirectoryError(f"{path} is corrupt ({error}); delete {path.parent} and run the stage again") from None


def _first_difference(found: Any, wanted: Any, where: str = "") -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted(found.keys() | wanted.keys()):
            if found.get(key) != wanted.get(key):
                return _first_difference(found.get(key), wanted.get(key), f"{where}.{key}".lstrip("."))
    return f"{where or 'settings'} was {found!r}, now {wanted!r}"


def _versions() -> dict[str, str]:
    libraries = {name: version(name) for name in _RECORDED_VERSIONS}
    return {"icm": icm.__version__, "python": platform.python_version(), **libraries}
