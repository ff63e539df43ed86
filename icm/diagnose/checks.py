"""What each check measures and why it matters, in plain words; from measures to a verdict. Measures nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from icm.diagnose.schema import CHECK_NAMES, Check, CheckName, ConstraintTally, Diagnosis, Verdict
from icm.diagnose.settings import Bounds

SEVERITY: Final[tuple[Verdict, ...]] = ("trust", "caution", "reject")


class Missing(NamedTuple):
    """Why a measure could not be had."""

    reason: str


Measures = Mapping[CheckName, float | Missing]


class Meaning(NamedTuple):
    """A check in words.

    Attributes:
        unit: A `share` is shown in percent; `kappa` is agreement beyond chance, 0 at chance and 1 at full agreement.
        measure: What is measured.
        doubt: What a bad value says about the labels.
    """

    unit: Literal["share", "nats", "kappa", "correlation"]
    measure: str
    doubt: str


MEANINGS: Final[Mapping[CheckName, Meaning]] = {
    "unlabelled": Meaning(
        "share", "claims without a label", "the search gave up on a part of the claims, and seldom on the easy ones"
    ),
    "violated": Meaning(
        "share", "violated constraints, by weight", "labels contradict one another by the meaning of the claims"
    ),
    "unconstrained": Meaning(
        "share",
        "claims that neither a constraint nor an anchor bears on",
        "nothing ties the labels to the concept you asked for, so they follow whichever one the model finds most "
        "natural; declare relations between claims, or vouch for a few labels",
    ),
    "collapsed": Meaning(
        "share", "labels that are the most frequent one", "nearly all claims have the same label, which says little"
    ),
    "imbalance": Meaning(
        "share",
        "labels that would have to change to reach the expected balance",
        "the balance of the labels is not the expected one",
    ),
    "contradicted": Meaning(
        "share",
        "labels that the model denies when it sees all the others",
        "the model does not find the labels coherent",
    ),
    "null_gap": Meaning(
        "nats",
        "predictability of a label above that of labels without meaning",
        "the labels fit together little better than labels without meaning do",
    ),
    "polarity": Meaning(
        "nats",
        "predictability of a label above that with the label words swapped",
        "the exact opposite of the labels fits about as well, so they may stand the wrong way round",
    ),
    "stability": Meaning(
        "share",
        "agreement with a label over the starts of the search",
        "many labels came out otherwise from other starts",
    ),
    "rival_gap": Meaning(
        "nats",
        "predictability of a label above that of the best other concept found",
        "another concept fits nearly as well or better",
    ),
    "orders": Meaning(
        "share",
        "labels that the model repeats when it sees the others in another order",
        "the labels depend on the order of the claims",
    ),
    "swapped": Meaning(
        "share",
        "labels that a search keeps when the label words are swapped",
        "the labels depend on the words for the labels",
    ),
    "zero_shot": Meaning(
        "kappa",
        "agreement with the model's verdicts without context, beyond chance",
        "the labels are not what the model says when it is asked about one claim alone",
    ),
    "calibration": Meaning(
        "correlation",
        "rank correlation of a label's margin with its stability over the starts",
        "the model's margins do not tell which labels would come out the same again",
    ),
    "surface": Meaning(
        "kappa",
        "agreement with the surface rule nearest to the labels, either way round, beyond chance",
        "a rule that reads no meaning explains the labels",
    ),
    "answer_words": Meaning(
        "kappa",
        "agreement with what the words of an answer predict whatever the question, beyond chance",
        "the words of an answer decide its label whatever the question, so the labels follow a feature of the wording",
    ),
    "rival_surface": Meaning(
        "kappa",
        "agreement of another concept found with the surface rule nearest to it, beyond chance",
        "the search also came to labels that a rule without meaning explains",
    ),
}


def judge(
    task: str,
    measures: Measures,
    bounds: Mapping[CheckName, Bounds],
    most_doubts: int,
    constraints: Sequence[ConstraintTally] = (),
) -> Diagnosis:
    """Return the verdict on measures: the worst that one of them alone gives, or `reject` for very many doubts.

    Args:
        task: Name of the task.
        measures: Every check's value, or why there is none.
        bounds: From where on a value speaks against the labels; a check without bounds never does.
        most_doubts: How many checks may speak against labels that are not rejected.
        constraints: Which constraints bind; told beside the verdict, and no part of it.
    """
    checks = tuple(_check(name, measures[name], bounds.get(name)) for name in CHECK_NAMES)
    verdict = SEVERITY[max(SEVERITY.index(check.verdict) for check in checks)]
    if sum(check.verdict != "trust" for check in checks) > most_doubts:
        verdict = "reject"
    return Diagnosis(task=task, verdict=verdict, checks=checks, constraints=tuple(constraints))


def _check(name: CheckName, value: float | Missing, bounds: Bounds | None) -> Check:
    meaning = MEANINGS[name]
    if isinstance(value, Missing):
        return Check(name=name, measure=meaning.measure, value=None, shown="–", verdict="trust", missing=value.reason)
    shown = _show(value, meaning.unit)
    verdict: Verdict = bounds.verdict(value) if bounds else "trust"
    reason = None
    if bounds and verdict != "trust":
        limit = bounds.caution if bounds.caution is not None else bounds.reject
        assert limit is not None
        expected = f"{'at most' if bounds.worse == 'above' else 'at least'} {_show(limit, meaning.unit)}"
        reason = f"{meaning.doubt} ({meaning.measure}: {shown}, expected {expected})"
    return Check(name=name, measure=meaning.measure, value=value, shown=shown, verdict=verdict, reason=reason)


def _show(value: float, unit: str) -> str:
    match unit:
        case "share":
            return f"{100 * value:.0f} %"
        case "nats":
            return f"{value:.2f} nats"
        case _:
            return f"{value:.2f}"
