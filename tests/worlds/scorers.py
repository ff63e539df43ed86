"""A scorer without a model that learns a concept from its context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from icm.claims import LabelSpace
from icm.prompts import Context, Prompt
from icm.scoring.fake import FakeScorer, log_softmax, uniform


class ConceptScorer(FakeScorer):
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
        logits = self._noise * uniform([prompt.query.encode() for prompt in prompts], self.num_labels, self._seed)
        known: dict[int, int] = {}
        for row, prompt in enumerate(prompts):
            # A text that is no claim, as a calibration asks, has no truth to lean to.
            if prompt.query not in self._truth:
                continue
            # The 4 is a prior of undecided demos: one demo alone must not decide.
            lean = self._fold(prompt.context, known) / (prompt.context.num_segments + 4)
            logits[row, self._truth[prompt.query]] += self._prior + self._gain * lean
        return log_softmax(logits)

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
