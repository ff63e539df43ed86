"""Which earlier tokens the layers of a model see: all of them, or those in a window. Knows no prompt.

Every layer of a family with sliding windows sees the tokens fewer than `window` before a token, itself included; where
only some layers have the window, the transformers library takes one mask for each kind of layer, by the kind's name.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

FULL, SLIDING, CHUNKED = "full_attention", "sliding_attention", "chunked_attention"
"""Kinds of layers, in the words of the transformers library."""


class Attention(NamedTuple):
    """How the layers of a model attend.

    Attributes:
        is_full_somewhere: Whether some layers see the whole prefix.
        window: Tokens that the other layers see, the token itself included; `None` where there are no others.
    """

    is_full_somewhere: bool
    window: int | None

    def empty_cache(self, config: Any) -> DynamicCache:
        """Return a key-value cache that keeps every token in every layer.

        A cache made with the configuration of a model with windows would drop what lies before the window of the last
        token; in a trie the next token may stand further up.
        """
        return DynamicCache(config=config) if self.window is None else DynamicCache()

    def masks(self, ancestors: torch.Tensor, distance: torch.Tensor, dtype: torch.dtype) -> Any:
        """Return what a model takes as its attention mask: one for all layers, or one for each kind by its name.

        Masks are additive, (1, 1, Q, K), because eager attention adds them up: there a boolean one is silently wrong.

        Args:
            ancestors: (Q, K) whether a key is an ancestor of a query, or the query itself.
            distance: (Q, K) tokens from an ancestor to the query on its path; what stands elsewhere does not matter.
            dtype: That of the model.
        """
        if self.window is None:
            return _additive(ancestors, dtype)
        # The window includes the token itself, which is at distance 0.
        sliding = _additive(ancestors & (distance < self.window), dtype)
        if not self.is_full_somewhere:
            return sliding
        return {FULL: _additive(ancestors, dtype), SLIDING: sliding}


def attention_of(config: Any) -> Attention | str:
    """Return how the layers of a model attend, or why its prompts cannot share prefixes.

    Args:
        config: The configuration of the model.
    """
    text = config.get_text_config(decoder=True)
    # To a cache, chunks look like windows; only the configuration tells them apart.
    kinds = getattr(text, "layer_types", None) or ()
    if CHUNKED in kinds or (not kinds and getattr(text, "attention_chunk_size", None) is not None):
        return "layers that attend in chunks, whose borders depend on the place in the text"
    layers = DynamicCache(config=config).layers
    others = {type(layer).__name__ for layer in layers} - {DynamicLayer.__name__, DynamicSlidingWindowLayer.__name__}
    if others:
        return f"layers that do not see the whole prefix ({', '.join(sorted(others))})"
    windows = {layer.sliding_window for layer in layers if isinstance(layer, DynamicSlidingWindowLayer)}
    if len(windows) > 1:
        return f"windows of several sizes ({', '.join(map(str, sorted(windows)))})"
    # By exact type: the layer with a window derives from the one without.
    is_full_somewhere = any(type(layer) is DynamicLayer for layer in layers)
    return Attention(is_full_somewhere or not windows, windows.pop() if windows else None)


def _additive(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    # Not -inf: a row in which every key were masked would become NaN.
    mask = torch.full(visible.shape, torch.finfo(dtype).min, dtype=dtype, device=visible.device)
    return mask.masked_fill_(visible, 0.0)[None, None]
