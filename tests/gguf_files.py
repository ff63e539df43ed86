"""A small GGUF file of random weights, written with the `gguf` library, and the model that it stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import Qwen2Config
from transformers.convert_slow_tokenizer import bytes_to_unicode
from transformers.models.auto import AutoModelForCausalLM

_LAYERS, _WIDTH, _MLP, _HEADS, _KEY_HEADS, _CONTEXT = 2, 32, 48, 4, 2, 256

_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(path: Path, architecture: str = "qwen2", **metadata: int) -> Any:
    """Write a model with a vocabulary of bytes; return the same model, its weights rounded to bfloat16."""
    from gguf import GGUFWriter, TokenType

    vocabulary = [*bytes_to_unicode().values(), "ab", "<|endoftext|>"]
    model = _random_model(len(vocabulary))
    writer = GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_context_length(_CONTEXT)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_MLP)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_KEY_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([TokenType.NORMAL] * 257 + [TokenType.CONTROL])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(257)
    for key, value in metadata.items():
        writer.add_uint32(key.replace("__", "."), value)
    for name, weight in model.state_dict().items():
        writer.add_tensor(_gguf_name(name), weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with torch.no_grad():  # parameters alone: the frequencies of the positions stay exact
        for parameter in model.parameters():
            parameter.copy_(parameter.to(torch.bfloat16))
    return model


def _random_model(vocabulary_size: int) -> Any:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=vocabulary_size,
        hidden_size=_WIDTH,
        intermediate_size=_MLP,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        num_key_value_heads=_KEY_HEADS,
        max_position_embeddings=_CONTEXT,
        initializer_range=0.3,
        tie_word_embeddings=False,
    )
    return AutoModelForCausalLM.from_config(config).eval()


def _gguf_name(name: str) -> str:
    if name in _NAMES:
        return _NAMES[name]
    _, _, layer, rest = name.split(".", 3)
    module, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{_LAYER_NAMES[module]}.{kind}"
