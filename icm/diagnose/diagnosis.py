"""All measures of a labelling that was elicited. Knows the problem that was searched, no file and no golden label.

Whatever search found the labels, they are read as a code (`icm.prequential`), in random orders that no search has seen:
so measures are bits per label, alike for all searches, and cost a fixed number of readings of every claim.
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
from icm.claims import UNLABELLED, Labels, freeze
from icm.diagnose import measures, probes
from icm.diagnose.checks import Measures, judge
from icm.diagnose.schema import CHECK_NAMES, CheckName, Diagnosis
from icm.diagnose.settings import DiagnoseSettings
from icm.objective import Evaluation, bits_per_label, margins
from icm.prequential import Prequential
from icm.problem import Problem, read_in_order
from icm.relations import constraints_from
from icm.report.progress import ProgressDisplay
from icm.searches.decoding import Decoder, build_decoder
from icm.searches.protocol import Alternative
from icm.statistics.streams import Stream, generator

DRAW: Final = 1
"""The draw of orders that labels are read in here; searches keep clear of those below 1,000, but for their own 0."""

PRIOR_DRAWS: Final = 64
"""Random consistent labellings whose mean balance is what the constraints alone would give; they ask no model."""

NUM_PROBES: Final = 4
"""The labels are read, then other labellings, then both under swapped words, and the claims without context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elicited:
    """The labels that a search returned, with all that is known about them but the golden labels.

    Attributes:
        seed: Seed of the search.
        labels: (N,) the labelling.
        stability: (N,) share of the starts that agree with each label; `None` from a search of one start.
        alternatives: The distinct labellings the search came to, by falling U; empty where it followed only one.
    """

    problem: Problem
    seed: int
    labels: Labels
    stability: NDArray[np.float64] | None
    alternatives: Sequence[Alternative]


def diagnose(elicited: Elicited, settings: DiagnoseSettings, console: Console | None = None) -> Diagnosis:
    """Measure labels in every way that needs no golden label, and judge them; `console` shows the progress.

    Raises:
        ScoringError: The model returned NaN.
    """
    reading = read_in_order(elicited.problem, settings.reading, elicited.seed).in_orders(DRAW, settings.num_orders)
    with ProgressDisplay(console or Console(quiet=True), "diagnosing", "probe") as display:
        done = count(1)
        display.show(0, NUM_PROBES)
        evaluation = reading.evaluate(elicited.labels)
        measured = measure(elicited, reading, evaluation, settings, lambda: display.show(next(done), NUM_PROBES))
        constraints = tally_constraints(elicited, reading, evaluation, settings.violation_penalty)
        display.show(NUM_PROBES, NUM_PROBES)
    return judge(elicited.problem.task.name, measured, settings.bounds, settings.most_doubts, constraints)


def measure(
    elicited: Elicited,
    reading: Prequential,
    evaluation: Evaluation,
    settings: DiagnoseSettings,
    advance: Callable[[], None],
) -> Measures:
    """Return the value of every check, or why there is none.

    Args:
        elicited: The labels.
        reading: U over the orders in which they are read.
        evaluation: What it says of the labels.
        settings: What else is asked.
        advance: Called after each of `NUM_PROBES` probes of the model.
    """
    labelled = elicited.labels != UNLABELLED
    measured: dict[CheckName, float | str] = {"unlabelled": float(np.mean(~labelled)), **_of_constraints(elicited)}
    # Without a label nothing else has a value: no share, no gain, nothing to read.
    if not labelled.any():
        return dict.fromkeys(CHECK_NAMES, "no claim is labelled") | measured
    decoder = build_decoder(reading.constraints, settings.violation_penalty)
    # A labelling may be partial, and then its rivals must be: gains of other claims cannot be compared.
    decoder = decoder if labelled.all() else decoder.restricted(labelled)
    rivals = _rivals(elicited, settings, decoder)
    advance()
    measured |= _of_balance(elicited, reading, settings, decoder)
    measured |= _of_conditionals(elicited, reading, evaluation)
    measured |= _of_bits(elicited, reading, settings, decoder, evaluation, rivals)
    advance()
    measured |= _of_words(elicited, reading, settings, decoder, evaluation)
    advance()
    # Anchors are evidence about the labels and not what the model thinks.
    verdicts = reading.calibrated(reading.zero_shot() - reading.evidence).argmax(axis=1).astype(np.int8)
    measured["zero_shot"] = measures.kappa(verdicts, elicited.labels)
    advance()
    measured |= _of_surface(elicited, rivals)
    measured["upright"] = _upright(measured)
    return measured


def _upright(measured: Measures) -> float | str:
    """Return what speaks for the labels against their opposite, whichever is more: the model's belief or the code.

    Labels that go against what the model says at first can be right all the same (it may have learnt them the wrong way
    round), but then they must be told clearly from their opposite.
    """
    known = [value for name in ("zero_shot", "rival_gap") if isinstance(value := measured[name], float)]
    return max(known)


def tally_constraints(elicited: Elicited, reading: Prequential, evaluation: Evaluation, penalty: float) -> list[Tally]:
    """Return for each relation how many of its constraints the labels violate, and how many bind.

    Args:
        elicited: The labels.
        reading: U over the orders in which they are read; what it expects of each claim is what constraints bind.
        evaluation: What it says of the labels.
        penalty: What a violated weight of 1 costs, nats.

    Returns:
        A tally for each relation that makes a constraint; none if no claim is labelled.

    Raises:
        ScoringError: The model returned NaN.
    """
    relations, num_labels = elicited.problem.task.relations, reading.scorer.num_labels
    names = [each.name for each in constraints_from(elicited.problem.claims, relations, num_labels)]
    if not names or (elicited.labels == UNLABELLED).all():
        return []
    # Unlabelled claims have no place in an evaluation and are asked by themselves.
    is_whole = (elicited.labels != UNLABELLED).all()
    expected = evaluation.conditionals if is_whole else reading.predict_all(elicited.labels)
    tallies = tally_binding(reading.constraints, names, expected, penalty)
    # `constraints_from` gives the constraints in the order of the arrays, so a name and a row belong together.
    is_violated = violated(reading.constraints, elicited.labels)
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


def _of_balance(
    elicited: Elicited, reading: Prequential, settings: DiagnoseSettings, decoder: Decoder
) -> dict[CheckName, float | str]:
    num_labels = reading.scorer.num_labels
    balance = measures.shares(elicited.labels, num_labels)
    expected = reading.settings.class_prior
    if expected is None:
        draws_of = generator(settings.seed, Stream.EXPECTED_BALANCE)
        # Equal log-probabilities leave only the constraints to decide.
        indifferent = np.zeros((elicited.labels.size, num_labels))
        draws = [decoder.draw(draws_of, indifferent, 1.0) for _ in range(PRIOR_DRAWS)]
        expected = np.mean([measures.shares(draw, num_labels) for draw in draws], axis=0)
    return {"collapsed": float(balance.max()), "imbalance": measures.total_variation(balance, expected)}


def _of_bits(
    elicited: Elicited,
    reading: Prequential,
    settings: DiagnoseSettings,
    decoder: Decoder,
    evaluation: Evaluation,
    rivals: Sequence[Labels],
) -> dict[CheckName, float | str]:
    """Compare the labels with labels that mean nothing and with other concepts, all read in the same orders."""
    labels = elicited.labels
    draws = generator(settings.seed, Stream.NULL_LABELS)
    nulls = [
        null
        for _ in range(settings.num_nulls)
        for null in probes.draw_nulls(draws, decoder, labels, reading.scorer.num_labels)
    ]
    bits = bits_per_label(evaluation, labels)
    others = [bits_per_label(each, labels) for each in reading.evaluate_all([*nulls, *rivals])]
    of_nulls, of_rivals = others[: len(nulls)], others[len(nulls) :]
    return {
        "gain": bits,
        "null_gap": bits - float(np.mean(of_nulls)),
        "rival_gap": bits - max(of_rivals) if of_rivals else "no other concept was found",
    }


def _of_conditionals(elicited: Elicited, reading: Prequential, evaluation: Evaluation) -> dict[CheckName, float | str]:
    """Ask how sure the model is of each label, and whether the label holds in every order and from any start."""
    labels = elicited.labels
    labelled = labels != UNLABELLED
    own = margins(evaluation.label_logprobs[labelled])[np.arange(labelled.sum()), labels[labelled]]
    found: dict[CheckName, float | str] = {
        "contradicted": float(np.mean(own < 0)),
        "orders": probes.repeated_in_each_order(reading, labels, evaluation),
    }
    # One start cannot disagree with itself; to say so is better than a stability of 1.
    if elicited.stability is None or not elicited.alternatives:
        alone = "the search followed a single labelling; search=shuffled_sweeps follows several"
        found["stability"] = found["calibration"] = alone
        return found
    stability = elicited.stability[labelled]
    calibration = measures.margin_tells_stability(own, stability)
    found["stability"] = float(np.mean(stability))
    found["calibration"] = "all labels are equally stable" if calibration is None else calibration
    return found


def _of_words(
    elicited: Elicited, reading: Prequential, settings: DiagnoseSettings, decoder: Decoder, evaluation: Evaluation
) -> dict[CheckName, float | str]:
    """Swap the label words: labels that follow their meaning must lose by it; a mere grouping would not."""
    labels = elicited.labels
    labelled = labels != UNLABELLED
    swapped = probes.with_swapped_words(reading, elicited.problem)
    kept = probes.sweep(swapped.in_orders(DRAW, 1), decoder, labels, settings.sweep_rounds)
    return {
        "polarity": bits_per_label(evaluation, labels) - bits_per_label(swapped.evaluate(labels), labels),
        "swapped": float(np.mean(kept[labelled] == labels[labelled])),
    }


def _rivals(elicited: Elicited, settings: DiagnoseSettings, decoder: Decoder) -> list[Labels]:
    """Return labellings of another concept: the best that the search came to, and of two labels the opposite."""
    labels, num_labels = elicited.labels, elicited.problem.objective.scorer.num_labels

    def is_other(other: Labels) -> bool:
        return bool(np.mean(other == labels) <= settings.rival_agreement)

    found = [each.labels for each in elicited.alternatives if is_other(each.labels)][:1]
    if num_labels == 2:
        opposite = decoder.nearest(freeze(np.where(labels == UNLABELLED, 0, 1 - labels)))
        # Constraints may leave little of the opposite: the nearest consistent labelling can be the labels themselves.
        found += [opposite] if is_other(opposite) else []
    return found


def _of_surface(elicited: Elicited, rivals: Sequence[Labels]) -> dict[CheckName, float | str]:
    claims, groups = elicited.problem.claims, elicited.problem.groups
    words = measures.predicted_by_answer_words(claims, elicited.labels, groups)
    of_words = "too few claims have an answer, or all have one label" if words is None else words
    # Turned round, a rule gives 1 - label, which is only a label where there are two.
    if len(elicited.problem.task.label_space) != 2:
        not_binary = "the surface rules speak of two labels only"
        return {"surface": not_binary, "answer_words": of_words, "rival_surface": not_binary}
    nearest = measures.nearest_surface_rule(claims, elicited.labels)
    of_rival = measures.nearest_surface_rule(claims, rivals[0]) if rivals else None
    return {
        "surface": nearest[1] if nearest else "no surface rule speaks of such claims",
        "answer_words": of_words,
        "rival_surface": of_rival[1] if of_rival else "no other concept was found, or no rule speaks of it",
    }
