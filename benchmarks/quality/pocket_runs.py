"""What the benchmarks on pocket tasks share: configuration, models and concepts read once, workers; no measure."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

from rich.console import Console

from icm.claims import Claim, ClaimId, Labels, LabelSpace, freeze
from icm.config import Config, load
from icm.prepare.pocket import concepts_of
from icm.prepare.settings import PocketSettings
from icm.scoring.open import open_scorer
from icm.scoring.protocol import LabelScorer

NUM_CLAIMS: Final = 64

J = TypeVar("J")
R = TypeVar("R")


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


@cache
def pocket_scorer(model_dir: str | None, space: LabelSpace, role: str = "") -> LabelScorer:
    """Return a pocket model (`None`: the shipped one) as users get it, opened once in each process for each role."""
    del role  # what one role asks is not kept for another
    overrides = [] if model_dir is None else [f"model.path={model_dir}"]
    return open_scorer(load(*overrides).model, space)


def named_models(names: Sequence[str], world_seed: int = 0) -> list[tuple[str | None, int]]:
    """Return directory and world of every model: `DIR:WORLD_SEED`, or `DIR` for a model of `world_seed`.

    The shipped model has no directory, and is the only one where none is named.
    """
    models: list[tuple[str | None, int]] = []
    for name in names:
        directory, colon, known_world = name.rpartition(":")
        models.append((directory or None, int(known_world)) if colon else (name, world_seed))
    return models or [(None, world_seed)]


@cache
def world_concepts(task: str, world_seed: int) -> Mapping[ClaimId, Mapping[str, int]]:
    """Return what each concept of the world says of each claim of a task."""
    return concepts_of(PocketSettings(task=task, world_seed=world_seed))


def concepts_both_ways(config: Config, claims: Sequence[Claim]) -> dict[str, Labels]:
    """Return what each concept of the world says of the claims, and each turned round, named `not …`."""
    assert isinstance(config.task, PocketSettings)
    said = world_concepts(config.task.task, config.task.world_seed)
    upright = {name: freeze([said[claim.id][name] for claim in claims]) for name in said[claims[0].id]}
    return upright | {f"not {name}": freeze(1 - labels) for name, labels in upright.items()}


def in_workers(
    run: Callable[[J], R], jobs: Sequence[J], num_workers: int, describe: Callable[[J, R], str]
) -> Iterator[tuple[J, R]]:
    """Run jobs in processes of their own and yield each with its result, in order, showing how far they are.

    Args:
        run: What a worker does with a job.
        jobs: All jobs.
        num_workers: How many run at a time.
        describe: What is shown of a job that is done.
    """
    # One thread each: on a small model the cores are better used by runs than inside one.
    os.environ["OMP_NUM_THREADS"] = "1"
    console = Console(stderr=True, highlight=False)
    started = time.perf_counter()
    with ProcessPoolExecutor(num_workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for number, (job, result) in enumerate(zip(jobs, pool.map(run, jobs), strict=True), start=1):
            left = (time.perf_counter() - started) / number * (len(jobs) - number)
            console.print(f"{number} of {len(jobs)}, {left:,.0f} s left: {describe(job, result)}", soft_wrap=True)
            yield job, result
