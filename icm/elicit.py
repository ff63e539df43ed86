"""The elicit stage: claims in, labels and the trace of the search out. Knows no golden label."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from rich.console import Console

from consistency import compile_constraints
from icm.chain import AnnealingSettings, Chain, build_chain
from icm.checkpoint import Checkpoint, load_checkpoint
from icm.claims import UNLABELLED, Claim, Labels, freeze
from icm.contexts import Contexts, ContextSettings, Tree, draw_order
from icm.display import ChainDisplay
from icm.errors import Interrupted
from icm.forecast import forecast
from icm.objective import Evaluation, Objective, ObjectiveSettings, margins
from icm.prompts import render_demo
from icm.records import (
    CLAIMS,
    LABELS,
    TASK,
    TRACE,
    LabelRow,
    Manifest,
    StageDir,
    TaskRecord,
    TraceRow,
    dump_row,
    read_claims,
    read_rows,
    read_task,
    write_rows,
)
from icm.relations import constraints_from
from icm.scoring.journal import JournalScorer
from icm.scoring.protocol import LabelScorer, ScoringCost
from search.annealing import SearchState, StepInfo

JOURNAL: Final = "journal.jsonl"
CHECKPOINT: Final = "checkpoint.json"


class ElicitSettings(BaseModel):
    """What the labels follow from, besides the claims and the model.

    Attributes:
        seed: Seed of everything random.
        search: The chain.
        objective: U.
        contexts: What stands before a claim when its label is predicted.
        checkpoint_seconds: Wall time between two checkpoints, seconds; it changes no result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    search: AnnealingSettings
    objective: ObjectiveSettings
    contexts: ContextSettings
    checkpoint_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Problem:
    """The claims as the search sees them.

    Attributes:
        claims: The claims, in the order of their ids.
        task: What their labels mean.
        objective: U over their labellings.
    """

    claims: Sequence[Claim]
    task: TaskRecord
    objective: Objective

    @property
    def groups(self) -> NDArray[np.int64]:
        """(N,) the group of each claim, from 0."""
        return np.unique([claim.group for claim in self.claims], return_inverse=True)[1]


def run(settings: ElicitSettings, prepare_dir: Path, out_dir: Path, scorer: LabelScorer, console: Console) -> Manifest:
    """Elicit labels for the claims of a prepared task.

    An interrupted run in the same directory is continued; a complete one is left as it is.

    Args:
        settings: What the labels follow from.
        prepare_dir: Directory of the prepare stage.
        out_dir: Where `labels.jsonl`, `trace.jsonl`, the journal and the manifest go.
        scorer: The model, bound to the task's label space.
        console: Where the forecast and the progress are shown.

    Raises:
        RunDirectoryError: A directory is unfinished, corrupt, or belongs to a run with other settings.
        ScoringError: The prompts do not fit the model, or it answered NaN.
        Interrupted: The user asked to stop; everything is kept.
    """
    prepared = StageDir(prepare_dir, "prepare").verify(CLAIMS, TASK)
    inputs = {name: prepared.outputs[name] for name in (CLAIMS, TASK)}
    stage = StageDir(out_dir, "elicit")
    what_counts = settings.model_dump(mode="json", exclude={"checkpoint_seconds"})
    config = {**what_counts, "model": scorer.fingerprint, "inputs": inputs}
    if stage.claim(config) == "complete":
        return stage.read_manifest()

    claims, task = read_claims(prepare_dir / CLAIMS), read_task(prepare_dir / TASK)
    checkpoint = load_checkpoint(out_dir / CHECKPOINT)
    journal = JournalScorer(scorer, out_dir / JOURNAL, at=checkpoint.journal_bytes if checkpoint else None)
    problem = build_problem(claims, task, journal, settings)
    chain = build_chain(settings.search, problem.objective, problem.groups, settings.seed)
    console.print(str(forecast(problem.objective, claims, task.label_space, chain.num_steps)), soft_wrap=True)
    with Session(out_dir, problem, chain, journal, settings.checkpoint_seconds, checkpoint) as session:
        state = session.run(console)
    labels = chain.result(state)
    evaluation = problem.objective.evaluate(labels)
    write_rows(out_dir / LABELS, label_rows(problem, labels, evaluation, read_rows(out_dir / TRACE, TraceRow)))
    manifest = stage.finish(
        Manifest(
            stage="elicit",
            config=config,
            inputs=inputs,
            counts=_counts(problem, state, labels, evaluation),
            cost=asdict(session.cost),
            seconds=session.seconds,
        ),
        outputs=(LABELS, TRACE),
    )
    (out_dir / CHECKPOINT).unlink()
    return manifest


def build_problem(claims: Sequence[Claim], task: TaskRecord, scorer: LabelScorer, settings: ElicitSettings) -> Problem:
    """Put together what a search needs to know of a set of claims."""
    space = task.label_space
    group_names = [claim.group for claim in claims]
    demos = [[render_demo(claim, label, space) for label in range(len(space))] for claim in claims]
    num_orders = settings.contexts.num_orders if isinstance(settings.contexts, Tree) else 1
    contexts = [
        Contexts(settings.contexts, demos, group_names, draw_order(group_names, settings.seed, draw))
        for draw in range(num_orders)
    ]
    constraints = constraints_from(claims, task.relations, len(space))
    arrays = compile_constraints(constraints, num_claims=len(claims), num_labels=len(space))
    queries = [claim.text for claim in claims]
    return Problem(claims, task, Objective(settings.objective, contexts, queries, scorer, arrays))


def label_rows(problem: Problem, labels: Labels, evaluation: Evaluation, trace: Sequence[TraceRow]) -> list[LabelRow]:
    """Return the rows of `labels.jsonl`, in the order of the claims."""
    set_at = {(claim, label): row.step for row in trace for claim, label in row.changes.items()}
    rows = []
    for index, (claim, label) in enumerate(zip(problem.claims, labels.tolist(), strict=True)):
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
            )
        )
    return rows


class Session:
    """One run of a chain in its directory: takes steps, writes the trace, checkpoints, and can be continued."""

    def __init__(
        self,
        directory: Path,
        problem: Problem,
        chain: Chain,
        journal: JournalScorer,
        checkpoint_seconds: float,
        checkpoint: Checkpoint | None,
    ) -> None:
        self._directory = directory
        self._problem = problem
        self._chain = chain
        self._journal = journal
        self._checkpoint_seconds = checkpoint_seconds
        self._trace = (directory / TRACE).open("ab")
        self._trace.truncate(checkpoint.trace_bytes if checkpoint else 0)
        if checkpoint is None:
            self._resumed = None
            self._cost_before, self._seconds_before = ScoringCost(), 0.0
        else:
            self._resumed = self._state_of(checkpoint)
            self._cost_before, self._seconds_before = checkpoint.cost, checkpoint.seconds
        # Evaluating the resumed state anew was answered by the journal; it has been paid for already.
        self._cost_mark = journal.cost
        self._started = time.perf_counter()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._trace.close()

    @property
    def cost(self) -> ScoringCost:
        """Scoring cost of the chain so far, all resumed parts together."""
        return self._cost_before + (self._journal.cost - self._cost_mark)

    @property
    def seconds(self) -> float:
        """Wall time of the chain so far, all resumed parts together."""
        return self._seconds_before + time.perf_counter() - self._started

    def run(self, console: Console) -> SearchState[Evaluation]:
        """Take the remaining steps.

        Raises:
            Interrupted: The user asked to stop; the chain is saved after its last step.
        """
        state = self._resumed or self._begin()
        before, saved_at = state, time.perf_counter()
        with ChainDisplay(console, self._chain.num_steps, state.step) as display, _stop_request() as stop:
            for state, info in self._chain.walk(before):
                self._write(state, info, before.labels)
                before = state
                display.show(
                    step=state.step,
                    utility=state.evaluation.utility,
                    violations=state.evaluation.num_violations,
                    temperature=info.temperature,
                    labelled=int((state.labels != UNLABELLED).sum()),
                    tokens=self.cost.forwarded_tokens,
                )
                if time.perf_counter() - saved_at >= self._checkpoint_seconds:
                    self._save(state)
                    saved_at = time.perf_counter()
                if stop.is_set():
                    break
        self._save(state)
        if state.step < self._chain.num_steps:
            raise Interrupted(
                f"stopped after step {state.step:,} of {self._chain.num_steps:,}; nothing is lost. "
                f"Run the same command again to go on"
            )
        return state

    def _begin(self) -> SearchState[Evaluation]:
        state = self._chain.start()
        self._write(state, None, np.full_like(state.labels, UNLABELLED))
        return state

    def _write(self, state: SearchState[Evaluation], info: StepInfo | None, before: Labels) -> None:
        changed = np.flatnonzero(state.labels != before).tolist()
        claims = self._problem.claims
        row = TraceRow(
            step=state.step,
            temperature=info.temperature if info else None,
            claim=claims[info.claim].id if info else None,
            label=info.label if info else None,
            delta_utility=info.delta_utility if info else None,
            accepted=info.accepted if info else True,
            violations=state.evaluation.num_violations,
            utility=state.evaluation.utility,
            labelled=int((state.labels != UNLABELLED).sum()),
            tokens=self.cost.forwarded_tokens,
            changes={claims[i].id: _or_none(int(state.labels[i])) for i in changed},
        )
        self._trace.write(dump_row(row).encode())

    def _save(self, state: SearchState[Evaluation]) -> None:
        self._trace.flush()
        os.fsync(self._trace.fileno())
        Checkpoint(
            step=state.step,
            num_accepted=state.num_accepted,
            labels=tuple(state.labels.tolist()),
            best_labels=tuple(state.best_labels.tolist()),
            best_utility=state.best_utility,
            trace_bytes=self._trace.tell(),
            journal_bytes=self._journal.position(),
            cost=self.cost,
            seconds=self.seconds,
        ).save(self._directory / CHECKPOINT)

    def _state_of(self, checkpoint: Checkpoint) -> SearchState[Evaluation]:
        labels = freeze(np.array(checkpoint.labels, dtype=np.int8))
        return SearchState(
            step=checkpoint.step,
            num_accepted=checkpoint.num_accepted,
            labels=labels,
            evaluation=self._problem.objective.evaluate(labels),
            best_labels=freeze(np.array(checkpoint.best_labels, dtype=np.int8)),
            best_utility=checkpoint.best_utility,
        )


def _counts(
    problem: Problem, state: SearchState[Evaluation], labels: Labels, evaluation: Evaluation
) -> dict[str, float]:
    return {
        "claims": len(problem.claims),
        "labelled": int((labels != UNLABELLED).sum()),
        "constraints": problem.objective.constraints.weight.size,
        "violations": evaluation.num_violations,
        "steps": state.step,
        "accepted_changes": state.num_accepted,
        "utility": evaluation.utility,
        "predictability": evaluation.predictability,
        "predictability_spread": evaluation.spread,
    }


@contextmanager
def _stop_request() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into a request that is answered between two steps; the second one stops at once."""
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested
        return

    def request(_signal: int, _frame: object) -> None:
        requested.set()
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, request)
    try:
        yield requested
    finally:
        signal.signal(signal.SIGINT, previous)


def _or_none(label: int) -> int | None:
    return None if label == UNLABELLED else label
