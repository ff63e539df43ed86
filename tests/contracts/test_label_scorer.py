"""What every LabelScorer must do, run on every implementation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.speed.random_models import word_tokenizer
from icm.claims import TRUE_FALSE
from icm.prompts import NO_CONTEXT, Prompt
from icm.scoring.fake import HashScorer
from icm.scoring.journal import JournalScorer
from icm.scoring.local import LocalScorer
from icm.scoring.protocol import LabelScorer, ScoringCost, count_prompt_tokens, count_reading_tokens
from tests.contracts.scorers import FAMILIES, NUM_WORDS, TWO_TOKENS, leave_one_out_prompts, readings, tiny_model
from tests.worlds.scorers import ConceptScorer

PROMPTS = leave_one_out_prompts(10)
READINGS = readings(10)
MakeScorer = Callable[[], LabelScorer]


def _concept() -> ConceptScorer:
    return ConceptScorer({prompt.query: i % 2 for i, prompt in enumerate(PROMPTS)}, TRUE_FALSE)


def _local(**settings: Any) -> LocalScorer:
    return LocalScorer(
        tiny_model(FAMILIES["llama"]), word_tokenizer(NUM_WORDS), TRUE_FALSE, identity="tiny", **settings
    )


@pytest.fixture(
    params=["hash", "concept", "local", "local that keeps", "local in full", "journal of hash", "journal of local"]
)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> MakeScorer:
    count = iter(range(100))
    makers: dict[str, MakeScorer] = {
        "hash": lambda: HashScorer(TRUE_FALSE),
        "concept": _concept,
        "local": _local,
        "local that keeps": lambda: _local(cache_tokens=150),
        "local in full": lambda: _local(share_prefixes=False),
        "journal of hash": lambda: JournalScorer(HashScorer(TRUE_FALSE), tmp_path / f"{next(count)}.jsonl"),
        "journal of local": lambda: JournalScorer(_local(cache_tokens=150), tmp_path / f"{next(count)}.jsonl"),
    }
    return makers[request.param]


def test_rows_are_log_probabilities_in_input_order(make: MakeScorer) -> None:
    scorer = make()
    logprobs = scorer.label_logprobs(PROMPTS)
    assert logprobs.shape == (len(PROMPTS), scorer.num_labels)
    assert logprobs.dtype == np.float64
    assert (logprobs <= 0).all()
    assert (np.exp(logprobs).sum(axis=1) <= 1 + 1e-6).all()
    one_by_one = np.concatenate([scorer.label_logprobs([prompt]) for prompt in PROMPTS])
    np.testing.assert_allclose(one_by_one, logprobs, atol=1.01e-5)


def test_batch_order_and_size_do_not_matter(make: MakeScorer) -> None:
    expected = make().label_logprobs(PROMPTS)
    order = np.random.default_rng(0).permutation(len(PROMPTS))
    shuffled = make().label_logprobs([PROMPTS[row] for row in order])
    np.testing.assert_allclose(shuffled, expected[order], atol=1.01e-5)
    scorer = make()
    halves = [scorer.label_logprobs(PROMPTS[:4]), scorer.label_logprobs(PROMPTS[4:])]
    np.testing.assert_allclose(np.concatenate(halves), expected, atol=1.01e-5)


def test_equal_batches_get_equal_bits(make: MakeScorer) -> None:
    np.testing.assert_array_equal(make().label_logprobs(PROMPTS), make().label_logprobs(PROMPTS))


def test_what_is_asked_after_forgetting_gets_the_bits_of_a_fresh_scorer(make: MakeScorer) -> None:
    scorer = make()
    scorer.label_logprobs(PROMPTS[::2])
    scorer.forget()
    np.testing.assert_array_equal(scorer.label_logprobs(PROMPTS[1::2]), make().label_logprobs(PROMPTS[1::2]))


def test_repeated_prompts_get_equal_answers(make: MakeScorer) -> None:
    logprobs = make().label_logprobs([PROMPTS[0], PROMPTS[1], PROMPTS[0]])
    np.testing.assert_array_equal(logprobs[0], logprobs[2])


def test_no_prompts_give_no_rows(make: MakeScorer) -> None:
    assert make().label_logprobs([]).shape == (0, 2)


def test_cost_counts_what_was_asked(make: MakeScorer) -> None:
    scorer = make()
    assert scorer.cost == ScoringCost()
    scorer.label_logprobs(PROMPTS)
    first = scorer.cost
    assert first.prompts == len(PROMPTS)
    assert first.calls >= 1
    assert 0 < first.forwarded_tokens <= first.naive_tokens
    scorer.label_logprobs(PROMPTS)
    assert (scorer.cost - first).prompts == len(PROMPTS)
    # A first segment lacks the separator that a counted one includes.
    assert abs((scorer.cost - first).naive_tokens - first.naive_tokens) <= len(PROMPTS)


def test_counted_tokens_add_up_to_the_naive_tokens(make: MakeScorer) -> None:
    scorer = make()
    scorer.label_logprobs(PROMPTS)
    assert abs(count_prompt_tokens(scorer, PROMPTS) - scorer.cost.naive_tokens) <= len(PROMPTS)


def test_answers_depend_on_the_context(make: MakeScorer) -> None:
    query = PROMPTS[0].query
    contexts = [NO_CONTEXT.extend([f"w1 w2{verdict}" for _ in range(3)]) for verdict in TRUE_FALSE.verbalizers]
    demos = [NO_CONTEXT.extend([query + verdict] * 3) for verdict in TRUE_FALSE.verbalizers]
    logprobs = make().label_logprobs([Prompt(context, query) for context in [*contexts, *demos]])
    assert np.abs(logprobs[2] - logprobs[3]).max() > 1e-3


def test_a_reading_answers_what_each_verdict_answers_as_a_prompt_of_its_own(make: MakeScorer) -> None:
    rows = make().verdict_logprobs(READINGS)
    assert [each.shape for each in rows] == [(len(reading.queries), 2) for reading in READINGS]
    scorer = make()
    for reading, answers in zip(READINGS, rows, strict=True):
        one_by_one = np.concatenate([scorer.label_logprobs([prompt]) for prompt in reading.prompts()])
        np.testing.assert_allclose(answers, one_by_one, atol=1e-4)
        np.testing.assert_allclose(scorer.verdict_logprobs([reading])[0], answers, atol=1.01e-5)


def test_readings_of_nothing_cost_nothing_and_others_one_pass_over_each(make: MakeScorer) -> None:
    scorer = make()
    assert scorer.verdict_logprobs([]) == []
    assert scorer.cost.forwarded_tokens == 0
    scorer.verdict_logprobs(READINGS)
    num_verdicts = sum(len(reading.queries) for reading in READINGS)
    assert scorer.cost.prompts == num_verdicts
    # A first claim lacks the separator that a counted one includes.
    assert abs(scorer.cost.forwarded_tokens - count_reading_tokens(scorer, READINGS)) <= len(READINGS)
    assert scorer.cost.naive_tokens == scorer.cost.forwarded_tokens


def test_equal_readings_get_equal_bits(make: MakeScorer) -> None:
    for one, other in zip(make().verdict_logprobs(READINGS), make().verdict_logprobs(READINGS), strict=True):
        np.testing.assert_array_equal(one, other)


def test_fingerprint_is_stable(make: MakeScorer) -> None:
    assert make().fingerprint == make().fingerprint


def test_fingerprint_tells_models_seeds_and_label_spaces_apart() -> None:
    model, tokenizer = tiny_model(FAMILIES["llama"]), word_tokenizer(NUM_WORDS)
    fingerprints = [
        HashScorer(TRUE_FALSE).fingerprint,
        HashScorer(TRUE_FALSE, seed=1).fingerprint,
        HashScorer(TWO_TOKENS).fingerprint,
        _concept().fingerprint,
        LocalScorer(model, tokenizer, TRUE_FALSE, identity="tiny").fingerprint,
        LocalScorer(model, tokenizer, TRUE_FALSE, identity="other").fingerprint,
        LocalScorer(model, tokenizer, TWO_TOKENS, identity="tiny").fingerprint,
    ]
    assert len(set(fingerprints)) == len(fingerprints)
