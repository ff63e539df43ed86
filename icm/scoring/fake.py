"""Deterministic scorers that need no model: one answers at random, one learns a concept from its context.

They stand where a model would in tests and in benchmarks of everything around the model. A segment counts as one
token. They know prompts only as digests and segments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from icm.claims import LabelSpace
from icm.prompts import Context, Prompt, Reading
from icm.scoring.protocol import ScoringCost

_OTHER_WORDS = float(np.log(0.9))
"""Log of the probability that is left for the labels: a tenth goes to words that are none."""


class _Fake:
    """What both fakes report of themselves."""

    def __init__(self, kind: str, space: LabelSpace, *settings: object) -> None:
        self.num_labels = len(space)
        self.context_length: int | None = None
        self.cost = ScoringCost()
        self.description: Mapping[str, str | None] = {"kind": "fake"}
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
        self._spend(num_verdicts, num_verdicts)
        return [self._answer(reading.prompts()) for reading in readings]

    def _spend(self, num_prompts: int, num_tokens: int) -> None:
        self.cost += ScoringCost(prompts=num_prompts, naive_tokens=num_tokens, forwarded_tokens=num_tokens, calls=1)

    def _answer(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        """Return log p(verbalizer | prompt), which follows from the content of each prompt: (B, L), nats."""
        raise NotImplementedError


class HashScorer(_Fake):
    """Answers each prompt with pseudo-random log-probabilities that depend on its content alone."""

    def __init__(self, space: LabelSpace, *, seed: int = 0, spread: float = 4.0) -> None:
        """Bind the scorer to a label space.

        Args:
            space: The labels.
            seed: Scorers of different seeds answer differently.
            spread: Largest difference between the logits of two labels, nats.
        """
        super().__init__("hash", space, seed, spread)
        self._seed, self._spread = seed, spread

    def _answer(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        logits = self._spread * _uniform([prompt.digest for prompt in prompts], self.num_labels, self._seed)
        return _log_softmax(logits)


class ConceptScorer(_Fake):
    """Learns in context: the more the demos agree with a hidden truth, the surer it repeats that truth.

    Demos that agree with the flipped truth teach it the flip. Without demos it has a weak opinion, off by noise.
    With a demos that agree with the truth and d that do not, the true label leads the others by
    `prior + gain * (a - d) / (a + d + 4)` nats, and every label is off by noise that depends on the query.
    """

    def __init__(
        self,
        truth: Mapping[str, int],
        space: LabelSpace,
        *,
        prior: float = 0.5,
        gain: float = 6.0,
        noise: float = 1.0,
        seed: int = 0,
    ) -> None:
        """Teach the scorer its hidden truth.

        Args:
            truth: Text of each claim to its true label.
            space: The labels.
            prior: Lead of the true label without demos, nats.
            gain: Most that demos can add to the lead, nats.
            noise: Width of the noise on each logit, nats.
            seed: Key of the noise.
        """
        super().__init__("concept", space, sorted(truth.items()), prior, gain, noise, seed)
        self._truth = dict(truth)
        self._prior, self._gain, self._noise, self._seed = prior, gain, noise, seed
        self._agreement = {
            text + verbalizer: 1 if label == true_label else -1
            for text, true_label in self._truth.items()
            for label, verbalizer in enumerate(space.verbalizers)
        }

    def _answer(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        logits = self._noise * _uniform([prompt.query.encode() for prompt in prompts], self.num_labels, self._seed)
        known: dict[int, int] = {}
        for row, prompt in enumerate(prompts):
            if prompt.query not in self._truth:
                raise ValueError(f"the hidden truth holds no claim {prompt.query!r}")
            lean = self._fold(prompt.context, known) / (prompt.context.num_segments + 4)
            logits[row, self._truth[prompt.query]] += self._prior + self._gain * lean
        return _log_softmax(logits)

    def _fold(self, context: Context, known: dict[int, int]) -> int:
        """Return agreeing minus disagreeing demos of a path, adding up each run once per call."""
        path: list[Context] = []
        node: Context | None = context
        while node is not None and id(node) not in known:
            path.append(node)
            node = node.parent
        balance = known[id(node)] if node is not None else 0
        for node in reversed(path):
            balance += sum(self._agreement.get(segment, 0) for segment in node.run)
            known[id(node)] = balance
        return balance


def _uniform(contents: Sequence[bytes], num_labels: int, seed: int) -> NDArray[np.float64]:
    """Return numbers in [0, 1) that depend on contents and seed alone: (B, L)."""
    key = seed.to_bytes(8, "little")
    size = 4 * num_labels
    hashed = b"".join(hashlib.shake_128(key + content).digest(size) for content in contents)
    return np.frombuffer(hashed, dtype="<u4").reshape(len(contents), num_labels) / 2.0**32


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True, initial=0.0)
    return _OTHER_WORDS + shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
