"""Proposals of a search: predict a label in context, then repair what it violates. Knows no temperature.

`propose` draws a claim, lets the model predict its label from all the other labelled claims, and repairs the
constraints that the new label violates as long as that raises U (the paper's ConsistencyFix).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from consistency import consistent_assignments, scope_of
from consistency.kernels import violated_constraints
from icm.claims import UNLABELLED, Labels, freeze
from icm.objective import Evaluation, Objective
from search.annealing import SearchState


@dataclass(frozen=True, slots=True)
class Repair:
    """Bring violated constraints into order, one at a time, whenever that raises U.

    Attributes:
        num_rounds: Constraints tried at the most (M = 10 in the paper and in the released code).
        options: Which consistent assignments of a violated constraint are tried: `all`, as the paper says, or
            `some_true`, which leaves out the one where no claim of the scope is true, as the released code does.
    """

    objective: Objective
    num_rounds: int
    options: Literal["all", "some_true"]

    def __call__(
        self, generator: np.random.Generator, labels: Labels, evaluation: Evaluation
    ) -> tuple[Labels, Evaluation]:
        """Return the repaired labelling and its evaluation; U is never lower than before.

        Source: Algorithm 2 of the paper.
        """
        tried: set[int] = set()
        for _ in range(self.num_rounds):
            # A constraint that could not be repaired is not tried again until the labels change: nothing would be
            # different.
            open_constraints = [c for c in violated_constraints(self.objective.constraints, labels) if c not in tried]
            if not open_constraints:
                break
            constraint = int(generator.choice(open_constraints))
            best_labels, best = self._best_option(constraint, labels, evaluation)
            if best.utility > evaluation.utility:
                labels, evaluation = best_labels, best
                tried.clear()  # another labelling: what did not help before may help now
            else:
                tried.add(constraint)
        return labels, evaluation

    def _best_option(self, constraint: int, labels: Labels, evaluation: Evaluation) -> tuple[Labels, Evaluation]:
        constraints = self.objective.constraints
        scope = scope_of(constraints, constraint)
        options = [
            freeze(option)
            for option in consistent_assignments(constraints, labels, constraint)
            if self.options == "all" or (option[scope] > 0).any()
        ]
        evaluations = self.objective.update_all(evaluation, options)
        # The labelling as it is stands first and `max` keeps the first of equals: a repair must raise U to happen.
        pairs = [(labels, evaluation), *zip(options, evaluations, strict=True)]
        return max(pairs, key=lambda pair: pair[1].utility)


@dataclass(frozen=True, slots=True)
class PredictAndRepair:
    """Propose the label that the model predicts for a random claim, repaired.

    Attributes:
        related_weight: How much likelier an unlabelled claim is drawn when a claim of its group is labelled (100 in
            the paper and in the released code).
    """

    objective: Objective
    repair: Repair
    groups: NDArray[np.int64]
    related_weight: float

    def __call__(
        self, generator: np.random.Generator, state: SearchState[Evaluation]
    ) -> tuple[int, int, Labels, Evaluation]:
        """Draw a claim and its label; return both, the repaired labelling (N,) and its evaluation.

        A prediction that agrees with the label a claim already has leaves the labelling as it is, and costs nothing
        when the claim is labelled: its leave-one-out prompt is part of the evaluation of the state.
        """
        claim = self.draw_claim(generator, state.labels)
        label = self.predict(state, claim)
        if label == state.labels[claim]:
            return claim, label, state.labels, state.evaluation
        labels = with_label(state.labels, claim, label)
        evaluation = self.objective.update(state.evaluation, labels)
        labels, evaluation = self.repair(generator, labels, evaluation)
        # The repair undid it. The state's own evaluation tells the kernel that nothing changed.
        if np.array_equal(labels, state.labels):
            return claim, label, state.labels, state.evaluation
        return claim, label, labels, evaluation

    def draw_claim(self, generator: np.random.Generator, labels: Labels) -> int:
        """Draw the claim to propose a label for.

        Source: Algorithm 1 of the paper, line 5.
        """
        # Weight 1 for labelled claims and those of untouched groups, more for the unlabelled neighbours of labelled
        # ones.
        labelled = labels != UNLABELLED
        group_has_label = np.bincount(self.groups, weights=labelled) > 0
        related = ~labelled & group_has_label[self.groups]
        weights = np.where(related, self.related_weight, 1.0)
        cumulative = np.cumsum(weights)
        # A draw by the inverse of the cumulative weights: one random number, whatever the number of claims.
        return int(np.searchsorted(cumulative, generator.random() * cumulative[-1], side="right"))

    def predict(self, state: SearchState[Evaluation], claim: int) -> int:
        """Return the label that the model finds likeliest for a claim after all the other labelled claims."""
        if state.labels[claim] == UNLABELLED:
            return int(np.argmax(self.objective.predict(state.labels, claim)))
        # A labelled claim's leave-one-out prompt was answered when the state was evaluated.
        return int(np.argmax(state.evaluation.label_logprobs[claim]))


def with_label(labels: Labels, claim: int, label: int) -> Labels:
    """Return a copy of a labelling in which one claim has another label."""
    changed = np.array(labels)
    changed[claim] = label
    return freeze(changed)
