"""All measures of a labelling that was elicited. Knows the problem that was searched, no file and no golden label."""

from __future__ import annotations

from typing import Final

import numpy as np

from consistency.kernels import inconsistency
from icm.claims import UNLABELLED
from icm.diagnose import measures, probes
from icm.diagnose.checks import Measures, judge
from icm.diagnose.constraints import tally_constraints
from icm.diagnose.elicited import Elicited
from icm.diagnose.schema import CHECK_NAMES, CheckName, Diagnosis
from icm.diagnose.settings import DiagnoseSettings
from icm.searches.decoding import Decoder, build_decoder
from icm.searches.protocol import Alternative
from icm.statistics.streams import Stream, generator

PRIOR_DRAWS: Final = 64
"""Random consistent labellings whose mean balance is what the constraints alone would give; they ask no model."""


def diagnose(elicited: Elicited, settings: DiagnoseSettings) -> Diagnosis:
    """Measure labels in every way that needs no golden label, and judge them.

    Raises:
        ScoringError: The model returned NaN.
    """
    return judge(
        elicited.problem.task.name,
        measure(elicited, settings),
        settings.bounds,
        settings.most_doubts,
        tally_constraints(elicited, settings.violation_penalty),
    )


def measure(elicited: Elicited, settings: DiagnoseSettings) -> Measures:
    """Return the value of every check, or why there is none."""
    labelled = elicited.labels != UNLABELLED
    measured: dict[CheckName, float | str] = {"unlabelled": float(np.mean(~labelled)), **_of_constraints(elicited)}
    if not labelled.any():
        return dict.fromkeys(CHECK_NAMES, "no claim is labelled") | measured
    decoder = build_decoder(elicited.problem.objective.constraints, settings.violation_penalty)
    return (
        measured
        | _of_balance(elicited, settings, decoder)
        | _of_coherence(elicited, settings, decoder)
        | _of_starts(elicited, settings)
        | _of_surface(elicited, settings)
    )


def _of_constraints(elicited: Elicited) -> dict[CheckName, float | str]:
    objective = elicited.problem.objective
    constrained = np.zeros(elicited.labels.size, dtype=np.bool_)
    constrained[objective.constraints.scope] = True
    anchored = np.ptp(objective.evidence, axis=1) > 0
    total = float(objective.constraints.weight.sum())
    violated = inconsistency(objective.constraints, elicited.labels)
    return {
        "violated": violated / total if total else "there are no constraints",
        "unconstrained": float(np.mean(~(constrained | anchored))),
    }


def _of_balance(elicited: Elicited, settings: DiagnoseSettings, decoder: Decoder) -> dict[CheckName, float | str]:
    num_labels = elicited.problem.objective.scorer.num_labels
    balance = measures.shares(elicited.labels, num_labels)
    expected = elicited.settings.objective.class_prior
    if expected is None:
        draws_of = generator(settings.seed, Stream.EXPECTED_BALANCE)
        indifferent = np.zeros((elicited.labels.size, num_labels))
        draws = [decoder.draw(draws_of, indifferent, 1.0) for _ in range(PRIOR_DRAWS)]
        expected = np.mean([measures.shares(draw, num_labels) for draw in draws], axis=0)
    return {"collapsed": float(balance.max()), "imbalance": measures.total_variation(balance, expected)}


def _of_coherence(elicited: Elicited, settings: DiagnoseSettings, decoder: Decoder) -> dict[CheckName, float | str]:
    """Ask the model: with labels that mean nothing, other orders, swapped label words, and no context at all."""
    problem, labels = elicited.problem, elicited.labels
    objective = problem.objective
    labelled = labels != UNLABELLED

    def nats(predictability: float) -> float:
        return probes.per_claim(predictability, int(labelled.sum()), elicited.settings.objective)

    draws = generator(settings.seed, Stream.NULL_LABELS)
    nulls = [
        null
        for _ in range(settings.num_nulls)
        for null in probes.draw_nulls(draws, decoder, labels, objective.scorer.num_labels)
    ]
    null_predictability = np.mean([each.predictability for each in objective.evaluate_all(nulls)])
    swapped = probes.with_swapped_words(problem, elicited.settings).objective
    kept = probes.sweep(swapped, decoder, labels, settings.sweep_rounds)
    num_orders = objective.num_orders
    orders = range(num_orders, num_orders + settings.num_orders)
    zero_shot = objective.zero_shot().argmax(axis=1).astype(np.int8)
    return {
        "contradicted": float(np.mean(elicited.margins[labelled] < 0)),
        "null_gap": nats(elicited.predictability - float(null_predictability)),
        "polarity": nats(elicited.predictability - swapped.evaluate(labels).predictability),
        "orders": probes.repeated_in_another_order(problem, labels, orders),
        "swapped": float(np.mean(kept[labelled] == labels[labelled])),
        "zero_shot": measures.kappa(zero_shot, labels),
    }


def _of_starts(elicited: Elicited, settings: DiagnoseSettings) -> dict[CheckName, float | str]:
    if elicited.stability is None or not elicited.alternatives:
        alone = "the search followed a single labelling; search=multistart follows several"
        return dict.fromkeys(("stability", "rival_gap", "calibration"), alone)
    labelled = elicited.labels != UNLABELLED
    calibration = measures.margin_tells_stability(elicited.margins[labelled], elicited.stability[labelled])
    rival = _best_rival(elicited, settings)
    return {
        "stability": float(np.mean(elicited.stability)),
        "rival_gap": "no other concept was found"
        if rival is None
        else probes.per_claim(
            (elicited.utility - rival.utility) / elicited.settings.objective.alpha,
            int(labelled.sum()),
            elicited.settings.objective,
        ),
        "calibration": "all labels are equally stable" if calibration is None else calibration,
    }


def _best_rival(elicited: Elicited, settings: DiagnoseSettings) -> Alternative | None:
    """Return the labelling of the highest U among those found that are another concept."""
    rivals = [
        each for each in elicited.alternatives if np.mean(each.labels == elicited.labels) <= settings.rival_agreement
    ]
    return max(rivals, key=lambda each: each.utility, default=None)


def _of_surface(elicited: Elicited, settings: DiagnoseSettings) -> dict[CheckName, float | str]:
    claims, groups = elicited.problem.claims, elicited.problem.groups
    words = measures.predicted_by_answer_words(claims, elicited.labels, groups)
    of_words = "too few claims have an answer, or all have one label" if words is None else words
    if len(elicited.problem.task.label_space) != 2:
        not_binary = "the surface rules speak of two labels only"
        return {"surface": not_binary, "answer_words": of_words, "rival_surface": not_binary}
    nearest = measures.nearest_surface_rule(claims, elicited.labels)
    rival = _best_rival(elicited, settings)
    of_rival = measures.nearest_surface_rule(claims, rival.labels) if rival else None
    return {
        "surface": nearest[1] if nearest else "no surface rule speaks of such claims",
        "answer_words": of_words,
        "rival_surface": of_rival[1] if of_rival else "no other concept was found, or no rule speaks of it",
    }
