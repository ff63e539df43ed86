"""The reward stage: labels in, a trained reward model out. Knows no golden label; whose labels they are, the user says.

Everything that can be wrong with labels, texts and base is found before the first step of the training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

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
from icm.files.stage_dir import StageDir, read_manifest, verify
from icm.training.answers import ANSWERS, build_answers
from icm.training.libraries import is_main_process, processes
from icm.training.loop import CURVE, remove_checkpoints
from icm.training.pairs import PAIRS, build_pairs
from icm.training.reward.model import MODEL, open_base
from icm.training.reward.rows import EncodedRow, RejectedExample, TrainingRow, answer_row, encode_rows, pair_row
from icm.training.reward.settings import RewardConfig, RewardModelSettings
from icm.training.reward.trainer import train_reward_model

STAGE: Final = "reward"
UNUSABLE: Final = "unusable.jsonl"


def run(
    config: RewardConfig,
    prepare_dir: Path,
    labels_path: Path,
    out_dir: Path,
    console: Console,
    *,
    overwrite: bool = False,
) -> Manifest:
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
        overwrite: Whether what `out_dir` holds under other settings may be deleted.

    Raises:
        SchemaError: A file is malformed, or the labels have no preference structure.
        TrainingError: The base cannot be used, examples are too long and none may be dropped, or the training failed.
        RunDirectoryError: A directory is unfinished, altered, or belongs to a run with other settings.
    """
    inputs = _check_inputs(prepare_dir, labels_path)
    stage = StageDir(out_dir, STAGE, config.model_dump(mode="json", exclude={"evaluate"}), inputs, overwrite=overwrite)
    if done := stage.complete():
        return done

    examples_name, examples, rows, counts = _examples(config, prepare_dir, labels_path)
    base = open_base(config.model)
    encoded, unusable = encode_rows(base, rows)
    _check_unusable(config.model, unusable)
    counts |= _counted(encoded, unusable, base.fresh_head)
    if is_main_process():
        stage.claim()
        write_rows(out_dir / examples_name, examples)
        write_rows(out_dir / UNUSABLE, unusable)
    processes().wait_for_everyone()
    trained = train_reward_model(base, encoded, config.model, out_dir, console)
    if is_main_process():
        files = trained.save(out_dir / MODEL)
        stage.finish(counts, outputs=(examples_name, UNUSABLE, CURVE, *files))
        remove_checkpoints(out_dir)
    processes().wait_for_everyone()
    return read_manifest(out_dir, STAGE)


def _check_inputs(prepare_dir: Path, labels_path: Path) -> dict[str, str]:
    """Check the directories that the files come from and return the hashes of the files."""
    prepared = verify(prepare_dir, "prepare", CLAIMS, TASK)
    inputs = {name: prepared.outputs[name] for name in (CLAIMS, TASK)}
    if (labels_path.parent / MANIFEST).exists():
        source = read_manifest(labels_path.parent, "elicit")
        verify(labels_path.parent, source.stage, labels_path.name)
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
