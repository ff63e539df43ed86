"""The diagnose stage: labels in, a verdict on them out, with its reasons. Knows no golden label."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from icm.claims import freeze
from icm.diagnose.diagnosis import Elicited, diagnose
from icm.diagnose.schema import DIAGNOSIS
from icm.diagnose.settings import DiagnoseSettings
from icm.errors import RunDirectoryError
from icm.files.labels import label_vector, read_elicited_labels, read_source_rows
from icm.files.records import (
    ALTERNATIVES,
    CLAIMS,
    LABELS,
    ROWS,
    TASK,
    AlternativeRow,
    Manifest,
    read_claims,
    read_rows,
    read_task,
    write_json,
)
from icm.files.stage_dir import StageDir, read_manifest, verify_labelled
from icm.problem import ProblemSettings, build_problem
from icm.scoring.journal import JournalScorer
from icm.scoring.protocol import LabelScorer, describe_model
from icm.searches.protocol import Alternative

JOURNAL: Final = "journal.jsonl"


def run(
    settings: DiagnoseSettings,
    prepare_dir: Path,
    elicit_dir: Path,
    out_dir: Path,
    scorer: LabelScorer,
    *,
    console: Console | None = None,
    overwrite: bool = False,
) -> Manifest:
    """Diagnose the labels of a finished elicit stage; a complete result in the same directory is left as it is.

    What the model answers goes into a journal, so an interrupted diagnosis asks for nothing twice.

    Args:
        settings: How labels are diagnosed.
        prepare_dir: Directory of the prepare stage; its golden labels are not opened.
        elicit_dir: Directory of the elicit stage.
        out_dir: Where `diagnosis.json`, the journal and the manifest go.
        scorer: The model that the labels were elicited from, bound to the task's label space.
        console: Where progress is shown; `None` for nowhere.
        overwrite: Whether what `out_dir` holds under other settings may be deleted.

    Raises:
        RunDirectoryError: A directory is unfinished or altered, the two are not of one run, the labels came from
            another model, or `out_dir` belongs to a run with other settings.
        SchemaError: A file is malformed.
        ScoringError: The model returned NaN.
    """
    inputs = _check_inputs(prepare_dir, elicit_dir, scorer)
    config = {**settings.model_dump(mode="json"), "model": scorer.fingerprint}
    with StageDir(out_dir, "diagnose", config, inputs, model=describe_model(scorer), overwrite=overwrite) as stage:
        if done := stage.complete():
            return done
        journal = JournalScorer(scorer, out_dir / JOURNAL, fresh=stage.begins_anew, before_first_write=stage.claim)
        diagnosis = diagnose(read_elicited(prepare_dir, elicit_dir, journal), settings, console)
        # Where nothing had to be asked, no answer has claimed the directory yet.
        stage.claim()
        write_json(out_dir / DIAGNOSIS, diagnosis.model_dump(mode="json"))
        # Checks that could not be measured say trust, and are not counted.
        verdicts = [check.verdict for check in diagnosis.checks if check.value is not None]
        counts = {"verdict": diagnosis.verdict, "checks": len(verdicts), "doubts": len(diagnosis.reasons)}
        return stage.finish(counts, outputs=(DIAGNOSIS,), cost=asdict(journal.cost))


def read_elicited(prepare_dir: Path, elicit_dir: Path, scorer: LabelScorer) -> Elicited:
    """Read what a diagnosis looks at; the scorer is asked nothing.

    Raises:
        RunDirectoryError: The elicit stage is unfinished.
        SchemaError: A file is malformed.
    """
    manifest = read_manifest(elicit_dir, "elicit")
    # The settings that the search had, so that U and P of the labels are what its manifest says.
    settings = ProblemSettings.model_validate({name: manifest.config[name] for name in ProblemSettings.model_fields})
    task, claims = read_task(prepare_dir / TASK), read_claims(prepare_dir / CLAIMS)
    rows = read_elicited_labels(elicit_dir / LABELS, task.label_space, claims)
    stability = [row.stability for row in rows if row.stability is not None]
    return Elicited(
        problem=build_problem(claims, task, scorer, settings, read_source_rows(prepare_dir / ROWS)),
        seed=settings.seed,
        labels=label_vector({row.id: row.label for row in rows}, claims),
        # None from a search of one start; an unlabelled claim has none either, and then there is no mean over all.
        stability=np.array(stability) if len(stability) == len(rows) else None,
        alternatives=[
            Alternative(freeze([row.labels[claim.id] for claim in claims]), row.utility, row.origins)
            for row in read_rows(elicit_dir / ALTERNATIVES, AlternativeRow)
        ],
    )


def _check_inputs(prepare_dir: Path, elicit_dir: Path, scorer: LabelScorer) -> dict[str, str]:
    """Check that both directories hold results of one run and of this model. Return the hashes of their files."""
    prepared, elicited = verify_labelled(prepare_dir, elicit_dir, (CLAIMS, TASK), (LABELS, ALTERNATIVES))
    # Another model would judge the labels of this one by its own beliefs.
    if elicited.config["model"] != scorer.fingerprint:
        raise RunDirectoryError(
            f"the labels in {elicit_dir} were elicited from model {elicited.config['model']}, not from "
            f"{scorer.fingerprint}; diagnose them with the model they came from"
        )
    outputs = prepared.outputs | elicited.outputs
    return {name: outputs[name] for name in (CLAIMS, TASK, LABELS, ALTERNATIVES)}
