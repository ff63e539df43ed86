"""Measures of labels that ask no model: of their shares, margins, agreements and words. Knows no golden label."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse, stats

from icm.claims import UNLABELLED, Claim, Labels
from icm.surface import SURFACE_RULES

NUM_FOLDS: Final = 10
WORD: Final = re.compile(r"\w+|[^\w\s]")


def shares(labels: Labels, num_labels: int) -> NDArray[np.float64]:
    """Return the share of each label among the labelled claims: (L,); there is at least one."""
    counts = np.bincount(labels[labels != UNLABELLED], minlength=num_labels)
    return counts / counts.sum()


def total_variation(one: ArrayLike, other: ArrayLike) -> float:
    """Return the share that would have to change labels to turn one distribution (L,) into another."""
    return float(np.abs(np.asarray(one) - np.asarray(other)).sum() / 2)


def kappa(one: Labels, other: Labels) -> float:
    """Return the agreement of two labellings beyond chance: 1 for equal ones, 0 at chance, below 0 for less.

    Claims that either leaves unlabelled do not count. Two constant labellings agree no better than chance.

    Source: Cohen 1960, "A coefficient of agreement for nominal scales".
    """
    both = (one != UNLABELLED) & (other != UNLABELLED)
    if not both.any():
        return 0.0
    num_labels = int(max(one[both].max(), other[both].max())) + 1
    # Claims drawn at random from each labelling, with its own shares, would agree this often.
    by_chance = float(shares(one[both], num_labels) @ shares(other[both], num_labels))
    agreement = float(np.mean(one[both] == other[both]))
    return (agreement - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0


def nearest_surface_rule(claims: Sequence[Claim], labels: Labels) -> tuple[str, float] | None:
    """Return the surface rule nearest to binary labels, either way round, and its agreement beyond chance."""
    found = []
    for name, (_, label) in SURFACE_RULES.items():
        by_rule = label(claims)
        if not isinstance(by_rule, str):
            # A search cannot know which way round a surface feature should count.
            turned = np.where(by_rule == UNLABELLED, UNLABELLED, 1 - by_rule).astype(np.int8)
            found.append((name, max(kappa(by_rule, labels), kappa(turned, labels))))
    return max(found, key=lambda each: each[1]) if found else None


def predicted_by_answer_words(claims: Sequence[Claim], labels: Labels, groups: NDArray[np.int64]) -> float | None:
    """Return how well the words of an answer alone predict its label, beyond chance, for groups not learnt from.

    A naive Bayes classifier learns from nine tenths of the groups and predicts the tenth. Labels that follow the
    meaning of claims about different questions cannot be read off the answers; labels that follow their wording can.

    Returns:
        Cohen's kappa of predictions and labels; `None` if fewer than two labels or ten groups have answers.
    """
    has_answer = np.array(["answer" in claim.parts for claim in claims])
    chosen = np.flatnonzero(has_answer & (labels != UNLABELLED))
    answers = [set(WORD.findall(claims[i].parts["answer"].lower())) for i in chosen.tolist()]
    given = labels[chosen]
    group_names, group = np.unique(groups[chosen], return_inverse=True)
    if np.unique(given).size < 2 or group_names.size < NUM_FOLDS:
        return None
    # Folds are cut through groups, not through claims, since the answers to one question have words in common.
    present = _presence(answers)
    predicted = np.full(chosen.size, UNLABELLED, dtype=np.int8)
    for fold in range(NUM_FOLDS):
        held_out = group % NUM_FOLDS == fold
        predicted[held_out] = _naive_bayes(present[~held_out], given[~held_out], present[held_out])
    return kappa(predicted, given)


def margin_tells_stability(margins: NDArray[np.float64], stability: NDArray[np.float64]) -> float | None:
    """Return the rank correlation of the margins of labels with their stability, `None` where one is constant.

    Args:
        margins: (n,) nats.
        stability: (n,) share of the starts that agree with each label.
    """
    # The ranks of two claims always correlate fully, one way or the other.
    if margins.size < 3 or np.ptp(margins) == 0 or np.ptp(stability) == 0:
        return None
    return float(np.corrcoef(stats.rankdata(margins), stats.rankdata(stability))[0, 1])


def _presence(word_sets: Sequence[set[str]]) -> sparse.csr_array:
    """Return which of all words each set holds: (n, W) of 0 and 1."""
    # Sorted, as the order of a set differs from process to process, and the last digits of a sum with it.
    column = {word: index for index, word in enumerate(sorted(set().union(*word_sets)))}
    rows = [row for row, found in enumerate(word_sets) for _ in found]
    columns = [column[word] for found in word_sets for word in sorted(found)]
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(word_sets), len(column)))


def _naive_bayes(seen: sparse.csr_array, labels: Labels, asked: sparse.csr_array) -> NDArray[np.int64]:
    """Return the likelier label of each row of `asked`, by the words that it has."""
    one_hot = np.eye(int(labels.max()) + 1)[labels]
    size = one_hot.sum(axis=0)[:, None]
    # Half a claim more with the word and half a claim more without it: no word makes a label impossible.
    # (L, W): how often each word stands in the claims of each label.
    share = (one_hot.T @ seen + 0.5) / (size + 1)
    prior = np.log((size[:, 0] + 0.5) / (labels.size + 1))
    # Only words that are there count. Those that are missing say little, and the matrix stays sparse.
    return np.argmax(asked @ np.log(share).T + prior, axis=1)
