"""Keys and values of tokens forwarded in earlier calls, found again by their path. Knows no prompt and no model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from icm.scoring.trie import Trie

_NOWHERE = -1
"""The slot of a token that is not kept, and of what precedes the first token of a path."""

Slots = NDArray[np.int64]
"""(T,) the slot in which each token of a trie is kept, -1 where it is not."""


class KeyValueCache:
    """At most `capacity` tokens; the least recently used make room, and of those the deepest go first.

    A token is kept under the slot of the token before it and its own number, so a kept token is found exactly where
    the whole path up to it is the same. A path is always kept from its beginning.
    """

    def __init__(self, capacity: int) -> None:
        """Keep nothing yet."""
        self.capacity = capacity
        self.clear()

    def __len__(self) -> int:
        return len(self._slot_of)

    def clear(self) -> None:
        """Keep nothing any more, and free the memory."""
        self._slot_of: dict[tuple[int, int], int] = {}
        # Of each slot: that of the token before, the token, its depth, and the last call that used it, 0 if it is free.
        self._before, self._token, self._depth, self._last_call = np.zeros((4, self.capacity), dtype=np.int64)
        self._calls = 0
        # Made by the first `write`: only then are the layers, their heads and their number format known.
        self._layers: list[tuple[torch.Tensor, torch.Tensor]] = []

    def find(self, trie: Trie) -> Slots:
        """Return where the tokens of a trie are kept; they now count as used."""
        # Counted from 1, since a last call of 0 marks a free slot.
        self._calls += 1
        slots = np.full(len(trie.tokens), _NOWHERE, dtype=np.int64)
        if not self._slot_of:
            return slots
        # Depth first, so when token `at` is reached, `path` holds the slots of its ancestors: deeper entries are stale
        # but a token reads only the one right above it, which its own parent wrote.
        tokens, depths, ends = trie.tokens.tolist(), trie.depth.tolist(), trie.end.tolist()
        path = [_NOWHERE] * (max(depths) + 2)  # the slot of the token before each depth
        at = 0
        while at < len(tokens):
            slot = self._slot_of.get((path[depths[at]], tokens[at]))
            if slot is None:
                at = ends[at]  # what follows a token that is not kept is not kept either: skip the subtree
                continue
            path[depths[at] + 1] = slots[at] = slot
            at += 1
        self._last_call[slots[slots != _NOWHERE]] = self._calls
        return slots

    def reserve(self, trie: Trie, found: Slots) -> Slots:
        """Make room for the other tokens of a trie, the shallowest first; return where each token will be kept."""
        new = np.flatnonzero(found == _NOWHERE)
        # Shallowest first: where room runs out, the beginnings of paths are kept, and every kept token has its prefix.
        new = new[np.argsort(trie.depth[new], kind="stable")]
        # `find` has stamped what this trie uses with the number of the call, so nothing of it can be given away.
        idle = np.flatnonzero(self._last_call < self._calls)
        # What follows a token was used no later and lies deeper, so it goes first: no path loses its beginning.
        idle = idle[np.lexsort((-self._depth[idle], self._last_call[idle]))][: len(new)]
        # lexsort takes its last key first: free slots (call 0), then the longest unused, of those the deepest.
        used = idle[self._last_call[idle] > 0]
        for key in zip(self._before[used].tolist(), self._token[used].tolist(), strict=True):
            del self._slot_of[key]
        # Free until `commit`: if the forward pass fails, nothing points at slots that were never written.
        self._last_call[idle] = 0
        slots = found.copy()
        slots[new[: len(idle)]] = idle
        return slots

    def commit(self, trie: Trie, found: Slots, slots: Slots) -> None:
        """Let the tokens for which room was made be found, now that their keys and values are written."""
        new = np.flatnonzero(found != slots)
        written, parent = slots[new], trie.parent[new]
        # `parent` is -1 at the first token of a path, where `slots[-1]` would be the slot of an unrelated token.
        self._before[written] = np.where(parent < 0, _NOWHERE, slots[parent])
        self._token[written], self._depth[written] = trie.tokens[new], trie.depth[new]
        self._last_call[written] = self._calls
        keys = zip(self._before[written].tolist(), self._token[written].tolist(), strict=True)
        self._slot_of.update(zip(keys, written.tolist(), strict=True))

    def read(self, slots: Slots) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return the keys and values (1, H, S, D) of each layer in some slots."""
        index = torch.from_numpy(slots)
        # Keys and values may lie on different devices where a model is spread over several.
        return [
            (keys.index_select(2, index.to(keys.device)), values.index_select(2, index.to(values.device)))
            for keys, values in self._layers
        ]

    def write(self, layers: Sequence[Any], places: NDArray[np.int64], slots: Slots) -> None:
        """Copy keys and values from places in the layers of a cache into slots."""
        if not self._layers:
            self._layers = [(self._room(layer.keys), self._room(layer.values)) for layer in layers]
        for layer, (keys, values) in zip(layers, self._layers, strict=True):
            for held, room in ((layer.keys, keys), (layer.values, values)):
                source, target = (torch.from_numpy(index).to(held.device) for index in (places, slots))
                room.index_copy_(2, target, held.index_select(2, source))

    def _room(self, held: torch.Tensor) -> torch.Tensor:
        # Not zeroed: `commit` lets a slot be found only after it has been written.
        return held.new_empty((*held.shape[:2], self.capacity, held.shape[3]))
