"""What the local backend must do beside the contract: every family, any packing, and its errors."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import MistralConfig

from benchmarks.speed.random_models import word_tokenizer
from icm.claims import TRUE_FALSE, LabelSpace, freeze
from icm.contexts import Contexts, Tree, draw_order
from icm.errors import ScoringError
from icm.pocket import words
from icm.pocket.statements import fact_statements
from icm.pocket.weights import pocket_model_dir
from icm.pocket.world import World
from icm.prompts import NO_CONTEXT, Prompt
from icm.scoring.local import LocalScorer
from icm.scoring.local.loading import cpu_dtype, load_model
from icm.scoring.protocol import ScoringCost
from tests.contracts.scorers import (
    FAMILIES,
    NUM_WORDS,
    SLIDING,
    TWO_TOKENS,
    UNSHAREABLE,
    UNTOLD_WINDOW,
    leave_one_out_prompts,
    plain_logprobs,
    readings,
    save_tiny_model,
    shared_model,
    tiny_model,
)


def _scorer(model: Any, space: LabelSpace = TRUE_FALSE, **settings: Any) -> LocalScorer:
    return LocalScorer(model, word_tokenizer(NUM_WORDS), space, identity="tiny", **settings)


@pytest.mark.parametrize("space", [TRUE_FALSE, TWO_TOKENS], ids=["one token", "several tokens"])
@pytest.mark.parametrize("family", FAMILIES)
def test_sharing_prefixes_equals_the_plain_forward(family: str, space: LabelSpace) -> None:
    model = tiny_model(FAMILIES[family])
    scorer = _scorer(model, space, max_pack_tokens=64)
    assert scorer.shares_prefixes
    prompts = leave_one_out_prompts(10, space)
    expected = plain_logprobs(model, word_tokenizer(NUM_WORDS), prompts, space)
    np.testing.assert_allclose(scorer.label_logprobs(prompts), expected, atol=1.5e-5)
    assert scorer.cost.forwarded_tokens < scorer.cost.naive_tokens / 2


@pytest.mark.parametrize("space", [TRUE_FALSE, TWO_TOKENS], ids=["one token", "several tokens"])
@pytest.mark.parametrize("family", SLIDING)
def test_sharing_prefixes_equals_the_plain_forward_where_windows_are_shorter(family: str, space: LabelSpace) -> None:
    model = tiny_model(SLIDING[family])
    scorer = _scorer(model, space, max_pack_tokens=64, cache_tokens=100)
    assert scorer.shares_prefixes
    prompts = leave_one_out_prompts(10, space)
    assert np.median([len(prompt.text.split()) for prompt in prompts]) > 4 * model.config.sliding_window
    expected = plain_logprobs(model, word_tokenizer(NUM_WORDS), prompts, space)
    for rows in (slice(0, 5), slice(0, None)):  # what the first call leaves behind is used by the second
        np.testing.assert_allclose(scorer.label_logprobs(prompts[rows]), expected[rows], atol=1.5e-5)
    assert scorer.cost.forwarded_tokens < scorer.cost.naive_tokens / 2


@pytest.mark.parametrize("max_pack_tokens", [1, 5, 8, 9, 1000])
def test_windows_and_stretches_of_any_length_agree(max_pack_tokens: int) -> None:
    model = tiny_model(SLIDING["gemma3"])
    prompts = leave_one_out_prompts(6)
    expected = plain_logprobs(model, word_tokenizer(NUM_WORDS), prompts, TRUE_FALSE)
    scorer = _scorer(model, max_pack_tokens=max_pack_tokens)
    np.testing.assert_allclose(scorer.label_logprobs(prompts), expected, atol=1.5e-5)


@pytest.mark.parametrize("window", [2, 63, 100, 400])
def test_the_probe_goes_beyond_the_window(window: int) -> None:
    """A model that ignores its window in a packed prompt must be found out, however long the window is."""
    config = MistralConfig(**{**SLIDING["mistral"].to_dict(), "sliding_window": window})
    model = tiny_model(config)
    assert _scorer(model).shares_prefixes
    honest = model.forward

    @functools.wraps(honest)
    def sees_everything(*inputs: Any, attention_mask: Any = None, **settings: Any) -> Any:
        if attention_mask is not None and attention_mask.ndim == 4:
            size = attention_mask.shape[-2]
            later = torch.ones(size, attention_mask.shape[-1]).triu(attention_mask.shape[-1] - size + 1)
            attention_mask = later[None, None] * torch.finfo(torch.float32).min
        return honest(*inputs, attention_mask=attention_mask, **settings)

    model.forward = sees_everything
    with pytest.warns(UserWarning, match="other answers for packed prompts"):
        assert not _scorer(model, max_pack_tokens=10_000).shares_prefixes


@pytest.mark.parametrize("reason", UNSHAREABLE)
def test_recurrence_and_chunks_fall_back_to_full_prompts_with_a_reason(reason: str) -> None:
    model = tiny_model(UNSHAREABLE[reason])
    with pytest.warns(UserWarning, match=reason):
        scorer = _scorer(model)
    assert not scorer.shares_prefixes
    prompts = leave_one_out_prompts(10)
    expected = plain_logprobs(model, word_tokenizer(NUM_WORDS), prompts, TRUE_FALSE)
    np.testing.assert_allclose(scorer.label_logprobs(prompts), expected, atol=1.5e-5)


BEGINNING_ALIKE = LabelSpace(names=("no", "yes"), verbalizers=(" w1 w2", " w1 w3"))


@pytest.mark.parametrize("space", [TRUE_FALSE, BEGINNING_ALIKE, TWO_TOKENS], ids=["one token", "two", "parting early"])
@pytest.mark.parametrize("family", [*FAMILIES, *SLIDING])
@pytest.mark.filterwarnings("ignore:prompts are forwarded in full")
def test_a_reading_equals_the_plain_forward_of_each_verdict(family: str, space: LabelSpace) -> None:
    model = tiny_model({**FAMILIES, **SLIDING}[family])
    asked = readings(9, space)
    scorer = _scorer(model, space, max_pack_tokens=64)
    for reading, rows in zip(asked, scorer.verdict_logprobs(asked), strict=True):
        expected = plain_logprobs(model, word_tokenizer(NUM_WORDS), reading.prompts(), space)
        np.testing.assert_allclose(rows, expected, atol=1.5e-5)


@pytest.mark.parametrize("family", SLIDING)
def test_a_reading_in_stretches_equals_the_plain_forward_of_each_verdict(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icm.scoring.local.scorer.READING_STRETCH", 1)
    model = tiny_model(SLIDING[family])
    scorer = _scorer(model)
    lengths: list[int] = []
    model.register_forward_pre_hook(lambda _, args, __: lengths.append(args[0].shape[1]), with_kwargs=True)
    asked = readings(10)
    answers = scorer.verdict_logprobs(asked)
    # The two long readings are padded to one batch and go through in stretches of the window.
    assert max(lengths) == model.config.sliding_window
    for reading, rows in zip(asked, answers, strict=True):
        expected = plain_logprobs(model, word_tokenizer(NUM_WORDS), reading.prompts(), TRUE_FALSE)
        np.testing.assert_allclose(rows, expected, atol=1.5e-5)


@pytest.mark.parametrize("max_pack_tokens", [1, 7, 100, 10_000])
def test_token_budget_does_not_matter(max_pack_tokens: int) -> None:
    model = tiny_model(FAMILIES["llama"])
    prompts = leave_one_out_prompts(12)
    expected = _scorer(model).label_logprobs(prompts)
    packed = _scorer(model, max_pack_tokens=max_pack_tokens)
    np.testing.assert_allclose(packed.label_logprobs(prompts), expected, atol=1.01e-5)
    in_full = _scorer(model, max_pack_tokens=max_pack_tokens, share_prefixes=False)
    np.testing.assert_allclose(in_full.label_logprobs(prompts), expected, atol=1.01e-5)


def test_every_token_of_the_trie_is_forwarded_once() -> None:
    prompts = leave_one_out_prompts(16)
    paths = {tuple(word_tokenizer(NUM_WORDS)(prompt.text).input_ids) for prompt in prompts}
    prefixes = {path[:end] for path in paths for end in range(1, len(path) + 1)}
    scorer = _scorer(tiny_model(FAMILIES["llama"]), max_pack_tokens=50)
    scorer.label_logprobs(prompts)
    assert scorer.cost.forwarded_tokens == len(prefixes)
    assert scorer.cost.naive_tokens == sum(len(prompt.text.split()) + prompt.context.num_segments for prompt in prompts)


def test_a_long_batch_never_holds_more_than_a_path_and_a_stretch() -> None:
    model = tiny_model(FAMILIES["llama"])
    scorer = _scorer(model, max_pack_tokens=48)
    prompts = leave_one_out_prompts(60)
    num_new: list[int] = []
    num_held: list[int] = []

    def watch(module: Any, args: Any, settings: dict[str, Any]) -> None:
        num_held.append(settings["past_key_values"].get_seq_length())
        num_new.append(settings["position_ids"].shape[1])

    model.register_forward_pre_hook(watch, with_kwargs=True)
    scorer.label_logprobs(prompts)
    longest = max(len(word_tokenizer(NUM_WORDS)(prompt.text).input_ids) for prompt in prompts)
    assert max(num_new) == 48
    assert longest / 2 < max(num_held) < longest


def test_local_attention_that_no_cache_layer_tells_of_is_found_out() -> None:
    model = tiny_model(UNTOLD_WINDOW)
    with pytest.warns(UserWarning, match="other answers for packed prompts"):
        scorer = _scorer(model)
    prompts = leave_one_out_prompts(10)
    expected = plain_logprobs(model, word_tokenizer(NUM_WORDS), prompts, TRUE_FALSE)
    np.testing.assert_allclose(scorer.label_logprobs(prompts), expected, atol=1.5e-5)


class _ScarceMemory:
    """Makes forward passes fail like a full GPU: half-way through the layers, above a number of tokens."""

    def __init__(self, model: Any, num_tokens: int) -> None:
        self.failures = 0
        self._num_tokens = num_tokens
        model.model.layers[1].register_forward_pre_hook(self._check)

    def _check(self, module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].shape[0] * inputs[0].shape[1] > self._num_tokens:
            self.failures += 1
            raise torch.OutOfMemoryError("out of memory")


@pytest.mark.parametrize("share_prefixes", [True, False])
def test_budget_halves_when_memory_runs_out_and_nothing_is_lost(share_prefixes: bool) -> None:
    prompts = leave_one_out_prompts(12)
    expected = _scorer(tiny_model(FAMILIES["llama"])).label_logprobs(prompts)
    model = tiny_model(FAMILIES["llama"])
    scorer = _scorer(model, max_pack_tokens=400, share_prefixes=share_prefixes)
    memory = _ScarceMemory(model, num_tokens=110)
    np.testing.assert_allclose(scorer.label_logprobs(prompts), expected, atol=1.01e-5)
    assert memory.failures >= 1
    assert scorer.max_pack_tokens < 400
    failures = memory.failures
    scorer.label_logprobs(prompts)
    assert memory.failures == failures, "the smaller budget is remembered"


def test_memory_that_runs_out_half_way_leaves_the_path_whole() -> None:
    prompts = leave_one_out_prompts(12)
    expected = _scorer(tiny_model(FAMILIES["llama"])).label_logprobs(prompts)
    model = tiny_model(FAMILIES["llama"])
    scorer = _scorer(model, max_pack_tokens=32)
    calls = iter(range(1000))  # of the second layer: the first has put its part of the stretch into the cache

    def fail_at_the_fifth_call(module: Any, inputs: Any) -> None:
        if next(calls) == 4:
            raise torch.OutOfMemoryError("out of memory")

    model.model.layers[1].register_forward_pre_hook(fail_at_the_fifth_call)
    np.testing.assert_allclose(scorer.label_logprobs(prompts), expected, atol=1.01e-5)
    assert scorer.max_pack_tokens == 16


def test_memory_for_not_one_token_is_an_error() -> None:
    model = tiny_model(FAMILIES["llama"])
    scorer = _scorer(model)
    _ScarceMemory(model, num_tokens=0)
    with pytest.raises(ScoringError, match="memory ran out"):
        scorer.label_logprobs(leave_one_out_prompts(4))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near_float32(dtype: torch.dtype) -> None:
    prompts = leave_one_out_prompts(8)
    exact = _scorer(tiny_model(FAMILIES["qwen3"])).label_logprobs(prompts)
    half = _scorer(tiny_model(FAMILIES["qwen3"]).to(dtype))
    assert half.shares_prefixes
    assert np.abs(half.label_logprobs(prompts) - exact).max() < 0.3


def test_loaded_directory_answers_like_the_model_and_knows_its_weights(tmp_path: Path) -> None:
    first = LocalScorer.load(save_tiny_model(tmp_path / "a", FAMILIES["llama"]), TRUE_FALSE, device="cpu")
    again = LocalScorer.load(str(tmp_path / "a"), TRUE_FALSE, device="cpu")
    other = LocalScorer.load(save_tiny_model(tmp_path / "b", FAMILIES["qwen3"]), TRUE_FALSE, device="cpu")
    half = LocalScorer.load(tmp_path / "a", TRUE_FALSE, device="cpu", dtype="bfloat16")
    prompts = leave_one_out_prompts(6)
    expected = _scorer(tiny_model(FAMILIES["llama"])).label_logprobs(prompts)
    np.testing.assert_array_equal(first.label_logprobs(prompts), expected)
    assert first.fingerprint == again.fingerprint
    assert len({first.fingerprint, other.fingerprint, half.fingerprint}) == 3
    assert first.context_length == 512


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, torch.float16, None])
@pytest.mark.parametrize("has_units", [True, False])
def test_a_cpu_computes_in_bfloat16_only_where_that_is_quick_and_loses_nothing(stored: Any, has_units: bool) -> None:
    is_half = stored == torch.bfloat16 and has_units
    assert cpu_dtype(stored, has_units) == (torch.bfloat16 if is_half else torch.float32)


def test_weights_in_float32_are_computed_in_float32(tmp_path: Path) -> None:
    directory = save_tiny_model(tmp_path, FAMILIES["llama"])
    model, _, _ = load_model(directory, revision=None, dtype="auto", device="cpu")
    assert model.dtype == torch.float32


@pytest.mark.skipif(shared_model("stories260K") is None, reason="stories260K does not lie in the shared directory")
def test_a_real_model_with_a_sentencepiece_tokenizer_equals_the_plain_forward() -> None:
    path = shared_model("stories260K")
    assert path is not None
    model, tokenizer, identity = load_model(path, revision=None, dtype="float32", device="cpu")
    scorer = LocalScorer(model, tokenizer, TRUE_FALSE, identity=identity)
    context = NO_CONTEXT.extend(["The cat sat. True", "The dog is a tree. False"])
    prompts = [
        Prompt(context, "Lily has a hat."),
        Prompt(context.extend(["Tom ran. True"]), "Lily has a hat."),
        Prompt(NO_CONTEXT, "Lily has a red hat."),
    ]
    expected = plain_logprobs(model, tokenizer, prompts, TRUE_FALSE)
    np.testing.assert_allclose(scorer.label_logprobs(prompts), expected, atol=1.5e-5)


def test_the_embedded_model_equals_the_plain_forward() -> None:
    model, tokenizer, identity = load_model(pocket_model_dir(), revision=None, dtype="float32", device="cpu")
    statements = fact_statements(World(seed=0), words.RELATIONS)[:20]
    texts, groups = [statement.text for statement in statements], [statement.group for statement in statements]
    demos = [[text + verbalizer for verbalizer in TRUE_FALSE.verbalizers] for text in texts]
    labels = freeze([i % 2 for i in range(len(texts))])
    contexts = Contexts(Tree(), demos, groups, draw_order(groups, seed=0)).leave_one_out(labels)
    prompts = [Prompt(context, texts[claim]) for claim, context in contexts.items()]
    scorer = LocalScorer(model, tokenizer, TRUE_FALSE, identity=identity, cache_tokens=500)
    expected = plain_logprobs(model, tokenizer, prompts, TRUE_FALSE)
    for rows in (slice(0, 12), slice(0, None)):
        np.testing.assert_allclose(scorer.label_logprobs(prompts[rows]), expected[rows], atol=1.5e-5)


@pytest.mark.skipif(shared_model("stories260K") is None, reason="stories260K does not lie in the shared directory")
def test_a_tokenizer_that_falls_back_on_bytes_knows_every_word() -> None:
    path = shared_model("stories260K")
    assert path is not None
    scorer = LocalScorer.load(path, TRUE_FALSE, device="cpu", dtype="float32")
    prompts = [Prompt(NO_CONTEXT.extend(["Łódź is a 猫. True"]), "Ünïcode \N{SNOWMAN}?")]
    assert np.isfinite(scorer.label_logprobs(prompts)).all()


@pytest.mark.parametrize("share_prefixes", [True, False])
def test_a_word_that_the_tokenizer_lacks_is_named_with_its_segment(share_prefixes: bool) -> None:
    scorer = _scorer(tiny_model(FAMILIES["llama"]), share_prefixes=share_prefixes)
    with pytest.raises(ScoringError, match=r"does not know 'unicorn' in 'w1 unicorn w2'"):
        scorer.label_logprobs([Prompt(NO_CONTEXT, "w1 unicorn w2")])
    with pytest.raises(ScoringError, match=r"does not know 'cats' in 'w1 cats True'"):
        scorer.label_logprobs([Prompt(NO_CONTEXT.extend(["w2 True", "w1 cats True"]), "w3")])
    with pytest.raises(ScoringError, match=r"does not know 'unheard' in 'w1 unheard'"):
        scorer.count_tokens(["w1", "w1 unheard"])
    assert scorer.cost == ScoringCost()


def test_a_text_may_begin_with_the_token_for_unknown_words() -> None:
    tokenizer = word_tokenizer(NUM_WORDS)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<unk> $A", special_tokens=[("<unk>", 0)])
    model = tiny_model(FAMILIES["llama"])
    scorer = LocalScorer(model, tokenizer, TRUE_FALSE, identity="tiny")
    prompts = [Prompt(NO_CONTEXT.extend(["w1 w2 True"]), "w3")]
    expected = plain_logprobs(model, tokenizer, prompts, TRUE_FALSE)
    np.testing.assert_allclose(scorer.label_logprobs(prompts), expected, atol=1.5e-5)
    with pytest.raises(ScoringError, match="'unicorn'"):
        scorer.label_logprobs([Prompt(NO_CONTEXT, "w1 unicorn")])


def test_prompt_over_the_context_is_refused_with_its_length() -> None:
    scorer = _scorer(tiny_model(FAMILIES["llama"]))
    long = Prompt(NO_CONTEXT.extend(["w1 w2 w3 True"] * 120), "w1")
    with pytest.raises(ScoringError, match=r"prompt 1 of 2 has 602 tokens.* holds 512"):
        scorer.label_logprobs([Prompt(NO_CONTEXT, "w1"), long])


def test_nan_is_an_error_not_a_number() -> None:
    model = tiny_model(FAMILIES["llama"])
    scorer = _scorer(model)
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(ScoringError, match="NaN"):
        scorer.label_logprobs([Prompt(NO_CONTEXT, "w1")])


@pytest.mark.parametrize(
    ("verbalizers", "message"),
    [((" w1", " w1 w2"), "prefix"), ((" unheard", " w1"), "unknown")],
)
def test_verbalizers_that_cannot_be_told_apart_are_refused(verbalizers: tuple[str, str], message: str) -> None:
    with pytest.raises((ScoringError, ValueError), match=message):
        _scorer(tiny_model(FAMILIES["llama"]), LabelSpace(names=("no", "yes"), verbalizers=verbalizers))


def test_tokenizer_that_merges_across_segments_is_refused() -> None:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    merging = Tokenizer(models.WordLevel({"<unk>": 0, " True\n\nIs": 1, " True": 2, " False": 3}, "<unk>"))
    merging.pre_tokenizer = pre_tokenizers.Split(Regex(r" True\n\nIs| ?\w+|\s|."), behavior="isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=merging, unk_token="<unk>")
    with pytest.raises(ScoringError, match="merges across the seams"):
        LocalScorer(tiny_model(FAMILIES["llama"]), tokenizer, TRUE_FALSE, identity="merging")


def test_incomplete_model_directories_are_refused_before_loading(tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match="no such model directory"):
        LocalScorer.load(tmp_path / "nowhere", TRUE_FALSE)
    directory = save_tiny_model(tmp_path / "model", FAMILIES["llama"])
    (directory / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    with pytest.raises(ScoringError, match="no tokenizer"):
        LocalScorer.load(directory, TRUE_FALSE)
    (directory / "model.safetensors").unlink()
    with pytest.raises(ScoringError, match="no weights in safetensors"):
        LocalScorer.load(directory, TRUE_FALSE)
    (directory / "config.json").unlink()
    with pytest.raises(ScoringError, match=r"config\.json is missing"):
        LocalScorer.load(directory, TRUE_FALSE)


def test_broken_model_files_are_refused_with_their_place(tmp_path: Path) -> None:
    directory = save_tiny_model(tmp_path / "model", FAMILIES["llama"])
    (directory / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ScoringError, match="cannot load"):
        LocalScorer.load(directory, TRUE_FALSE)
    (directory / "config.json").write_text(json.dumps({"model_type": "unheard_of"}))
    with pytest.raises(ScoringError, match="cannot load"):
        LocalScorer.load(directory, TRUE_FALSE)
