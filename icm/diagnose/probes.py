"""Questions to the model that tell coherent labels from others: nulls, other orders, swapped label words.

Knows the problem that was searched and no search, no file and no golden label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from icm.claims import UNLABELLED, Labels, LabelSpace, freeze
from icm.objective import Evaluation
from icm.prequential import Prequential
from icm.problem import Problem
from icm.prompts import Prompt, Reading, render_demos
from icm.scoring.passthrough import PassthroughScorer
from icm.searches.decoding import Decoder


class ShiftedScorer(PassthroughScorer):
    """A scorer with the verbalizers of the labels exchanged: of two labels it swaps them.

    Label l is said with the word of label l + 1, the last one with that of the first.
    """

    @property
    def fingerprint(self) -> str:
        """Identity of what is asked."""
        return f"shifted-{self.inner.fingerprint}"

    def label_logprobs(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        """Return log p(verbalizer | prompt) for every label under its new word: (B, L), nats."""
        # Column l of the inner scorer is the word of label l; after the shift label l is said with word l + 1.
        return np.roll(self.inner.label_logprobs(prompts), -1, axis=1)

    def verdict_logprobs(self, readings: Sequence[Reading]) -> list[NDArray[np.float64]]:
        """Return log p(verbalizer | all before it) for every label under its new word: (n, L) of each reading."""
        return [np.roll(rows, -1, axis=1) for rows in self.inner.verdict_logprobs(readings)]


def with_swapped_words(reading: Prequential, problem: Problem) -> Prequential:
    """Return the same U with the words of the labels swapped, in what is shown and in the answers."""
    space = problem.task.label_space
    # The demos must show the new words too: only the pairing of labels and words may change.
    said = LabelSpace(names=space.names, verbalizers=(*space.verbalizers[1:], space.verbalizers[0]))
    return replace(reading, demos=render_demos(problem.claims, said), scorer=ShiftedScorer(reading.scorer))


def sweep(reading: Prequential, decoder: Decoder, labels: Labels, max_rounds: int) -> Labels:
    """Return labels after sweeps that replace all of them at once by what the others predict, consistently."""
    for _ in range(max_rounds):
        swept = decoder(reading.predict_all(labels))
        # A fixed point: every further sweep would ask the same and return the same.
        if np.array_equal(swept, labels):
            break
        labels = swept
    return labels


def repeated_in_each_order(reading: Prequential, labels: Labels, evaluation: Evaluation) -> float:
    """Return the share of labels that the model expects, in each order by itself; one claim is labelled.

    Args:
        reading: U over the orders.
        labels: (N,) the labels.
        evaluation: Theirs, so that nothing is asked again.
    """
    labelled = labels != UNLABELLED
    expected = [reading.calibrated(rows[labelled]).argmax(axis=1) for rows in reading.rows(labels, evaluation)]
    return float(np.mean(np.stack(expected) == labels[labelled]))


def draw_nulls(generator: np.random.Generator, decoder: Decoder, labels: Labels, num_labels: int) -> list[Labels]:
    """Return two labellings without meaning: random consistent labels, and the given labels on other claims.

    Both leave those claims unlabelled that are.
    """
    labelled = np.flatnonzero(labels != UNLABELLED)
    # The decoder may label all claims; what is compared has the labels that were found, and no more.
    consistent = decoder.draw(generator, np.zeros((labels.size, num_labels)), 1.0)
    nulls = []
    for source in (consistent[labelled], generator.permutation(labels[labelled])):
        null = np.full(labels.size, UNLABELLED, dtype=np.int8)
        null[labelled] = source
        nulls.append(freeze(null))
    return nulls
