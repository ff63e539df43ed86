"""A scorer that forwards every question to another one. Knows no backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from icm.prompts import Prompt, Reading
from icm.scoring.protocol import LabelScorer, ScoringCost


class PassthroughScorer:
    """Answers what the inner scorer answers; a scorer that wraps another one overrides only what differs.

    Attributes:
        inner: The scorer that is asked.
    """

    def __init__(self, inner: LabelScorer) -> None:
        self.inner = inner

    @property
    def fingerprint(self) -> str:
        """Identity of what is asked."""
        return self.inner.fingerprint

    @property
    def description(self) -> Mapping[str, str | None]:
        """Names the model."""
        return self.inner.description

    @property
    def num_labels(self) -> int:
        """L, the size of the label space."""
        return self.inner.num_labels

    @property
    def context_length(self) -> int | None:
        """Longest prompt with its verbalizer, in tokens; `None` where there is no limit."""
        return self.inner.context_length

    @property
    def cost(self) -> ScoringCost:
        """What the inner scorer has spent."""
        # Asked anew each time, since it grows while the scorer is used.
        return self.inner.cost

    def count_tokens(self, segments: Sequence[str]) -> NDArray[np.int64]:
        """Return the tokens of each segment inside a prompt: (S,)."""
        return self.inner.count_tokens(segments)

    def label_logprobs(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        """Return log p(verbalizer | prompt) for every label: (B, L), nats."""
        return self.inner.label_logprobs(prompts)

    def verdict_logprobs(self, readings: Sequence[Reading]) -> list[NDArray[np.float64]]:
        """Return log p(verbalizer | all before it) for every label at every verdict: (n, L) of each reading, nats."""
        return self.inner.verdict_logprobs(readings)

    def forget(self) -> None:
        """Drop what the inner scorer keeps of earlier calls."""
        self.inner.forget()
