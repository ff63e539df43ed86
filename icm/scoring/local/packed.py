"""Walks a token trie depth first and forwards every token once. Knows tokens, not text.

A stretch of the trie is one row under an ancestor mask. Between stretches the cache holds only the ancestors of what
comes next, so it never grows beyond one path, one stretch, and what that stretch sees of earlier calls.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from icm.scoring.local.heads import Head
from icm.scoring.local.kv_cache import KeyValueCache, Slots
from icm.scoring.local.reading import Scored, is_out_of_memory, no_memory, read_logprobs
from icm.scoring.local.windows import Attention
from icm.scoring.protocol import ScoringCost
from icm.scoring.trie import Trie

Values = NDArray[np.float64]


class PackedForward:
    """Forwards a token trie in stretches of at most `max_tokens`, less what earlier calls have left."""

    def __init__(self, model: Any, head: Head, attention: Attention, max_tokens: int, cache_tokens: int) -> None:
        """Take a model over.

        Args:
            model: A causal language model.
            head: Which rows of its output matrix are computed.
            attention: How its layers attend.
            max_tokens: Tokens per forward pass; halved for good whenever memory runs out.
            cache_tokens: Tokens whose keys and values are kept between calls; given up for good when memory runs out.
        """
        self._model, self._head, self._attention = model, head, attention
        self._kept = KeyValueCache(cache_tokens)
        self.max_tokens = max_tokens

    @property
    def is_exact(self) -> bool:
        """Whether the model computes in float32, so that packing moves no more than the last bits."""
        return self._model.dtype == torch.float32

    @property
    def window(self) -> int | None:
        """Tokens that layers with a window see; `None` where there are none."""
        return self._attention.window

    @property
    def num_kept(self) -> int:
        """Tokens whose keys and values are kept between calls."""
        return len(self._kept)

    def forget(self) -> None:
        """Drop what is kept of earlier calls."""
        self._kept.clear()

    @torch.inference_mode()
    def score(self, trie: Trie, num_labels: int) -> Scored:
        """Return the label log-probabilities of the prompts that a trie was built from.

        Raises:
            ScoringError: Memory does not even suffice for a single token.
        """
        found = self._kept.find(trie)
        slots = self._kept.reserve(trie, found)
        walk = _Walk(self._model, self._head, self._attention, trie, self._kept, found, slots)
        values = np.zeros(len(trie.read_at))
        cost, start = ScoringCost(), 0
        while start < len(walk.fresh):
            stop = min(start + walk.stretch(self.max_tokens), len(walk.fresh))
            try:
                reads, values_read, seconds = walk.advance(start, stop)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if self._kept.capacity:
                    # What is kept for later gives way to the work at hand, which stands on it and begins anew.
                    self._kept = KeyValueCache(0)
                    logprobs, cost_again = self.score(trie, num_labels)
                    return logprobs, cost + cost_again
                if self.max_tokens == 1:
                    raise no_memory(1) from error
                # `start` stays: what was forwarded before is held, only this stretch is tried again, in smaller ones.
                self.max_tokens //= 2
            else:
                values[reads] = values_read
                cost += ScoringCost(forwarded_tokens=stop - start, calls=1, model_seconds=seconds)
                start = stop
        # After the last stretch: until then some of the slots are reserved but not yet written.
        self._kept.commit(trie, found, slots)
        logprobs = np.zeros((len(trie.lengths), num_labels))
        # A label of several tokens has several reads, and assignment by index would count only one of them.
        np.add.at(logprobs, (trie.read_row, trie.read_label), values)
        return logprobs, cost


class _Walk:
    """One way through a trie: the key-value cache of the tokens that the next stretch can see.

    Attributes:
        fresh: (F,) the tokens to forward, ascending: those that are not kept, and those after which something is read.
    """

    def __init__(
        self, model: Any, head: Head, attention: Attention, trie: Trie, kept: KeyValueCache, found: Slots, slots: Slots
    ) -> None:
        self._model, self._head, self._attention, self._trie, self._kept = model, head, attention, trie, kept
        is_fresh = found < 0
        # Logits are not kept between calls, so a token after which something is read is forwarded again.
        is_fresh[trie.read_at] = True
        self.fresh = np.flatnonzero(is_fresh)
        # Where the keys and values of fresh tokens go, and which kept tokens are first seen by which fresh one.
        # A token that is kept and yet forwarded, for a read, gets no slot: it is written already.
        self._slots = np.where(found < 0, slots, -1)[self.fresh]
        known = np.flatnonzero(~is_fresh)
        # A kept token enters the cache with the first fresh token after it, provided that one is in its subtree.
        # Else none is, because a subtree is one stretch. T, appended, is in no subtree: no fresh token follows.
        first = np.searchsorted(self.fresh, known)
        is_seen = np.append(self.fresh, len(found))[first] < trie.end[known]
        self._known, self._first_seen_by, self._found = known[is_seen], first[is_seen], found
        self._cache: Any = attention.empty_cache(model.config)
        self._ends = torch.from_numpy(trie.end).to(model.device)
        self._depths = torch.from_numpy(trie.depth).to(model.device)
        # Which tokens the cache holds, in its order, which is that of the columns of a mask.
        self._held = torch.empty(0, dtype=torch.long, device=model.device)

    def stretch(self, max_tokens: int) -> int:
        """Return how many tokens to forward next: half as many while the path is short.

        Attention is quickest over many queries at once, but inside a stretch most of it falls on other branches and
        is masked away. Beside a long path that waste is small.
        """
        is_long = len(self._held) >= 4 * max_tokens
        return max_tokens if is_long else max(1, max_tokens // 2)

    def advance(self, start: int, stop: int) -> tuple[slice, Values, float]:
        """Forward one stretch of the fresh tokens and hold what lives on.

        Returns:
            Which reads of the trie lie in the stretch, their log-probabilities, and the seconds in the model.
        """
        here = self.fresh[start:stop]
        # References are enough: the cache grows by new tensors and leaves the old ones as they are.
        before = [(layer.keys, layer.values) for layer in self._cache.layers]
        try:
            # In the order in which the layers of the cache get them.
            keys = torch.cat([self._held, self._enter(start, stop), self._index(here)])
            # `read_at` ascends, and every token with a read is fresh: the reads of a stretch are one slice.
            reads = slice(*np.searchsorted(self._trie.read_at, (here[0], here[-1] + 1)))
            values, seconds = self._forward(here, keys, reads)
            self._keep(start, stop, num_before=len(keys) - len(here))
            # The next fresh token sees only its ancestors; after the last one nothing need be held.
            self._hold(keys, self._ends[keys] > (int(self.fresh[stop]) if stop < len(self.fresh) else len(self._ends)))
        except RuntimeError:
            self._restore(before)
            raise
        return reads, values, seconds

    def _enter(self, start: int, stop: int) -> torch.Tensor:
        """Put what a stretch is the first to see of the kept tokens into the cache; return which tokens they are."""
        entering = self._known[slice(*np.searchsorted(self._first_seen_by, (start, stop)))]
        if len(entering):
            for layer, (keys, values) in enumerate(self._kept.read(self._found[entering])):
                self._cache.update(keys, values, layer)
        return self._index(entering)

    def _forward(self, here: NDArray[np.int64], keys: torch.Tensor, reads: slice) -> tuple[Values, float]:
        queries = self._index(here)
        # The keys stand in the order of the trie's array, so k is an ancestor of q exactly if k <= q < end[k].
        ancestors = (keys <= queries[:, None]) & (self._ends[keys] > queries[:, None])
        distance = self._depths[queries][:, None] - self._depths[keys]
        mask = self._attention.masks(ancestors, distance, self._model.dtype)
        # Each place once, however many labels are read there.
        read_at, which = np.unique(self._trie.read_at[reads], return_inverse=True)
        # A forward pass must compute the logits of some token, even where none is read.
        wanted = np.searchsorted(here, read_at) if len(read_at) else np.array([len(here) - 1])
        begun = time.perf_counter()
        with self._head.in_place():
            logits = self._model(
                self._index(self._trie.tokens[None, here]),
                attention_mask=mask,
                position_ids=self._index(self._trie.depth[None, here]),
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=self._index(wanted),
            ).logits[0]
        columns = self._head.columns(self._trie.read_token[reads])
        values = read_logprobs(logits, torch.from_numpy(which), torch.from_numpy(columns))
        return values, time.perf_counter() - begun

    def _keep(self, start: int, stop: int, num_before: int) -> None:
        # The tokens of the stretch stand last in the layers, behind those that were there before it.
        slots = self._slots[start:stop]
        to_keep = np.flatnonzero(slots >= 0)
        if len(to_keep):
            self._kept.write(self._cache.layers, num_before + to_keep, slots[to_keep])

    def _hold(self, keys: torch.Tensor, alive: torch.Tensor) -> None:
        index = alive.nonzero()[:, 0]
        for layer in self._cache.layers:
            layer.keys = layer.keys.index_select(2, index)
            layer.values = layer.values.index_select(2, index)
        self._held = keys[index]

    def _restore(self, before: list[tuple[Any, Any]]) -> None:
        """Undo a stretch that failed half-way through the layers."""
        # A cache that holds nothing may have no layers yet to put tensors back into.
        if not len(self._held):
            self._cache = self._attention.empty_cache(self._model.config)
            return
        for layer, (keys, values) in zip(self._cache.layers, before, strict=True):
            layer.keys, layer.values = keys, values

    def _index(self, numbers: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(numbers).to(self._model.device)
