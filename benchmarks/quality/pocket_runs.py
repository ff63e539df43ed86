"""What the benchmarks on pocket tasks share: configuration, models, concepts and golden labels; no measure."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from icm import golden
from icm.claims import UNLABELLED, Claim, ClaimId, Labels, LabelSpace, freeze
from icm.config import Config, load
from icm.files.records import CLAIMS, GOLD, LABELS, TASK, LabelRow, TaskRecord, read_claims, read_rows, read_task
from icm.files.stage_dir import StageDir, read_manifest
from icm.pocket.weights import HASH_NAME, SHIPPED_DIR, pocket_model_dir
from icm.prepare.pocket import concepts_of
from icm.prepare.settings import PocketSettings
from icm.scoring.open import open_scorer
from icm.scoring.protocol import LabelScorer

GOOD: Final = ("facts", "arithmetic", "preference")
"""Tasks whose golden concept is known to the model and the most coherent one."""

NUM_CLAIMS: Final = 64


def pocket_config(task: str, seed: int, directory: str | Path, *overrides: str) -> Config:
    """Return the configuration of one run on a pocket task; its seed draws the claims and drives the search."""
    return load(
        f"task=pocket_{task}",
        f"task.num_claims={NUM_CLAIMS}",
        "task.num_held_out=0",
        f"seed={seed}",
        f"data_seed={seed}",
        f"out_dir={directory}",
        *overrides,
    )


def read_prepared(prepare_dir: Path) -> tuple[TaskRecord, list[Claim], Labels]:
    """Return the task, the claims and their golden labels."""
    task, claims = read_task(prepare_dir / TASK), read_claims(prepare_dir / CLAIMS)
    return task, claims, golden.as_labels(golden.load(prepare_dir / GOLD, task.label_space), claims)


def seal_anew(prepare_dir: Path) -> None:
    """Finish a prepare stage again whose files were changed: the next stage refuses other hashes than it recorded."""
    manifest = read_manifest(prepare_dir, "prepare")
    StageDir(prepare_dir, "prepare", manifest.config, manifest.inputs).finish(manifest.counts, manifest.outputs)


def read_labels(elicit_dir: Path) -> Labels:
    """Return the labels that a search gave: (N,), `UNLABELLED` where it gave none."""
    rows = read_rows(elicit_dir / LABELS, LabelRow)
    return freeze(np.array([UNLABELLED if row.label is None else row.label for row in rows]))


@cache
def pocket_scorer(model_dir: str | None, space: LabelSpace) -> LabelScorer:
    """Return a pocket model (`None`: the shipped one) as users get it, opened once in each process."""
    overrides = [] if model_dir is None else [f"model.path={model_dir}"]
    return open_scorer(load(*overrides).model, space)


def add_models_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that `named_models` reads."""
    help_text = "a pocket model, DIR or DIR:WORLD_SEED, the shipped one :0; may recur"
    parser.add_argument("--model", action="append", default=[], help=help_text)


def named_models(names: Sequence[str], world_seed: int = 0) -> list[tuple[str | None, int]]:
    """Return directory and world of every model: `DIR:WORLD_SEED`, or `DIR` for a model of `world_seed`.

    The shipped model has no directory, and is the only one where none is named.
    """
    models: list[tuple[str | None, int]] = []
    for name in names:
        # From the right, because a directory may hold colons itself.
        directory, colon, known_world = name.rpartition(":")
        models.append((directory or None, int(known_world)) if colon else (name, world_seed))
    return models or [(None, world_seed)]


@cache
def weights_hash(model_dir: str | None) -> str:
    """Return the first digits of the hash of the weights of a pocket model; `None` is the shipped one."""
    # By content and not by path: a model may be trained anew in the same directory.
    path = pocket_model_dir(Path(model_dir or SHIPPED_DIR)) / HASH_NAME
    return json.loads(path.read_text(encoding="utf-8"))["model.safetensors"][:12]


def settings_hash(overrides: Sequence[str], *more: str) -> str:
    """Return the first digits of a hash of the settings of a search, so that runs of other settings are other rows.

    `more` names sections of the configuration that matter beside those of the search.
    """
    settings = load(*overrides).model_dump_json(include={"search", "objective", "contexts", "model", *more})
    return hashlib.sha256(settings.encode()).hexdigest()[:12]


@cache
def world_concepts(task: str, world_seed: int) -> Mapping[ClaimId, Mapping[str, int]]:
    """Return what each concept of the world says of each claim of a task."""
    return concepts_of(task, world_seed)


def concepts_both_ways(config: Config, claims: Sequence[Claim]) -> dict[str, Labels]:
    """Return what each concept of the world says of the claims, and each turned round, named `not …`."""
    assert isinstance(config.task, PocketSettings)
    concepts = world_concepts(config.task.task, config.task.world_seed)
    # All claims of a task have the same concepts, so those of the first stand for all.
    upright = {name: freeze([concepts[claim.id][name] for claim in claims]) for name in concepts[claims[0].id]}
    return upright | {f"not {name}": freeze(1 - labels) for name, labels in upright.items()}
