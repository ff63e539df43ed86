"""The files between the stages: their schemas, and reading and writing them. Knows no stage and no golden label."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from icm.claims import Claim, ClaimId, LabelSpace
from icm.errors import SchemaError
from icm.relations import RelationSpec

Row = TypeVar("Row")
RecordT = TypeVar("RecordT", bound="Record")

MANIFEST: Final = "manifest.json"
CLAIMS: Final = "claims.jsonl"
HELD_OUT: Final = "held_out.jsonl"
GOLD: Final = "gold.jsonl"
REJECTED: Final = "rejected.jsonl"
ROWS: Final = "rows.jsonl"
TASK: Final = "task.json"
LABELS: Final = "labels.jsonl"
TRACE: Final = "trace.jsonl"
ALTERNATIVES: Final = "alternatives.jsonl"
METRICS: Final = "metrics.json"

NOTED: Final = frozenset({"conflicting_gold", "unreadable_gold", "tie", "no_group", "near_duplicate"})
"""Reasons of `RejectedRow` whose claims stay."""


class Record(BaseModel):
    """Base of what is written to files: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskRecord(Record):
    """`task.json`: what the labels of the claims mean and which relations hold between them by their meaning."""

    name: str
    label_space: LabelSpace
    relations: tuple[RelationSpec, ...]


class RejectedRow(Record):
    """A row of the source that became no claim, or of which something was not taken as it stands.

    Attributes:
        row: Its number in the source, from 0.
        reason: The row is left out: `empty`, `duplicate`, `over_context`, `invalid`. The claim stays, without a golden
            label: `conflicting_gold`, `unreadable_gold`, `tie`. The claim stays: `no_group`, a group of its own;
            `near_duplicate`, beside another that differs in case, spacing or its last mark alone.
        detail: For a person to read.
    """

    row: int
    reason: Literal[
        "empty",
        "duplicate",
        "over_context",
        "invalid",
        "conflicting_gold",
        "unreadable_gold",
        "tie",
        "no_group",
        "near_duplicate",
    ]
    detail: str


class SourceRow(Record):
    """A line of `rows.jsonl`: a row of the source, by its number from 0, and a claim that it stands for.

    A row may stand for several claims, and rows that repeat one another stand for one.
    """

    row: int
    id: ClaimId


class LabelRow(Record):
    """A line of `labels.jsonl`, or of any label file as `icm.files.labels` reads it.

    Attributes:
        group: The claim's group; `None` where the file was read without the claims.
        label: Index into the label space, `None` for an unlabelled claim, of which nothing else is known.
        probability: Probability of the label in its leave-one-out context, normalised over the label space.
        margin: Log-odds of the label against all others in that context, nats.
        last_changed: The step that last set this label; 0 for the initial labels.
        stability: Share of the starts or samples that agree with the label, where there are several.
    """

    id: ClaimId
    group: str | None = None
    label: int | None = None
    name: str | None = None
    probability: float | None = None
    margin: float | None = None
    last_changed: int | None = None
    stability: float | None = None


class AlternativeRow(Record):
    """A line of `alternatives.jsonl`: one of the distinct labellings that a search of several starts ended in.

    Attributes:
        origins: The starts that ended there, by their origin.
        agreement: Share of the claims that it labels as `labels.jsonl` does.
    """

    utility: float
    origins: tuple[str, ...]
    agreement: float
    labels: Mapping[ClaimId, int]


class TraceRow(Record):
    """A line of `trace.jsonl`: one step of the search; step 0 is the initial labelling.

    Attributes:
        temperature: Temperature that decided on the proposal.
        claim: The claim whose label was proposed, and `label` that label.
        delta_utility: U of the proposed labelling (repaired) less U of the current one.
        accepted: Whether the proposal became the current labelling; a proposal that changes nothing is accepted.
        utility: U after the step, as are the counts; `None` from a search that does not need it.
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
    utility: float | None
    labelled: int
    tokens: int
    changes: Mapping[ClaimId, int | None]


class Manifest(Record):
    """`manifest.json`: written last; its presence says that the directory holds a result.

    Attributes:
        config: The resolved settings that the result follows from.
        inputs: SHA-256 of the files read, by role.
        outputs: SHA-256 of the files written, by name.
        model: The model that was asked: path or Hub id, revision, dtype, device, fingerprint; `None` if none was.
        counts: What was counted on the way (claims, rejected rows, violations …).
        cost: Scoring cost, where a model was asked.
        seconds: Wall time, over all resumed parts.
        versions: Versions of Python, this package and the libraries that decide the numbers.
        created_at: When the result was complete, UTC, ISO 8601.
        digest: SHA-256 of all the rest, so that an edited manifest is noticed; empty in those of older versions.
    """

    stage: str
    config: dict[str, Any]
    inputs: dict[str, str] = {}
    outputs: dict[str, str] = {}
    model: dict[str, Any] | None = None
    counts: dict[str, Any] = {}
    cost: dict[str, float] = {}
    seconds: float = 0.0
    versions: dict[str, str] = {}
    created_at: str = ""
    digest: str = ""

    def signed(self) -> Self:
        """Return the same manifest with its digest."""
        return self.model_copy(update={"digest": digest_of(self.model_dump(mode="json", exclude={"digest"}))})


def read_rows(path: Path, row_type: type[Row]) -> list[Row]:
    """Read a JSON Lines file into validated rows.

    Raises:
        SchemaError: The file is missing or a line does not fit; the message starts with `path:line`.
    """
    adapter = _adapter(row_type)
    rows = []
    try:
        # Line by line: a trace need not fit into memory twice.
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
    # Without spaces: a trace of a million steps is mostly keys and separators.
    plain = _adapter(type(row)).dump_python(row, mode="json")
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":")) + "\n"


def write_rows(path: Path, rows: Iterable[Any]) -> None:
    """Write rows as JSON Lines, atomically."""
    write_text(path, "".join(map(dump_row, rows)))


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: the text is on disk under another name before it takes the path's place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same directory, since a file can take another's place at once only within one file system.
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        # On disk before the name is: otherwise a power cut could leave the name on an empty file.
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON with sorted keys, atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def first_problem(error: ValidationError) -> str:
    """Return the first problem of a validation error in one line: where, what, and the value given."""
    # The first alone: the others often follow from it, and a message should fit a line.
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
    # A claim that stands twice would be searched twice and answer its own question in its context.
    seen: dict[ClaimId, int] = {}
    for number, claim in enumerate(claims, start=1):
        if claim.id in seen:
            raise SchemaError(f"{path}:{number}: id {claim.id!r} already stands in line {seen[claim.id]}")
        seen[claim.id] = number
    return claims


def read_json(path: Path, kind: type[RecordT]) -> RecordT:
    """Read a file that holds one record as JSON.

    Raises:
        SchemaError: The file is missing or malformed.
    """
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SchemaError(f"{path}: no such file") from None
    except ValidationError as error:
        raise SchemaError(f"{path}: {first_problem(error)}") from None
    except UnicodeDecodeError as error:
        raise SchemaError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None


def read_task(path: Path) -> TaskRecord:
    """Read `task.json`; raises as `read_json` does."""
    return read_json(path, TaskRecord)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits.

    Raises:
        SchemaError: There is no such file.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, IsADirectoryError):
        raise SchemaError(f"{path}: no such file; name one that is there") from None


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a plain JSON value, which the order of its keys does not change."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


# Building an adapter costs more than validating a row with it.
@cache
def _adapter(row_type: type[Row]) -> TypeAdapter[Row]:
    return TypeAdapter(row_type)
