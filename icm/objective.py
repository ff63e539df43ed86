"""The objective U = alpha * P - I. Knows contexts and a scorer as values, no search and no golden label.

P is mutual predictability, in one of two ways. `LeaveOneOut`: how well the model predicts each label from all the other
labelled claims. `Prequential` (in `icm.prequential`): how well it predicts each label from those it has read before,
in random orders, less what the labels would cost unread; contexts of every size instead of the largest alone. I is
inconsistency: the weight of the violated constraints, each counted once (the paper's double sum counts a pair twice).

Incremental in model queries, exact in arithmetic: `update` asks the model only what changed and sums everything anew,
so it returns the very bits that `evaluate` returns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator
from scipy.special import gammaln, log_softmax, rel_entr

from consistency import ConstraintArrays
from consistency.kernels import count_violations, inconsistency
from icm.claims import UNLABELLED, Labels
from icm.contexts import Contexts
from icm.prompts import NO_CONTEXT, Prompt
from icm.scoring.protocol import LabelScorer


class _ObjectiveSettings(BaseModel):
    """What every objective is told.

    Attributes:
        alpha: Weight of mutual predictability against inconsistency.
        class_prior: Expected share of each label, by index, where it is known; U falls as the labels depart from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: float = Field(gt=0)
    class_prior: tuple[float, ...] | None = None

    @field_validator("class_prior")
    @classmethod
    def _is_a_distribution(cls, prior: tuple[float, ...] | None) -> tuple[float, ...] | None:
        # A label with share 0 would have a log-probability of minus infinity.
        if prior is not None and (min(prior, default=0.0) <= 0 or abs(sum(prior) - 1) > 1e-6):
            raise ValueError("the shares of a class prior are above 0 and add up to 1")
        return prior


class LeaveOneOutSettings(_ObjectiveSettings):
    """What U measures where each label is predicted from all the others.

    Attributes:
        alpha: Weight of mutual predictability against inconsistency.
        predictability: What is taken of each claim: `log_prob` of its label (the paper), its log-odds `margin` (the
            released code), the `lift` of that margin over the log-odds of the label's frequency among the other
            labelled claims, or the `centred` margin, less the mean margin of that label over all labelled claims. The
            last two do not reward a labelling for being constant.
        reduction: `mean` over the labelled claims, or their `sum`, which falls with every claim that is labelled.
        class_prior: Expected share of each label, by index, where it is known; U falls as the labels depart from it.
    """

    kind: Literal["leave_one_out"] = "leave_one_out"
    predictability: Literal["log_prob", "margin", "lift", "centred"]
    reduction: Literal["sum", "mean"]


class PrequentialSettings(_ObjectiveSettings):
    """What U measures where the claims are read one after the other and each label is predicted from those before.

    Attributes:
        num_orders: Random orders that the claims are read in; P is the mean over them.
        block_size: Most claims that are read in one pass, if the model's context holds them; every further claim
            begins another block, so the cost is linear in the number of claims.
        keep_groups: Whether all claims of a group stand in one block, next to one another.
        calibration: What is taken out of the conditionals: of each label its `mean` probability over all claims, which
            is the model's liking for its word, or nothing (`none`). Where the class prior is known, conditionals and P
            are matched to it instead.
    """

    kind: Literal["prequential"]
    num_orders: int = Field(ge=1)
    block_size: int = Field(ge=1)
    keep_groups: bool
    calibration: Literal["mean", "none"]

    @property
    def reduction(self) -> Literal["sum"]:
        """P is a sum over the labelled claims."""
        return "sum"


ObjectiveSettings = Annotated[LeaveOneOutSettings | PrequentialSettings, Field(discriminator="kind")]


class Answer(NamedTuple):
    """The digest of a question and the log-probabilities that the model gave, normalised over the labels.

    (L,) for a prompt, (n, L) for a reading of n claims.
    """

    digest: bytes
    label_logprobs: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """U of one labelling and what it was made of.

    Attributes:
        utility: U.
        predictability: P, the mean over the orders.
        spread: Standard deviation of P over the orders, 0 for a single one.
        inconsistency: I, the weight of the violated constraints.
        num_violations: How many constraints are violated.
        label_logprobs: (N, L) log p(label | claim, what stands before it), nats, normalised over the labels and
            averaged over the orders; NaN in the rows of unlabelled claims. Read-only.
        answers: By order, and within it by labelled claim or block, what was asked, and the answer.
        conditionals: (N, L) `label_logprobs` with the evidence of the anchors. Read-only.
    """

    utility: float
    predictability: float
    spread: float
    inconsistency: float
    num_violations: int
    label_logprobs: NDArray[np.float64]
    answers: Mapping[tuple[int, int], Answer]
    conditionals: NDArray[np.float64]


class Objective(Protocol):
    """U over the labellings of one set of claims, and what the model expects under a labelling."""

    @property
    def settings(self) -> LeaveOneOutSettings | PrequentialSettings:
        """What U measures."""
        ...

    @property
    def queries(self) -> Sequence[str]:
        """(N,) the texts of the claims."""
        ...

    @property
    def scorer(self) -> LabelScorer:
        """The model."""
        ...

    @property
    def constraints(self) -> ConstraintArrays:
        """What a labelling may violate."""
        ...

    @property
    def evidence(self) -> NDArray[np.float64]:
        """(N, L) what is known of the labels beforehand, log-likelihoods in nats; zeros where nothing is."""
        ...

    @property
    def num_orders(self) -> int:
        """Orders of the claims that P is averaged over."""
        ...

    def evaluate(self, labels: Labels) -> Evaluation:
        """Evaluate a labelling from scratch."""
        ...

    def evaluate_all(self, labellings: Sequence[Labels]) -> list[Evaluation]:
        """Evaluate several labellings from scratch, asking the model in one batch."""
        ...

    def update(self, evaluation: Evaluation, labels: Labels) -> Evaluation:
        """Return `evaluate(labels)`, bit for bit, asking only what the evaluation of another labelling did not."""
        ...

    def update_all(self, evaluation: Evaluation, labellings: Sequence[Labels]) -> list[Evaluation]:
        """Do what `update` does for several labellings, asking the model in one batch."""
        ...

    def zero_shot(self, claims: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return log p(label | claim) and evidence of every claim, or of some, with nothing before it: (n, L), nats."""
        ...

    def predict(self, labels: Labels, claim: int) -> NDArray[np.float64]:
        """Return what `predict_all` returns for one claim: (L,), nats."""
        ...

    def predict_all(self, labels: Labels, claims: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return log p(label | claim, labelled claims before it) and evidence of every claim, or of some: (n, L)."""
        ...


@dataclass(frozen=True, slots=True)
class LeaveOneOut:
    """U where each label is predicted from all the others.

    Attributes:
        settings: What U measures.
        contexts: What stands before each claim when its label is predicted, in one order or several.
        queries: (N,) the texts of the claims.
        scorer: The model.
        constraints: What a labelling may violate.
        evidence: (N, L) what is known of the labels beforehand, log-likelihoods in nats; zeros where nothing is.
    """

    settings: LeaveOneOutSettings
    contexts: Sequence[Contexts]
    queries: Sequence[str]
    scorer: LabelScorer
    constraints: ConstraintArrays
    evidence: NDArray[np.float64]

    @property
    def num_orders(self) -> int:
        """Orders of the claims that P is averaged over."""
        return len(self.contexts)

    def evaluate(self, labels: Labels) -> Evaluation:
        """Evaluate a labelling from scratch."""
        return self.evaluate_all([labels])[0]

    def evaluate_all(self, labellings: Sequence[Labels]) -> list[Evaluation]:
        """Evaluate several labellings from scratch, asking the model in one batch."""
        return self._evaluate_all(labellings, known={})

    def update_all(self, evaluation: Evaluation, labellings: Sequence[Labels]) -> list[Evaluation]:
        """Do what `update` does for several labellings, asking the model in one batch."""
        return self._evaluate_all(labellings, known=evaluation.answers)

    def zero_shot(self, claims: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return log p(label | claim) and evidence of every claim, or of some, with nothing before it: (n, L), nats."""
        claims = np.arange(len(self.queries)) if claims is None else claims
        return self._ask([Prompt(NO_CONTEXT, self.queries[int(claim)]) for claim in claims]) + self.evidence[claims]

    def update(self, evaluation: Evaluation, labels: Labels) -> Evaluation:
        """Evaluate a labelling, taking over from an evaluation the claims whose prompt is the same in both.

        Equal bit for bit to `evaluate(labels)` under a deterministic scorer.
        """
        return self.update_all(evaluation, [labels])[0]

    def predict(self, labels: Labels, claim: int) -> NDArray[np.float64]:
        """Return log p(label | claim, all other labelled claims) and evidence of one claim, labelled or not: (L,)."""
        return _average(self._ask(self.prompts_for(labels, claim))) + self.evidence[claim]

    def predict_all(self, labels: Labels, claims: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return what `predict` returns for every claim, or for some, asked in one batch: (n, L), nats."""
        claims = np.arange(labels.size) if claims is None else claims
        rows = self._ask([prompt for claim in claims.tolist() for prompt in self.prompts_for(labels, claim)])
        # The rows come claim by claim, each in all orders; the average is taken over the first axis.
        by_order = rows.reshape(claims.size, len(self.contexts), -1).swapaxes(0, 1)
        return _average(by_order) + self.evidence[claims]

    def prompts_for(self, labels: Labels, claim: int) -> list[Prompt]:
        """Return what is asked to predict the label of one claim: a prompt for each order."""
        return [Prompt(contexts.context_of(labels, claim), self.queries[claim]) for contexts in self.contexts]

    def prompts(self, labels: Labels) -> dict[tuple[int, int], Prompt]:
        """Return what is asked to evaluate a labelling, by order and labelled claim, in the best order to ask it."""
        return {
            (order, claim): Prompt(context, self.queries[claim])
            for order, contexts in enumerate(self.contexts)
            for claim, context in contexts.leave_one_out(labels).items()
        }

    def _evaluate_all(self, labellings: Sequence[Labels], known: Mapping[tuple[int, int], Answer]) -> list[Evaluation]:
        """Evaluate labellings, asking once for every prompt whose answer is not known."""
        asked = [self.prompts(labels) for labels in labellings]
        # By digest and not by place: the same question in another place has the same answer.
        answers = {answer.digest: answer for answer in known.values()}
        # A dictionary keeps the order of the walk, which is the best order to ask in.
        missing = {p.digest: p for prompts in asked for p in prompts.values() if p.digest not in answers}
        if missing:
            rows = self._ask(list(missing.values()))
            answers |= {digest: Answer(digest, row) for digest, row in zip(missing, rows, strict=True)}
        return [
            self._assemble(labels, {place: answers[prompt.digest] for place, prompt in prompts.items()})
            for labels, prompts in zip(labellings, asked, strict=True)
        ]

    def _assemble(self, labels: Labels, answers: Mapping[tuple[int, int], Answer]) -> Evaluation:
        """Sum everything anew from the answers to all prompts of a labelling."""
        label_logprobs = np.full((len(self.contexts), labels.size, self.scorer.num_labels), np.nan)
        for place, answer in answers.items():
            # A place is (order, claim), the first two axes.
            label_logprobs[place] = answer.label_logprobs
        # P of each order, not P of averaged rows: their spread says how much the order matters.
        per_order = [mutual_predictability(rows, labels, self.settings) for rows in label_logprobs]
        averaged = _average(label_logprobs)
        known = prior_knowledge(labels, self.evidence, self.settings.class_prior)
        return assemble(self, labels, per_order, averaged, known, answers)

    def _ask(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        return log_softmax(self.scorer.label_logprobs(prompts), axis=1)


def assemble(
    objective: Objective,
    labels: Labels,
    per_order: Sequence[float],
    label_logprobs: NDArray[np.float64],
    known: float,
    answers: Mapping[tuple[int, int], Answer],
) -> Evaluation:
    """Return U of a labelling and what it was made of.

    Args:
        objective: Whose U it is.
        labels: (N,) the labelling.
        per_order: P in each order of the claims.
        label_logprobs: (N, L) nats, averaged over the orders; made read-only.
        known: What is known beforehand about the labelling, nats.
        answers: What was asked, and the answers.
    """
    predictability = float(np.mean(per_order))
    weight_violated = inconsistency(objective.constraints, labels)
    conditionals = label_logprobs + objective.evidence
    for array in (label_logprobs, conditionals):
        array.setflags(write=False)
    return Evaluation(
        utility=utility(objective.settings.alpha, predictability, weight_violated) + known,
        predictability=predictability,
        spread=float(np.std(per_order)),
        inconsistency=weight_violated,
        num_violations=count_violations(objective.constraints, labels),
        label_logprobs=label_logprobs,
        answers=answers,
        conditionals=conditionals,
    )


def utility(alpha: float, predictability: float, inconsistency: float) -> float:
    """Return U(D) = alpha * P(D) - I(D), which every search maximises.

    Source: equation 3 of the paper.
    """
    return alpha * predictability - inconsistency


def gain(label_logprobs: NDArray[np.float64], labels: Labels, class_prior: Sequence[float] | None = None) -> float:
    """Return how many nats the claims explain of their labels.

        gain(D) = log p(D | x) - null(D)

    By the chain rule log p(D | x) is the sum of what the model expected at every verdict,
    sum over k of log p(y_k | x_k, D_before_k). Averaged over orders it is the log marginal likelihood, which is the sum
    over p of the mean leave-p-out predictabilities; the paper's P is the term p = 1. A constant labelling gains about
    nothing and random labels lose. gain / (n * ln 2) is the number of bits saved per label.

    Args:
        label_logprobs: (N, L) log p(label | claim, labelled claims read before it), nats, normalised over the labels;
            only rows of labelled claims are read.
        labels: (N,) the labelling D.
        class_prior: (L,) expected share of each label, or nothing.

    Source: Dawid 1984 (prequential); Fong and Holmes 2020, "On the marginal likelihood and cross-validation".
    """
    (labelled,) = np.nonzero(labels != UNLABELLED)
    log_probability = float(label_logprobs[labelled, labels[labelled]].sum())
    return log_probability - null_code(np.bincount(labels[labelled], minlength=label_logprobs.shape[1]), class_prior)


def bits_per_label(evaluation: Evaluation, labels: Labels) -> float:
    """Return how many bits the claims save per label, where P is a gain; at least one claim is labelled.

    Args:
        evaluation: Of a labelling, under `objective=prequential`.
        labels: (N,) the labelling.
    """
    return evaluation.predictability / (np.count_nonzero(labels != UNLABELLED) * math.log(2))


def null_code(counts: NDArray[np.int64], class_prior: Sequence[float] | None = None) -> float:
    """Return the log-probability of labels whose claims nobody has read: nats, at most 0.

    Without a class prior it is the Krichevsky-Trofimov code, which learns the shares while it reads:

        sum over l of ln Gamma(n_l + 1/2) - L ln Gamma(1/2) - ln Gamma(n + L/2) + ln Gamma(L/2)

    Args:
        counts: (L,) how often each label occurs.
        class_prior: (L,) share of each label, where it is known.

    Source: Krichevsky and Trofimov 1981, "The performance of universal encoding".
    """
    if class_prior is not None:
        return float(counts @ np.log(class_prior))
    num_labels, total = counts.size, counts.sum()
    # In logarithms, because the Gamma function itself overflows at 172.
    seen = gammaln(counts + 0.5).sum() - num_labels * gammaln(0.5)
    return float(seen - gammaln(total + num_labels / 2) + gammaln(num_labels / 2))


def prior_knowledge(labels: Labels, evidence: NDArray[np.float64], class_prior: Sequence[float] | None) -> float:
    """Return what is known beforehand about a labelling, a log-likelihood in nats; 0 where nothing is known.

    Args:
        labels: (N,) the labelling.
        evidence: (N, L) log-likelihood of each label of each claim, from anchors.
        class_prior: (L,) expected share of each label, or nothing. Shares f of n labels lose n * KL(f || prior), the
            log-likelihood ratio of their counts.
    """
    labelled = np.flatnonzero(labels != UNLABELLED)
    known = float(evidence[labelled, labels[labelled]].sum())
    if class_prior is not None and labelled.size:
        counts = np.bincount(labels[labelled], minlength=len(class_prior))
        # `rel_entr` is 0 for a label that does not occur, where n * log n would be NaN.
        known -= float(rel_entr(counts, labelled.size * np.array(class_prior)).sum())
    return known


def mutual_predictability(label_logprobs: NDArray[np.float64], labels: Labels, settings: LeaveOneOutSettings) -> float:
    """Return P(D) from the leave-one-out label log-probabilities.

    Args:
        label_logprobs: (N, L) normalised log-probabilities, nats; only rows of labelled claims are read.
        labels: (N,) the labelling D.
        settings: Which quantity is taken of each claim, and how they are reduced.

    Returns:
        P in nats; 0 where nothing is labelled.

    Source: equation 1 of the paper (`log_prob`, `sum`); the released code (`margin`, `mean`).
    """
    values = predictabilities(label_logprobs, labels, settings)
    # A search begins with nothing labelled, and the mean of nothing is NaN.
    if values.size == 0:
        return 0.0
    return float(values.sum() if settings.reduction == "sum" else values.mean())


def predictabilities(
    label_logprobs: NDArray[np.float64], labels: Labels, settings: LeaveOneOutSettings
) -> NDArray[np.float64]:
    """Return what P sums over: how well each labelled claim is predicted, in the order of the claims.

    Args:
        label_logprobs: (N, L) normalised log-probabilities, nats.
        labels: (N,) the labelling.
        settings: Which quantity is taken of each claim.

    Returns:
        (n,) nats.
    """
    labelled = np.flatnonzero(labels != UNLABELLED)
    if labelled.size == 0:
        return np.zeros(0)
    rows, given = label_logprobs[labelled], labels[labelled]
    each_claim = np.arange(labelled.size)
    match settings.predictability:
        case "log_prob":
            return rows[each_claim, given]
        case "margin":
            return margins(rows)[each_claim, given]
        case "lift":
            return (margins(rows) - base_log_odds(given, rows.shape[1]))[each_claim, given]
        case "centred":
            # A constant labelling has its own mean taken from every margin, so its P is 0.
            all_margins = margins(rows)
            return (all_margins - all_margins.mean(axis=0))[each_claim, given]


def margins(label_logprobs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log-odds of each label against all the others: (N, L), nats.

    Args:
        label_logprobs: (N, L) normalised log-probabilities. A label that the model is sure of has others whose
            probability cancels to zero in floating point; they are summed directly, not taken as 1 - p.
    """
    num_labels = label_logprobs.shape[1]
    others = [np.logaddexp.reduce(np.delete(label_logprobs, label, axis=1), axis=1) for label in range(num_labels)]
    return label_logprobs - np.stack(others, axis=1)


def base_log_odds(given: Labels, num_labels: int) -> NDArray[np.float64]:
    """Return the log-odds of each label if one knew nothing but how often the others carry it: (n, L), nats.

    Args:
        given: (n,) the labels. Of each claim the frequency of a label among the other n - 1 counts, with half a claim
            added for every label (Jeffreys), so that no frequency is 0.
        num_labels: L.
    """
    # Row i counts the labels of all claims but i, which must not speak for itself.
    counts = np.bincount(given, minlength=num_labels) - np.eye(num_labels)[given]
    share = (counts + 0.5) / (given.size - 1 + 0.5 * num_labels)
    return np.log(share) - np.log1p(-share)


def _average(label_logprobs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average log-probabilities over the orders (the first axis) and normalise them over the labels (the last)."""
    # The mean of logarithms is a geometric mean, and those of the labels do not sum to 1 by themselves.
    return log_softmax(label_logprobs.mean(axis=0), axis=-1)
