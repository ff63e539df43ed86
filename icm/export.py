"""The export stage: labels in the formats of training libraries, with a data card. Knows no golden label.

The card quotes what the evaluation found, if there was one; no exported row depends on it.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import HfApi
from huggingface_hub import constants as hub_constants
from huggingface_hub.errors import HfHubHTTPError
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

from icm.errors import ConfigError, SchemaError
from icm.evaluation.schema import Metrics
from icm.export_card import CardFacts, render_card
from icm.export_formats import ExportRows, LabelledClaims, Row, axolotl_row, export_rows, verl_row
from icm.records import (
    CLAIMS,
    LABELS,
    MANIFEST,
    METRICS,
    TASK,
    Manifest,
    read_claims,
    read_task,
    sha256_of,
    write_text,
)
from icm.run_directory import StageDir
from icm.training.pairs import PairSettings, read_given_labels

STAGE: Final = "export"
CARD: Final = "README.md"
POCKET_LICENCE: Final = "apache-2.0"

Format = Literal["trl", "axolotl", "openrlhf", "verl", "datasets"]

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


class ExportConfig(BaseModel):
    """What is exported.

    Attributes:
        formats: Which libraries are to read it.
        pairs: How labels become pairs.
        licence: SPDX name of the licence of claims and labels; `None` if it is not known. The pocket world has ours.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    formats: tuple[Format, ...] = Field(default=("trl", "axolotl", "openrlhf", "verl", "datasets"), min_length=1)
    pairs: PairSettings = PairSettings()
    licence: str | None = Field(default=None, min_length=1)


class ExportCommand(ExportConfig):
    """Everything that `icm export` can be told.

    Attributes:
        run_dir: Directory of a run, with `prepare/` in it.
        labels: File of labels; `None` for those of the run's elicit stage.
        out_dir: Where the export goes.
        hub_id: Data set on the Hub that it is pushed to as well; `None` for none.
        hub_private: Whether that is private, if the push makes it.
    """

    run_dir: Path
    labels: Path | None = None
    out_dir: Path
    hub_id: str | None = Field(default=None, pattern=r"^[\w.-]+/[\w.-]+$")
    hub_private: bool = True

    @property
    def config(self) -> ExportConfig:
        """What is exported, without the places."""
        places = {"run_dir", "labels", "out_dir", "hub_id", "hub_private"}
        return ExportConfig.model_validate(self.model_dump(exclude=places))


def run_command(command: ExportCommand, console: Console) -> None:
    """Export, push if that is asked for, and say what was written.

    Raises:
        ConfigError: The Hub is asked for and cannot be used; what was written stays.
    """
    if command.hub_id is not None:
        _check_hub(command)
    labels_path = command.labels or command.run_dir / "elicit" / LABELS
    manifest = run(command.config, command.run_dir, labels_path, command.out_dir)
    rows = ", ".join(f"{name} ({count:,})" for name, count in manifest.counts["rows"].items())
    console.print(f"exported to {command.out_dir}: {rows}", soft_wrap=True)
    if manifest.counts["without_pairs"]:
        console.print(f"no preference pairs: {manifest.counts['without_pairs']}", soft_wrap=True)
    if _licence(command.config, command.run_dir) is None:
        console.print("the card states no licence: set licence=NAME before you pass the data on", soft_wrap=True)
    if command.hub_id is not None:
        console.print(f"pushed to {_push(command)}", soft_wrap=True)


def run(config: ExportConfig, run_dir: Path, labels_path: Path, out_dir: Path) -> Manifest:
    """Write labels in the formats of training libraries; a complete export is only checked.

    Args:
        config: What is exported.
        run_dir: Directory of a run: claims and task come from its prepare stage, what the card says of the quality from
            its evaluate stage, if there is one and it judged these labels.
        labels_path: Labels of the claims, from any source.
        out_dir: Where the files, the card and the manifest go.

    Raises:
        RunDirectoryError: A directory is unfinished, altered, or belongs to a run with other settings.
        SchemaError: A file is malformed, or no claim has a label.
    """
    started = time.perf_counter()
    prepared = StageDir(run_dir / "prepare", "prepare").verify(CLAIMS, TASK)
    elicited = _elicited(labels_path)
    inputs = {name: prepared.outputs[name] for name in (CLAIMS, TASK)} | {"labels": sha256_of(labels_path)}
    metrics_path = _metrics_path(run_dir, inputs["labels"])
    if metrics_path is not None:
        inputs["metrics"] = sha256_of(metrics_path)
    stage = StageDir(out_dir, STAGE)
    settings = {**config.model_dump(mode="json"), "inputs": inputs}
    if (out_dir / MANIFEST).exists():
        stage.claim(settings)
        return stage.verify()
    task = read_task(run_dir / "prepare" / TASK)
    rows = export_rows(
        LabelledClaims(
            claims=read_claims(run_dir / "prepare" / CLAIMS),
            labels=read_given_labels(labels_path, len(task.label_space)),
            space=task.label_space,
            settings=config.pairs,
            source=task.name,
        )
    )
    stage.claim(settings)
    written = _write(config, rows, out_dir)
    card = CardFacts(
        task=prepared.config["task"],
        licence=_licence(config, run_dir),
        labels_file=labels_path.name,
        elicited=elicited,
        metrics=None if metrics_path is None else Metrics.model_validate_json(metrics_path.read_text("utf-8")),
        rows=written,
        without_pairs=rows.without_pairs,
    )
    write_text(out_dir / CARD, render_card(card))
    counts = {"rows": written, "without_pairs": rows.without_pairs}
    return stage.finish(
        Manifest(stage=STAGE, config=settings, inputs=inputs, counts=counts, seconds=time.perf_counter() - started),
        outputs=_files(out_dir),
    )


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
    if labels_path.name != LABELS:
        return None
    return StageDir(labels_path.parent, "elicit").verify(LABELS)


def _metrics_path(run_dir: Path, labels_hash: str) -> Path | None:
    """Return where an evaluation of exactly these labels lies, `None` if there is none."""
    directory = run_dir / "evaluate"
    if not (directory / MANIFEST).exists():
        return None
    manifest = StageDir(directory, "evaluate").verify(METRICS)
    return directory / METRICS if labels_hash in manifest.inputs.values() else None


def _licence(config: ExportConfig, run_dir: Path) -> str | None:
    task = StageDir(run_dir / "prepare", "prepare").read_manifest().config["task"]
    return config.licence or (POCKET_LICENCE if task["kind"] == "pocket" else None)


def _write(config: ExportConfig, rows: ExportRows, out_dir: Path) -> dict[str, int]:
    """Write the files of the formats and return the number of rows of each; empty kinds are left out."""
    by_file: dict[str, Sequence[Row]] = {}
    if "trl" in config.formats:
        by_file |= {f"trl/{name}.jsonl": kind for name, kind in _kinds(rows).items()}
    if "axolotl" in config.formats:
        by_file["axolotl/preference.jsonl"] = [axolotl_row(row) for row in rows.chat_preference]
    if "openrlhf" in config.formats:
        by_file |= {"openrlhf/preference.jsonl": rows.chat_preference, "openrlhf/prompts.jsonl": rows.prompts}
    if "verl" in config.formats:
        by_file["verl/prompts.parquet"] = [verl_row(index, row) for index, row in enumerate(rows.prompts)]
    if "datasets" in config.formats:
        by_file |= {f"datasets/{name}": kind for name, kind in _kinds(rows).items()}
    for name, kind in by_file.items():
        if kind:
            _write_rows(out_dir / name, kind)
    if by_file.get("axolotl/preference.jsonl"):
        write_text(out_dir / "axolotl" / "datasets.yaml", AXOLOTL_CONFIG)
    return {name: len(kind) for name, kind in by_file.items() if kind}


def _kinds(rows: ExportRows) -> Mapping[str, Sequence[Row]]:
    return {"preference": rows.preference, "kto": rows.unpaired, "sft": rows.verdicts}


def _write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as JSON Lines, as Parquet, or as a directory of the datasets library, by the name of the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".jsonl":
            write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(list(rows)), path)
        case _:
            shutil.rmtree(path, ignore_errors=True)
            datasets.disable_progress_bars()
            datasets.DatasetDict({"train": datasets.Dataset.from_list(list(rows))}).save_to_disk(path)
            datasets.enable_progress_bars()


def _files(out_dir: Path) -> list[str]:
    """Return the names of all files of an export but the stage's own."""
    files = (path for path in out_dir.rglob("*") if path.is_file() and path.parent != out_dir)
    return [CARD, *sorted(str(path.relative_to(out_dir)) for path in files)]


def _check_hub(command: ExportCommand) -> None:
    if hub_constants.is_offline_mode():
        raise ConfigError(
            f"hub_id={command.hub_id}: HF_HUB_OFFLINE forbids the Hub; unset it, or leave hub_id out and push later "
            f"with `hf upload {command.hub_id} {command.out_dir} --repo-type dataset`"
        )
    if _licence(command.config, command.run_dir) is None:
        raise ConfigError(f"hub_id={command.hub_id}: data that is pushed must state its licence; set licence=NAME")


def _push(command: ExportCommand) -> str:
    """Upload the export and return its address."""
    assert command.hub_id is not None
    api = HfApi()
    try:
        api.create_repo(command.hub_id, repo_type="dataset", private=command.hub_private, exist_ok=True)
        commit = api.upload_folder(repo_id=command.hub_id, folder_path=command.out_dir, repo_type="dataset")
    except (HfHubHTTPError, OSError) as error:
        raise ConfigError(
            f"hub_id={command.hub_id}: the push failed ({str(error).strip().splitlines()[0]}); the export in "
            f"{command.out_dir} is complete: log in with `hf auth login`, then run the same command again"
        ) from None
    return str(commit.commit_url)
