"""The reward stage: labels in, a trained reward model out. Never opens gold.jsonl by itself.

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
from icm.files.labels import num_unlabelled, read_labels
from icm.files.records import (
    CLAIMS,
    HELD_OUT,
    LABELS,
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
from icm.training.completions import identity_of_base
from icm.training.libraries import processes
from icm.training.loop import CURVE, remove_checkpoints
from icm.training.pairs import ANSWERS, PAIRS, PairSettings, build_answers, build_pairs
from icm.training.reward.model import MODEL, open_base
from icm.training.reward.rows import RejectedExample, TrainingRow, encode_rows
from icm.training.reward.settings import RewardModelSettings
from icm.training.reward.trainer import check_trainable, train_reward_model

STAGE: Final = "reward"
UNUSABLE: Final = "unusable.jsonl"


def run(
    model: RewardModelSettings,
    pairs: PairSettings,
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

    The labels of the claims in `prepare_dir` may be the file of the elicit stage or any other like it. `out_dir` gets
    `pairs.jsonl` (or `answers.jsonl`), `unusable.jsonl`, `training.jsonl`, `model/` and the manifest. With `overwrite`,
    what it holds under other settings may be deleted.

    Raises:
        SchemaError: A file is malformed, or the labels have no preference structure.
        TrainingError: The base cannot be used, examples are too long and none may be dropped, or the training failed.
        RunDirectoryError: A directory is unfinished, altered, or belongs to a run with other settings.
    """
    inputs = _check_inputs(prepare_dir, labels_path) | identity_of_base(model.base)
    settings = {"pairs": pairs.model_dump(mode="json"), "model": model.model_dump(mode="json")}
    main = processes().is_main_process
    with StageDir(out_dir, STAGE, settings, inputs, overwrite=overwrite, writes=main) as stage:
        if done := stage.complete():
            return done

        examples_name, examples, rows, counts = _examples(model.kind, pairs, prepare_dir, labels_path)
        base = open_base(model)
        encoded, unusable = encode_rows(base, rows)
        _check_unusable(model, unusable, len(rows))
        check_trainable(base, encoded, model)
        counts |= {
            "trained_on": len(encoded),
            "unusable": dict(sorted(Counter(each.reason for each in unusable).items())),
            "tokens": sum(len(text) for tokens, _ in encoded for text in tokens),
            "fresh_head": base.fresh_head,
        }
        if main:
            stage.claim()
            write_rows(out_dir / examples_name, examples)
            write_rows(out_dir / UNUSABLE, unusable)
        # One that ran ahead would write its checkpoint into a directory that the first may still have to delete.
        processes().wait_for_everyone()
        trained = train_reward_model(base, encoded, model, out_dir, console)
        if main:
            files = trained.save(out_dir / MODEL)
            stage.finish(counts, outputs=(examples_name, UNUSABLE, CURVE, *files))
            # Last: until the manifest is written, a killed run goes on from them.
            remove_checkpoints(out_dir)
        processes().wait_for_everyone()
        return read_manifest(out_dir, STAGE)


def _check_inputs(prepare_dir: Path, labels_path: Path) -> dict[str, str]:
    """Check the directories that the files come from and return the hashes of the files."""
    prepared = verify(prepare_dir, "prepare", CLAIMS, TASK, optional=(HELD_OUT,))
    inputs = {name: prepared.outputs[name] for name in (CLAIMS, TASK)}
    # Labels of a finished elicit stage must be what it wrote; there is nothing that any other file could be checked by.
    if labels_path.name == LABELS and (labels_path.parent / MANIFEST).exists():
        verify(labels_path.parent, "elicit", LABELS)
    elif not labels_path.exists():
        raise TrainingError(
            f"{labels_path}: there is no such file of labels; run `icm elicit` first, or give another file: labels=FILE"
        )
    return {**inputs, "labels": sha256_of(labels_path)}


def _examples(
    kind: str, settings: PairSettings, prepare_dir: Path, labels_path: Path
) -> tuple[str, Sequence[Any], list[TrainingRow], dict[str, Any]]:
    """Return the name of the file of examples, its lines, the same for the training, and what was counted."""
    claims, space = read_claims(prepare_dir / CLAIMS), read_task(prepare_dir / TASK).label_space
    # A label file may cover the held-out claims too; they are known, so that their labels are no error, but not used.
    held_out_path = prepare_dir / HELD_OUT
    held_out = read_rows(held_out_path, Claim) if held_out_path.exists() else []
    labels = read_labels(labels_path, space, [*claims, *held_out])
    counts: dict[str, Any] = {
        "labels_of_other_claims": len(labels.keys() - {claim.id for claim in claims}),
        "all_claims": len(claims),
        "claims_without_label": num_unlabelled(labels, claims),
    }
    if kind == "pointwise":
        answers = build_answers(claims, labels, space, settings)
        counts |= {"claims": len(claims), "answers": len(answers)}
        return ANSWERS, answers, [(row.id, (row.prompt + row.answer,), row.probability) for row in answers], counts
    pairs, counted = build_pairs(claims, labels, space, settings)
    rows = [(pair.id, (pair.prompt + pair.chosen, pair.prompt + pair.rejected), pair.probability) for pair in pairs]
    return PAIRS, pairs, rows, counts | counted


def _check_unusable(settings: RewardModelSettings, unusable: Sequence[RejectedExample], num_rows: int) -> None:
    # Whatever may be dropped: a model trained on nothing would be taken for a reward model.
    if len(unusable) == num_rows:
        raise TrainingError(
            f"the model can read none of the {num_rows:,} examples; the first: {unusable[0].reason}: "
            f"{unusable[0].detail}"
        )
    too_long = [each for each in unusable if each.reason == "over_context"]
    if too_long and settings.over_context == "refuse":
        raise TrainingError(
            f"{len(too_long):,} examples do not fit the model's context; the first, {too_long[0].id}: "
            f"{too_long[0].detail}; set over_context=drop to leave them out, or raise max_length"
        )
