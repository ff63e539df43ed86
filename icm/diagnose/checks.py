"""What each check measures and why it matters, in plain words; from measures to a verdict. Measures nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from consistency.binding import Tally
from icm.diagnose.schema import CHECK_NAMES, Check, CheckName, Diagnosis, Verdict
from icm.diagnose.settings import Bounds

SEVERITY: Final[tuple[Verdict, ...]] = ("trust", "caution", "reject")

Measures = Mapping[CheckName, float | str]
"""The value of every check, or the reason why it could not be measured."""

Unit = Literal["share", "bits", "kappa", "correlation"]
"""A share is shown in percent; kappa is agreement beyond chance, 0 at chance and 1 at full agreement."""

MEANINGS: Final[Mapping[CheckName, tuple[Unit, str, str]]] = {
    "unlabelled": (
        "share",
        "claims without a label",
        "the search gave up on a part of the claims, and seldom on the easy ones",
    ),
    "violated": (
        "share",
        "violated constraints, by weight",
        "labels contradict one another by the meaning of the claims",
    ),
    "unconstrained": (
        "share",
        "claims that neither a constraint nor an anchor bears on",
        "nothing ties the labels to the concept you asked for, so they follow whichever one the model finds most "
        "natural; declare relations between claims, or vouch for a few labels",
    ),
    "collapsed": (
        "share",
        "labels that are the most frequent one",
        "nearly all claims have the same label, which says little",
    ),
    "imbalance": (
        "share",
        "labels that would have to change to reach the expected balance",
        "the balance of the labels is not the expected one",
    ),
    "gain": (
        "bits",
        "bits saved per label by reading the claims",
        "the model explains the labels no better than if it had not read the claims; take its calibrated zero-shot "
        "labels (search=zero_shot), or another model or prompt",
    ),
    "null_gap": (
        "bits",
        "bits saved per label above labels without meaning",
        "the labels fit together little better than labels without meaning do",
    ),
    "rival_gap": (
        "bits",
        "bits saved per label above the best other concept found, or the opposite",
        "another concept fits nearly as well or better",
    ),
    "polarity": (
        "bits",
        "bits saved per label above those with the label words swapped",
        "the exact opposite of the labels fits about as well, so they may stand the wrong way round",
    ),
    "contradicted": (
        "share",
        "labels that the model denies when it sees others before them",
        "the model does not find the labels coherent",
    ),
    "stability": (
        "share",
        "agreement with a label over the starts of the search",
        "many labels came out otherwise from other starts",
    ),
    "orders": (
        "share",
        "labels that the model expects in each order of the claims",
        "the labels depend on the order of the claims",
    ),
    "swapped": (
        "share",
        "labels that a search keeps when the label words are swapped",
        "the labels depend on the words for the labels",
    ),
    "zero_shot": (
        "kappa",
        "agreement with the model's calibrated verdicts without context, beyond chance",
        "the labels are not what the model says when it is asked about one claim alone",
    ),
    "upright": (
        "kappa",
        "the larger of two numbers: agreement with the model's verdicts without context, beyond chance, and bits saved "
        "per label above the best other concept",
        "the model does not say so when it is asked about one claim alone, and another concept, such as the exact "
        "opposite, fits nearly as well",
    ),
    "calibration": (
        "correlation",
        "rank correlation of a label's margin with its stability over the starts",
        "the model's margins do not tell which labels would come out the same again",
    ),
    "surface": (
        "kappa",
        "agreement with the surface rule nearest to the labels, either way round, beyond chance",
        "a rule that reads no meaning explains the labels",
    ),
    "answer_words": (
        "kappa",
        "agreement with what the words of an answer predict whatever the question, beyond chance",
        "the words of an answer decide its label whatever the question, so the labels follow a feature of the wording",
    ),
    "rival_surface": (
        "kappa",
        "agreement of another concept found with the surface rule nearest to it, beyond chance",
        "the search also came to labels that a rule without meaning explains",
    ),
}
"""Of each check its unit, what is measured, and what a bad value says about the labels."""


def judge(
    task: str,
    measures: Measures,
    bounds: Mapping[CheckName, Bounds],
    most_doubts: int,
    constraints: Sequence[Tally] = (),
) -> Diagnosis:
    """Return the verdict on measures: the worst that one of them alone gives, or `reject` for very many doubts.

    A check without bounds never speaks against the labels, nor do the constraints, which are only reported.
    """
    checks = tuple(_check(name, measures[name], bounds.get(name)) for name in CHECK_NAMES)
    # `SEVERITY` is in rising order, so the worst verdict has the largest index.
    verdict = SEVERITY[max(SEVERITY.index(check.verdict) for check in checks)]
    # Many mild doubts together are as bad as one strong one, since they are seldom of one cause.
    if sum(check.verdict != "trust" for check in checks) > most_doubts:
        verdict = "reject"
    return Diagnosis(task=task, verdict=verdict, checks=checks, constraints=tuple(constraints))


def _check(name: CheckName, value: float | str, bounds: Bounds | None) -> Check:
    unit, measure, doubt = MEANINGS[name]
    # What could not be measured is shown as missing and speaks neither for the labels nor against them.
    if isinstance(value, str):
        return Check(name=name, measure=measure, value=None, shown="–", verdict="trust", missing=value)
    shown = _show(value, unit)
    verdict: Verdict = bounds.verdict(value) if bounds else "trust"
    reason = None
    if bounds and verdict != "trust":
        # The limit named is the first that was passed: a check may reject without having a bound of caution.
        limit = bounds.caution if bounds.caution is not None else bounds.reject
        # A verdict other than trust means that one of the two bounds was passed.
        assert limit is not None
        expected = f"{'at most' if bounds.worse == 'above' else 'at least'} {_show(limit, unit)}"
        reason = f"{doubt} ({measure}: {shown}, expected {expected})"
    return Check(name=name, measure=measure, value=value, shown=shown, verdict=verdict, reason=reason)


def _show(value: float, unit: Unit) -> str:
    return f"{100 * value:.0f} %" if unit == "share" else f"{value:.2f}{' bits' if unit == 'bits' else ''}"
