"""All measures of a labelling that was found. Knows the problem that was searched, no file and no golden label."""

from __future__ import annotations

from typing import Final

import numpy as np

from consistency.kernels import inconsistency
from icm.claims import UNLABELLED
from icm.diagnose import measures, probes
from icm.diagnose.checks import Measures, Missing, judge
from icm.diagnose.constraints import tally_constraints
from icm.diagnose.elicited import Found
from icm.diagnose.schema import CHECK_NAMES, CheckName, Diagnosis
from icm.diagnose.settings import DiagnoseSettings
from icm.searches.decoding import Decoder, build_decoder
from icm.searches.protocol import Alternative
from search.randomness import step_generator

PRIOR_DRAWS: Final = 64
"""Random consistent labellings whose mean balance is what the constraints alone would give; they ask no model."""


def diagnose(found: Found, settings: DiagnoseSettings) -> Diagnosis:
    """Measure a labelling in every way that needs no golden label, and judge it.

    Raises:
        ScoringError: The model returned NaN.
    """
    return judge(
        found.problem.task.name,
        measure(found, settings),
        settings.bounds,
        settings.most_doubts,
        tally_constraints(found, settings.violation_penalty),
    )


def measure(found: Found, settings: DiagnoseSettings) -> Measures:
    """Return the value of every check, or why there is none."""
    labelled = found.labels != UNLABELLED
    measured: dict[CheckName, float | Missing] = {"unlabelled": float(np.mean(~labelled)), **_of_constraints(found)}
    if not labelled.any():
        return dict.fromkeys(CHECK_NAMES, Missing("no claim is labelled")) | measured
    decoder = build_decoder(found.problem.objective.constraints, settings.violation_penalty)
    return (
        measured
        | _of_balance(found, settings, decoder)
        | _of_coherence(found, settings, decoder)
        | _of_starts(found, settings)
        | _of_surface(found, settings)
    )


def _of_constraints(found: Found) -> dict[CheckName, float | Missing]:
    objective = found.problem.objective
    constrained = np.zeros(found.labels.size, dtype=np.bool_)
    constrained[objective.constraints.scope] = True
    anchored = np.ptp(objective.evidence, axis=1) > 0
    total = float(objective.constraints.weight.sum())
    violated = inconsistency(objective.constraints, found.labels)
    return {
        "violated": violated / total if total else Missing("there are no constraints"),
        "unconstrained": float(np.mean(~(constrained | anchored))),
    }


def _of_balance(found: Found, settings: DiagnoseSettings, decoder: Decoder) -> dict[CheckName, float | Missing]:
    num_labels = found.problem.objective.scorer.num_labels
    balance = measures.shares(found.labels, num_labels)
    expected = found.settings.objective.class_prior
    if expected is None:
        generator = step_generator(settings.seed, 0)
        indifferent = np.zeros((found.labels.size, num_labels))
        draws = [decoder.draw(generator, indifferent, 1.0) for _ in range(PRIOR_DRAWS)]
        expected = np.mean([measures.shares(draw, num_labels) for draw in draws], axis=0)
    return {"collapsed": float(balance.max()), "imbalance": measures.total_variation(balance, expected)}


def _of_coherence(found: Found, settings: DiagnoseSettings, decoder: Decoder) -> dict[CheckName, float | Missing]:
    """Ask the model: with labels that mean nothing, other orders, swapped label words, and no context at all."""
    problem, labels = found.problem, found.labels
    objective = problem.objective
    labelled = labels != UNLABELLED

    def nats(predictability: float) -> float:
        return probes.per_claim(predictability, int(labelled.sum()), found.settings.objective)

    generator = step_generator(settings.seed, 1)
    nulls = [
        null
        for _ in range(settings.num_nulls)
        for null in probes.draw_nulls(generator, decoder, labels, objective.scorer.num_labels)
    ]
    null_predictability = np.mean([each.predictability for each in objective.evaluate_all(nulls)])
    swapped = probes.with_swapped_words(problem, found.settings).objective
    kept = probes.sweep(swapped, decoder, labels, settings.sweep_rounds)
    num_orders = objective.num_orders
    orders = range(num_orders, num_orders + settings.num_orders)
    zero_shot = objective.zero_shot().argmax(axis=1).astype(np.int8)
    return {
        "contradicted": float(np.mean(found.margins[labelled] < 0)),
        "null_gap": nats(found.predictability - float(null_predictability)),
        "polarity": nats(found.predictability - swapped.evaluate(labels).predictability),
        "orders": probes.repeated_in_another_order(problem, labels, orders),
        "swapped": float(np.mean(kept[labelled] == labels[labelled])),
        "zero_shot": measures.kappa(zero_shot, labels),
    }


def _of_starts(found: Found, settings: DiagnoseSettings) -> dict[CheckName, float | Missing]:
    if found.stability is None or not found.alternatives:
        alone = Missing("the search followed a single labelling; search=multistart follows several")
        return dict.fromkeys(("stability", "rival_gap", "calibration"), alone)
    labelled = found.labels != UNLABELLED
    calibration = measures.margin_tells_stability(found.margins[labelled], found.stability[labelled])
    rival = _best_rival(found, settings)
    return {
        "stability": float(np.mean(found.stability)),
        "rival_gap": Missing("no other concept was found")
        if rival is None
        else probes.per_claim(
            (found.utility - rival.utility) / found.settings.objective.alpha,
            int(labelled.sum()),
            found.settings.objective,
        ),
        "calibration": Missing("all labels are equally stable") if calibration is None else calibration,
    }


def _best_rival(found: Found, settings: DiagnoseSettings) -> Alternative | None:
    """Return the labelling of the highest U among those found that are another concept."""
    rivals = [each for each in found.alternatives if np.mean(each.labels == found.labels) <= settings.rival_agreement]
    return max(rivals, key=lambda each: each.utility, default=None)


def _of_surface(found: Found, settings: DiagnoseSettings) -> dict[CheckName, float | Missing]:
    claims, groups = found.problem.claims, found.problem.groups
    words = measures.predicted_by_answer_words(claims, found.labels, groups)
    of_words = Missing("too few claims have an answer, or all have one label") if words is None else words
    if len(found.problem.task.label_space) != 2:
        not_binary = Missing("the surface rules speak of two labels only")
        return {"surface": not_binary, "answer_words": of_words, "rival_surface": not_binary}
    nearest = measures.nearest_surface_rule(claims, found.labels)
    rival = _best_rival(found, settings)
    of_rival = measures.nearest_surface_rule(claims, rival.labels) if rival else None
    return {
        "surface": nearest[1] if nearest else Missing("no surface rule speaks of such claims"),
        "answer_words": of_words,
        "rival_surface": of_rival[1] if of_rival else Missing("no other concept was found, or no rule speaks of it"),
    }
