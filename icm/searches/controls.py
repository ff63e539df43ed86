"""Labellings that need no search: what a search must beat. Knows no file and no golden label."""

from __future__ import annotations

from typing import assert_never

import numpy as np

from icm.claims import Labels, freeze
from icm.errors import ConfigError
from icm.problem import Problem
from icm.searches.decoding import build_decoder
from icm.searches.sampled import SampledSearch
from icm.searches.settings import ControlSettings
from icm.surface import SURFACE_RULES
from search.randomness import step_generator


def build_control(settings: ControlSettings, problem: Problem, seed: int) -> SampledSearch:
    """Return a rule that labels everything at once as a search of no steps; its start raises what `_labels` does."""
    num_claims, num_labels = problem.objective.evidence.shape
    return SampledSearch(
        shape=(num_claims, num_labels),
        num_steps=0,
        num_evaluations=1,
        first=lambda: _labels(settings, problem, seed),
        # Never called: a search of no steps has ended when it begins.
        advance=lambda state: (state.labels, None),
    )


def _labels(settings: ControlSettings, problem: Problem, seed: int) -> Labels:
    """Return the labels of a rule: (N,).

    Raises:
        ConfigError: The surface rule says nothing about such claims.
    """
    objective = problem.objective
    # With a penalty of 0 the decoder takes every label on its own, so one code serves both settings.
    decoder = build_decoder(objective.constraints, np.inf if settings.consistent else 0.0)
    match settings.rule:
        case "zero_shot":
            return decoder(objective.zero_shot())
        case "random":
            return decoder.draw(step_generator(seed, 0), objective.evidence, 1.0)
        case "majority":
            verdicts = objective.zero_shot().argmax(axis=1)
            return freeze(np.full(verdicts.size, np.bincount(verdicts).argmax()))
        case "length" | "keywords" | "answer_frequency":
            labels = SURFACE_RULES[settings.rule][1](problem.claims)
            if isinstance(labels, str):
                raise ConfigError(f"search.rule={settings.rule} says nothing about this task: {labels}")
            return labels
        case _:
            assert_never(settings.rule)
