"""The prepare stage: a data source becomes claims, and golden labels in a file apart from them. Knows no search."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

from icm import golden
from icm.files.records import (
    CLAIMS,
    GOLD,
    HELD_OUT,
    MANIFEST,
    REJECTED,
    ROWS,
    TASK,
    Manifest,
    TaskRecord,
    digest_of,
    sha256_of,
    write_json,
    write_rows,
)
from icm.files.stage_dir import StageDir, read_manifest
from icm.prepare.assemble import PreparedTask, TokenCounter, assemble
from icm.prepare.build import build
from icm.prepare.settings import PocketSettings, PrepareConfig

STAGE: Final = "prepare"


def run(
    config: PrepareConfig,
    out_dir: Path,
    count_tokens: TokenCounter | None = None,
    *,
    tokenizer: str | None = None,
    overwrite: bool = False,
) -> Manifest:
    """Write the claims of a task into a directory; one that is complete already is only checked.

    `gold.jsonl` is written where the source has golden labels, and nothing else depends on them.

    Args:
        config: The task, and the seed of the choice of claims.
        out_dir: The stage's own directory.
        count_tokens: Needed only by tasks that limit the tokens of a claim.
        tokenizer: Identifies what counts them; `None` where nothing is counted.
        overwrite: Whether what `out_dir` holds under other settings may be deleted.

    Raises:
        SchemaError: The source is missing, empty, or does not hold what the task needs.
        ConfigError: The source holds fewer claims than asked for, or cannot be loaded.
        RunDirectoryError: The directory belongs to a run with other settings, or to another version of the source.
    """
    inputs = _inputs(config, out_dir, tokenizer)
    with StageDir(out_dir, STAGE, config.model_dump(mode="json"), inputs, overwrite=overwrite) as stage:
        if done := stage.complete():
            return done
        # Before `claim`: a source that cannot be read leaves the directory free for another try.
        items = build(config.task)
        prepared = assemble(items, config.task, config.seed, count_tokens)
        stage.claim()
        task = TaskRecord(name=config.task.name, label_space=items.label_space, relations=config.task.relations)
        counts = {**_counts(prepared), "unused_columns": list(items.unused)}
        return stage.finish(counts, _write(out_dir, task, prepared))


def _inputs(config: PrepareConfig, out_dir: Path, tokenizer: str | None) -> dict[str, str]:
    """Return the hash of the source, and of what counts tokens; of what is gone, what a finished stage recorded."""
    inputs: dict[str, str] = {}
    source = None if isinstance(config.task, PocketSettings) else config.task.path or config.task.hub_id
    path = None if source is None else Path(source)
    if path is not None and path.is_dir():
        # A folder of a data set; its files count with their names, which say what is read.
        names = sorted(str(each.relative_to(path)) for each in path.rglob("*") if each.is_file())
        inputs["source"] = digest_of({name: sha256_of(path / name) for name in names})
    elif path is not None and path.is_file():
        inputs["source"] = sha256_of(path)
    # A finished stage needs its source no more, so one that was moved away since is no reason to refuse.
    elif path is not None and (out_dir / MANIFEST).exists():
        inputs |= {name: value for name, value in read_manifest(out_dir, STAGE).inputs.items() if name == "source"}
    return inputs if tokenizer is None else inputs | {"tokenizer": tokenizer}


def _write(out_dir: Path, task: TaskRecord, prepared: PreparedTask) -> list[str]:
    """Write the files of the stage and return their names."""
    write_json(out_dir / TASK, task.model_dump(mode="json"))
    write_rows(out_dir / CLAIMS, prepared.claims)
    write_rows(out_dir / HELD_OUT, prepared.held_out)
    write_rows(out_dir / REJECTED, prepared.rejected)
    write_rows(out_dir / ROWS, prepared.rows)
    names = [TASK, CLAIMS, HELD_OUT, REJECTED, ROWS]
    # No file at all rather than an empty one: later stages tell by its absence that there is nothing to compare with.
    if prepared.golden:
        golden.save(out_dir / GOLD, prepared.golden)
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
