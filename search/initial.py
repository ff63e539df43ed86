"""First labels of a chain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int8]


def random_labels(generator: np.random.Generator, num_claims: int, num_labels: int, num_initial: int) -> Labels:
    """Label a few random claims at random, leaving the others unlabelled (-1): (N,).

    Source: Algorithm 1 of the paper, line 1 (K = 8).
    """
    labels = np.full(num_claims, -1, dtype=np.int8)
    # Fewer claims than initial labels are no error: then every claim starts with a label.
    chosen = generator.choice(num_claims, size=min(num_initial, num_claims), replace=False)
    labels[chosen] = generator.integers(num_labels, size=chosen.size)
    return labels


def balanced_labels(
    generator: np.random.Generator, groups: NDArray[np.int64], num_labels: int, num_initial: int
) -> Labels:
    """Label the claims of a few random groups, every label equally often: (N,).

    The released code takes the first groups of its file; here the groups are drawn, because the order of a file can
    give its golden labels away. `groups` (N,) holds the group of each claim.
    """
    rank_of_group = generator.permutation(int(groups.max()) + 1)
    # Stable, so that the claims of a group follow one another: whole groups are labelled, all but the last.
    chosen = np.argsort(rank_of_group[groups], kind="stable")[:num_initial]
    labels = np.full(groups.size, -1, dtype=np.int8)
    # Labels 0, 1, …, L - 1, 0, 1, … dealt at random: their counts differ by one at the most.
    labels[chosen] = generator.permutation(np.arange(chosen.size) % num_labels)
    return labels
