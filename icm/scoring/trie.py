"""The token trie of a batch of prompts, laid out flat. Knows tokens only as numbers, and no model.

Prompts that begin alike share a path. The trie is written down depth first, so every subtree is one stretch of the
token array: token k is an ancestor of token q exactly if `k <= q < end[k]`. That one comparison is the attention mask
of any stretch of the array, wherever it is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icm.prompts import Context, Prompt

Tokens = tuple[int, ...]
Encode = Callable[[str, bool], Tokens]
"""Segment, and whether it is the first of its prompt -> its tokens as they stand inside the prompt."""


@dataclass(frozen=True, slots=True)
class Trie:
    """A batch of prompts, each distinct stretch of tokens once.

    The log-probability of label y after prompt b is the sum of the log-probabilities that the model gives, at the
    tokens `read_at`, to the tokens `read_token`, over the reads with `read_row == b` and `read_label == y`.

    Attributes:
        tokens: (T,) the tokens, depth first.
        depth: (T,) tokens before each on its path, so its position.
        end: (T,) where the subtree below each token ends in the array.
        parent: (T,) index of the token before each on its path, -1 for the first.
        read_at: (R,) index of the token after which to read, ascending.
        read_token: (R,) the token whose log-probability is read.
        read_row: (R,) the prompt that it counts for.
        read_label: (R,) the label that it counts for.
        lengths: (B,) tokens of each prompt, written out in full.
    """

    tokens: NDArray[np.int64]
    depth: NDArray[np.int64]
    end: NDArray[np.int64]
    parent: NDArray[np.int64]
    read_at: NDArray[np.int64]
    read_token: NDArray[np.int64]
    read_row: NDArray[np.int64]
    read_label: NDArray[np.int64]
    lengths: NDArray[np.int64]


class _Node:
    """A segment in its place: what follows it, and what is read at its last token as (token, row, label)."""

    __slots__ = ("children", "depth", "reads", "tokens")

    def __init__(self, tokens: Tokens, depth: int) -> None:
        self.tokens = tokens
        self.depth = depth  # tokens from the root up to the end of this segment
        # Segments are keyed by their text, tokens of verbalizers by their number: the two never collide.
        self.children: dict[str | int, _Node] = {}
        self.reads: list[tuple[int, int, int]] = []

    def child(self, key: str | int, tokens: Tokens) -> _Node:
        found = self.children.get(key)
        if found is None:
            found = self.children[key] = _Node(tokens, self.depth + len(tokens))
        return found


def build_trie(prompts: Sequence[Prompt], encode: Encode, verbalizers: Sequence[Tokens]) -> Trie:
    """Lay out a batch of prompts with their verbalizers.

    The last token of a verbalizer is only read, never forwarded.
    """
    root = _Node((), 0)
    places = {}
    lengths = np.zeros(len(prompts), dtype=np.int64)
    for row, prompt in enumerate(prompts):
        above = _place(prompt.context, root, places, encode)
        query = above.child(prompt.query, encode(prompt.query, above is root))
        # Without its verbalizer: whoever checks lengths against the context of the model adds the longest one.
        lengths[row] = query.depth
        for label, verbalizer in enumerate(verbalizers):
            node = query
            # The token at a position of the verbalizer is read after the one before it, the first after the query.
            for position, token in enumerate(verbalizer):
                # At the node before: the distribution of a token is read after the token that precedes it.
                node.reads.append((token, row, label))
                # Nothing is read after the last token, so it gets no node and is never forwarded.
                if position < len(verbalizer) - 1:
                    node = node.child(token, (token,))
    return _lay_out(root, lengths)


def _place(context: Context, root: _Node, places: dict[int, _Node], encode: Encode) -> _Node:
    """Return the node at which a context ends, walking each distinct run once per batch."""
    # Contexts are shared objects: up to the first one that was placed before, only new runs are walked. Identity is
    # enough, because all of them are alive while the batch is laid out.
    path: list[Context] = []
    above: Context | None = context
    while above is not None and id(above) not in places:
        path.append(above)
        above = above.parent
    node = places[id(above)] if above is not None else root
    for part in reversed(path):
        for segment in part.run:
            # Looked up before `encode` is called: a segment that is there already need not be tokenized again.
            node = node.children.get(segment) or node.child(segment, encode(segment, node is root))
        places[id(part)] = node
    return node


_Cursor = tuple[_Node, int]
"""A place inside a node: the node and how many of its tokens lie behind."""


def _lay_out(root: _Node, lengths: NDArray[np.int64]) -> Trie:
    """Write nodes down depth first; different segments that begin with the same tokens share those."""
    tokens: list[int] = []
    reads: list[tuple[int, int, int, int]] = []
    # Of each edge: where its tokens start and end, the depth of the first, the index of the token before it.
    edges: list[tuple[int, int, int, int]] = []
    ends: list[int] = []  # of the subtree below each edge
    pending: list[tuple[list[_Cursor], int, int] | int] = []
    # A stack of our own: a path of many segments would go beyond the recursion limit.
    pending += _branches([(child, 0) for child in root.children.values()], 0, -1)
    while pending:
        item = pending.pop()
        if isinstance(item, int):
            # The number of an edge comes off the stack after all that lies below it: there its subtree ends.
            ends[item] = len(tokens)
            continue
        cursors, depth, parent = item
        shared, below, reads_here = _advance(cursors)
        # Below its branches on the stack, so that it comes back when all of them are written down.
        pending.append(len(edges))
        edges.append((len(tokens), len(tokens) + len(shared), depth, parent))
        ends.append(0)
        tokens.extend(shared)
        reads.extend((len(tokens) - 1, *read) for read in reads_here)
        pending += _branches(below, depth + len(shared), len(tokens) - 1)
    return _trie(np.array(tokens, dtype=np.int64), edges, ends, reads, lengths)


def _branches(cursors: list[_Cursor], depth: int, parent: int) -> list[tuple[list[_Cursor], int, int]]:
    """Return what follows a token, last first: one group of cursors for each token that comes next."""
    groups: dict[int, list[_Cursor]] = {}
    for node, offset in cursors:
        groups.setdefault(node.tokens[offset], []).append((node, offset))
    # Reversed, because a stack gives back the last first: the trie then lies in the order of the prompts.
    return [(group, depth, parent) for group in reversed(groups.values())]


def _advance(cursors: list[_Cursor]) -> tuple[Tokens, list[_Cursor], list[tuple[int, int, int]]]:
    """Return the tokens that all cursors share, what follows them, and what is read at the last of them."""
    first, start = cursors[0]
    length = min(len(node.tokens) - offset for node, offset in cursors)
    for node, offset in cursors[1:]:
        length = _shared(first.tokens[start : start + length], node.tokens[offset : offset + length])
    below: list[_Cursor] = []
    reads: list[tuple[int, int, int]] = []
    for node, offset in cursors:
        if offset + length < len(node.tokens):
            below.append((node, offset + length))
            continue
        # Only a node whose tokens end here has its reads here, and its children follow; `length` is the shortest
        # remainder or less, so no node ends before.
        reads.extend(node.reads)
        below.extend((child, 0) for child in node.children.values())
    return first.tokens[start : start + length], below, reads


def _trie(
    tokens: NDArray[np.int64],
    edge_rows: list[tuple[int, int, int, int]],
    ends: list[int],
    read_rows: list[tuple[int, int, int, int]],
    lengths: NDArray[np.int64],
) -> Trie:
    edges = np.array(edge_rows, dtype=np.int64).reshape(-1, 4)
    sizes = edges[:, 1] - edges[:, 0]
    # Inside an edge the token before is the one to the left; only the first of an edge may hang elsewhere.
    parent = np.arange(len(tokens)) - 1
    # Column 3 is the index of the last token of the edge above, or -1 at the root.
    parent[edges[:, 0]] = edges[:, 3]
    reads = np.array(read_rows, dtype=np.int64).reshape(-1, 4)
    # Stable, so that the reads after one token keep the order of rows and labels.
    reads = reads[np.argsort(reads[:, 0], kind="stable")]
    return Trie(
        tokens=tokens,
        # Position and depth grow together along an edge, so their difference is constant on it. An edge is never cut
        # by a branch, so the subtree below its first token ends where that below its last one does: one `end` for all.
        depth=np.repeat(edges[:, 2] - edges[:, 0], sizes) + np.arange(len(tokens)),
        end=np.repeat(np.array(ends, dtype=np.int64), sizes),
        parent=parent,
        read_at=reads[:, 0],
        read_token=reads[:, 1],
        read_row=reads[:, 2],
        read_label=reads[:, 3],
        lengths=lengths,
    )


def _shared(one: Tokens, other: Tokens) -> int:
    """Return how many tokens two equally long stretches have in common at their beginning."""
    if one == other:
        return len(one)
    # Equally long and not equal, so there is a pair that differs.
    return next(index for index, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1])
