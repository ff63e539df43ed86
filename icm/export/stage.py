"""The export stage: labels in the formats of training libraries, with a data card. Knows no golden label.

The card quotes what diagnosis and evaluation found, if there were any; no exported row depends on it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from icm.claims import Claim
from icm.diagnose.schema import DIAGNOSIS, Diagnosis
from icm.errors import SchemaError
from icm.evaluate.schema import Metrics
from icm.export.card import front_matter, render_card
from icm.export.formats import Kind, Row, axolotl_row, export_rows, verl_row
from icm.export.settings import ExportConfig
from icm.files.labels import num_unlabelled, read_labels, read_source_rows
from icm.files.records import (
    CLAIMS,
    HELD_OUT,
    LABELS,
    MANIFEST,
    METRICS,
    ROWS,
    TASK,
    Manifest,
    read_claims,
    read_rows,
    read_task,
    sha256_of,
    write_text,
)
from icm.files.stage_dir import StageDir, read_manifest, read_result, verify

STAGE: Final = "export"
CARD: Final = "README.md"
POCKET_LICENCE: Final = "apache-2.0"

AXOLOTL_CONFIG: Final = """\
# Goes into an axolotl configuration; the path is that of the directory of the export.
rl: dpo
datasets:
  - path: axolotl/preference.jsonl
    ds_type: json
    split: train
    type: chat_template.default
    field_messages: messages
    field_chosen: chosen
    field_rejected: rejected
"""


def run(
    config: ExportConfig,
    run_dir: Path,
    labels_path: Path,
    out_dir: Path,
    *,
    corrections: Path | None = None,
    overwrite: bool = False,
) -> Manifest:
    """Write labels in the formats of training libraries; a complete export is only checked.

    Args:
        config: What is exported.
        run_dir: Directory of a run: claims and task come from its prepare stage, what the card says of the quality from
            its diagnose and evaluate stages, where there are such and they judged these labels.
        labels_path: Labels of the claims, from any source.
        out_dir: Where the files, the card and the manifest go.
        corrections: File of labels that go over those; the card says so, and how many they changed.
        overwrite: Whether what `out_dir` holds under other settings may be deleted.

    Raises:
        RunDirectoryError: A directory is unfinished, altered, or belongs to a run with other settings.
        SchemaError: A file is malformed, or no claim has a label.
    """
    prepared = verify(run_dir / "prepare", "prepare", CLAIMS, TASK, optional=(HELD_OUT,))
    elicited = _elicited(labels_path)
    inputs = {name: prepared.outputs[name] for name in (CLAIMS, TASK)} | {"labels": sha256_of(labels_path)}
    # What a verdict or a metric says of other labels must not stand on the card of these.
    # With corrections they are other labels than those that were judged.
    judged = inputs["labels"] if corrections is None else None
    diagnosed, evaluated = (_of_labels(run_dir, name, judged) for name in ("diagnose", "evaluate"))
    inputs |= {each.name: sha256_of(each / MANIFEST) for each in (diagnosed, evaluated) if each is not None}
    if corrections is not None:
        inputs["corrections"] = sha256_of(corrections)
    with StageDir(out_dir, STAGE, config.model_dump(mode="json"), inputs, overwrite=overwrite) as stage:
        if done := stage.complete():
            return done
        prepare_dir = run_dir / "prepare"
        task, claims = read_task(prepare_dir / TASK), read_claims(prepare_dir / CLAIMS)
        held_out = read_rows(prepare_dir / HELD_OUT, Claim) if (prepare_dir / HELD_OUT).exists() else []
        # A file of other origin may label held-out claims too; these are known claims, but not exported.
        known, source_rows = [*claims, *held_out], read_source_rows(prepare_dir / ROWS)
        labels = read_labels(labels_path, task.label_space, known, rows=source_rows)
        corrected = read_labels(corrections, task.label_space, known, rows=source_rows) if corrections else {}
        changed = {
            claim: row for claim, row in corrected.items() if claim not in labels or labels[claim].label != row.label
        }
        labels |= changed
        rows, without_pairs = export_rows(claims, labels, task.label_space, config.pairs, task.name)
        stage.claim()
        written = _write(config, rows, out_dir)
        card = render_card(
            task=prepared.config["task"],
            licence=licence_of(config, run_dir),
            labels_file=labels_path.name,
            corrections=None if corrections is None else (corrections.name, len(corrected), len(changed)),
            elicited=elicited,
            diagnosis=read_result(diagnosed, "diagnose", DIAGNOSIS, Diagnosis) if diagnosed else None,
            metrics=read_result(evaluated, "evaluate", METRICS, Metrics) if evaluated else None,
            rows=written,
            without_pairs=without_pairs,
        )
        hashes = {name: sha256_of(out_dir / name) for name in written if (out_dir / name).is_file()}
        write_text(out_dir / CARD, f"{front_matter(licence_of(config, run_dir), hashes)}\n\n{card}")
        counts = {
            "rows": written,
            "without_pairs": without_pairs,
            "all_claims": len(claims),
            "claims_without_label": num_unlabelled(labels, claims),
        }
        return stage.finish(counts, outputs=_files(out_dir))


def _elicited(labels_path: Path) -> Manifest | None:
    """Return the manifest of the stage that made the labels, after checking that they are its labels.

    Raises:
        SchemaError: There is no such file.
        RunDirectoryError: The labels were altered, or the stage has not finished.
    """
    if not labels_path.exists() and labels_path.parent.name != "elicit":
        raise SchemaError(
            f"{labels_path}: there is no such file of labels; run `icm elicit`, or name another: labels=FILE"
        )
    # A file of the user's may have this name too; what the elicit stage wrote lies in its directory.
    if labels_path.name != LABELS or not (
        (labels_path.parent / MANIFEST).exists() or labels_path.parent.name == "elicit"
    ):
        return None
    return verify(labels_path.parent, "elicit", LABELS)


def _of_labels(run_dir: Path, stage: str, labels_hash: str | None) -> Path | None:
    """Return the directory of a stage that judged exactly these labels, `None` if there is none."""
    directory = run_dir / stage
    if not (directory / MANIFEST).exists():
        return None
    manifest = read_manifest(directory, stage)
    return directory if labels_hash in manifest.inputs.values() else None


def licence_of(config: ExportConfig, run_dir: Path) -> str | None:
    """Return the licence that a card states, `None` if it is not known: the one that was given, ours for our world."""
    task = read_manifest(run_dir / "prepare", "prepare").config["task"]
    # The pocket world is ours, so its licence is known.
    return config.licence or (POCKET_LICENCE if task["kind"] == "pocket" else None)


def _write(config: ExportConfig, rows: Mapping[Kind, Sequence[Row]], out_dir: Path) -> dict[str, int]:
    """Write the files of the formats and return the number of rows of each; empty kinds are left out."""
    # Only rows with one text for each column fit all of these; conversations and prompts have formats of their own.
    by_file: dict[str, Sequence[Row]] = {}
    plain: tuple[Kind, ...] = ("preference", "kto", "sft")
    if "trl" in config.formats:
        by_file |= {f"trl/{kind}.jsonl": rows[kind] for kind in plain}
    if "axolotl" in config.formats:
        by_file["axolotl/preference.jsonl"] = [axolotl_row(row) for row in rows["chat_preference"]]
    if "openrlhf" in config.formats:
        by_file |= {"openrlhf/preference.jsonl": rows["chat_preference"], "openrlhf/prompts.jsonl": rows["prompts"]}
    if "verl" in config.formats:
        by_file["verl/prompts.parquet"] = [verl_row(index, row) for index, row in enumerate(rows["prompts"])]
    if "datasets" in config.formats:
        by_file |= {f"datasets/{kind}": rows[kind] for kind in plain}
    for name, of_file in by_file.items():
        if of_file:
            _write_rows(out_dir / name, of_file)
    if by_file.get("axolotl/preference.jsonl"):
        write_text(out_dir / "axolotl" / "datasets.yaml", AXOLOTL_CONFIG)
    return {name: len(of_file) for name, of_file in by_file.items() if of_file}


def _write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as JSON Lines, as Parquet, or as a directory of the datasets library, by the name of the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".jsonl":
            write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(list(rows)), path)
        case _:
            # The library would leave the shards of a longer, interrupted export beside the new ones.
            shutil.rmtree(path, ignore_errors=True)
            datasets.disable_progress_bars()
            datasets.DatasetDict({"train": datasets.Dataset.from_list(list(rows))}).save_to_disk(path)
            datasets.enable_progress_bars()


def _files(out_dir: Path) -> list[str]:
    """Return the names of all files of an export but the stage's own."""
    files = (path for path in out_dir.rglob("*") if path.is_file() and path.parent != out_dir)
    return [CARD, *sorted(str(path.relative_to(out_dir)) for path in files)]
