"""A scorer for a model that the caller has loaded already. Knows no file."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
import transformers

from icm.claims import LabelSpace
from icm.scoring.local.scorer import LocalScorer


def scorer_of_pair(model: Any, tokenizer: Any, space: LabelSpace) -> LocalScorer:
    """Bind a loaded model and its tokenizer to a label space.

    Args:
        model: A causal language model of the transformers library; it is set to evaluation mode.
        tokenizer: Its tokenizer.
        space: The labels.

    Raises:
        ScoringError: The tokenizer cannot express the labels.
    """
    name = getattr(model, "name_or_path", "") or type(model).__name__
    return LocalScorer(
        model.eval(),
        tokenizer,
        space,
        identity=f"{_digest(model, tokenizer)}-{model.dtype}-transformers{transformers.__version__}",
        description={
            "kind": "local",
            "path": name,
            "revision": None,
            "dtype": str(model.dtype).removeprefix("torch."),
            "device": str(model.device),
        },
    )


def _digest(model: Any, tokenizer: Any) -> str:
    """Return the content hash of weights, settings and tokenizer: what the answers depend on."""
    hasher = hashlib.blake2b(digest_size=16)
    hasher.update(model.config.to_json_string().encode())
    hasher.update(repr(sorted(tokenizer.get_vocab().items())).encode())
    # A tokenizer in Python alone has nothing more to show than its words.
    if (fast := getattr(tokenizer, "backend_tokenizer", None)) is not None:
        hasher.update(fast.to_str().encode())
    for name, weights in sorted(model.state_dict().items()):
        hasher.update(name.encode())
        # As bytes, because NumPy has no bfloat16.
        hasher.update(weights.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return hasher.hexdigest()
