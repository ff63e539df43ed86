"""The reward stage: labels in, a trained reward model out. Knows no golden label; whose labels they are, the user says.

Everything that can be wrong with labels, texts and base is found before the first step of the training.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from rich.console import Console

from icm.claims import Claim
from icm.errors import TrainingError
from icm.files.labels import read_labels
from icm.files.records import (
    CLAIMS,
    HELD_OUT,
    MANIFEST,
    TASK,
    Manifest,
    read_claims,
    read_rows,
    read_task,
    sha256_of,
    write_rows,
)
from icm.files.stage_dir import StageDir
from icm.training.answers import ANSWERS, build_answers
from icm.training.pairs import PAIRS, PairSettings, build_pairs
from icm.training.reward.model import MODEL, open_base
from icm.training.reward.rows import EncodedRow, RejectedExample, TrainingRow, answer_row, encode_rows, pair_row
from icm.training.reward.settings import RewardModelSettings
from icm.training.reward.trainer import is_main_process, remove_checkpoints, train_reward_model, wait_for_everyone

STAGE: Final = "reward"
UNUSABLE: Final = "unusable.jsonl"
TRAINING: Final = "training.jsonl"


class RewardConfig(BaseModel):
    """What the reward model follows from, besides claims and labels.

    Attributes:
        pairs: How labels become pairs, or targets of single answers.
        model: The reward model and its training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pairs: PairSettings
    model: RewardModelSettings


def run(config: RewardConfig, prepare_dir: Path, labels_path: Path, out_dir: Path, console: Console) -> Manifest:
    """Train a reward model on the labels of a prepared task.

    An interrupted run in the same directory is continued; a complete one is left as it is. Under `accelerate launch`
    all processes train and the first one writes.

    Args:
        config: What the reward model follows from.
        prepare_dir: Directory of the prepare stage.
        labels_path: Labels of its claims, from any source: the file of the elicit stage, or any other like it.
        out_dir: Where `pairs.jsonl` (or `answers.jsonl`), `unusable.jsonl`, `training.jsonl`, `model/` and the
            manifest go.
        console: Where progress is shown.

    Raises:
        SchemaError: A file is malformed, or the labels have no preference structure.
        TrainingError: The base cannot be used, examples are too long and none may be dropped, or the training failed.
        RunDirectoryError: A directory is unfinished, altered, or belongs to a run with other settings.
    """
    started = time.perf_counter()
    inputs = _check_inputs(prepare_dir, labels_path)
    stage = StageDir(out_dir, STAGE)
    settings = {**config.model_dump(mode="json"), "inputs": inputs}
    if (out_dir / MANIFEST).exists():
        stage.claim(settings)
        return stage.verify()

    examples_name, examples, rows, counts = _examples(config, prepare_dir, labels_path)
    base = open_base(config.model)
    encoded, unusable = encode_rows(base, rows)
    _check_unusable(config.model, unusable)
    counts |= _counted(encoded, unusable, base.fresh_head)
    if is_main_process():
        # Only now, when nothing can fail for a reason that lies in the settings, is the directory tied to them.
        stage.claim(settings)
        write_rows(out_dir / examples_name, examples)
        write_rows(out_dir / UNUSABLE, unusable)
    wait_for_everyone()
    trained, curve = train_reward_model(base, encoded, config.model, out_dir, console)
    if is_main_process():
        write_rows(out_dir / TRAINING, curve)
        files = trained.save(out_dir / MODEL)
        stage.finish(
            Manifest(stage=STAGE, config=settings, inputs=inputs, counts=counts, seconds=time.perf_counter() - started),
            outputs=(examples_name, UNUSABLE, TRAINING, *files),
        )
        remove_checkpoints(out_dir)
    wait_for_everyone()
    return stage.read_manifest()


def _check_inputs(prepare_dir: Path, labels_path: Path) -> dict[str, str]:
    """Check the directories that the files come from and return the hashes of the files."""
    prepared = StageDir(prepare_dir, "prepare").verify(CLAIMS, TASK)
    inputs = {name: prepared.outputs[name] for name in (CLAIMS, TASK)}
    if (labels_path.parent / MANIFEST).exists():
        source = StageDir(labels_path.parent, "elicit").read_manifest()
        StageDir(labels_path.parent, source.stage).verify(labels_path.name)
    elif not labels_path.exists():
        raise TrainingError(
            f"{labels_path}: there is no such file of labels; run `icm elicit` first, or give another file: labels=FILE"
        )
    return {**inputs, "labels": sha256_of(labels_path)}


def _examples(
    config: RewardConfig, prepare_dir: Path, labels_path: Path
) -> tuple[str, Sequence[Any], list[TrainingRow], dict[str, Any]]:
    """Return the name of the file of examples, its lines, the same for the training, and what was counted."""
    claims, space = read_claims(prepare_dir / CLAIMS), read_task(prepare_dir / TASK).label_space
    held_out_path = prepare_dir / HELD_OUT
    held_out = read_rows(held_out_path, Claim) if held_out_path.exists() else []
    labels = read_labels(labels_path, space, [*claims, *held_out])
    counts: dict[str, Any] = {"labels_of_other_claims": len(labels.keys() - {claim.id for claim in claims})}
    if config.model.kind == "pointwise":
        answers = build_answers(claims, labels, space, config.pairs)
        counts |= {"claims": len(claims), "answers": len(answers)}
        return ANSWERS, answers, [answer_row(answer) for answer in answers], counts
    pairs, counted = build_pairs(claims, labels, space, config.pairs)
    return PAIRS, pairs, [pair_row(pair) for pair in pairs], counts | counted


def _check_unusable(settings: RewardModelSettings, unusable: Sequence[RejectedExample]) -> None:
    too_long = [each for each in unusable if each.reason == "over_context"]
    if too_long and settings.over_context == "refuse":
        raise TrainingError(
            f"{len(too_long):,} examples do not fit the model's context; the first, {too_long[0].id}: "
            f"{too_long[0].detail}; set over_context=drop to leave them out, or raise max_length"
        )


def _counted(encoded: Sequence[EncodedRow], unusable: Sequence[RejectedExample], fresh_head: bool) -> dict[str, Any]:
    return {
        "trained_on": len(encoded),
        "unusable": dict(sorted(Counter(each.reason for each in unusable).items())),
        "tokens": sum(len(text) for row in encoded for text in row.tokens),
        "fresh_head": fresh_head,
    }
