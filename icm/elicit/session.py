"""One search in its directory: what its trace and checkpoints add to the loop that drives it."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Generic

import numpy as np
from rich.console import Console

from consistency.kernels import count_violations
from icm.claims import UNLABELLED, Labels
from icm.elicit.checkpoint import Checkpoint
from icm.errors import Interrupted, RunDirectoryError
from icm.files.records import TRACE, TraceRow, dump_row
from icm.files.stage_dir import StageDir
from icm.problem import Problem
from icm.report.progress import ProgressDisplay
from icm.scoring.journal import JournalScorer
from icm.scoring.protocol import ScoringCost
from icm.searches.drive import drive
from icm.searches.protocol import S, Search
from search.annealing import StepInfo

CHECKPOINT: Final = "checkpoint.json"


class Session(Generic[S]):
    """One run of a search in its directory: writes the trace and checkpoints, stops when asked, can be continued."""

    def __init__(
        self,
        stage: StageDir,
        problem: Problem,
        search: Search[S],
        journal: JournalScorer,
        checkpoint_seconds: float,
        checkpoint: Checkpoint | None,
    ) -> None:
        self._stage = stage
        self._problem = problem
        self._search = search
        self._journal = journal
        self._checkpoint_seconds = checkpoint_seconds
        self._trace_bytes = checkpoint.trace_bytes if checkpoint else 0
        # Before anything is evaluated: a damaged trace must be found at once.
        self._trace_hash = hashlib.sha256() if checkpoint is None else _hash_of_trace(stage.path / TRACE, checkpoint)
        self._opened_trace: BinaryIO | None = None
        if checkpoint is None:
            self._resumed = None
            self._cost_before, self._seconds_before = ScoringCost(), 0.0
        else:
            self._resumed = search.restore(checkpoint.state)
            self._cost_before, self._seconds_before = checkpoint.cost, checkpoint.seconds
        # Evaluating the resumed state anew was answered by the journal; it has been paid for already.
        self._cost_mark = journal.cost
        self._started = time.perf_counter()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        if self._opened_trace is not None:
            self._opened_trace.close()

    @property
    def _trace(self) -> BinaryIO:
        """The trace, cut back to the checkpoint; opened by the first row, since a failed start leaves no file."""
        if self._opened_trace is None:
            self._stage.claim()
            # Opened to append and then cut: opened to write, the trace of a search that goes on would be emptied.
            self._opened_trace = (self._stage.path / TRACE).open("ab")
            self._opened_trace.truncate(self._trace_bytes)
        return self._opened_trace

    @property
    def cost(self) -> ScoringCost:
        """Scoring cost of the search so far, all resumed parts together."""
        return self._cost_before + (self._journal.cost - self._cost_mark)

    @property
    def seconds(self) -> float:
        """Wall time of the search so far, all resumed parts together."""
        return self._seconds_before + time.perf_counter() - self._started

    def run(self, console: Console) -> S:
        """Take the remaining steps.

        Raises:
            Interrupted: The user asked to stop; the search is saved after its last step.
        """
        state, resumed = None, self._resumed
        # What the trace has told so far: each row holds only what differs from the row before.
        labels = np.full(len(self._problem.claims), UNLABELLED, dtype=np.int8) if resumed is None else resumed.labels
        saved_at = time.perf_counter()
        with _stop_request(console) as stop, ProgressDisplay(console, "eliciting") as display:
            # Before the first step, which may take long: the display must show at once what has been done already.
            if resumed is not None:
                display.show(resumed.step, self._search.num_steps)
            for state, info in drive(self._search, self._journal, resumed):
                # `labels` is still the labelling of the step before, which the row is compared with.
                row = self._write(state, info, labels)
                labels = state.labels
                display.show(row.step, self._search.num_steps, _status(row))
                # Only where the scorer has just forgotten may the search stop; at the start it has not.
                if state.step == 0 or state.step % self._search.period:
                    continue
                if stop.is_set():
                    break
                if time.perf_counter() - saved_at >= self._checkpoint_seconds:
                    self._save(state)
                    saved_at = time.perf_counter()
        # A checkpoint of a search that is done leaves no step, so the loop above may not have run at all.
        state = state or resumed
        assert state is not None
        # After the last step, too: a process that is killed before the manifest need not take these steps again.
        self._save(state)
        if not self._search.is_done(state):
            raise Interrupted(
                f"stopped after step {state.step:,} of {self._search.num_steps:,}; nothing is lost. "
                f"Run the same command again to go on"
            )
        return state

    def _write(self, state: S, info: StepInfo, before: Labels) -> TraceRow:
        # A step may move more claims than the one it names: repairs and sweeps do.
        changed = np.flatnonzero(state.labels != before).tolist()
        claims = self._problem.claims
        row = TraceRow(
            step=state.step,
            temperature=info.temperature,
            claim=None if info.claim is None else claims[info.claim].id,
            label=info.label,
            delta_utility=info.delta_utility,
            accepted=info.accepted,
            violations=count_violations(self._problem.objective.constraints, state.labels),
            utility=state.evaluation.utility if state.evaluation else None,
            labelled=int((state.labels != UNLABELLED).sum()),
            tokens=self.cost.forwarded_tokens,
            changes={claims[i].id: _or_none(int(state.labels[i])) for i in changed},
        )
        line = dump_row(row).encode()
        self._trace.write(line)
        self._trace_hash.update(line)
        return row

    def _save(self, state: S) -> None:
        # The trace first: a checkpoint must never name more bytes of it than the disk holds.
        self._trace.flush()
        os.fsync(self._trace.fileno())
        Checkpoint(
            state=dict(self._search.save(state)),
            trace_bytes=self._trace.tell(),
            trace_sha256=self._trace_hash.hexdigest(),
            # `position` first brings the journal to the disk, so the checkpoint never names more than is there.
            journal_bytes=self._journal.position(),
            cost=self.cost,
            seconds=self.seconds,
        ).save(self._stage.path / CHECKPOINT)
        # From here on a search that fails goes on from its checkpoint.
        self._stage.keep()


def _hash_of_trace(path: Path, checkpoint: Checkpoint) -> Any:
    """Return the hash of a trace up to its checkpoint, to go on with.

    Raises:
        RunDirectoryError: The trace is shorter than at the checkpoint, or another one.
    """
    content = path.read_bytes()[: checkpoint.trace_bytes] if path.exists() else b""
    hasher = hashlib.sha256(content)
    if hasher.hexdigest() != checkpoint.trace_sha256:
        state = "altered" if len(content) == checkpoint.trace_bytes else "cut short" if path.exists() else "missing"
        raise RunDirectoryError(
            f"{path} is {state} since the checkpoint of the search; bring it back, or delete {CHECKPOINT} beside it "
            f"and run the same command again: the search starts over, and the journal answers what it still holds"
        )
    return hasher


@contextmanager
def _stop_request(console: Console) -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into a request that is answered between two steps; the second one stops at once."""
    requested = threading.Event()
    # Python lets only the main thread set signal handlers; in a notebook's worker Ctrl-C stays as it is.
    if threading.current_thread() is not threading.main_thread():
        yield requested
        return

    def request(_signal: int, _frame: object) -> None:
        requested.set()
        console.print("stopping after this step; Ctrl-C once more stops at once")
        # From now on Ctrl-C does what it did before, so that a second one stops at once.
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, request)
    try:
        yield requested
    finally:
        signal.signal(signal.SIGINT, previous)


def _status(row: TraceRow) -> str:
    facts = [
        "" if row.utility is None else f"U {row.utility:.2f}",
        f"{row.violations} violated",
        "" if row.temperature is None else f"T {row.temperature:.2f}",
        f"{row.labelled} labelled",
        f"{row.tokens:,} tokens",
    ]
    return " · ".join(filter(None, facts))


def _or_none(label: int) -> int | None:
    return None if label == UNLABELLED else label
