"""Where completions end, what of them is read, and the models that cannot complete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from icm.errors import TrainingError
from icm.pocket import words
from icm.pocket.tokenizer import build_tokenizer
from icm.pocket.weights import pocket_model_dir
from icm.training.completions import (
    Completion,
    CompletionSettings,
    fit_prompts,
    log_probabilities,
    open_policy,
    read_completion,
    sample,
)
from icm.training.finetune import fit_demonstrations, require_ending
from icm.training.policy.rl import RlSettings, budget_spent
from tests.worlds import changed

LINE = CompletionSettings(stop="\n", ending=None, max_tokens=8, temperature=1.0)
PROMPTS = [f"Human: How do I {request}?\nAssistant:" for request in words.REQUESTS[:6]]


@pytest.fixture(scope="module")
def policy() -> Any:
    return open_policy(pocket_model_dir(), LINE)


def _model_dir(path: Path, context: Any = 64, **tokens: Any) -> Any:
    config = LlamaConfig(
        vocab_size=len(build_tokenizer()),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=1,
        head_dim=32,
        max_position_embeddings=context,
        bos_token_id=None,
        **({"pad_token_id": 0, "eos_token_id": None} | tokens),
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(path)
    build_tokenizer().save_pretrained(path)
    return path


def test_a_completion_ends_before_the_stop_text(policy: Any) -> None:
    for completion in sample(policy, PROMPTS, 8, seed=0):
        assert "\n" not in completion.text
        assert len(completion.tokens) <= LINE.max_tokens
        assert completion.ended == (completion.tokens[-1] in policy.stop_ids)
        assert not set(completion.tokens[:-1]) & set(policy.stop_ids)


def test_equal_seeds_give_equal_samples_whatever_was_drawn_before(policy: Any) -> None:
    one = sample(policy, PROMPTS, 4, seed=3)
    torch.rand(7)
    assert sample(policy, PROMPTS, 4, seed=3) == one
    assert sample(policy, PROMPTS, 4, seed=4) != one


def test_text_before_the_stop_within_a_token_belongs_to_the_completion(policy: Any) -> None:
    tokens = policy.tokenizer.encode(" Use wax.", add_special_tokens=False)
    question = policy.tokenizer.encode("?\nAssistant:", add_special_tokens=False)
    assert len(question) == 1
    read = read_completion(policy, "x", [*tokens, *question, 5, 6])
    assert read == Completion(prompt="x", text=" Use wax.?", tokens=(*tokens, *question), ended=True)


def test_log_probabilities_are_those_of_the_model_asked_one_by_one(policy: Any) -> None:
    completions = sample(policy, PROMPTS, 2, seed=1)
    model = AutoModelForCausalLM.from_pretrained(pocket_model_dir(), dtype=torch.float32)
    expected = []
    for completion in completions:
        prompt = policy.plain_tokenizer(completion.prompt)["input_ids"]
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *completion.tokens]])).logits[0].log_softmax(-1)
        places = range(len(prompt) - 1, len(prompt) + len(completion.tokens) - 1)
        expected.append(sum(float(logits[p, t]) for p, t in zip(places, completion.tokens, strict=True)))
    assert log_probabilities(policy, completions) == pytest.approx(np.array(expected), abs=1e-4)


def test_prompts_without_room_for_a_completion_are_listed(tmp_path: Path) -> None:
    policy = open_policy(_model_dir(tmp_path, context=16), changed(LINE, max_tokens=13))
    long = "\n\n".join(PROMPTS[:2])
    kept, too_long = fit_prompts(policy, [PROMPTS[0], long, PROMPTS[1], PROMPTS[0]])
    assert kept == [PROMPTS[0], PROMPTS[1]]
    assert too_long == [long]


def test_demonstrations_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    ended = changed(LINE, ending="\n\nHuman: How do I", max_tokens=4)
    policy = open_policy(_model_dir(tmp_path, context=6), ended)
    short = (PROMPTS[0], " Use wax.")
    long = (PROMPTS[0], " Happy to help! Use wax.")
    longest = (PROMPTS[0], " Happy to help! Use wax. Many people do so.")
    kept, too_long = fit_demonstrations(policy, [short, longest, long, short])
    assert kept == [short, long]
    assert too_long == [longest]


def test_a_model_that_nothing_stops_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no end-of-sequence token.*set completion.stop"):
        open_policy(_model_dir(tmp_path), changed(LINE, stop=None))


def test_a_model_that_says_when_it_ends_needs_no_stop(tmp_path: Path) -> None:
    policy = open_policy(_model_dir(tmp_path, eos_token_id=5), changed(LINE, stop=None))
    assert policy.stop_ids == (5,)


def test_a_stop_text_that_no_token_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no single token of .* contains it"):
        open_policy(_model_dir(tmp_path), changed(LINE, stop="###"))


def test_a_tokenizer_that_cannot_pad_is_refused(tmp_path: Path) -> None:
    directory = _model_dir(tmp_path)
    tokenizer = build_tokenizer()
    tokenizer.pad_token = None
    tokenizer.save_pretrained(directory)
    with pytest.raises(TrainingError, match=r"no padding token.*set pad_token"):
        open_policy(directory, LINE)


@pytest.mark.parametrize("ending", ["\n", " Use wax.", "\n\nHuman: How do I open the jar"])
def test_an_ending_that_is_not_one_stopping_token_is_refused(ending: str) -> None:
    with pytest.raises(TrainingError, match="must be one token"):
        open_policy(pocket_model_dir(), changed(LINE, ending=ending))


def test_training_on_completions_asks_what_closes_them(policy: Any) -> None:
    with pytest.raises(TrainingError, match=r"set completion.ending to a token that contains completion.stop"):
        require_ending(policy)


def test_a_group_that_does_not_fit_into_a_step_is_refused() -> None:
    with pytest.raises(ValidationError, match="multiple of num_generations=8, got 12"):
        RlSettings(kind="rloo", steps=1, batch_size=12, learning_rate=1e-3, kl_weight=0.1)


def test_a_divergence_weight_of_zero_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        RlSettings(kind="grpo", steps=1, batch_size=8, learning_rate=1e-3, kl_weight=0)


def test_the_budget_is_spent_when_the_median_of_the_window_exceeds_it() -> None:
    settings = RlSettings(
        kind="rloo", steps=9, batch_size=8, learning_rate=1e-3, kl_weight=0.1, kl_budget=1.0, kl_window=3
    )
    assert not budget_spent([5.0, 5.0], settings)
    assert not budget_spent([0.1, 900.0, 0.2], settings)
    assert budget_spent([0.1, 1.1, 1.2], settings)
