"""The labels' rows of the output matrix give the same log-probabilities as all rows, normalised over the labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from transformers import CohereConfig, Gemma2Config, GraniteConfig, PhiConfig

from benchmarks.speed.random_models import word_tokenizer
from icm.claims import TRUE_FALSE, LabelSpace
from icm.scoring.local import LocalScorer
from icm.scoring.local.heads import FullHead, LabelHead, head_for
from tests.contracts.scorers import (
    FAMILIES,
    NUM_WORDS,
    SLIDING,
    TWO_TOKENS,
    leave_one_out_prompts,
    plain_logprobs,
    tiny_model,
)

THREE = LabelSpace(names=("no", "yes", "maybe"), verbalizers=(" w7", " w3", " w5"))
_SIZE: dict[str, Any] = {
    "vocab_size": 2 * NUM_WORDS + 4,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
    "pad_token_id": 0,
}
HEADS: dict[str, Any] = {
    "tied": FAMILIES["gemma"],
    "windows": SLIDING["gemma3"],
    "capped": Gemma2Config(**_SIZE, head_dim=8, final_logit_softcapping=2.0),
    "scaled down": GraniteConfig(**_SIZE, logits_scaling=4.0),
    "scaled up": CohereConfig(**_SIZE, logit_scale=0.25),
    "with a bias": PhiConfig(**_SIZE),
}


def _scorer(model: Any, space: LabelSpace, **settings: Any) -> LocalScorer:
    return LocalScorer(model, word_tokenizer(NUM_WORDS), space, identity="tiny", **settings)


@pytest.mark.parametrize("share_prefixes", [True, False])
@pytest.mark.parametrize("space", [TRUE_FALSE, THREE], ids=["two", "three"])
@pytest.mark.parametrize("family", HEADS)
def test_rows_of_the_labels_equal_the_plain_forward_normalised(
    family: str, space: LabelSpace, share_prefixes: bool
) -> None:
    model = tiny_model(HEADS[family])
    if family == "with a bias":
        torch.nn.init.normal_(model.get_output_embeddings().bias)
    whole = model.get_output_embeddings()
    scorer = _scorer(model, space, large_vocabulary=1, share_prefixes=share_prefixes, max_pack_tokens=64)
    assert scorer.shares_prefixes is share_prefixes
    prompts = leave_one_out_prompts(6, space)
    expected = log_softmax(plain_logprobs(model, word_tokenizer(NUM_WORDS), prompts, space), axis=1)
    np.testing.assert_allclose(scorer.label_logprobs(prompts), expected, atol=1.5e-5)
    assert model.get_output_embeddings() is whole, "the model is left as it was"


def test_the_two_ways_have_different_fingerprints() -> None:
    model = tiny_model(FAMILIES["llama"])
    rows, whole = _scorer(model, TRUE_FALSE, large_vocabulary=1), _scorer(model, TRUE_FALSE)
    assert rows.fingerprint != whole.fingerprint


def test_verbalizers_of_several_tokens_and_small_vocabularies_take_the_whole_head() -> None:
    model = tiny_model(FAMILIES["llama"])
    assert isinstance(head_for(model, [(1,), (2,)], smallest=1), LabelHead)
    assert isinstance(head_for(model, [(1,), (2, 3)], smallest=1), FullHead)
    assert isinstance(head_for(model, [(1,), (2,)]), FullHead)
    prompts = leave_one_out_prompts(6, TWO_TOKENS)
    expected = plain_logprobs(model, word_tokenizer(NUM_WORDS), prompts, TWO_TOKENS)
    scorer = _scorer(model, TWO_TOKENS, large_vocabulary=1)
    np.testing.assert_allclose(scorer.label_logprobs(prompts), expected, atol=1.5e-5)


def test_a_model_that_fails_gets_its_head_back() -> None:
    model = tiny_model(FAMILIES["llama"])
    whole = model.get_output_embeddings()
    head = LabelHead(model, [(1,), (2,)])
    with pytest.raises(RuntimeError, match="no"), head.in_place():
        raise RuntimeError("no")
    assert model.get_output_embeddings() is whole
