"""The settings of the elicit stage."""

from __future__ import annotations

from icm.problem import ProblemSettings
from icm.searches.settings import SearchSettings


class ElicitSettings(ProblemSettings):
    """What the labels follow from, besides the claims and the model.

    Attributes:
        search: Which search, and how.
        checkpoint_seconds: Wall time between two checkpoints, seconds; it changes no result.
    """

    search: SearchSettings
    checkpoint_seconds: float = 2.0
