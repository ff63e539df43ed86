"""What a search would have cost as the released code asks, behind a perfect cache. Knows no search.

The same questions, put in one fixed order of the claims; no question is asked twice and every beginning that two of
them share is forwarded once in the whole run. Nothing is forwarded for the count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from icm.claims import Claim, LabelSpace
from icm.prompts import Prompt, render_demo
from icm.scoring.passthrough import PassthroughScorer
from icm.scoring.protocol import LabelScorer


class PerfectCacheCount(PassthroughScorer):
    """A scorer that passes prompts on and counts what they would cost in a fixed order behind a perfect cache."""

    def __init__(self, scorer: LabelScorer, claims: Sequence[Claim], space: LabelSpace) -> None:
        super().__init__(scorer)
        self._seen: set[int] = set()
        self._tokens: dict[str, int] = {}
        # A demo is a claim with a label; both its versions have the claim's place in the order.
        self._rank = {
            render_demo(claim, label, space): index for index, claim in enumerate(claims) for label in range(len(space))
        }
        self.tokens = 0

    def label_logprobs(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        """Count the prompts and pass them on: (B, L), nats."""
        for prompt in prompts:
            self._count(prompt)
        return self.inner.label_logprobs(prompts)

    def _count(self, prompt: Prompt) -> None:
        *demos, query = prompt.segments
        node = 0  # keys are hashes of the path, 64 bits, so that a collision is out of the question
        # The order of the claims, not of the prompt: two prompts then share all demos up to the first that differs.
        for segment in (*sorted(demos, key=self._rank.__getitem__), query):
            node = hash((node, segment))
            if node not in self._seen:
                self._seen.add(node)
                self.tokens += self._length(segment)

    def _length(self, segment: str) -> int:
        # A search shows the same few segments in thousands of prompts, and a tokenizer is slow.
        if segment not in self._tokens:
            self._tokens[segment] = int(self.inner.count_tokens([segment])[0])
        return self._tokens[segment]
