"""The evaluate stage: elicited labels beside golden labels, as metrics, figures and a report. Feeds nothing back.

It is the only stage that may read golden labels, and it reads the search's result only after the search has ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from icm import golden as gold
from icm.claims import UNLABELLED, Claim
from icm.diagnose.files import read_diagnosis
from icm.diagnose.schema import DIAGNOSIS, Diagnosis
from icm.errors import ConfigError, RunDirectoryError, SchemaError
from icm.evaluate.against_golden import Elicitation, compare, disagreements
from icm.evaluate.in_context import Candidates, in_context_accuracy
from icm.evaluate.schema import Disagreement, InContext, Metrics
from icm.evaluate.settings import EvaluateConfig
from icm.files.labels import read_elicited_labels
from icm.files.records import (
    CLAIMS,
    GOLD,
    HELD_OUT,
    LABELS,
    METRICS,
    TASK,
    TRACE,
    Manifest,
    TraceRow,
    read_claims,
    read_rows,
    read_task,
    write_json,
    write_text,
)
from icm.files.stage_dir import StageDir, read_manifest, verify
from icm.scoring.journal import JournalScorer
from icm.scoring.protocol import LabelScorer, describe_model

REPORT: Final = "report.html"
JOURNAL: Final = "journal.jsonl"


def run(
    config: EvaluateConfig,
    prepare_dir: Path,
    elicit_dir: Path,
    out_dir: Path,
    scorer: LabelScorer | None,
    diagnose_dir: Path | None = None,
    *,
    overwrite: bool = False,
) -> Manifest:
    """Compare elicited with golden labels; a complete result in the same directory is left as it is.

    What the model answers goes into a journal, so an interrupted evaluation asks for nothing twice.

    Args:
        config: How labels are compared.
        prepare_dir: Directory of the prepare stage, golden labels included.
        elicit_dir: Directory of the elicit stage.
        out_dir: Where `metrics.json`, `figures/`, `report.html`, the journal and the manifest go.
        scorer: The model that held-out claims are asked of; `None` leaves accuracy in context out.
        diagnose_dir: Directory of the diagnose stage, whose verdict the report shows; `None` leaves it out.
        overwrite: Whether what `out_dir` holds under other settings may be deleted.

    Raises:
        RunDirectoryError: A directory is unfinished or altered, the two are not of one run, there are no golden
            labels, or `out_dir` belongs to a run with other settings.
        SchemaError: A file is malformed, or the labels are not those of the claims.
        ConfigError: The scorer has another number of labels than the task.
        ScoringError: The model returned NaN.
    """
    inputs = _check_inputs(prepare_dir, elicit_dir) | _check_diagnosis(diagnose_dir, elicit_dir)
    settings = {**config.model_dump(mode="json"), "model": scorer.fingerprint if scorer else None}
    stage = StageDir(
        out_dir, "evaluate", settings, inputs, model=describe_model(scorer) if scorer else None, overwrite=overwrite
    )
    if done := stage.complete():
        return done

    elicitation = read_elicitation(prepare_dir, elicit_dir)
    journal = None
    if scorer is not None:
        journal = JournalScorer(scorer, out_dir / JOURNAL, fresh=stage.begins_anew, before_first_write=stage.claim)
    metrics = evaluate(elicitation, config, journal)
    cost = asdict(journal.cost) if journal else {}
    stage.claim()
    write_json(out_dir / METRICS, metrics.model_dump(mode="json"))
    elicited = read_manifest(elicit_dir, "elicit")
    files = _write_report(
        metrics,
        out_dir,
        costs={"elicit": elicited.cost} | ({"evaluate": cost} if cost else {}),
        settings={"model": elicited.model or {}, "elicit": elicited.config, "evaluate": stage.config},
        disagreements=disagreements(elicitation)[: config.num_disagreements],
        diagnosis=read_diagnosis(diagnose_dir) if diagnose_dir else None,
    )
    counts = {
        "claims": metrics.num_claims,
        "labelled": metrics.num_labelled,
        "without_gold": metrics.num_without_gold,
        "held_out": metrics.num_held_out,
    }
    return stage.finish(counts, outputs=(METRICS, *files), cost=cost)


def evaluate(elicitation: Elicitation, config: EvaluateConfig, scorer: LabelScorer | None) -> Metrics:
    """Return all metrics of an elicitation, accuracy in context included where there is a model to ask.

    Raises:
        ConfigError: The scorer has another number of labels than the task.
        ScoringError: The model returned NaN.
    """
    space = elicitation.task.label_space
    if scorer is not None and scorer.num_labels != len(space):
        raise ConfigError(
            f"task {elicitation.task.name!r} has {len(space)} labels {list(space.names)}, but the scorer was made for "
            f"{scorer.num_labels}; make it for the label space in {TASK}"
        )
    metrics = compare(
        elicitation, config.resampling, num_bins=config.num_bins, max_trace_points=config.max_trace_points
    )
    in_context, missing = _in_context(elicitation, config, scorer)
    return metrics.model_copy(update={"in_context": in_context, "in_context_missing": missing})


def _in_context(
    elicitation: Elicitation, config: EvaluateConfig, scorer: LabelScorer | None
) -> tuple[InContext | None, str | None]:
    """Return accuracy in context, or why there is none."""
    if scorer is None:
        return None, "no model was given"
    golden = gold.as_labels(elicitation.golden, elicitation.claims)
    chosen = np.flatnonzero((elicitation.labels != UNLABELLED) & (golden != UNLABELLED))
    result = in_context_accuracy(
        scorer,
        elicitation.task.label_space,
        Candidates([elicitation.claims[int(k)] for k in chosen], elicitation.labels[chosen], golden[chosen]),
        elicitation.held_out,
        gold.as_labels(elicitation.golden, elicitation.held_out),
        shots=config.shots,
        num_draws=config.num_draws,
        resampling=config.resampling,
    )
    return result, None if result else "no held-out claim with a golden label fits the model's context"


def read_metrics(evaluate_dir: Path) -> Metrics:
    """Read the metrics of a finished evaluation.

    Raises:
        RunDirectoryError: The directory is unfinished or altered.
    """
    verify(evaluate_dir, "evaluate")
    return Metrics.model_validate_json((evaluate_dir / METRICS).read_text(encoding="utf-8"))


def _write_report(
    metrics: Metrics,
    out_dir: Path,
    *,
    costs: Mapping[str, Mapping[str, float]],
    settings: Mapping[str, Mapping[str, Any]],
    disagreements: Sequence[Disagreement],
    diagnosis: Diagnosis | None,
) -> list[str]:
    """Write the figures and the page; return the names of the files."""
    # Loaded here, since the drawing library takes a second that every other command would pay.
    from icm.evaluate.figures import draw_figures
    from icm.evaluate.page import render_page

    figures_dir = out_dir / "figures"
    figures = draw_figures(metrics, figures_dir)
    page = render_page(
        metrics,
        figures_dir=figures_dir,
        figures=figures,
        costs=costs,
        settings=settings,
        disagreements=disagreements,
        diagnosis=diagnosis,
    )
    write_text(out_dir / REPORT, page)
    return [REPORT, *(f"figures/{figure.name}{suffix}" for figure in figures for suffix in (".png", ".svg"))]


# ------------------------------------------------------------------------------------------------ reading the inputs


def _check_inputs(prepare_dir: Path, elicit_dir: Path) -> dict[str, str]:
    """Check that both directories hold results of one run, with golden labels. Return the hashes of their files."""
    prepared = read_manifest(prepare_dir, "prepare")
    if not (prepare_dir / GOLD).exists():
        raise RunDirectoryError(
            f"{prepare_dir / GOLD} does not exist, so there is nothing to compare the labels with; prepare the task "
            f"from a source with golden labels, or be content with {elicit_dir / LABELS}"
        )
    verify(prepare_dir, "prepare")
    elicited = verify(elicit_dir, "elicit")
    if elicited.inputs.get(CLAIMS) != prepared.outputs.get(CLAIMS):
        raise RunDirectoryError(
            f"{elicit_dir} holds labels for other claims than {prepare_dir / CLAIMS}; give the two directories of "
            f"one run"
        )
    outputs = prepared.outputs | elicited.outputs
    return {name: outputs[name] for name in (CLAIMS, HELD_OUT, GOLD, TASK, LABELS, TRACE) if name in outputs}


def _check_diagnosis(diagnose_dir: Path | None, elicit_dir: Path) -> dict[str, str]:
    """Check that a diagnosis is of these labels. Return the hash of its file."""
    if diagnose_dir is None:
        return {}
    diagnosed = verify(diagnose_dir, "diagnose")
    if diagnosed.inputs.get(LABELS) != read_manifest(elicit_dir, "elicit").outputs.get(LABELS):
        raise RunDirectoryError(
            f"{diagnose_dir} speaks of other labels than {elicit_dir / LABELS}; delete it and run `icm diagnose`"
        )
    return {DIAGNOSIS: diagnosed.outputs[DIAGNOSIS]}


def read_elicitation(prepare_dir: Path, elicit_dir: Path) -> Elicitation:
    """Read the files of the stages before.

    Raises:
        SchemaError: A file is malformed, the labels are not those of the claims, or no claim has a golden label.
    """
    task, claims = read_task(prepare_dir / TASK), read_claims(prepare_dir / CLAIMS)
    golden = gold.load(prepare_dir / GOLD, task.label_space)
    if not any(claim.id in golden for claim in claims):
        raise SchemaError(
            f"{prepare_dir / GOLD}: has no golden label for any of the {len(claims)} claims in {CLAIMS}, so there is "
            f"nothing to compare the labels with; prepare the task from a source with golden labels"
        )
    held_out_path = prepare_dir / HELD_OUT
    return Elicitation(
        task=task,
        claims=claims,
        held_out=read_rows(held_out_path, Claim) if held_out_path.exists() else [],
        golden=golden,
        rows=read_elicited_labels(elicit_dir / LABELS, task.label_space, claims),
        trace=_read_trace(elicit_dir / TRACE, claims),
    )


def _read_trace(path: Path, claims: Sequence[Claim]) -> list[TraceRow]:
    known = {claim.id for claim in claims}
    rows = read_rows(path, TraceRow)
    if not rows:
        raise SchemaError(f"{path}: holds no step, not even the initial labels; run `icm elicit` again")
    for number, row in enumerate(rows, start=1):
        for claim in row.changes:
            if claim not in known:
                raise SchemaError(f"{path}:{number}: changes {claim!r}, which is no claim of {CLAIMS}")
    return rows
