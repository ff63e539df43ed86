"""From log-potentials to consistent labellings. Knows the constraints, no model and no search."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from consistency import ConstraintArrays
from consistency.components import Components, find_components
from consistency.solve import solve
from icm.claims import UNLABELLED, Labels, freeze

# Probability of each label of a labelling that is made consistent. All labels have the same, so any value above one
# half gives the same nearest labelling while constraints are hard.
LABEL_CONFIDENCE: Final = 0.9


@dataclass(frozen=True, slots=True)
class Decoder:
    """Exact consistency: the labelling of the highest log-potentials less a penalty for what it violates.

    Attributes:
        penalty: What a violated weight of 1 costs, nats.
        labelled: (N,) which claims get a label; `None` for all.
    """

    constraints: ConstraintArrays
    components: Components
    penalty: float
    labelled: NDArray[np.bool_] | None = None

    def __call__(self, potentials: NDArray[np.float64]) -> Labels:
        """Return the (N,) labelling for (N, L) log-potentials, nats."""
        # Equal potentials: a claim that gets no label must not pull at those that do.
        if self.labelled is not None:
            potentials = np.where(self.labelled[:, None], potentials, 0.0)
        labels = solve(self.constraints, potentials, self.penalty, components=self.components).labels
        return freeze(labels if self.labelled is None else np.where(self.labelled, labels, UNLABELLED))

    def nearest(self, labels: Labels) -> Labels:
        """Return the consistent labelling that agrees with the most of two-way labels, (N,), as far as penalties go."""
        is_label = labels[:, None] == np.arange(2)
        return self(np.log(np.where(is_label, LABEL_CONFIDENCE, 1 - LABEL_CONFIDENCE)))

    def restricted(self, labelled: NDArray[np.bool_]) -> Decoder:
        """Return a decoder that leaves all other claims unlabelled."""
        return replace(self, labelled=labelled)

    def draw(self, generator: np.random.Generator, potentials: NDArray[np.float64], temperature: float) -> Labels:
        """Draw a consistent labelling: one decoded from potentials that Gumbel noise of a scale was added to.

        Without constraints this draws each label with probability proportional to exp(potential / temperature).

        Source: perturb-and-MAP (Papandreou and Yuille 2011).
        """
        return self(potentials + temperature * generator.gumbel(size=potentials.shape))


def build_decoder(constraints: ConstraintArrays, penalty: float) -> Decoder:
    """Return a decoder under constraints; a penalty of 0 takes every label on its own."""
    # Components follow from the constraints alone, so they are found once for all labellings.
    return Decoder(constraints, find_components(constraints), penalty)
