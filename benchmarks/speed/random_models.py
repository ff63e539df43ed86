"""A language model of random weights with its tokenizer and claims, for measuring what does not depend on training."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

NUM_WORDS: Final = 2000
CONTEXT_LENGTH: Final = 1 << 15


def word_tokenizer(num_words: int = NUM_WORDS) -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token per word w0, w1 …, per verdict and per blank line."""
    words = [f"{space}w{number}" for number in range(num_words) for space in ("", " ")]
    # One token per word, so that a text of n words has n tokens and demos have the length asked for.
    entries = ["<unk>", "\n\n", " True", " False", *words]
    tokenizer = Tokenizer(models.WordLevel({entry: number for number, entry in enumerate(entries)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n\n| ?\w+|."), behavior="isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")  # noqa: S106 - no password


def wide_llama() -> LlamaForCausalLM:
    """Return a Llama of random weights with about 20M parameters: 2 layers of width 768 and 12 heads."""
    return _llama(hidden_size=768, intermediate_size=2560, num_hidden_layers=2, num_attention_heads=12)


def billion_llama(device: torch.device) -> LlamaForCausalLM:
    """Return a Llama of random weights with about 1B parameters in bfloat16: 16 layers of width 2,048."""
    sizes = {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16}
    heads = {"num_attention_heads": 32, "num_key_value_heads": 8}
    with device:
        return _llama(torch.bfloat16, **sizes, **heads)


def _llama(dtype: torch.dtype = torch.float32, **sizes: Any) -> LlamaForCausalLM:
    # The same weights in every run, though no measure here depends on them.
    torch.manual_seed(0)
    # Every word with and without a space before it, and the four special entries of `word_tokenizer`.
    config = LlamaConfig(
        vocab_size=2 * NUM_WORDS + 4, max_position_embeddings=CONTEXT_LENGTH, tie_word_embeddings=True, **sizes
    )
    model: Any = LlamaForCausalLM(config)
    return model.to(dtype).eval()


def random_texts(num_claims: int, shortest: int, longest: int) -> list[str]:
    """Return claims of random words that make demos of `shortest` to `longest` tokens."""
    random = np.random.default_rng(0)
    around = 2  # the separator and the verdict
    lengths = random.integers(shortest - around, longest - around + 1, num_claims)
    return [" ".join(f"w{word}" for word in random.integers(0, NUM_WORDS, length)) for length in lengths]
