"""Tiny models and prompts for the scorer contract tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from transformers import (
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    GptOssConfig,
    Lfm2Config,
    Llama4TextConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)
from transformers.models.auto import AutoModelForCausalLM

from benchmarks.speed.random_models import word_tokenizer
from icm.claims import TRUE_FALSE, LabelSpace, freeze
from icm.contexts import Contexts, Tree, draw_order
from icm.prompts import NO_CONTEXT, Prompt, Reading

NUM_WORDS = 40
TWO_TOKENS = LabelSpace(names=("no", "yes", "maybe"), verbalizers=(" w1 w2", " w1 w3", " w4"))
"""Verbalizers of several tokens, two of which begin alike."""

_SIZE: dict[str, Any] = {
    "vocab_size": 2 * NUM_WORDS + 4,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,  # answers far from uniform, so that a wrong mask or position shows
}
_GROUPED: dict[str, Any] = {**_SIZE, "num_key_value_heads": 2, "head_dim": 8}
_EAGER: dict[str, Any] = {**_GROUPED, "attn_implementation": "eager"}
FAMILIES: dict[str, Any] = {
    "llama": LlamaConfig(**_GROUPED),
    "llama-eager": LlamaConfig(**_EAGER),
    "qwen2": Qwen2Config(**_SIZE, num_key_value_heads=2),
    "qwen3": Qwen3Config(**_GROUPED),
    "mistral": MistralConfig(**_GROUPED, sliding_window=None),
    "gemma": GemmaConfig(**_GROUPED),
    "gpt2": GPT2Config(
        vocab_size=_SIZE["vocab_size"], n_embd=32, n_layer=2, n_head=4, n_positions=512, initializer_range=0.3
    ),
    "gpt_neox": GPTNeoXConfig(**_SIZE),
}
UNTOLD_WINDOW = GPTNeoConfig(
    vocab_size=_SIZE["vocab_size"],
    hidden_size=32,
    num_layers=2,
    num_heads=4,
    attention_types=[[["global", "local"], 1]],
    window_size=64,
    max_position_embeddings=512,
    initializer_range=0.3,
    bos_token_id=None,
    eos_token_id=None,
)
"""Its window stands in its code alone; the cache layers look as if each saw the whole prefix."""

_WINDOW = 8  # tokens: shorter than most prompts, so that a token beyond it that is seen shows
_SLIDING, _FULL = "sliding_attention", "full_attention"
SLIDING: dict[str, Any] = {
    "mistral": MistralConfig(**_GROUPED, sliding_window=_WINDOW),
    "mistral-eager": MistralConfig(**_EAGER, sliding_window=_WINDOW),
    "gemma2": Gemma2Config(**_GROUPED, sliding_window=_WINDOW, attn_logit_softcapping=20.0),
    "gemma3": Gemma3TextConfig(**_GROUPED, sliding_window=_WINDOW, layer_types=[_SLIDING, _FULL]),
    "gemma3-eager": Gemma3TextConfig(**_EAGER, sliding_window=_WINDOW, layer_types=[_FULL, _SLIDING]),
    "gemma3-windows-alone": Gemma3TextConfig(**_GROUPED, sliding_window=_WINDOW, layer_types=[_SLIDING, _SLIDING]),
    "qwen2": Qwen2Config(
        **_SIZE, num_key_value_heads=2, use_sliding_window=True, sliding_window=_WINDOW, max_window_layers=1
    ),
    "qwen3": Qwen3Config(**_GROUPED, use_sliding_window=True, sliding_window=_WINDOW, max_window_layers=1),
    "gpt_oss": GptOssConfig(
        **_GROUPED,
        num_local_experts=4,
        num_experts_per_tok=2,
        sliding_window=_WINDOW,
        layer_types=[_SLIDING, _FULL],
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    ),
}
"""Families with windows in some of their layers, or in all."""

UNSHAREABLE: dict[str, Any] = {
    "chunks": Llama4TextConfig(
        **_GROUPED, attention_chunk_size=_WINDOW, num_local_experts=2, intermediate_size_mlp=48, pad_token_id=0
    ),
    "DynamicLayer|LinearAttention": Lfm2Config(
        **{**_SIZE, "num_key_value_heads": 2}, layer_types=["conv", _FULL], block_multiple_of=8
    ),
}
"""Families whose layers carry something else from token to token, by what the warning says of them."""


def tiny_model(config: Any) -> Any:
    """Return a model of random weights."""
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


def save_tiny_model(directory: Path, config: Any) -> Path:
    """Write a model directory as users have them."""
    tiny_model(config).save_pretrained(directory)
    word_tokenizer(NUM_WORDS).save_pretrained(directory)
    return directory


def leave_one_out_prompts(num_claims: int, space: LabelSpace = TRUE_FALSE) -> list[Prompt]:
    """Return the leave-one-out prompts of claims whose texts partly begin alike, and one without context."""
    texts = [f"w{i % 5} w{i % 3} w{i % NUM_WORDS} w{7 * i % NUM_WORDS}" for i in range(num_claims)]
    demos = [[text + verbalizer for verbalizer in space.verbalizers] for text in texts]
    groups = [str(i // 3) for i in range(num_claims)]
    labels = freeze([i % len(space) for i in range(num_claims)])
    contexts = Contexts(Tree(), demos, groups, draw_order(groups, seed=0))
    prompts = [Prompt(context, texts[i]) for i, context in contexts.leave_one_out(labels).items()]
    return [*prompts, Prompt(NO_CONTEXT, texts[0])]


def readings(num_claims: int, space: LabelSpace = TRUE_FALSE) -> list[Reading]:
    """Return readings of all claims, of a part of them, and of a single one."""
    texts = [f"w{i % 5} w{i % 3} w{i % NUM_WORDS} w{7 * i % NUM_WORDS}" for i in range(num_claims)]
    demos = [text + space.verbalizers[i % len(space)] for i, text in enumerate(texts)]
    parts = (range(num_claims), range(num_claims - 1, 1, -2), [3])
    return [Reading([texts[i] for i in part], [demos[i] for i in part][:-1]) for part in parts]


def plain_logprobs(model: Any, tokenizer: Any, prompts: list[Prompt], space: LabelSpace) -> list[list[float]]:
    """Return the label log-probabilities by one uncached forward per prompt and label, from the text alone."""
    return [[_plain(model, tokenizer, prompt.text, label) for label in space.verbalizers] for prompt in prompts]


@torch.inference_mode()
def _plain(model: Any, tokenizer: Any, text: str, verbalizer: str) -> float:
    tokens = tokenizer(text + verbalizer).input_ids
    size = len(tokenizer(text).input_ids)
    logprobs = model(torch.tensor([tokens]), use_cache=False).logits[0].log_softmax(-1)
    return sum(float(logprobs[at - 1, tokens[at]]) for at in range(size, len(tokens)))


def shared_model(name: str) -> Path | None:
    """Return a model directory that lies beside the checkout, if it is there."""
    beside = Path(__file__).parents[3] / "shared"
    directory = Path(os.environ.get("ICM_SHARED_DIR", beside)) / "models" / name
    return directory if directory.exists() else None
