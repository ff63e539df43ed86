"""Gibbs sampling: every label in turn is drawn from its conditional, in an order of the demos that is drawn anew.

Claims of one group stand right before the query. The result is each claim's most frequent label over the scans after
the burn-in. Knows no constraints, no file and no golden label.

Source: "Large Language Gibbs", as described by its authors; the implementation is our own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from icm.claims import Labels, freeze
from icm.searches.proposals import with_label
from icm.searches.protocol import Result
from icm.searches.sampled import SampledSearch, SampledState
from icm.searches.settings import GibbsSettings
from search.annealing import StepInfo
from search.randomness import step_generator


@dataclass(frozen=True, slots=True)
class Gibbs(SampledSearch):
    """A sampler that is ready to run; one step is one scan over all claims.

    Attributes:
        settings: What it was made from.
    """

    settings: GibbsSettings

    @property
    def num_evaluations(self) -> int:
        """A scan asks N prompts in full, which is what N / log2 N evaluations come to; and the result."""
        num_claims = len(self.problem.claims)
        return 1 + math.ceil(self.num_steps * num_claims / math.log2(max(num_claims, 2)))

    def start(self) -> SampledState:
        """Return random labels."""
        return self.begin(self.random_labels())

    def walk(self, state: SampledState) -> Iterator[tuple[SampledState, StepInfo]]:
        """Do the remaining scans one by one."""
        while not self.is_done(state):
            labels = self._scan(state)
            counts = state.step >= self.settings.burn_in
            votes = state.votes + np.eye(state.votes.shape[1], dtype=np.int64)[labels] if counts else state.votes
            changed = not np.array_equal(labels, state.labels)
            state = SampledState(state.step + 1, labels, votes)
            yield state, StepInfo(temperature=self.settings.temperature, changed=changed)

    def result(self, state: SampledState) -> Result:
        """Return the most frequent labels, of equally frequent ones the lower, and how frequent they were."""
        labels = freeze(state.votes.argmax(axis=1)) if state.votes.any() else state.labels
        total = max(1, int(state.votes[0].sum()))
        return Result(labels, stability=state.votes.max(axis=1) / total)

    def _scan(self, state: SampledState) -> Labels:
        generator = step_generator(self.seed, state.step + 1)
        objective = self.problem.reordered(state.step)
        labels = state.labels
        for claim in generator.permutation(labels.size).tolist():
            noise = generator.gumbel(size=state.votes.shape[1])
            potentials = objective.predict(labels, claim) / self.settings.temperature
            labels = with_label(labels, claim, int(np.argmax(potentials + noise)))
        return labels
