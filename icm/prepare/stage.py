"""The prepare stage: a data source becomes claims, and golden labels in a file apart from them. Knows no search."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from icm.errors import RunDirectoryError
from icm.files.records import (
    CLAIMS,
    GOLD,
    HELD_OUT,
    MANIFEST,
    REJECTED,
    TASK,
    Manifest,
    TaskRecord,
    sha256_of,
    write_json,
    write_rows,
)
from icm.files.stage_dir import StageDir
from icm.prepare.assemble import PreparedTask, TokenCounter, assemble, write_golden
from icm.prepare.build import build
from icm.prepare.settings import PocketSettings, TaskSettings

STAGE: Final = "prepare"


class PrepareConfig(BaseModel):
    """The settings of the prepare stage.

    Attributes:
        task: The source and what is made of it.
        seed: Seed of the choice of claims.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: TaskSettings
    seed: int = Field(ge=0)


def run(config: PrepareConfig, out_dir: Path, count_tokens: TokenCounter | None = None) -> Manifest:
    """Write the claims of a task into a directory; one that is complete already is only checked.

    `gold.jsonl` is written where the source has golden labels, and nothing else depends on them.

    Args:
        config: What to prepare.
        out_dir: The stage's own directory.
        count_tokens: Counts the tokens of claims, for tasks that limit them.

    Raises:
        SchemaError: The source is missing, empty, or does not hold what the task needs.
        ConfigError: The source holds fewer claims than asked for, or cannot be loaded.
        RunDirectoryError: The directory belongs to a run with other settings, or to another version of the source.
    """
    stage = StageDir(out_dir, STAGE)
    settings = config.model_dump(mode="json")
    if (out_dir / MANIFEST).exists():
        stage.claim(settings)
        return _check_source(config.task, stage)
    started = time.monotonic()
    items = build(config.task)
    prepared = assemble(items, config.task, config.seed, count_tokens)
    # Only now, when nothing can fail for a reason that lies in the settings, is the directory tied to them.
    stage.claim(settings)
    task = TaskRecord(name=config.task.name, label_space=items.label_space, relations=config.task.relations)
    manifest = Manifest(
        stage=STAGE,
        config=settings,
        inputs=dict(items.inputs),
        counts=_counts(prepared),
        seconds=time.monotonic() - started,
    )
    return stage.finish(manifest, _write(out_dir, task, prepared))


def _write(out_dir: Path, task: TaskRecord, prepared: PreparedTask) -> list[str]:
    """Write the files of the stage and return their names."""
    write_json(out_dir / TASK, task.model_dump(mode="json"))
    write_rows(out_dir / CLAIMS, prepared.claims)
    write_rows(out_dir / HELD_OUT, prepared.held_out)
    write_rows(out_dir / REJECTED, prepared.rejected)
    names = [TASK, CLAIMS, HELD_OUT, REJECTED]
    if prepared.golden:
        write_golden(out_dir / GOLD, prepared.golden)
        names.append(GOLD)
    return names


def _counts(prepared: PreparedTask) -> dict[str, Any]:
    return {
        "claims": len(prepared.claims),
        "groups": len({claim.group for claim in prepared.claims}),
        "held_out": len(prepared.held_out),
        "held_out_groups": len({claim.group for claim in prepared.held_out}),
        "available": prepared.available,
        "golden": len(prepared.golden),
        "rejected": dict(sorted(Counter(row.reason for row in prepared.rejected).items())),
    }


def _check_source(task: TaskSettings, stage: StageDir) -> Manifest:
    """Return the manifest of a complete stage, sure that its files and its source are still the ones it describes."""
    manifest = stage.verify()
    path = None if isinstance(task, PocketSettings) else task.path
    if path is not None and path.exists() and sha256_of(path) != manifest.inputs["source"]:
        raise RunDirectoryError(
            f"{path} has changed since {stage.path} was made from it; "
            f"choose another out_dir, or delete this directory to start again"
        )
    return manifest
