"""Laws of the token trie: a toy model that reads it answers as it does on each prompt written out."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from icm.prompts import NO_CONTEXT, Context, Prompt
from icm.scoring.trie import Tokens, Trie, build_trie

FEW = settings(max_examples=25)
VERBALIZERS: list[Tokens] = [(300,), (301, 302), (301, 303, 304)]
SEGMENTS = st.text("ab", min_size=1, max_size=3)
BATCHES = st.lists(st.lists(SEGMENTS, min_size=1, max_size=4), min_size=1, max_size=8)


def encode(segment: str, first: bool) -> Tokens:
    letters = tuple(map(ord, segment))
    return letters if first else (0, *letters)


def prompts_of(batch: Sequence[Sequence[str]]) -> list[Prompt]:
    return [Prompt(NO_CONTEXT.extend(demos), query) for *demos, query in batch]


def toy(prefix: Tokens, token: int) -> float:
    """A model: a number that depends on the whole prefix and the token that follows."""
    return int.from_bytes(hashlib.blake2b(repr((prefix, token)).encode(), digest_size=4).digest(), "big") / 2**32


def written_out(prompt: Prompt) -> Tokens:
    return tuple(token for place, segment in enumerate(prompt.segments) for token in encode(segment, place == 0))


def answers_of(prompts: Sequence[Prompt]) -> NDArray[np.float64]:
    """What the toy model says of each prompt on its own."""
    answers = np.zeros((len(prompts), len(VERBALIZERS)))
    for row, prompt in enumerate(prompts):
        for label, verbalizer in enumerate(VERBALIZERS):
            prefix = written_out(prompt)
            for token in verbalizer:
                answers[row, label] += toy(prefix, token)
                prefix = (*prefix, token)
    return answers


def answers_from(trie: Trie, num_prompts: int) -> NDArray[np.float64]:
    """What the toy model says when it reads the trie: every token attends to its ancestors."""
    prefixes: list[Tokens] = []
    for token, parent in zip(trie.tokens.tolist(), trie.parent.tolist(), strict=True):
        prefixes.append((*(prefixes[parent] if parent >= 0 else ()), token))
    answers = np.zeros((num_prompts, len(VERBALIZERS)))
    for at, token, row, label in zip(trie.read_at, trie.read_token, trie.read_row, trie.read_label, strict=True):
        answers[row, label] += toy(prefixes[at], int(token))
    return answers


@FEW
@given(BATCHES)
def test_a_model_that_reads_the_trie_answers_as_for_each_prompt_alone(batch: list[list[str]]) -> None:
    prompts = prompts_of(batch)
    trie = build_trie(prompts, encode, VERBALIZERS)
    assert answers_from(trie, len(prompts)) == pytest.approx(answers_of(prompts))


@FEW
@given(BATCHES, st.integers(0, 99))
def test_the_order_of_the_prompts_permutes_the_answers_and_keeps_the_size(batch: list[list[str]], seed: int) -> None:
    order = random.Random(seed).sample(range(len(batch)), len(batch))
    one = build_trie(prompts_of(batch), encode, VERBALIZERS)
    other = build_trie(prompts_of([batch[at] for at in order]), encode, VERBALIZERS)
    assert one.tokens.size == other.tokens.size
    assert sorted(one.tokens.tolist()) == sorted(other.tokens.tolist())
    assert answers_from(other, len(batch)) == pytest.approx(answers_from(one, len(batch))[order])


@FEW
@given(BATCHES, st.integers(2, 4))
def test_prompts_asked_again_cost_no_token(batch: list[list[str]], copies: int) -> None:
    once = build_trie(prompts_of(batch), encode, VERBALIZERS)
    often = build_trie(prompts_of(batch * copies), encode, VERBALIZERS)
    assert often.tokens.tolist() == once.tokens.tolist()
    assert often.read_at.size == copies * once.read_at.size
    assert often.lengths.tolist() == once.lengths.tolist() * copies


@FEW
@given(BATCHES)
def test_the_layout_is_depth_first_and_says_where_it_is(batch: list[list[str]]) -> None:
    trie = build_trie(prompts_of(batch), encode, VERBALIZERS)
    index = np.arange(trie.tokens.size)
    assert (trie.parent < index).all()
    assert (trie.end > index).all()
    for token in index.tolist():
        parent = int(trie.parent[token])
        if parent < 0:
            assert trie.depth[token] == 0
        else:
            assert trie.depth[token] == trie.depth[parent] + 1
            assert token < trie.end[parent]
            assert trie.end[token] <= trie.end[parent]
        below = [other for other in index.tolist() if trie.parent[other] == token]
        assert len({int(trie.tokens[other]) for other in below}) == len(below)  # shared beginnings stand once
    assert (np.diff(trie.read_at) >= 0).all()


@FEW
@given(BATCHES)
def test_ancestors_are_the_tokens_whose_stretch_holds_the_place(batch: list[list[str]]) -> None:
    trie = build_trie(prompts_of(batch), encode, VERBALIZERS)
    for token in range(trie.tokens.size):
        path, above = set(), token
        while above >= 0:
            path.add(above)
            above = int(trie.parent[above])
        by_rule = {other for other in range(trie.tokens.size) if other <= token < trie.end[other]}
        assert by_rule == path


@FEW
@given(BATCHES)
def test_the_trie_is_no_longer_than_the_prompts_and_holds_their_lengths(batch: list[list[str]]) -> None:
    prompts = prompts_of(batch)
    trie = build_trie(prompts, encode, VERBALIZERS)
    assert trie.lengths.tolist() == [len(written_out(prompt)) for prompt in prompts]
    # Of the verbalizers 301, and 301 303, are forwarded; their last tokens are only read.
    assert trie.tokens.size <= trie.lengths.sum() + 2 * len(prompts)
    assert trie.tokens.size == len(
        {
            prefix[:cut]
            for prompt in prompts
            for prefix in ((*written_out(prompt), 301, 303),)
            for cut in range(1, len(prefix) + 1)
        }
    )


def test_an_empty_batch_is_an_empty_trie() -> None:
    trie = build_trie([], encode, VERBALIZERS)
    assert trie.tokens.size == trie.read_at.size == trie.lengths.size == 0


# ------------------------------------------------------------------------------------------------------ prompts

PATHS = st.lists(SEGMENTS, max_size=6)


def cut(path: Sequence[str], at: random.Random) -> Context:
    context, rest = NO_CONTEXT, list(path)
    while rest:
        size = at.randint(1, 3)
        context, rest = context.extend(rest[:size]), rest[size:]
    return context


@FEW
@given(PATHS, SEGMENTS, st.integers(0, 99), st.integers(0, 99))
def test_equal_prompts_have_equal_digests_however_they_are_cut(
    path: list[str], query: str, one_seed: int, other_seed: int
) -> None:
    one, other = (Prompt(cut(path, random.Random(seed)), query) for seed in (one_seed, other_seed))
    assert one.digest == other.digest
    assert one.segments == other.segments == (*path, query)
    assert one.text == other.text == "\n\n".join((*path, query))


@FEW
@given(PATHS, SEGMENTS, PATHS, SEGMENTS)
def test_different_prompts_have_different_digests(
    path: list[str], query: str, other_path: list[str], other_query: str
) -> None:
    one, other = Prompt(NO_CONTEXT.extend(path), query), Prompt(NO_CONTEXT.extend(other_path), other_query)
    assert (one.digest == other.digest) == ((*path, query) == (*other_path, other_query))


@FEW
@given(PATHS, SEGMENTS)
def test_the_last_segment_of_a_context_is_not_mistaken_for_the_query(path: list[str], query: str) -> None:
    whole = Prompt(NO_CONTEXT.extend(path), query)
    longer = Prompt(NO_CONTEXT.extend([*path, query]), query)
    assert whole.digest != longer.digest
    assert NO_CONTEXT.extend(path).num_segments == len(path)


@FEW
@given(PATHS, PATHS)
def test_extending_leaves_the_parent_as_it_was(path: list[str], more: list[str]) -> None:
    parent = NO_CONTEXT.extend(path)
    before = parent.digest_with("q")
    child = parent.extend(more)
    assert parent.digest_with("q") == before
    assert (child is parent) == (not more)
    assert [segment for run in child.runs() for segment in run] == [*path, *more]
