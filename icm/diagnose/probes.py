"""Questions to the model that tell coherent labels from others: nulls, other orders, swapped label words.

Knows the problem that was searched and no search, no file and no golden label.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from icm.claims import UNLABELLED, Labels, LabelSpace, freeze
from icm.objective import Objective, ObjectiveSettings
from icm.problem import Problem, ProblemSettings, build_problem
from icm.prompts import Prompt, Reading
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


def with_swapped_words(problem: Problem, settings: ProblemSettings) -> Problem:
    """Return the same problem with the words of the labels swapped, in the demos and in the answers."""
    space = problem.task.label_space
    # The demos must show the new words too: only the pairing of labels and words may change.
    verbalizers = (*space.verbalizers[1:], space.verbalizers[0])
    task = problem.task.model_copy(update={"label_space": LabelSpace(names=space.names, verbalizers=verbalizers)})
    return build_problem(problem.claims, task, ShiftedScorer(problem.objective.scorer), settings)


def sweep(objective: Objective, decoder: Decoder, labels: Labels, max_rounds: int) -> Labels:
    """Return labels after sweeps that replace all of them at once by what the others predict, consistently."""
    for _ in range(max_rounds):
        swept = decoder(objective.predict_all(labels))
        # A fixed point: every further sweep would ask the same and return the same.
        if np.array_equal(swept, labels):
            break
        labels = swept
    return labels


def repeated_in_another_order(problem: Problem, labels: Labels, order: int) -> float:
    """Return the share of labels that the model repeats with the others in another order; one claim is labelled."""
    labelled = labels != UNLABELLED
    reordered = problem.reordered(order)
    predicted = reordered.predict_all(labels).argmax(axis=1)
    return float(np.mean(predicted[labelled] == labels[labelled]))


def draw_nulls(generator: np.random.Generator, decoder: Decoder, labels: Labels, num_labels: int) -> list[Labels]:
    """Return two labellings without meaning: random consistent labels, and the given labels on other claims.

    Both leave those claims unlabelled that are.
    """
    labelled = np.flatnonzero(labels != UNLABELLED)
    # All claims are drawn, so that constraints reach over unlabelled ones, and then cut down to the labelled ones.
    consistent = decoder.draw(generator, np.zeros((labels.size, num_labels)), 1.0)
    nulls = []
    for source in (consistent[labelled], generator.permutation(labels[labelled])):
        null = np.full(labels.size, UNLABELLED, dtype=np.int8)
        null[labelled] = source
        nulls.append(freeze(null))
    return nulls


def per_claim(predictability: float, num_labelled: int, settings: ObjectiveSettings) -> float:
    """Return P in nats per labelled claim, whether it is a sum or a mean."""
    return predictability / num_labelled if settings.reduction == "sum" else predictability
