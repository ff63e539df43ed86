"""From log-potentials to consistent labellings. Knows the constraints, no model and no search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consistency import ConstraintArrays
from consistency.components import Components, find_components
from consistency.solve import solve
from icm.claims import Labels, freeze


@dataclass(frozen=True, slots=True)
class Decoder:
    """Exact consistency: the labelling of the highest log-potentials less a penalty for what it violates.

    Attributes:
        constraints: What a labelling may violate.
        components: Their connected components.
        penalty: What a violated weight of 1 costs, nats.
    """

    constraints: ConstraintArrays
    components: Components
    penalty: float

    def __call__(self, potentials: NDArray[np.float64]) -> Labels:
        """Return the (N,) labelling for (N, L) log-potentials, nats."""
        return freeze(solve(self.constraints, potentials, self.penalty, components=self.components).labels)

    def draw(self, generator: np.random.Generator, potentials: NDArray[np.float64], temperature: float) -> Labels:
        """Draw a consistent labelling: one decoded from potentials that Gumbel noise of a scale was added to.

        Without constraints this draws each label with probability proportional to exp(potential / temperature).

        Source: perturb-and-MAP (Papandreou and Yuille 2011).
        """
        return self(potentials + temperature * generator.gumbel(size=potentials.shape))


def build_decoder(constraints: ConstraintArrays, penalty: float) -> Decoder:
    """Return a decoder under constraints; a penalty of 0 takes every label on its own."""
    return Decoder(constraints, find_components(constraints), penalty)
