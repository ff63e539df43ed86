"""Bootstrapping: random labels are the first shots, then what was predicted with shots becomes the next shots.

The simple unsupervised baseline of later work on elicitation. Knows no file and no golden label.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from icm.claims import UNLABELLED, Labels, freeze
from icm.problem import Problem
from icm.searches.decoding import build_decoder
from icm.searches.sampled import SampledSearch, SampledState, random_labels
from icm.searches.settings import BootstrapSettings
from search.randomness import step_generator


def build_bootstrap(settings: BootstrapSettings, problem: Problem, seed: int) -> SampledSearch:
    """Put a bootstrap together; one step is one round of prediction."""
    objective = problem.objective
    # An infinite penalty outweighs any prediction; at 0 every label is taken on its own.
    decoder = build_decoder(objective.constraints, np.inf if settings.consistent else 0.0)

    def predict(state: SampledState) -> tuple[Labels, None]:
        shots = _draw_shots(settings, step_generator(seed, state.step + 1), state.labels)
        return decoder(objective.predict_all(shots)), None

    num_claims, num_labels = objective.evidence.shape
    return SampledSearch(
        shape=(num_claims, num_labels),
        num_steps=settings.num_rounds,
        num_evaluations=settings.num_rounds + 1,  # a round asks no more than one evaluation does
        first=lambda: random_labels(problem, seed),
        advance=predict,
    )


def _draw_shots(settings: BootstrapSettings, generator: np.random.Generator, labels: Labels) -> Labels:
    """Return a labelling of the shots alone."""
    order = generator.permutation(labels.size)
    if settings.balanced:
        # All first claims of a label, then all second ones, and so on: any beginning is balanced.
        order = order[np.argsort(_rank_within_label(labels[order]), kind="stable")]
    shots = np.full(labels.size, UNLABELLED, dtype=np.int8)
    chosen = order[: settings.num_shots]
    shots[chosen] = labels[chosen]
    return freeze(shots)


def _rank_within_label(labels: Labels) -> NDArray[np.int64]:
    """Return for each label how many equal ones stand before it: (N,)."""
    rank = np.empty(labels.size, dtype=np.int64)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        rank[places] = np.arange(places.size)
    return rank
