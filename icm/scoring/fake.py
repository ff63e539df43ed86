"""A deterministic scorer that needs no model: it answers at random.

It stands where a model would in tests and in benchmarks of everything around the model. A segment counts as one
token. It knows prompts only as digests and segments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from icm.claims import LabelSpace
from icm.prompts import Prompt, Reading
from icm.scoring.protocol import ScoringCost

# Log of the probability that is left for the labels: a tenth goes to words that are none.
_OTHER_WORDS = float(np.log(0.9))


class FakeScorer:
    """What every scorer without a model reports of itself."""

    def __init__(self, kind: str, space: LabelSpace, *settings: object) -> None:
        self.num_labels = len(space)
        self.context_length: int | None = None
        self.cost = ScoringCost()
        self.description: Mapping[str, str | None] = {"kind": "fake"}
        # Everything that an answer depends on: a journal under this fingerprint must never answer for another scorer.
        content = repr((space, settings)).encode()
        self.fingerprint = f"fake-{kind}-" + hashlib.blake2b(content, digest_size=8).hexdigest()

    def count_tokens(self, segments: Sequence[str]) -> NDArray[np.int64]:
        """Return one for each segment: (S,)."""
        return np.ones(len(segments), dtype=np.int64)

    def forget(self) -> None:
        """Do nothing: nothing is kept between calls."""

    def label_logprobs(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        """Return log p(verbalizer | prompt): (B, L), nats."""
        self._spend(len(prompts), sum(prompt.context.num_segments + 1 for prompt in prompts))
        return self._answer(prompts)

    def verdict_logprobs(self, readings: Sequence[Reading]) -> list[NDArray[np.float64]]:
        """Return log p(verbalizer | all before it) at every verdict: (n, L) of each reading, nats."""
        num_verdicts = sum(len(reading.queries) for reading in readings)
        # A reading has as many segments as verdicts: each claim with its label, and the last one without.
        self._spend(num_verdicts, num_verdicts)
        return [self._answer(reading.prompts()) for reading in readings]

    def _spend(self, num_prompts: int, num_tokens: int) -> None:
        self.cost += ScoringCost(prompts=num_prompts, naive_tokens=num_tokens, forwarded_tokens=num_tokens, calls=1)

    def _answer(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        """Return log p(verbalizer | prompt), which follows from the content of each prompt: (B, L), nats."""
        raise NotImplementedError


class HashScorer(FakeScorer):
    """Answers each prompt with pseudo-random log-probabilities that depend on its content alone."""

    def __init__(self, space: LabelSpace, *, seed: int = 0, spread: float = 4.0) -> None:
        """Bind the scorer to a label space; `spread` is the largest difference between two logits, nats."""
        super().__init__("hash", space, seed, spread)
        self._seed, self._spread = seed, spread

    def _answer(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        # The digest covers the whole prompt, so another order of the same demos is another question.
        logits = self._spread * uniform([prompt.digest for prompt in prompts], self.num_labels, self._seed)
        return log_softmax(logits)


def uniform(contents: Sequence[bytes], num_labels: int, seed: int) -> NDArray[np.float64]:
    """Return numbers in [0, 1) that depend on contents and seed alone: (B, L)."""
    # Hashed, not drawn from a generator: an answer must not depend on what was asked before it.
    key = seed.to_bytes(8, "little")
    size = 4 * num_labels
    hashed = b"".join(hashlib.shake_128(key + content).digest(size) for content in contents)
    return np.frombuffer(hashed, dtype="<u4").reshape(len(contents), num_labels) / 2.0**32


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log-probabilities of the labels (B, L), nats; they add up to 0.9 in each row."""
    # Less the maximum, so that no exponential overflows.
    shifted = logits - logits.max(axis=1, keepdims=True, initial=0.0)
    return _OTHER_WORDS + shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
