"""The elicit stage: claims in, labels and the trace of the search out. Knows no golden label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from icm.claims import UNLABELLED
from icm.elicit.checkpoint import load_checkpoint
from icm.elicit.forecast import forecast
from icm.elicit.session import CHECKPOINT, Session
from icm.elicit.settings import ElicitSettings
from icm.files.labels import read_source_rows
from icm.files.records import (
    ALTERNATIVES,
    CLAIMS,
    LABELS,
    ROWS,
    TASK,
    TRACE,
    AlternativeRow,
    LabelRow,
    Manifest,
    TraceRow,
    read_claims,
    read_rows,
    read_task,
    sha256_of,
    write_rows,
)
from icm.files.stage_dir import StageDir, verify
from icm.objective import Evaluation, bits_per_label, margins
from icm.prequential import Prequential
from icm.problem import Problem, build_problem
from icm.scoring.journal import JournalScorer
from icm.scoring.protocol import LabelScorer, describe_model
from icm.searches.build import build_search
from icm.searches.protocol import Result, State
from icm.searches.settings import GivenSettings

JOURNAL: Final = "journal.jsonl"


def run(
    settings: ElicitSettings,
    prepare_dir: Path,
    out_dir: Path,
    scorer: LabelScorer,
    console: Console,
    *,
    overwrite: bool = False,
) -> Manifest:
    """Elicit labels for the claims of a prepared task.

    An interrupted run in the same directory is continued; a complete one is left as it is.

    Args:
        settings: What the labels follow from.
        prepare_dir: Directory of the prepare stage.
        out_dir: Where `labels.jsonl`, `trace.jsonl`, the journal and the manifest go.
        scorer: The model, bound to the task's label space.
        console: Where the forecast and the progress are shown.
        overwrite: Whether what `out_dir` holds under other settings may be deleted.

    Raises:
        RunDirectoryError: A directory is unfinished, corrupt, or belongs to a run with other settings.
        ScoringError: The prompts do not fit the model, or it answered NaN.
        Interrupted: The user asked to stop; everything is kept.
    """
    prepared = verify(prepare_dir, "prepare", CLAIMS, TASK)
    inputs = {name: prepared.outputs[name] for name in (CLAIMS, TASK)}
    if settings.anchors is not None:
        # By content: the settings hold the path alone, and the file under it may change.
        inputs["anchors"] = sha256_of(settings.anchors)
    if isinstance(settings.search, GivenSettings):
        inputs["labels"] = sha256_of(settings.search.labels)
    # How often a search is saved changes no result, nor does where given labels lie.
    what_counts = settings.model_dump(mode="json", exclude={"checkpoint_seconds": True, "search": {"labels": True}})
    # The model belongs to the settings: labels by other weights are another result.
    config = {**what_counts, "model": scorer.fingerprint}
    with StageDir(out_dir, "elicit", config, inputs, model=describe_model(scorer), overwrite=overwrite) as stage:
        if done := stage.complete():
            return done

        claims, task = read_claims(prepare_dir / CLAIMS), read_task(prepare_dir / TASK)
        # With `overwrite` the old files are still there at this point: they go when the first new one is written.
        checkpoint = None if stage.begins_anew else load_checkpoint(out_dir / CHECKPOINT)
        journal = JournalScorer(
            scorer,
            out_dir / JOURNAL,
            at=checkpoint.journal_bytes if checkpoint else None,
            fresh=stage.begins_anew,
            # What was asked before a checkpoint has been counted in it.
            replays=checkpoint is None,
            # On trial, since a search may find out only after its start that it can say nothing about these claims.
            before_first_write=partial(stage.claim, on_trial=True),
        )
        problem = build_problem(claims, task, journal, settings, read_source_rows(prepare_dir / ROWS))
        search = build_search(settings.search, problem, settings.seed)
        # Before the search, so that prompts that do not fit are refused before the model is asked.
        ahead = forecast(problem.objective, claims, task.label_space, search.num_steps, search.num_evaluations)
        console.print(str(ahead), soft_wrap=True)
        with Session(stage, problem, search, journal, settings.checkpoint_seconds, checkpoint) as session:
            state = session.run(console)
        result = search.result(state)
        # A search may return another labelling than its last one; the journal answers what has been asked already.
        evaluation = problem.objective.evaluate(result.labels)
        # The trace is read back, since a search that went on has its earlier rows on the disk alone.
        write_rows(out_dir / LABELS, label_rows(problem, result, evaluation, read_rows(out_dir / TRACE, TraceRow)))
        write_rows(out_dir / ALTERNATIVES, alternative_rows(problem, result))
        # The manifest after all that it names, and the checkpoint removed after both: a kill in between loses nothing.
        manifest = stage.finish(
            _counts(problem, state, result, evaluation),
            outputs=(LABELS, ALTERNATIVES, TRACE),
            cost=asdict(session.cost),
            seconds=session.seconds,
        )
        (out_dir / CHECKPOINT).unlink()
        return manifest


def label_rows(problem: Problem, result: Result, evaluation: Evaluation, trace: Sequence[TraceRow]) -> list[LabelRow]:
    """Return the rows of `labels.jsonl`, in the order of the claims."""
    # Later rows replace earlier ones, so the step that last gave a claim this label stays.
    set_at = {(claim, label): row.step for row in trace for claim, label in row.changes.items()}
    rows = []
    for index, (claim, label) in enumerate(zip(problem.claims, result.labels.tolist(), strict=True)):
        if label == UNLABELLED:
            rows.append(LabelRow(id=claim.id, group=claim.group))
            continue
        logprobs = evaluation.label_logprobs[index]
        rows.append(
            LabelRow(
                id=claim.id,
                group=claim.group,
                label=label,
                name=problem.task.label_space.names[label],
                probability=float(np.exp(logprobs[label])),
                margin=float(margins(logprobs[None])[0, label]),
                last_changed=set_at[claim.id, label],
                stability=None if result.stability is None else float(result.stability[index]),
            )
        )
    return rows


def alternative_rows(problem: Problem, result: Result) -> list[AlternativeRow]:
    """Return the rows of `alternatives.jsonl`, by falling U."""
    ids = [claim.id for claim in problem.claims]
    return [
        AlternativeRow(
            utility=alternative.utility,
            origins=alternative.origins,
            agreement=float(np.mean(alternative.labels == result.labels)),
            labels=dict(zip(ids, alternative.labels.tolist(), strict=True)),
        )
        for alternative in result.alternatives
    ]


def _counts(problem: Problem, state: State, result: Result, evaluation: Evaluation) -> dict[str, float]:
    return {
        "claims": len(problem.claims),
        "labelled": int((result.labels != UNLABELLED).sum()),
        "constraints": problem.objective.constraints.weight.size,
        "violations": evaluation.num_violations,
        "steps": state.step,
        "alternatives": len(result.alternatives),
        "utility": evaluation.utility,
        "predictability": evaluation.predictability,
        "predictability_spread": evaluation.spread,
        **_bits(problem, result, evaluation),
    }


def _bits(problem: Problem, result: Result, evaluation: Evaluation) -> dict[str, float]:
    """Return how many bits the claims save per label, where P is a gain over reading no claim."""
    if not isinstance(problem.objective, Prequential) or not (result.labels != UNLABELLED).any():
        return {}
    return {"bits_per_label": bits_per_label(evaluation, result.labels)}
