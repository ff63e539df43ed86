"""The evaluate stage: elicited labels beside golden labels, as metrics and figures. Feeds nothing back.

It is the only stage that may read golden labels, and it reads the search's result only after the search has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from icm import golden as gold
from icm.claims import UNLABELLED, Claim
from icm.errors import ConfigError, RunDirectoryError, SchemaError
from icm.evaluate.against_golden import Elicitation, compare
from icm.evaluate.controls import controls
from icm.evaluate.in_context import FEWEST_DRAWS, in_context_accuracy
from icm.evaluate.schema import InContext, Metrics
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
)
from icm.files.stage_dir import StageDir, read_manifest, verify_labelled
from icm.scoring.journal import JournalScorer
from icm.scoring.protocol import LabelScorer, describe_model

JOURNAL: Final = "journal.jsonl"


def run(
    config: EvaluateConfig,
    prepare_dir: Path,
    elicit_dir: Path,
    out_dir: Path,
    scorer: LabelScorer | None,
    *,
    console: Console | None = None,
    overwrite: bool = False,
) -> Manifest:
    """Compare elicited with golden labels; a complete result in the same directory is left as it is.

    What the model answers goes into a journal, so an interrupted evaluation asks for nothing twice.

    Args:
        config: How labels are compared.
        prepare_dir: Directory of the prepare stage, golden labels included.
        elicit_dir: Directory of the elicit stage.
        out_dir: Where `metrics.json`, `figures/`, the journal and the manifest go.
        scorer: The model that held-out claims are asked of; `None` leaves accuracy in context out.
        console: Where progress is shown; `None` for nowhere.
        overwrite: Whether what `out_dir` holds under other settings may be deleted.

    Raises:
        RunDirectoryError: A directory is unfinished or altered, the two are not of one run, there are no golden
            labels, or `out_dir` belongs to a run with other settings.
        SchemaError: A file is malformed, or the labels are not those of the claims.
        ConfigError: The scorer has another number of labels than the task.
        ScoringError: The model returned NaN.
    """
    inputs = _check_inputs(prepare_dir, elicit_dir)
    settings = {**config.model_dump(mode="json"), "model": scorer.fingerprint if scorer else None}
    with StageDir(
        out_dir, "evaluate", settings, inputs, model=describe_model(scorer) if scorer else None, overwrite=overwrite
    ) as stage:
        if done := stage.complete():
            return done

        elicitation = read_elicitation(prepare_dir, elicit_dir)
        # The directory is claimed by the first answer at the earliest: a start that fails before leaves it free.
        journal = None
        if scorer is not None:
            journal = JournalScorer(scorer, out_dir / JOURNAL, fresh=stage.begins_anew, before_first_write=stage.claim)
        spent = read_manifest(elicit_dir, "elicit").cost.get("forwarded_tokens")
        metrics = evaluate(elicitation, config, journal, console, search_tokens=spent)
        cost = asdict(journal.cost) if journal else {}
        stage.claim()
        write_json(out_dir / METRICS, metrics.model_dump(mode="json"))
        # Loaded here, since the drawing library takes a second that every other command would pay.
        from icm.evaluate.figures import draw_figures

        figures = draw_figures(metrics, out_dir / "figures")
        drawn = [f"figures/{name}{suffix}" for name in figures for suffix in (".png", ".svg")]
        counts = {
            "claims": metrics.num_claims,
            "labelled": metrics.num_labelled,
            "without_gold": metrics.num_without_gold,
            "held_out": metrics.num_held_out,
        }
        return stage.finish(counts, outputs=(METRICS, *drawn), cost=cost)


def evaluate(
    elicitation: Elicitation,
    config: EvaluateConfig,
    scorer: LabelScorer | None,
    console: Console | None = None,
    *,
    search_tokens: float | None = None,
) -> Metrics:
    """Return all metrics of an elicitation, controls and accuracy in context included where there is a model to ask.

    Args:
        elicitation: What is compared.
        config: How.
        scorer: The model.
        console: Where progress is shown; `None` for nowhere.
        search_tokens: What the search forwarded, of which `config.budget` is a share; `None` where it is not known.

    Raises:
        ConfigError: The scorer has another number of labels than the task.
        ScoringError: The model returned NaN.
    """
    space = elicitation.task.label_space
    # Checked before anything is compared, as the journal would record answers under the wrong labels.
    if scorer is not None and scorer.num_labels != len(space):
        raise ConfigError(
            f"task {elicitation.task.name!r} has {len(space)} labels {list(space.names)}, but the scorer was made for "
            f"{scorer.num_labels}; make it for the label space in {TASK}"
        )
    metrics = compare(
        elicitation, config.resampling, num_bins=config.num_bins, max_trace_points=config.max_trace_points
    )
    if scorer is None:
        return metrics.model_copy(update={"in_context_missing": "no model was given"})
    found = controls(
        scorer,
        space,
        elicitation.claims,
        gold.as_labels(elicitation.golden, elicitation.claims),
        elicitation.held_out,
        gold.as_labels(elicitation.golden, elicitation.held_out),
        num_shots=max(config.shots, default=0),
        # They stand beside the labels and need no more precision than those have.
        draws=min(config.draws, FEWEST_DRAWS),
        resampling=config.resampling,
        console=console,
    )
    most_tokens = None if config.budget is None or search_tokens is None else config.budget * search_tokens
    in_context, missing = _in_context(elicitation, config, scorer, most_tokens, console)
    return metrics.model_copy(update={"controls": found, "in_context": in_context, "in_context_missing": missing})


def _in_context(
    elicitation: Elicitation,
    config: EvaluateConfig,
    scorer: LabelScorer,
    most_tokens: float | None,
    console: Console | None,
) -> tuple[InContext | None, str | None]:
    """Return accuracy in context, or why there is none."""
    golden = gold.as_labels(elicitation.golden, elicitation.claims)
    # Shots are drawn from claims that have both labels, so that every arm can show the same ones.
    chosen = np.flatnonzero((elicitation.labels != UNLABELLED) & (golden != UNLABELLED))
    result = in_context_accuracy(
        scorer,
        elicitation.task.label_space,
        [elicitation.claims[int(k)] for k in chosen],
        {"elicited": elicitation.labels[chosen], "golden": golden[chosen]},
        elicitation.held_out,
        gold.as_labels(elicitation.golden, elicitation.held_out),
        shots=config.shots,
        draws=config.draws,
        resampling=config.resampling,
        most_tokens=most_tokens,
        console=console,
    )
    return result, None if result else _why_not_in_context(elicitation)


def _why_not_in_context(elicitation: Elicitation) -> str:
    if not elicitation.held_out:
        return "no claim was held out; task.num_held_out says how many are"
    if not any(claim.id in elicitation.golden for claim in elicitation.held_out):
        return f"none of the {len(elicitation.held_out)} held-out claims has a golden label"
    return "no held-out claim with a golden label fits the model's context"


# ------------------------------------------------------------------------------------------------ reading the inputs


def _check_inputs(prepare_dir: Path, elicit_dir: Path) -> dict[str, str]:
    """Check that the directories hold results of one run, with golden labels. Return the hashes of their files."""
    written = read_manifest(prepare_dir, "prepare").outputs
    # A file that the stage wrote and that is gone since is no absent one: it is found below.
    if GOLD not in written and not (prepare_dir / GOLD).exists():
        raise RunDirectoryError(
            f"{prepare_dir / GOLD} does not exist, so there is nothing to compare the labels with; prepare the task "
            f"from a source with golden labels, or be content with {elicit_dir / LABELS}"
        )
    prepared, elicited = verify_labelled(prepare_dir, elicit_dir)
    outputs = prepared.outputs | elicited.outputs
    return {name: outputs[name] for name in (CLAIMS, HELD_OUT, GOLD, TASK, LABELS, TRACE) if name in outputs}


def read_elicitation(prepare_dir: Path, elicit_dir: Path) -> Elicitation:
    """Read the files of the stages before.

    Raises:
        SchemaError: A file is malformed, the labels are not those of the claims, or no claim has a golden label.
    """
    task, claims = read_task(prepare_dir / TASK), read_claims(prepare_dir / CLAIMS)
    golden = gold.load(prepare_dir / GOLD, task.label_space)
    if problem := why_not_comparable(prepare_dir):
        raise SchemaError(f"{prepare_dir / GOLD}: {problem}; prepare the task from a source with golden labels")
    held_out_path = prepare_dir / HELD_OUT
    return Elicitation(
        task=task,
        claims=claims,
        held_out=read_rows(held_out_path, Claim) if held_out_path.exists() else [],
        golden=golden,
        rows=read_elicited_labels(elicit_dir / LABELS, task.label_space, claims),
        trace=_read_trace(elicit_dir / TRACE, claims),
    )


def why_not_comparable(prepare_dir: Path) -> str | None:
    """Return why the labels of a task cannot be compared with golden ones, `None` if they can.

    Raises:
        SchemaError: A file is malformed.
    """
    if not (prepare_dir / GOLD).exists():
        return "the source has no golden labels, so there is nothing to compare the labels with"
    golden = gold.load(prepare_dir / GOLD, read_task(prepare_dir / TASK).label_space)
    # Golden labels of held-out claims alone would leave every metric of the search empty.
    if not any(claim.id in golden for claim in read_claims(prepare_dir / CLAIMS)):
        return "none of the searched claims has a golden label, so there is nothing to compare the labels with"
    return None


def _read_trace(path: Path, claims: Sequence[Claim]) -> list[TraceRow]:
    # A trace of other claims would be replayed as if nothing had been labelled.
    known = {claim.id for claim in claims}
    rows = read_rows(path, TraceRow)
    if not rows:
        raise SchemaError(f"{path}: holds no step, not even the initial labels; run `icm elicit` again")
    for number, row in enumerate(rows, start=1):
        for claim in row.changes:
            if claim not in known:
                raise SchemaError(f"{path}:{number}: changes {claim!r}, which is no claim of {CLAIMS}")
    return rows
