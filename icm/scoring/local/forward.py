"""Runs a causal language model over prompts: sharing prefixes, or each prompt in full. Knows tokens, not text.

`PackedForward` walks a token trie depth first and forwards every token once. `PaddedForward` forwards each prompt as
a row of a padded batch: the plain way, for models whose attention cannot share, and the yardstick for the other.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from icm.errors import ScoringError
from icm.scoring.protocol import ScoringCost
from icm.scoring.trie import Tokens, Trie


class Scored(NamedTuple):
    """Label log-probabilities (B, L) in nats, and what they cost."""

    logprobs: NDArray[np.float64]
    cost: ScoringCost


class PackedForward:
    """Forwards a token trie in stretches of at most `max_tokens`, each one row under an ancestor mask.

    Between stretches the cache keeps only the ancestors of the next token, so it never holds more than one path and
    one stretch.
    """

    def __init__(self, model: Any, max_tokens: int) -> None:
        """Take a model over.

        Args:
            model: A causal language model whose layers all attend to the whole prefix.
            max_tokens: Tokens per forward pass; halved for good whenever memory runs out.
        """
        self._model = model
        self.max_tokens = max_tokens

    @property
    def is_exact(self) -> bool:
        """Whether the model computes in float32, so that packing moves no more than the last bits."""
        return self._model.dtype == torch.float32

    @torch.inference_mode()
    def score(self, trie: Trie, num_labels: int) -> Scored:
        """Return the label log-probabilities of the prompts that a trie was built from.

        Raises:
            ScoringError: Memory does not even suffice for a single token.
        """
        path = _Path(self._model)
        ends = torch.from_numpy(trie.end).to(self._model.device)
        values = np.zeros(len(trie.read_at))
        cost, start = ScoringCost(), 0
        while start < len(trie.tokens):
            stop = min(start + path.stretch(self.max_tokens), len(trie.tokens))
            reads = slice(*np.searchsorted(trie.read_at, (start, stop)))
            try:
                values[reads], seconds = path.advance(trie, ends, start, stop, reads)
            except RuntimeError as error:
                if not _is_out_of_memory(error):
                    raise
                self.max_tokens = _halved(self.max_tokens, error)
            else:
                cost += ScoringCost(forwarded_tokens=stop - start, calls=1, model_seconds=seconds)
                start = stop
        logprobs = np.zeros((len(trie.lengths), num_labels))
        np.add.at(logprobs, (trie.read_row, trie.read_label), values)
        return Scored(logprobs, cost)


class _Path:
    """The key-value cache of the tokens that the next stretch of a trie can see."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache: Any = DynamicCache(config=model.config)
        self._held = torch.empty(0, dtype=torch.long, device=model.device)

    def stretch(self, max_tokens: int) -> int:
        """Return how many tokens to forward next: half as many while the path is short.

        Attention is quickest over many queries at once, but inside a stretch most of it falls on other branches and
        is masked away. Beside a long path that waste is small.
        """
        is_long = len(self._held) >= 4 * max_tokens
        return max_tokens if is_long else max(1, max_tokens // 2)

    def advance(
        self, trie: Trie, ends: torch.Tensor, start: int, stop: int, reads: slice
    ) -> tuple[NDArray[np.float64], float]:
        """Forward one stretch of a trie and keep what lives on.

        Returns:
            The log-probabilities read in the stretch, and the seconds in the model.
        """
        device = self._model.device
        here = torch.arange(start, stop, device=device)
        keys = torch.cat([self._held, here])
        mask = _ancestor_mask(here, keys, ends[keys], self._model.dtype)
        kept, which = np.unique(trie.read_at[reads], return_inverse=True)
        # A forward pass must compute the logits of some token, even where none is read.
        wanted = kept - start if len(kept) else np.array([stop - start - 1])
        before = [(layer.keys, layer.values) for layer in self._cache.layers]
        begun = time.perf_counter()
        try:
            logits = self._model(
                torch.from_numpy(trie.tokens[None, start:stop]).to(device),
                attention_mask=mask,
                position_ids=torch.from_numpy(trie.depth[None, start:stop]).to(device),
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=torch.from_numpy(wanted).to(device),
            ).logits[0]
            values = _read(logits, torch.from_numpy(which), torch.from_numpy(trie.read_token[reads]))
            seconds = time.perf_counter() - begun
            self._keep(keys, ends[keys] > stop)
        except RuntimeError:
            self._restore(before)
            raise
        return values, seconds

    def _restore(self, before: list[tuple[Any, Any]]) -> None:
        """Undo a stretch that failed half-way through the layers."""
        if not len(self._held):
            self._cache = DynamicCache(config=self._model.config)
            return
        for layer, (keys, values) in zip(self._cache.layers, before, strict=True):
            layer.keys, layer.values = keys, values

    def _keep(self, keys: torch.Tensor, alive: torch.Tensor) -> None:
        index = alive.nonzero()[:, 0]
        for layer in self._cache.layers:
            layer.keys = layer.keys.index_select(2, index)
            layer.values = layer.values.index_select(2, index)
        self._held = keys[index]


def _ancestor_mask(
    queries: torch.Tensor, keys: torch.Tensor, key_ends: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """Return the additive mask (1, 1, Q, K) under which a token sees its ancestors and itself.

    It is a float mask because eager attention adds masks up: there a boolean one is silently wrong.
    """
    visible = (keys <= queries[:, None]) & (key_ends > queries[:, None])
    mask = torch.full(visible.shape, torch.finfo(dtype).min, dtype=dtype, device=queries.device)
    return mask.masked_fill_(visible, 0.0)[None, None]


class PaddedForward:
    """Forwards every prompt in full, rows of similar length padded on the right to one batch."""

    def __init__(self, model: Any, max_tokens: int) -> None:
        """Take a model over.

        Args:
            model: Any causal language model.
            max_tokens: Tokens per forward pass, padding included, but at least one prompt; halved for good whenever
                memory runs out.
        """
        self._model = model
        self.max_tokens = max_tokens

    @torch.inference_mode()
    def score(self, prompts: Sequence[Tokens], verbalizers: Sequence[Tokens]) -> Scored:
        """Return the label log-probabilities of prompts given as tokens.

        Raises:
            ScoringError: Memory does not suffice for the longest prompt.
        """
        rows = _rows(prompts, verbalizers)
        rows.sort(key=lambda row: len(row.tokens))
        logprobs = np.zeros((len(prompts), len(verbalizers)))
        cost, start = ScoringCost(), 0
        while start < len(rows):
            batch = self._batch(rows[start:])
            begun = time.perf_counter()
            try:
                values = self._forward(batch)
            except RuntimeError as error:
                if not _is_out_of_memory(error):
                    raise
                if len(batch) == 1:
                    raise _no_memory(len(batch[0].tokens)) from error
                self.max_tokens = len(batch) * len(batch[-1].tokens) // 2
                continue
            for row, found in zip(batch, values, strict=True):
                np.add.at(logprobs[row.prompt], [label for _, _, label in row.reads], found)
            num_tokens = sum(len(row.tokens) for row in batch)
            seconds = time.perf_counter() - begun
            cost += ScoringCost(forwarded_tokens=num_tokens, calls=1, model_seconds=seconds)
            start += len(batch)
        return Scored(logprobs, cost)

    def _batch(self, rows: Sequence[_Row]) -> Sequence[_Row]:
        """Return as many of the rows, which ascend in length, as the budget holds, but at least one."""
        size = 1
        while size < len(rows) and (size + 1) * len(rows[size].tokens) <= self.max_tokens:
            size += 1
        return rows[:size]

    def _forward(self, batch: Sequence[_Row]) -> list[NDArray[np.float64]]:
        """Forward rows as one batch; return the log-probabilities of each row's reads."""
        device = self._model.device
        lengths = torch.tensor([len(row.tokens) for row in batch])
        tokens = torch.zeros((len(batch), int(lengths.max())), dtype=torch.long)
        for place, row in enumerate(batch):
            tokens[place, : len(row.tokens)] = torch.tensor(row.tokens)
        positions = torch.arange(tokens.shape[1])
        padded = bool((lengths < tokens.shape[1]).any())
        wanted, which = np.unique([at for row in batch for at, _, _ in row.reads], return_inverse=True)
        logits = self._model(
            tokens.to(device),
            # Without a mask, attention takes its faster causal path.
            attention_mask=(positions < lengths[:, None]).long().to(device) if padded else None,
            position_ids=positions.expand(len(batch), -1).to(device),
            use_cache=False,
            logits_to_keep=torch.from_numpy(wanted).to(device),
        ).logits
        place = np.repeat(np.arange(len(batch)), [len(row.reads) for row in batch])
        values = _read(
            logits.flatten(0, 1),
            torch.from_numpy(place * len(wanted) + which),
            torch.tensor([token for row in batch for _, token, _ in row.reads]),
        )
        return np.split(values, np.cumsum([len(row.reads) for row in batch])[:-1])


class _Row(NamedTuple):
    """A prompt with the part of a verbalizer that must be forwarded, and its reads as (position, token, label)."""

    prompt: int
    tokens: Tokens
    reads: list[tuple[int, int, int]]


def _rows(prompts: Sequence[Tokens], verbalizers: Sequence[Tokens]) -> list[_Row]:
    """Return the rows that cover all labels; verbalizers that differ only in their last token share one."""
    rows: list[_Row] = []
    for prompt, tokens in enumerate(prompts):
        by_beginning: dict[Tokens, _Row] = {}
        for label, verbalizer in enumerate(verbalizers):
            beginning = verbalizer[:-1]
            row = by_beginning.setdefault(beginning, _Row(prompt, tokens + beginning, []))
            row.reads.extend((len(tokens) - 1 + i, token, label) for i, token in enumerate(verbalizer))
        rows.extend(by_beginning.values())
    return rows


def _read(logits: torch.Tensor, which: torch.Tensor, tokens: torch.Tensor) -> NDArray[np.float64]:
    """Return the log-probability of `tokens[r]` under row `which[r]` of the logits (K, V): (R,)."""
    logits = logits.float()
    normalisers = logits.logsumexp(-1)
    which, tokens = which.to(logits.device), tokens.to(logits.device)
    values = (logits[which, tokens] - normalisers[which]).cpu().double().numpy()
    if not np.isfinite(values).all():
        raise ScoringError(
            f"the model gave {int((~np.isfinite(values)).sum())} of {len(values)} log-probabilities that are NaN or "
            f"infinite; load it in float32, or check its weights"
        )
    return values


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _halved(max_tokens: int, error: RuntimeError) -> int:
    if max_tokens == 1:
        raise _no_memory(1) from error
    return max_tokens // 2


def _no_memory(num_tokens: int) -> ScoringError:
    return ScoringError(
        f"memory ran out in a forward pass of only {num_tokens} tokens; use a smaller dtype, a smaller model, "
        f"or fewer labelled claims in the context (contexts=k_shot)"
    )
