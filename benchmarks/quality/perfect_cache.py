"""What a search would have cost as the released code asks, behind a perfect cache. Knows no search.

The same questions, put in one fixed order of the claims; no question is asked twice and every beginning that two of
them share is forwarded once in the whole run. Nothing is forwarded for the count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from icm.claims import Claim, LabelSpace
from icm.prompts import Prompt, Reading, render_demo
from icm.scoring.protocol import LabelScorer, ScoringCost


class PerfectCacheCount:
    """A scorer that passes prompts on and counts what they would cost in a fixed order behind a perfect cache."""

    def __init__(self, scorer: LabelScorer, claims: Sequence[Claim], space: LabelSpace) -> None:
        self._scorer = scorer
        self._seen: set[int] = set()
        self._tokens: dict[str, int] = {}
        self._rank = {
            render_demo(claim, label, space): index for index, claim in enumerate(claims) for label in range(len(space))
        }
        self.tokens = 0

    @property
    def fingerprint(self) -> str:
        """Identity of the model."""
        return self._scorer.fingerprint

    @property
    def num_labels(self) -> int:
        """L, the size of the label space."""
        return self._scorer.num_labels

    @property
    def context_length(self) -> int | None:
        """Longest prompt of the model, tokens."""
        return self._scorer.context_length

    @property
    def cost(self) -> ScoringCost:
        """What the model itself has spent."""
        return self._scorer.cost

    def count_tokens(self, segments: Sequence[str]) -> NDArray[np.int64]:
        """Return the tokens of each segment: (S,)."""
        return self._scorer.count_tokens(segments)

    def forget(self) -> None:
        """Drop what the model keeps between calls."""
        self._scorer.forget()

    def label_logprobs(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        """Count the prompts and pass them on: (B, L), nats."""
        for prompt in prompts:
            self._count(prompt)
        return self._scorer.label_logprobs(prompts)

    def verdict_logprobs(self, readings: Sequence[Reading]) -> list[NDArray[np.float64]]:
        """Pass readings on, uncounted: no search of the released code asks them."""
        return self._scorer.verdict_logprobs(readings)

    def _count(self, prompt: Prompt) -> None:
        *demos, query = prompt.segments
        node = 0  # keys are hashes of the path, 64 bits, so that a collision is out of the question
        for segment in (*sorted(demos, key=self._rank.__getitem__), query):
            node = hash((node, segment))
            if node not in self._seen:
                self._seen.add(node)
                self.tokens += self._length(segment)

    def _length(self, segment: str) -> int:
        if segment not in self._tokens:
            self._tokens[segment] = int(self._scorer.count_tokens([segment])[0])
        return self._tokens[segment]
