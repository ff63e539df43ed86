"""Gibbs sampling: every label in turn is drawn from its conditional, in an order of the demos that is drawn anew.

Claims of one group stand right before the query. The result is each claim's most frequent label over the scans after
the burn-in. Knows no constraints, no file and no golden label.

Source: "Large Language Gibbs", as described by its authors; the implementation is our own.
"""

from __future__ import annotations

import math

import numpy as np

from icm.claims import Labels
from icm.problem import Problem
from icm.searches.proposals import with_label
from icm.searches.sampled import SampledSearch, SampledState, random_labels
from icm.searches.settings import GibbsSettings
from search.randomness import step_generator


def build_gibbs(settings: GibbsSettings, problem: Problem, seed: int) -> SampledSearch:
    """Put a sampler together; one step is one scan over all claims."""
    num_claims, num_labels = problem.objective.evidence.shape

    def scan(state: SampledState) -> tuple[Labels, float]:
        generator = step_generator(seed, state.step + 1)
        # Another order of the demos in every scan, so that no claim always follows the same neighbours.
        objective = problem.reordered(state.step)
        labels = state.labels
        for claim in generator.permutation(num_claims).tolist():
            # The largest of log-probabilities plus Gumbel noise is a draw from the distribution.
            noise = generator.gumbel(size=num_labels)
            potentials = objective.predict(labels, claim) / settings.temperature
            # At once: the claims that follow in this scan are drawn given the new label.
            labels = with_label(labels, claim, int(np.argmax(potentials + noise)))
        return labels, settings.temperature

    # A scan asks N prompts in full, which is what N / log2 N evaluations come to.
    evaluations = math.ceil(settings.num_scans * num_claims / math.log2(max(num_claims, 2)))
    return SampledSearch(
        shape=(num_claims, num_labels),
        num_steps=settings.num_scans,
        num_evaluations=evaluations + 1,
        first=lambda: random_labels(problem, seed),
        advance=scan,
        counts=lambda step: step >= settings.burn_in,
    )
