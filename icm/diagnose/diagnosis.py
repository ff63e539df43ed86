"""All measures of a labelling that was elicited. Knows the problem that was searched, no file and no golden label.

The questions to the model keep their order: a scorer that keeps keys and values answers the same batches in another
order with other last digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from consistency.binding import Tally, tally_binding
from consistency.kernels import inconsistency, violated
from icm.claims import UNLABELLED, Labels
from icm.diagnose import measures, probes
from icm.diagnose.checks import Measures, judge
from icm.diagnose.schema import CHECK_NAMES, CheckName, Diagnosis
from icm.diagnose.settings import DiagnoseSettings
from icm.problem import Problem, ProblemSettings
from icm.relations import constraints_from
from icm.report.progress import ProgressDisplay
from icm.searches.decoding import Decoder, build_decoder
from icm.searches.protocol import Alternative
from icm.statistics.streams import Stream, generator

PRIOR_DRAWS: Final = 64
"""Random consistent labellings whose mean balance is what the constraints alone would give; they ask no model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elicited:
    """The labels that a search returned, with all that is known about them but the golden labels.

    Attributes:
        settings: What the problem was made from.
        labels: (N,) the labelling, of which `utility` is U and `predictability` P.
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


def diagnose(elicited: Elicited, settings: DiagnoseSettings, console: Console | None = None) -> Diagnosis:
    """Measure labels in every way that needs no golden label, and judge them; `console` shows the progress.

    Raises:
        ScoringError: The model returned NaN.
    """
    # What the model is asked: nulls, zero-shot, the swapped words twice, other orders, and which constraints bind.
    num_probes = settings.num_orders + 5
    with ProgressDisplay(console or Console(quiet=True), "diagnosing", "probe") as display:
        done = count(1)
        display.show(0, num_probes)
        measured = measure(elicited, settings, lambda: display.show(next(done), num_probes))
        constraints = tally_constraints(elicited, settings.violation_penalty)
        display.show(num_probes, num_probes)
    return judge(elicited.problem.task.name, measured, settings.bounds, settings.most_doubts, constraints)


def measure(elicited: Elicited, settings: DiagnoseSettings, advance: Callable[[], None]) -> Measures:
    """Return the value of every check, or why there is none; `advance` is called after each probe of the model."""
    labelled = elicited.labels != UNLABELLED
    measured: dict[CheckName, float | str] = {"unlabelled": float(np.mean(~labelled)), **_of_constraints(elicited)}
    # Without a label nothing else has a value: no share, no margin, no context to ask in.
    if not labelled.any():
        return dict.fromkeys(CHECK_NAMES, "no claim is labelled") | measured
    decoder = build_decoder(elicited.problem.objective.constraints, settings.violation_penalty)
    return (
        measured
        | _of_balance(elicited, settings, decoder)
        | _of_coherence(elicited, settings, decoder, advance)
        | _of_starts(elicited, settings)
        | _of_surface(elicited, settings)
    )


def tally_constraints(elicited: Elicited, penalty: float) -> list[Tally]:
    """Return for each relation how many of its constraints the labels violate, and how many bind.

    The model is asked for every claim once, in the context of the others.

    Args:
        elicited: The labels.
        penalty: What a violated weight of 1 costs, nats.

    Returns:
        A tally for each relation that makes a constraint; none if no claim is labelled.

    Raises:
        ScoringError: The model returned NaN.
    """
    objective = elicited.problem.objective
    relations, num_labels = elicited.problem.task.relations, objective.scorer.num_labels
    names = [each.name for each in constraints_from(elicited.problem.claims, relations, num_labels)]
    if not names or (elicited.labels == UNLABELLED).all():
        return []
    tallies = tally_binding(objective.constraints, names, objective.predict_all(elicited.labels), penalty)
    # `constraints_from` gives the constraints in the order of the arrays, so a name and a row belong together.
    is_violated = violated(objective.constraints, elicited.labels)
    return [replace(tally, num_violated=int(is_violated[np.array(names) == tally.name].sum())) for tally in tallies]


def _of_constraints(elicited: Elicited) -> dict[CheckName, float | str]:
    objective = elicited.problem.objective
    constrained = np.zeros(elicited.labels.size, dtype=np.bool_)
    # Narrow scopes repeat a claim of their own up to the common width, so every entry of (M, K) is constrained.
    constrained[objective.constraints.scope] = True
    # An anchor is evidence that tells the labels of a claim apart; all others have equal evidence for every label.
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
        # Equal log-probabilities leave only the constraints to decide.
        indifferent = np.zeros((elicited.labels.size, num_labels))
        draws = [decoder.draw(draws_of, indifferent, 1.0) for _ in range(PRIOR_DRAWS)]
        expected = np.mean([measures.shares(draw, num_labels) for draw in draws], axis=0)
    return {"collapsed": float(balance.max()), "imbalance": measures.total_variation(balance, expected)}


def _of_coherence(
    elicited: Elicited, settings: DiagnoseSettings, decoder: Decoder, advance: Callable[[], None]
) -> dict[CheckName, float | str]:
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
    # All nulls go out together: larger batches, and prefixes that two nulls have in common are read once.
    null_predictability = np.mean([each.predictability for each in objective.evaluate_all(nulls)])
    advance()
    # Labels that follow the meaning of the words must lose by the swap; a mere grouping would not.
    swapped = probes.with_swapped_words(problem, elicited.settings).objective
    kept = probes.sweep(swapped, decoder, labels, settings.sweep_rounds)
    advance()
    zero_shot = objective.zero_shot().argmax(axis=1).astype(np.int8)
    advance()
    swapped_predictability = swapped.evaluate(labels).predictability
    advance()
    # The search used the first orders; the next ones are new to the labels.
    num_orders = objective.num_orders
    repeated = []
    for order in range(num_orders, num_orders + settings.num_orders):
        repeated.append(probes.repeated_in_another_order(problem, labels, order))
        advance()
    return {
        "contradicted": float(np.mean(elicited.margins[labelled] < 0)),
        "null_gap": nats(elicited.predictability - float(null_predictability)),
        "polarity": nats(elicited.predictability - swapped_predictability),
        "orders": float(np.mean(repeated)),
        "swapped": float(np.mean(kept[labelled] == labels[labelled])),
        "zero_shot": measures.kappa(zero_shot, labels),
    }


def _of_starts(elicited: Elicited, settings: DiagnoseSettings) -> dict[CheckName, float | str]:
    # One start cannot disagree with itself; to say so is better than a stability of 1.
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
            # U is alpha P less what violations cost, so this is nats of P, less what the constraints tell apart.
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
    # Turned round, a rule gives 1 - label, which is only a label where there are two.
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
