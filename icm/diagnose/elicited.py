"""What a diagnosis looks at: elicited labels with all that is known about them but the golden labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icm.claims import Labels
from icm.problem import Problem, ProblemSettings
from icm.searches.protocol import Alternative


@dataclass(frozen=True, slots=True, kw_only=True)
class Elicited:
    """The labels that a search returned.

    Attributes:
        problem: What was searched.
        settings: What the problem was made from.
        labels: (N,) the labelling.
        utility: Its U.
        predictability: Its P.
        margins: (N,) log-odds of each label in its context, nats; NaN where there is none.
        stability: (N,) share of the starts that agree with each label; `None` from a search of one start.
        alternatives: The distinct labellings the search came to, by falling U; empty where it followed only one.
    """

    problem: Problem
    settings: ProblemSettings
    labels: Labels
    utility: float
    predictability: float
    margins: NDArray[np.float64]
    stability: NDArray[np.float64] | None
    alternatives: Sequence[Alternative]
