"""Writes every score down when it is fetched and never asks for it again. Knows no backend.

A journal is a JSONL file: a header that names what was asked, then a line for each prompt with its content hash and
its label log-probabilities, and for each reading with its content hash and those of all its verdicts. It is what makes
a run replayable: a score that stands in the journal is data.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from icm.errors import RunDirectoryError, SchemaError
from icm.prompts import Prompt, Reading
from icm.scoring.passthrough import PassthroughScorer
from icm.scoring.protocol import LabelScorer, ScoringCost, count_prompt_tokens, count_reading_tokens

Question = TypeVar("Question", Prompt, Reading)

SCHEMA_VERSION = 1
DECIMALS = 5
"""Digits kept of a log-probability. The last bits depend on how prompts were packed; these do not."""


class JournalScorer(PassthroughScorer):
    """Answers from a journal what it holds, asks the inner scorer for the rest, and appends that to the journal."""

    def __init__(
        self,
        inner: LabelScorer,
        path: Path,
        *,
        at: int | None = None,
        fresh: bool = False,
        before_first_write: Callable[[], None] = lambda: None,
    ) -> None:
        """Open a journal, or begin one where there is no file; a new one is not written before the first answer.

        Args:
            inner: What is asked for prompts that the journal does not hold.
            path: The journal.
            at: A `position` of this journal; what was written after it is cut off and does not count.
            fresh: Whether to begin anew, whatever the file holds.
            before_first_write: Called once, before anything is written: a stage claims its directory.

        Raises:
            SchemaError: The file is no journal, or one of its lines is broken.
            RunDirectoryError: It belongs to another model, or is shorter than `at`.
        """
        super().__init__(inner)
        self._path = Path(path)
        self._own_cost = ScoringCost()
        # The scorer may have worked for another stage before; that is not part of the cost here.
        self._spent_before = inner.cost
        self._entries: dict[bytes, NDArray[np.float64]] = {}
        self._readings: dict[bytes, NDArray[np.float64]] = {}
        self._before_first_write = before_first_write
        if at == 0 and self._path.exists():
            # The checkpoint was written before the first question: whatever was asked since does not count.
            os.truncate(self._path, 0)
        if not fresh and self._path.exists() and self._path.stat().st_size:
            self._load(at)
        self._is_begun = not fresh and self._path.exists() and self._path.stat().st_size > 0
        if at and not self._is_begun:
            raise RunDirectoryError(f"{path}: the journal is empty but byte {at} of it is asked for; start afresh")

    @property
    def cost(self) -> ScoringCost:
        """What was asked here, and what the inner scorer has spent since the journal was opened."""
        return self._own_cost + (self.inner.cost - self._spent_before)

    def position(self) -> int:
        """Return the length of the journal, in bytes, once all of it has reached the disk."""
        if not self._is_begun:
            return 0
        with self._path.open("ab") as file:
            # A checkpoint names this position: the lines before it must survive a crash that the checkpoint survives.
            os.fsync(file.fileno())
            return file.tell()

    def label_logprobs(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        """Return log p(verbalizer | prompt), rounded to `DECIMALS`: (B, L), nats.

        The inner scorer is asked at most once for equal prompts; its answers are in the file before they are returned.

        Raises:
            ScoringError: The inner scorer could not answer.
            RunDirectoryError: The journal cannot be written.
        """
        self._answer(prompts, self._entries, "prompt", self.inner.label_logprobs, lambda _: 1, count_prompt_tokens)
        rows = [self._entries[prompt.digest] for prompt in prompts]
        return np.array(rows, dtype=np.float64).reshape(len(prompts), self.num_labels)

    def verdict_logprobs(self, readings: Sequence[Reading]) -> list[NDArray[np.float64]]:
        """Return log p(verbalizer | all before it) at every verdict, rounded to `DECIMALS`: (n, L) of each reading.

        The inner scorer is asked at most once for equal readings; its answers are in the file before they are returned.

        Raises:
            ScoringError: The inner scorer could not answer.
            RunDirectoryError: The journal cannot be written.
        """
        self._answer(
            readings,
            self._readings,
            "reading",
            self.inner.verdict_logprobs,
            lambda reading: len(reading.queries),
            count_reading_tokens,
        )
        return [self._readings[reading.digest] for reading in readings]

    def _answer(
        self,
        questions: Sequence[Question],
        store: dict[bytes, NDArray[np.float64]],
        kind: str,
        ask: Callable[[Sequence[Question]], Iterable[NDArray[np.float64]]],
        num_answers: Callable[[Question], int],
        count_tokens: Callable[[LabelScorer, Sequence[Question]], int],
    ) -> None:
        """Make sure that the store answers all questions; count what it knew before.

        Args:
            questions: Prompts or readings.
            store: Answers by the digest of their question.
            kind: What a line of the file calls a question.
            ask: Asks the inner scorer, in one batch.
            num_answers: How many prompts a question stands for.
            count_tokens: What known questions would have cost, written out in full.
        """
        started = time.perf_counter()
        fresh: dict[bytes, Question] = {}
        known: list[Question] = []
        for question in questions:
            # A repetition inside the batch counts as known too: one answer serves both.
            if question.digest in store or question.digest in fresh:
                known.append(question)
            else:
                fresh[question.digest] = question
        inner_seconds = 0.0
        if fresh:
            asked = time.perf_counter()
            answers = ask(list(fresh.values()))
            inner_seconds = time.perf_counter() - asked
            # Rounded before anyone sees them, so a resumed run reads the very numbers that the first run used.
            rounded = [_rounded(answer) for answer in answers]
            self._append(
                [{kind: digest.hex(), "logprobs": row.tolist()} for digest, row in zip(fresh, rounded, strict=True)]
            )
            # After the file: an answer that was given must be on disk, or a resumed run would ask again.
            store.update(zip(fresh, rounded, strict=True))
        num_known = sum(map(num_answers, known))
        self._own_cost += ScoringCost(
            prompts=num_known,
            journal_hits=num_known,
            naive_tokens=count_tokens(self.inner, known),
            # The inner scorer counts its own seconds, so only those spent here are added.
            other_seconds=time.perf_counter() - started - inner_seconds,
        )

    def _append(self, rows: list[dict[str, Any]]) -> None:
        if not self._is_begun:
            self._before_first_write()
        try:
            if not self._is_begun:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                # With the first answers and not earlier: a run that fails before it asks leaves no file behind.
                rows = [_header(self.inner), *rows]
            with self._path.open("ab") as file:
                file.write(_encode(rows))
            self._is_begun = True
        except OSError as error:
            raise RunDirectoryError(
                f"{self._path}: cannot append to the journal ({error.strerror}); what stands in it is kept: "
                f"make room or give access, then run the same command again"
            ) from error

    def _load(self, at: int | None) -> None:
        content = self._path.read_bytes()
        if at is not None and len(content) < at:
            raise RunDirectoryError(
                f"{self._path}: holds {len(content)} bytes, fewer than the {at} that were there at the checkpoint; "
                f"bring the file back or start a new run"
            )
        kept = content[:at]
        kept = kept[: kept.rfind(b"\n") + 1]  # a line without its end was torn off while it was written
        # A torn header is a beginning of ours. Anything else is a file of somebody, which is not overwritten.
        if not kept and not _encode([_header(self.inner)]).startswith(content):
            raise self._no_journal()
        for number, line in enumerate(kept.splitlines(), start=1):
            self._read(number, line)
        # Cut off on disk as well: the next line would otherwise be appended to half a line.
        if len(kept) < len(content):
            os.truncate(self._path, len(kept))

    def _read(self, number: int, line: bytes) -> None:
        try:
            row = json.loads(line)
            if number == 1:
                self._check_header(row)
                return
            if "reading" in row:
                self._readings[bytes.fromhex(row["reading"])] = self._read_rows(row["logprobs"])
                return
            logprobs = tuple(map(float, row["logprobs"]))
            self._entries[bytes.fromhex(row["prompt"])] = np.array(logprobs)
        except (ValueError, KeyError, TypeError) as error:
            raise SchemaError(
                f"{self._path}:{number}: not a line of a journal ({error}); remove the file to score afresh"
            ) from error
        if len(logprobs) != self.num_labels:
            raise SchemaError(f"{self._path}:{number}: expected {self.num_labels} log-probabilities, got {logprobs}")

    def _read_rows(self, logprobs: Any) -> NDArray[np.float64]:
        rows = np.array(logprobs, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.num_labels:
            raise ValueError(f"expected rows of {self.num_labels} log-probabilities")
        rows.setflags(write=False)
        return rows

    def _check_header(self, row: Any) -> None:
        expected = _header(self.inner)
        if not isinstance(row, dict) or row.get("kind") != expected["kind"] or row.get("schema") != SCHEMA_VERSION:
            raise self._no_journal()
        if row != expected:
            raise RunDirectoryError(
                f"{self._path}: holds scores of {row.get('fingerprint')!r}, but the model is now "
                f"{expected['fingerprint']!r}; use another output directory or the model of that run"
            )

    def _no_journal(self) -> SchemaError:
        return SchemaError(f"{self._path}:1: not a journal of schema {SCHEMA_VERSION}; remove it to score afresh")


def _rounded(answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return answers as they are kept, read-only."""
    # Adding zero turns -0.0 into 0.0, which JSON would keep apart.
    rounded = np.round(answers, DECIMALS) + 0.0
    rounded.setflags(write=False)
    return rounded


def _encode(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _header(inner: LabelScorer) -> dict[str, Any]:
    return {
        "kind": "journal",
        "schema": SCHEMA_VERSION,
        "fingerprint": inner.fingerprint,
        "num_labels": inner.num_labels,
    }
