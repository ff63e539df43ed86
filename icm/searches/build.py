"""From settings to a search. Knows every search, no file and no golden label."""

from __future__ import annotations

from typing import Any

from icm.problem import Problem
from icm.searches.annealing import build_chain
from icm.searches.bootstrap import build_bootstrap
from icm.searches.controls import build_control
from icm.searches.gibbs import build_gibbs
from icm.searches.given import build_given
from icm.searches.multistart import build_multistart
from icm.searches.protocol import Search
from icm.searches.settings import (
    AnnealingSettings,
    BootstrapSettings,
    ControlSettings,
    GibbsSettings,
    GivenSettings,
    MultistartSettings,
    SearchSettings,
    ShuffledSweepsSettings,
    SweepsSettings,
)
from icm.searches.shuffled_sweeps import build_shuffled_sweeps


def build_search(settings: SearchSettings, problem: Problem, seed: int) -> Search[Any]:
    """Put a search together.

    Args:
        settings: Which search, and how.
        problem: What is searched.
        seed: Seed of everything random in the search.

    Raises:
        ConfigError: The search needs another objective.
    """
    match settings:
        case AnnealingSettings():
            return build_chain(settings, problem.objective, problem.groups, seed)
        case MultistartSettings():
            return build_multistart(settings, problem, seed)
        case ShuffledSweepsSettings():
            return build_shuffled_sweeps(settings, problem, seed)
        case SweepsSettings():
            # One start is a population of one, so there is no second search to keep alike.
            return build_multistart(settings.as_multistart, problem, seed)
        case GibbsSettings():
            return build_gibbs(settings, problem, seed)
        case BootstrapSettings():
            return build_bootstrap(settings, problem, seed)
        case ControlSettings():
            return build_control(settings, problem, seed)
        case GivenSettings():
            return build_given(settings, problem)
