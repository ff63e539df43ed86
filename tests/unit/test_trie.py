"""The token trie against the prefixes of the prompts written out."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from icm.prompts import NO_CONTEXT, Prompt
from icm.scoring.trie import Tokens, Trie, build_trie

VERBALIZERS: list[Tokens] = [(100,), (101, 102), (101, 103, 104)]


def _encode(segment: str, first: bool) -> Tokens:
    letters = tuple(map(ord, segment))
    return letters if first else (0, *letters)


def _full(prompt: Prompt) -> Tokens:
    return tuple(token for i, segment in enumerate(prompt.segments) for token in _encode(segment, i == 0))


def _paths(trie: Trie) -> list[Tokens]:
    """Return for each token of the trie the tokens on its path, found through the ancestor rule."""
    index = np.arange(len(trie.tokens))
    return [tuple(trie.tokens[(index <= at) & (at < trie.end)].tolist()) for at in index]


segments = st.text("ab", min_size=1, max_size=3)


@given(st.lists(st.lists(segments, min_size=1, max_size=4), min_size=1, max_size=8), st.booleans())
def test_a_trie_holds_every_prefix_once_and_reads_every_verbalizer(prompt_segments: Any, cut_finely: bool) -> None:
    prompts = []
    for *demos, query in prompt_segments:
        context = NO_CONTEXT
        for run in ([demo] for demo in demos) if cut_finely else [demos]:
            context = context.extend(run)
        prompts.append(Prompt(context, query))
    trie = build_trie(prompts, _encode, VERBALIZERS)
    paths = _paths(trie)

    forwarded = [_full(prompt) + verbalizer[:-1] for prompt in prompts for verbalizer in VERBALIZERS]
    assert len(set(paths)) == len(paths)
    assert set(paths) == {path[:size] for path in forwarded for size in range(1, len(path) + 1)}
    assert trie.depth.tolist() == [len(path) - 1 for path in paths]
    assert [paths[at] if at >= 0 else () for at in trie.parent] == [path[:-1] for path in paths]
    assert trie.lengths.tolist() == [len(_full(prompt)) for prompt in prompts]

    reads = sorted(zip(*(column.tolist() for column in (trie.read_row, trie.read_label, trie.read_at)), strict=True))
    by_read = dict(zip(zip(trie.read_row, trie.read_label, trie.read_at, strict=True), trie.read_token, strict=True))
    for row, prompt in enumerate(prompts):
        for label, verbalizer in enumerate(VERBALIZERS):
            found = [(paths[at], int(by_read[row, label, at])) for r, y, at in reads if (r, y) == (row, label)]
            found.sort(key=lambda read: len(read[0]))
            assert found == [(_full(prompt) + verbalizer[:i], token) for i, token in enumerate(verbalizer)]
    assert (np.diff(trie.read_at) >= 0).all()


def test_equal_prompts_share_all_tokens() -> None:
    prompts = [Prompt(NO_CONTEXT.extend(["ab", "b"]), "a"), Prompt(NO_CONTEXT.extend(["ab"]).extend(["b"]), "a")]
    trie = build_trie(prompts, _encode, [(100,), (101,)])
    assert trie.tokens.tolist() == list(_full(prompts[0]))
