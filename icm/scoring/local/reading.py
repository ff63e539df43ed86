"""What both ways of forwarding share: reading log-probabilities, and telling that memory ran out. Knows no prompt."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from icm.errors import ScoringError
from icm.scoring.protocol import ScoringCost

Scored = tuple[NDArray[np.float64], ScoringCost]
"""Label log-probabilities (B, L) in nats, and what they cost."""


def read_logprobs(logits: torch.Tensor, which: torch.Tensor, tokens: torch.Tensor) -> NDArray[np.float64]:
    """Return the log-probability of `tokens[r]` under row `which[r]` of the logits (K, V): (R,).

    It is normalised over the columns of the logits: the vocabulary, or the labels where only theirs were computed.
    """
    # In half precision the sum over a vocabulary would lose the digits in which labels differ.
    logits = logits.float()
    # One normaliser per row and not per read: several labels are read from the same row.
    normalisers = logits.logsumexp(-1)
    which, tokens = which.to(logits.device), tokens.to(logits.device)
    values = (logits[which, tokens] - normalisers[which]).cpu().double().numpy()
    if not np.isfinite(values).all():
        raise ScoringError(
            f"the model gave {int((~np.isfinite(values)).sum())} of {len(values)} log-probabilities that are NaN or "
            f"infinite; load it in float32, or check its weights"
        )
    return values


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether a forward pass failed for want of memory, on a GPU or a CPU."""
    # On a CPU there is no class of its own for it, only this text.
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def no_memory(num_tokens: int) -> ScoringError:
    """Return the error of a forward pass that cannot be made smaller."""
    return ScoringError(
        f"memory ran out in a forward pass of only {num_tokens} tokens; use a smaller dtype, a smaller model, "
        f"or fewer labelled claims in the context (contexts=k_shot)"
    )
