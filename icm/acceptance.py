"""The sequential acceptance test: a step asks as much of U as its decision takes. Knows no schedule and no file.

A step accepts when U rises above a bound that is known beforehand (its uniform is drawn first). What a proposal would
change of P is a sum over claims, which the test estimates from a random, growing part of them, comparing the old and
the new answers for the same claims; I is always exact. Asking single claims would be dear: in a leave-one-out tree of
64 claims a lone prompt costs a sixth of the whole tree. So the parts are subtrees, whose prompts share what stands
before them, and a term of the sum is what a whole subtree adds.

Only rejections are cheap. An accepted labelling is asked in full and accepted by its exact U, so the U of a chain is
always exact and the test errs in one direction alone: it may reject what the exact chain accepts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from consistency.kernels import inconsistency
from icm.claims import UNLABELLED, Labels
from icm.errors import ConfigError
from icm.objective import Evaluation, Objective, predictabilities, prior_knowledge
from search.annealing import SearchState
from search.sequential import falls_short, looks


@dataclass(frozen=True, slots=True)
class SequentialAcceptance:
    """Weighs proposed labellings against the U that they need.

    Attributes:
        objective: U over all claims.
        parts: The subtrees that are asked one after the other.
        error: How often a labelling that reaches the needed U may be turned down; at 0 all is asked at once.
    """

    objective: Objective
    parts: Sequence[NDArray[np.int64]]
    error: float

    def __call__(
        self, generator: np.random.Generator, state: SearchState[Evaluation], labels: Labels, needed: float
    ) -> Evaluation | None:
        """Return the evaluation of proposed labels, or `None` where they surely fall short of the needed U."""
        if self.error and self._falls_short(generator, state, labels, needed):
            return None
        return self.objective.update(state.evaluation, labels)

    def _falls_short(
        self, generator: np.random.Generator, state: SearchState[Evaluation], labels: Labels, needed: float
    ) -> bool:
        before = self._values(state.evaluation, state.labels)
        stays = (labels == state.labels) & (labels != UNLABELLED)
        relabelled = np.flatnonzero((labels != state.labels) & (labels != UNLABELLED))
        # What the relabelled claims add is known: it is what was asked to predict them.
        now = self._ask(state, labels, relabelled)
        bound = self._total_needed(labels, needed) - float(now[relabelled].sum()) - float(before[stays].sum())
        parts = [part[stays[part]] for part in self.parts if stays[part].any()]
        order = generator.permutation(len(parts))
        changes: list[float] = []
        for look in looks(len(parts)):
            fresh = [parts[index] for index in order[len(changes) : look]]
            now = self._ask(state, labels, np.concatenate(fresh))
            changes += [float((now[part] - before[part]).sum()) for part in fresh]
            if falls_short(np.array(changes), len(parts), bound, self.error):
                return True
        return False

    def _ask(self, state: SearchState[Evaluation], labels: Labels, claims: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return what some claims add to P under other labels: (N,), NaN for all others."""
        asked = replace(self.objective, block=claims)
        return self._values(asked.update(state.evaluation, labels), labels, claims)

    def _values(
        self, evaluation: Evaluation, labels: Labels, claims: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        counted = labels != UNLABELLED
        if claims is not None:
            counted &= np.isin(np.arange(labels.size), claims)
        values = np.full(labels.size, np.nan)
        values[counted] = predictabilities(evaluation.label_logprobs, labels, self.objective.settings, claims)
        return values

    def _total_needed(self, labels: Labels, utility: float) -> float:
        """Return the sum of what all claims must add to P for labels to have a U."""
        objective = self.objective
        known = prior_knowledge(labels, objective.evidence, objective.settings.class_prior)
        predictability = (utility + inconsistency(objective.constraints, labels) - known) / objective.settings.alpha
        labelled = int((labels != UNLABELLED).sum())
        return predictability * (labelled if objective.settings.reduction == "mean" else 1)


def build_acceptance(objective: Objective, error: float, num_parts: int) -> SequentialAcceptance:
    """Put an acceptance test together.

    Args:
        objective: U over all claims.
        error: How often a labelling that reaches the needed U may be turned down.
        num_parts: Into about how many subtrees the claims are cut.

    Raises:
        ConfigError: P is no sum over claims that can be asked one part at a time.
    """
    if objective.settings.predictability == "centred" or len(objective.contexts) > 1:
        raise ConfigError(
            f"search.acceptance_error={error} needs a P that is a sum over claims, each asked once; got "
            f"objective.predictability={objective.settings.predictability} in {len(objective.contexts)} orders: "
            f"use margin, lift or log_prob with contexts.num_orders=1, or search.acceptance_error=0"
        )
    size = -(-len(objective.queries) // num_parts)
    return SequentialAcceptance(objective, objective.contexts[0].blocks(max(size, 1)), error)
