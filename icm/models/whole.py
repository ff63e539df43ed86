"""Whether what was loaded is a whole causal language model. Knows no prompt and no training.

The library goes on with weights that it draws at random where the file has none, under one and the same name; it takes
encoders, whose tokens see what comes after them, for language models; and it looks up a token that the embedding has no
row for only when one comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch

from icm.errors import IcmError

NUM_PROBED: Final = 8
"""Tokens of the text that is read twice."""

EXACT_TOLERANCE: Final = 1e-4
HALF_TOLERANCE: Final = 2e-2
"""Largest change that rounding explains, as a share of the largest logit, in float32 and below: how tokens are sorted
to experts may move the last digits. One changed token in eight moves the others by a tenth and more in an encoder."""

Report = Mapping[str, Any]
"""What the library says of the weights it has loaded (`output_loading_info`)."""

_FAULTS: Final = {
    "missing_keys": "lack",
    "unexpected_keys": "hold, beside what the model has a place for,",
    "mismatched_keys": "hold in other shapes than config.json says",
}


def require_weights(
    name: str, report: Report, error: type[IcmError], is_allowed: Callable[[str], bool] = lambda _: False
) -> None:
    """Check that the weights in the files are those of the model.

    Args:
        name: What the model is called.
        report: What the library says.
        error: What is raised.
        is_allowed: Whether a weight may be missing, or have no place.

    Raises:
        IcmError: There are missing, unexpected or mismatched weights; the first are named.
    """
    for fault, told in _FAULTS.items():
        # A mismatched weight comes with its shapes behind its name.
        keys = sorted(str(key[0] if isinstance(key, tuple | list) else key) for key in report.get(fault, ()))
        # In another shape is never as it should be.
        keys = [key for key in keys if fault == "mismatched_keys" or not is_allowed(key)]
        if keys:
            named = ", ".join(keys[:3]) + (" …" if len(keys) > 3 else "")
            raise error(
                f"{name} is no whole model: its files {told} {len(keys):,} weights ({named}); fetch it again, or name "
                f"a model whose config.json and weights belong together"
            )


def require_sizes(name: str, model: Any, tokenizer: Any, error: type[IcmError]) -> None:
    """Check that the model has an embedding for every token of its tokenizer.

    Raises:
        IcmError: It has not.
    """
    num_rows = model.get_input_embeddings().weight.shape[0]
    beyond = sorted((index, token) for token, index in tokenizer.get_vocab().items() if index >= num_rows)
    if beyond:
        index, token = beyond[0]
        raise error(
            f"{name}: the tokenizer has {len(beyond):,} tokens that the model has no embedding for (the first: "
            f"{token!r}, number {index:,} of {num_rows:,}); use the tokenizer that belongs to the model"
        )


def require_causal(name: str, model: Any, error: type[IcmError]) -> None:
    """Check that no token sees what comes after it, by changing the last one of a text.

    Raises:
        IcmError: Some do, or the model answers NaN.
    """
    num_rows = model.get_input_embeddings().weight.shape[0]
    # Spread over the vocabulary, whose beginning is special tokens in most models.
    spread = torch.linspace(0, num_rows - 1, NUM_PROBED + 1, device=model.device).long()
    # In two passes of one shape, so that not even the last digits differ for another reason.
    one, other = (_logits(model, torch.cat([spread[: NUM_PROBED - 1], last[None]])) for last in spread[-2:])
    if not bool(torch.isfinite(one).all()):
        raise error(f"{name}: the model answers NaN or infinity, so its weights are broken; fetch it again")
    tolerance = EXACT_TOLERANCE if model.dtype == torch.float32 else HALF_TOLERANCE
    gap = float((one - other)[:-1].abs().max() / one.abs().max())
    if gap > tolerance:
        raise error(
            f"{name} is no causal language model: its tokens see what comes after them (changing the last of "
            f"{NUM_PROBED} tokens moves the others by {gap:.1%}), as those of an encoder do; name a model that was "
            f"trained to predict the next token"
        )


@torch.inference_mode()
def _logits(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Return the logits at each of some tokens (T,): (T, V), float32."""
    return model(input_ids=tokens[None]).logits[0].float()
