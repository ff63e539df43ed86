"""Forwards each prompt or reading in full, as a row of a padded batch. Knows tokens, not text.

For prompts the plain way: for models whose attention cannot share prefixes, and the yardstick for the shared one. For
readings the only way that is needed: a row is read at all its verdicts, whatever the attention of the model.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from icm.scoring.local.heads import Head
from icm.scoring.local.reading import Scored, is_out_of_memory, no_memory, read_logprobs
from icm.scoring.protocol import ScoringCost
from icm.scoring.trie import Tokens

MAX_LOGITS: Final = 1 << 27
"""Logits of one forward pass, half a gigabyte: each place that is read costs all columns in every row."""

TokenReading = tuple[Tokens, Sequence[int]]
"""The tokens of a reading with the part of its last verbalizer that must be forwarded, and where its claims end."""

_Row = tuple[Tokens, list[tuple[int, int, int, int]]]
"""Tokens to forward, and what is read in them: (position, token, which question it counts for, label)."""


class PaddedForward:
    """Forwards every prompt in full, rows of similar length padded on the right to one batch."""

    def __init__(self, model: Any, head: Head, max_tokens: int) -> None:
        """Take a causal language model over; `head` says which rows of its output matrix are computed.

        `max_tokens` bounds a forward pass, padding included, but at least one prompt is forwarded; it is halved
        for good whenever memory runs out.
        """
        self._model, self._head = model, head
        self.max_tokens = max_tokens

    @torch.inference_mode()
    def score(self, prompts: Sequence[Tokens], verbalizers: Sequence[Tokens]) -> Scored:
        """Return the label log-probabilities of prompts given as tokens.

        Raises:
            ScoringError: Memory does not suffice for the longest prompt.
        """
        return self._score(_rows(prompts, verbalizers), (len(prompts), len(verbalizers)))

    @torch.inference_mode()
    def score_readings(
        self, readings: Sequence[TokenReading], verbalizers: Sequence[Tokens], stretch: int | None = None
    ) -> Scored:
        """Return the label log-probabilities at all verdicts of all readings, one after the other.

        Args:
            readings: Tokens, and where in them the claims end.
            verbalizers: Tokens of each label's verbalizer; all but the last are the same for every label.
            stretch: Most tokens of a row that are forwarded at once, those before them being kept in a cache; `None`
                for whole rows. Layers with a window then compute little attention that they mask away.

        Raises:
            ScoringError: Memory does not suffice for the longest reading.
        """
        rows: list[_Row] = []
        num_verdicts = 0
        for tokens, ends in readings:
            reads = [
                # As in `_rows`: token i is read one place before its own. All labels share the inner tokens, which the
                # reading itself holds.
                (end - 1 + i, token, num_verdicts + verdict, label)
                for verdict, end in enumerate(ends)
                for label, verbalizer in enumerate(verbalizers)
                for i, token in enumerate(verbalizer)
            ]
            rows.append((tokens, reads))
            num_verdicts += len(ends)
        return self._score(rows, (num_verdicts, len(verbalizers)), stretch)

    def _score(self, rows: list[_Row], shape: tuple[int, int], stretch: int | None = None) -> Scored:
        """Forward rows in batches of similar length and add up their reads."""
        # By length: rows of one batch are padded to the longest, so neighbours in length waste the least.
        rows.sort(key=lambda row: len(row[0]))
        logprobs = np.zeros(shape)
        cost, start = ScoringCost(), 0
        while start < len(rows):
            batch = self._batch(rows[start:])
            begun = time.perf_counter()
            try:
                values = self._forward(batch, stretch)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if len(batch) == 1:
                    raise no_memory(len(batch[0][0])) from error
                # Half of what was just tried and not of the old limit, which the batch may have been far below.
                self.max_tokens = len(batch) * len(batch[-1][0]) // 2
                continue
            # `add.at` and not `+=`: a label of several tokens is read several times, and fancy indexing counts once.
            for (_, reads), found in zip(batch, values, strict=True):
                _, _, asked, labels = zip(*reads, strict=True)
                np.add.at(logprobs, (asked, labels), found)
            num_tokens = sum(len(tokens) for tokens, _ in batch)
            seconds = time.perf_counter() - begun
            cost += ScoringCost(forwarded_tokens=num_tokens, calls=1, model_seconds=seconds)
            start += len(batch)
        return logprobs, cost

    def _batch(self, rows: Sequence[_Row]) -> Sequence[_Row]:
        """Return as many of the rows, which ascend in length, as the budgets hold, but at least one."""
        # The rows ascend, so the last row taken sets the width: `size + 1` rows are as wide as `rows[size]`.
        size, places = 1, _places(rows[0])
        most_read = MAX_LOGITS // self._head.width(self._model)
        while size < len(rows) and (size + 1) * len(rows[size][0]) <= self.max_tokens:
            places |= _places(rows[size])
            if (size + 1) * len(places) > most_read:
                break
            size += 1
        return rows[:size]

    def _forward(self, batch: Sequence[_Row], stretch: int | None) -> list[NDArray[np.float64]]:
        """Forward rows as one batch; return the log-probabilities of each row's reads."""
        device = self._model.device
        lengths = torch.tensor([len(row) for row, _ in batch])
        reads = [read for _, row_reads in batch for read in row_reads]
        num_reads = [len(row_reads) for _, row_reads in batch]
        # What pads on the right does not matter: causal attention never looks there from a real token.
        tokens = torch.zeros((len(batch), int(lengths.max())), dtype=torch.long)
        for place, (row, _) in enumerate(batch):
            tokens[place, : len(row)] = torch.tensor(row)
        # Logits are computed at the same places of every row, those that any row reads; `which` finds a read's place
        # among them. Flattened, row `r` begins at `r * len(wanted)`.
        wanted, which = np.unique([at for at, *_ in reads], return_inverse=True)
        logits = self._logits(tokens.to(device), lengths, wanted, stretch)
        place = np.repeat(np.arange(len(batch)), num_reads)
        values = read_logprobs(
            logits.flatten(0, 1),
            torch.from_numpy(place * len(wanted) + which),
            torch.from_numpy(self._head.columns(np.array([token for _, token, *_ in reads]))),
        )
        # The last offset is the end of all reads and would split off an empty row.
        return np.split(values, np.cumsum(num_reads)[:-1])

    def _logits(
        self, tokens: torch.Tensor, lengths: torch.Tensor, wanted: NDArray[np.int64], stretch: int | None
    ) -> torch.Tensor:
        """Return the logits (B, K, V) at the wanted places (K,) of rows (B, T) that are padded on the right."""
        width, device = tokens.shape[1], tokens.device
        positions = torch.arange(width)
        # Without a mask, attention takes its faster causal path.
        mask = (positions < lengths[:, None]).long().to(device) if bool((lengths < width).any()) else None
        size = stretch or width
        # Made with the configuration, a cache drops what lies before the window of the next token.
        kept = {"past_key_values": DynamicCache(config=self._model.config)} if size < width else {}
        found = []
        with self._head.in_place():
            for begin in range(0, width, size):
                part = slice(begin, min(begin + size, width))
                here = wanted[(wanted >= part.start) & (wanted < part.stop)] - part.start
                output = self._model(
                    tokens[:, part],
                    # A mask covers the tokens in the cache as well.
                    attention_mask=None if mask is None else mask[:, : part.stop],
                    position_ids=positions[part].expand(len(tokens), -1).to(device),
                    use_cache=bool(kept),
                    logits_to_keep=torch.from_numpy(here).to(device),
                    **kept,
                )
                found.append(output.logits)
        return torch.cat(found, dim=1)


def _places(row: _Row) -> set[int]:
    """Return the positions at which something is read."""
    return {at for at, *_ in row[1]}


def _rows(prompts: Sequence[Tokens], verbalizers: Sequence[Tokens]) -> list[_Row]:
    """Return the rows that cover all labels; verbalizers that differ only in their last token share one."""
    rows: list[_Row] = []
    for prompt, tokens in enumerate(prompts):
        by_beginning: dict[Tokens, _Row] = {}
        for label, verbalizer in enumerate(verbalizers):
            beginning = verbalizer[:-1]
            _, reads = by_beginning.setdefault(beginning, (tokens + beginning, []))
            # Token i of a verbalizer is read one place before its own, at the last token of the prompt for i = 0.
            reads.extend((len(tokens) - 1 + i, token, prompt, label) for i, token in enumerate(verbalizer))
        rows.extend(by_beginning.values())
    return rows
