"""Writes every score down when it is fetched and never asks for it again. Knows no backend.

A journal is a JSONL file: a header that names what was asked, then a line for each prompt with its content hash and
its label log-probabilities, and for each reading with its content hash and those of all its verdicts. It is what makes
a run replayable: a score that stands in the journal is data.

Lines come in batches, one for each call of the model. `left` counts the lines of a batch that follow, and its last line
says what the call cost (`spent`). A batch counts only when it is whole, so a process that was killed asks the same
batches again that one which was not would have asked: their sizes move the last digits of an answer. `crc` is the
CRC-32 of all lines up to there, so a line that was altered, lost or put in is noticed.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from icm.errors import RunDirectoryError, SchemaError
from icm.prompts import Prompt, Reading
from icm.scoring.passthrough import PassthroughScorer
from icm.scoring.protocol import LabelScorer, ScoringCost, count_prompt_tokens, count_reading_tokens

Question = TypeVar("Question", Prompt, Reading)

Store = dict[bytes, NDArray[np.float64]]
"""Answers by the digest of their question."""

Answer = tuple[Store, bytes, NDArray[np.float64]]
"""The store that an answer belongs to, the digest of its question, and the answer."""

SCHEMA_VERSION: Final = 2
DECIMALS: Final = 5
"""Digits kept of a log-probability. The last bits depend on how prompts were packed; these do not."""

_SEAL: Final = len(', "crc": "00000000"}\n')
"""Bytes with which a line ends."""


class JournalScorer(PassthroughScorer):
    """Answers from a journal what it holds, asks the inner scorer for the rest, and appends that to the journal."""

    def __init__(
        self,
        inner: LabelScorer,
        path: Path,
        *,
        at: int | None = None,
        fresh: bool = False,
        replays: bool = True,
        before_first_write: Callable[[], object] = lambda: None,
    ) -> None:
        """Open a journal, or begin one where there is no file; a new one is not written before the first answer.

        Args:
            inner: What is asked for prompts that the journal does not hold.
            path: The journal.
            at: A `position` of this journal; what was written after it is cut off and does not count.
            fresh: Whether to begin anew, whatever the file holds.
            replays: Whether the work that filled the journal is done again from its beginning, so that answers count
                with what they cost when they were fetched; otherwise they were paid for by others, and are free.
            before_first_write: Called once, before anything is written: a stage claims its directory.

        Raises:
            SchemaError: The file is no journal, or one of its lines is damaged.
            RunDirectoryError: It belongs to another model, or is shorter than `at`.
        """
        super().__init__(inner)
        self._path = Path(path)
        self._own_cost = ScoringCost()
        # The scorer may have worked for another stage before; that is not part of the cost here.
        self._spent_before = inner.cost
        self._entries: Store = {}
        self._readings: Store = {}
        self._before_first_write = before_first_write
        self._replays = replays
        # Of each question that is to be paid for when it comes, the batch it was asked in, and what the batches cost.
        self._unpaid: dict[bytes, int] = {}
        self._costs: dict[int, ScoringCost] = {}
        self._crc = 0
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
        store: Store,
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
            if question.digest in self._unpaid:
                self._pay(self._unpaid.pop(question.digest))
            elif question.digest in store or question.digest in fresh:
                known.append(question)
            else:
                fresh[question.digest] = question
        inner_seconds = 0.0
        if fresh:
            asked, before = time.perf_counter(), self.inner.cost
            answers = ask(list(fresh.values()))
            inner_seconds = time.perf_counter() - asked
            # Rounded before anyone sees them, so a resumed run reads the very numbers that the first run used.
            rounded = [_rounded(answer) for answer in answers]
            rows = [{kind: digest.hex(), "logprobs": row.tolist()} for digest, row in zip(fresh, rounded, strict=True)]
            self._append(rows, self.inner.cost - before)
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

    def _pay(self, batch: int) -> None:
        """Count what a batch cost, once."""
        self._own_cost += self._costs.pop(batch, ScoringCost())

    def _append(self, rows: list[dict[str, Any]], spent: ScoringCost) -> None:
        """Write a batch."""
        if not self._is_begun:
            self._before_first_write()
        lines: list[dict[str, Any]] = [{**row, "left": len(rows) - 1 - place} for place, row in enumerate(rows)]
        # Without the seconds, which would make the journals of equal runs differ.
        lines[-1]["spent"] = {name: value for name, value in asdict(spent).items() if not name.endswith("seconds")}
        # With the first answers and not earlier: a run that fails before it asks leaves no file behind.
        begin = b"" if self._is_begun else _header(self.inner)
        content, crc = _sealed(lines, zlib.crc32(begin, self._crc))
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(begin + content)
        except OSError as error:
            raise RunDirectoryError(
                f"{self._path}: cannot append to the journal ({error.strerror}); what stands in it is kept: "
                f"make room or give access, then run the same command again"
            ) from error
        self._is_begun, self._crc = True, crc

    def _load(self, at: int | None) -> None:
        content = self._path.read_bytes()
        if at is not None and len(content) < at:
            raise RunDirectoryError(
                f"{self._path}: holds {len(content)} bytes, fewer than the {at} that were there at the checkpoint; "
                f"bring the file back, or delete the checkpoint beside it: the search then starts over, and the "
                f"journal answers what it still holds"
            )
        kept = content[:at]
        kept = kept[: kept.rfind(b"\n") + 1]  # a line without its end was torn off while it was written
        # A torn header is a beginning of ours. Anything else is a file of somebody, which is not overwritten.
        if not kept and not _header(self.inner).startswith(content):
            raise self._no_journal()
        size = self._read(kept) if kept else 0
        # Cut off on disk as well: the next line would otherwise be appended to half a line or half a batch.
        if size < len(content):
            os.truncate(self._path, size)

    def _read(self, content: bytes) -> int:
        """Read whole lines, and return how many bytes of them are whole batches."""
        header, *lines = content.splitlines(keepends=True)
        self._check_header(header)
        size = read = len(header)
        crc = self._crc = zlib.crc32(header)
        batch: list[Answer] = []
        for number, line in enumerate(lines, start=2):
            read += len(line)
            body, crc = line[:-_SEAL] + b"}", zlib.crc32(line[:-_SEAL], crc)
            try:
                if line[-_SEAL:] != _seal(crc):
                    raise ValueError("its check sum is wrong")
                row = json.loads(body)
                batch.append(self._answer_in(row))
                spent = None if row["left"] else ScoringCost(**row["spent"])
            except (ValueError, KeyError, TypeError) as error:
                raise SchemaError(
                    f"{self._path}:{number}: not a line of a journal ({error}): it was altered, or lines before it are "
                    f"missing; delete it and all lines after it, and they are asked again"
                ) from None
            if spent is not None:
                self._keep(batch, number, spent)
                size, self._crc, batch = read, crc, []
        return size

    def _keep(self, batch: list[Answer], number: int, spent: ScoringCost) -> None:
        """Take the answers of a whole batch; `number` tells batches apart."""
        for store, digest, answer in batch:
            store[digest] = answer
            if self._replays:
                self._unpaid[digest] = number
        self._costs[number] = spent

    def _answer_in(self, row: Any) -> Answer:
        """Return the answer in a line, with its digest and the store that it belongs to."""
        if "reading" in row:
            return self._readings, bytes.fromhex(row["reading"]), self._read_rows(row["logprobs"])
        (logprobs,) = self._read_rows([row["logprobs"]])
        return self._entries, bytes.fromhex(row["prompt"]), logprobs

    def _read_rows(self, logprobs: Any) -> NDArray[np.float64]:
        rows = np.array(logprobs, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.num_labels:
            raise ValueError(f"expected rows of {self.num_labels} log-probabilities")
        rows.setflags(write=False)
        return rows

    def _check_header(self, line: bytes) -> None:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        expected = json.loads(_header(self.inner))
        if not isinstance(row, dict) or row.get("kind") != expected["kind"]:
            raise self._no_journal()
        if row.get("schema") != SCHEMA_VERSION:
            raise SchemaError(
                f"{self._path}: a journal of schema {row.get('schema')}, which another version of icm wrote; add "
                f"overwrite=true to start this stage anew, or remove the file to score afresh"
            )
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


def _sealed(rows: Iterable[dict[str, Any]], crc: int) -> tuple[bytes, int]:
    """Return rows as lines, each with the check sum of all up to it, and the last check sum."""
    lines: list[bytes] = []
    for row in rows:
        # Without the closing brace, before which the check sum is put.
        body = json.dumps(row)[:-1].encode()
        crc = zlib.crc32(body, crc)
        lines += [body, _seal(crc)]
    return b"".join(lines), crc


def _seal(crc: int) -> bytes:
    return b', "crc": "%08x"}\n' % crc


def _header(inner: LabelScorer) -> bytes:
    """Return the first line of the journal of a scorer."""
    names = {"fingerprint": inner.fingerprint, "num_labels": inner.num_labels}
    return json.dumps({"kind": "journal", "schema": SCHEMA_VERSION, **names}).encode() + b"\n"
