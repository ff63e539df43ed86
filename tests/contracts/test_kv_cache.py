"""Keys and values that outlive a call: what is kept answers like what is forwarded anew, within its limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.speed.random_models import word_tokenizer
from icm.claims import TRUE_FALSE, LabelSpace
from icm.prompts import NO_CONTEXT, Prompt
from icm.scoring.local import LocalScorer
from tests.contracts.scorers import (
    FAMILIES,
    NUM_WORDS,
    TWO_TOKENS,
    leave_one_out_prompts,
    plain_logprobs,
    tiny_model,
)

MODEL = tiny_model(FAMILIES["llama"])
TOKENIZER = word_tokenizer(NUM_WORDS)


def _scorer(model: Any = MODEL, space: LabelSpace = TRUE_FALSE, **limits: Any) -> LocalScorer:
    return LocalScorer(model, TOKENIZER, space, identity="tiny", **limits)


def _tokens(prompt: Prompt) -> tuple[int, ...]:
    return tuple(TOKENIZER(prompt.text).input_ids)


words = st.sampled_from(["w1", "w1 w2", "w1 w2 True", "w3 w1 True", "w3 w2 False"])
batches = st.lists(st.lists(st.lists(words, min_size=1, max_size=6), min_size=1, max_size=5), min_size=1, max_size=5)


@settings(max_examples=25, deadline=None)
@given(batches, st.sampled_from([0, 1, 5, 20, 1000]), st.sampled_from([1, 4, 64]))
def test_no_sequence_of_calls_moves_an_answer_or_exceeds_the_limit(
    asked: Any, cache_tokens: int, max_pack_tokens: int
) -> None:
    scorer = _scorer(cache_tokens=cache_tokens, max_pack_tokens=max_pack_tokens)
    for batch in asked:
        prompts = [Prompt(NO_CONTEXT.extend(demos), query) for *demos, query in batch]
        expected = plain_logprobs(MODEL, TOKENIZER, prompts, TRUE_FALSE)
        np.testing.assert_allclose(scorer.label_logprobs(prompts), expected, atol=1.5e-5)
        assert scorer.num_kept <= cache_tokens


@pytest.mark.parametrize("space", [TRUE_FALSE, TWO_TOKENS], ids=["one token", "several tokens"])
@pytest.mark.parametrize("family", FAMILIES)
def test_kept_tokens_equal_the_plain_forward(family: str, space: LabelSpace) -> None:
    model = tiny_model(FAMILIES[family])
    scorer = _scorer(model, space, max_pack_tokens=48, cache_tokens=200)
    prompts = leave_one_out_prompts(12, space)
    expected = plain_logprobs(model, TOKENIZER, prompts, space)
    for rows in (slice(0, 5), slice(3, 9), slice(0, 13), slice(12, 0, -1)):
        np.testing.assert_allclose(scorer.label_logprobs(prompts[rows]), expected[rows], atol=1.5e-5)


def test_with_room_for_all_only_new_tokens_are_forwarded_and_last_ones_that_are_read() -> None:
    prompts = leave_one_out_prompts(16)
    scorer = _scorer(cache_tokens=5000, max_pack_tokens=50)
    seen: set[tuple[int, ...]] = set()
    for batch in (prompts[:4], prompts[2:9], prompts, prompts[::-1]):
        paths = {_tokens(prompt) for prompt in batch}
        prefixes = {path[:end] for path in paths for end in range(1, len(path) + 1)}
        before = scorer.cost
        scorer.label_logprobs(batch)
        assert (scorer.cost - before).forwarded_tokens == len((prefixes - seen) | paths)
        seen |= prefixes
        assert scorer.num_kept == len(seen)


def test_the_beginnings_of_paths_are_kept_where_room_is_short() -> None:
    shared = NO_CONTEXT.extend(["w1 w2 True", "w3 w4 False"])
    prompts = [Prompt(shared.extend([f"w5 w{i} True"]), "w6") for i in range(8)]
    length = len(_tokens(Prompt(NO_CONTEXT.extend(["w1 w2 True"]), "w3 w4 False")))
    scorer = _scorer(cache_tokens=length)
    scorer.label_logprobs(prompts)
    before = scorer.cost
    scorer.label_logprobs([Prompt(shared, "w7 w8")])
    assert (scorer.cost - before).forwarded_tokens == len(TOKENIZER("\n\nw7 w8").input_ids)


def test_forgetting_keeps_nothing() -> None:
    scorer = _scorer(cache_tokens=500)
    prompts = leave_one_out_prompts(6)
    scorer.label_logprobs(prompts)
    once = scorer.cost.forwarded_tokens
    assert scorer.num_kept > 0
    scorer.forget()
    assert scorer.num_kept == 0
    scorer.label_logprobs(prompts)
    assert scorer.cost.forwarded_tokens == 2 * once


def test_a_call_that_fails_leaves_what_is_kept_whole() -> None:
    model = tiny_model(FAMILIES["llama"])
    scorer = _scorer(model, cache_tokens=120, max_pack_tokens=16)
    prompts = leave_one_out_prompts(10)
    scorer.label_logprobs(prompts[:3])
    calls = iter(range(1000))

    def fail(module: Any, inputs: Any) -> None:
        if next(calls) == 2:
            raise KeyboardInterrupt

    hook = model.model.layers[1].register_forward_pre_hook(fail)
    with pytest.raises(KeyboardInterrupt):
        scorer.label_logprobs(prompts[3:])
    hook.remove()
    expected = plain_logprobs(model, TOKENIZER, prompts, TRUE_FALSE)
    np.testing.assert_allclose(scorer.label_logprobs(prompts), expected, atol=1.5e-5)


def test_what_is_kept_gives_way_when_memory_runs_out() -> None:
    model = tiny_model(FAMILIES["llama"])
    scorer = _scorer(model, cache_tokens=300, max_pack_tokens=64)
    prompts = leave_one_out_prompts(10)
    scorer.label_logprobs(prompts[:5])
    expected = plain_logprobs(model, TOKENIZER, prompts, TRUE_FALSE)
    calls = iter(range(1000))

    def fail_once(module: Any, inputs: Any) -> None:
        if next(calls) == 1:
            raise torch.OutOfMemoryError("out of memory")

    model.model.layers[1].register_forward_pre_hook(fail_once)
    np.testing.assert_allclose(scorer.label_logprobs(prompts), expected, atol=1.5e-5)
    assert scorer.num_kept == 0
    assert scorer.max_pack_tokens == 64, "only the next time is the pack halved"
