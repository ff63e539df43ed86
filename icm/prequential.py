"""U = alpha * gain - I: the claims and their labels are read once, in random orders, and the surprises are added up.

Knows a scorer as a value, no search and no golden label. The equation stands in `icm.objective.gain`. As there: an
update asks only for blocks that have changed and sums everything anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

from consistency import ConstraintArrays
from icm.claims import UNLABELLED, Labels
from icm.objective import Answer, Evaluation, PrequentialSettings, assemble, gain, prior_knowledge
from icm.prompts import NO_CONTEXT, Prompt, Reading
from icm.scoring.protocol import LabelScorer
from icm.statistics.streams import Stream, generator

ORDERS_PER_DRAW: Final = 1 << 16
"""How far the numbers of the orders of two draws lie apart: more orders than anyone averages over."""

MATCHING_ROUNDS: Final = 200
MATCHED: Final = 1e-9
"""Offsets that match a class prior are refined until none moves by more, nats."""


Readings = dict[tuple[int, int], tuple[NDArray[np.int64], Reading]]
"""What is read of a labelling: by order and block the labelled claims, and the reading."""


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """Random orders of N claims, each cut into blocks of nearly equal size that fit the model's context.

    Attributes:
        seed: Seed of the orders.
        groups: (N,) the group of each claim, from 0.
        size: Most claims of a block.
        keep_groups: Whether the claims of a group stand in one block, next to one another.
        tokens: (N,) tokens of each claim with its longest verdict.
        room: Tokens that a block may have; `None` where there is no limit.
    """

    seed: int
    groups: NDArray[np.int64]
    size: int
    keep_groups: bool
    tokens: NDArray[np.int64]
    room: int | None

    def blocks(self, number: int) -> list[NDArray[np.int64]]:
        """Return the blocks of one order, each in the order in which its claims are read.

        Args:
            number: Which order; each is independent of the others.
        """
        order, units = self._order(number)
        # As few blocks as the size allows: then each label is read after as many others as possible.
        for num_blocks in range(max(1, -(-order.size // self.size)), order.size + 1):
            blocks = _cut(order, units, num_blocks)
            if self._fit(blocks):
                return blocks
        # Only without claims, or where a single unit is too large, which `icm.problem` refuses beforehand.
        return _cut(order, units, order.size)

    def _order(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return a random permutation of the claims, and for each place the number of what must not be cut apart."""
        random = generator(self.seed, Stream.READING_ORDER, number)
        if not self.keep_groups:
            return random.permutation(self.groups.size), np.arange(self.groups.size)
        group_rank = random.permutation(self.groups.max(initial=-1) + 1)[self.groups]
        # The last key of `lexsort` counts most: groups in random order, and in each group its claims.
        order = np.lexsort((random.permutation(self.groups.size), group_rank))
        return order, group_rank[order]

    def _fit(self, blocks: list[NDArray[np.int64]]) -> bool:
        if max((block.size for block in blocks), default=0) > self.size:
            return False
        return self.room is None or max((self.tokens[block].sum() for block in blocks), default=0) <= self.room


@dataclass(frozen=True, slots=True)
class Prequential:
    """U where the claims are read one after the other.

    Attributes:
        settings: What U measures.
        plan: In which orders and blocks the claims are read.
        queries: (N,) the texts of the claims.
        demos: N times L segments, `demos[i][y]` shows claim i with label y.
        scorer: The model.
        constraints: What a labelling may violate.
        evidence: (N, L) what is known of the labels beforehand, log-likelihoods in nats; zeros where nothing is.
        draw: Which orders; those of different draws are independent.
    """

    settings: PrequentialSettings
    plan: BlockPlan
    queries: Sequence[str]
    demos: Sequence[Sequence[str]]
    scorer: LabelScorer
    constraints: ConstraintArrays
    evidence: NDArray[np.float64]
    draw: int = 0

    @property
    def num_orders(self) -> int:
        """Orders of the claims that P is averaged over."""
        return self.settings.num_orders

    def in_orders(self, draw: int, num_orders: int | None = None) -> Prequential:
        """Return U over other orders of the claims: those of another draw, and as many as wanted."""
        settings = self.settings.model_copy(update={"num_orders": num_orders or self.num_orders})
        return replace(self, draw=draw, settings=settings)

    def evaluate(self, labels: Labels) -> Evaluation:
        """Evaluate a labelling from scratch."""
        return self.evaluate_all([labels])[0]

    def evaluate_all(self, labellings: Sequence[Labels]) -> list[Evaluation]:
        """Evaluate several labellings from scratch, asking the model in one batch."""
        return self._evaluate_all(labellings, known={})

    def update(self, evaluation: Evaluation, labels: Labels) -> Evaluation:
        """Evaluate a labelling, taking over from an evaluation the blocks that are the same in both.

        Equal bit for bit to `evaluate(labels)` under a deterministic scorer.
        """
        return self.update_all(evaluation, [labels])[0]

    def update_all(self, evaluation: Evaluation, labellings: Sequence[Labels]) -> list[Evaluation]:
        """Do what `update` does for several labellings, asking the model in one batch."""
        return self._evaluate_all(labellings, known=evaluation.answers)

    def zero_shot(self, claims: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return log p(label | claim) and evidence of every claim, or of some, with nothing before it: (n, L), nats."""
        claims = np.arange(len(self.queries)) if claims is None else claims
        prompts = [Prompt(NO_CONTEXT, self.queries[int(claim)]) for claim in claims]
        return log_softmax(self.scorer.label_logprobs(prompts), axis=1) + self.evidence[claims]

    def predict(self, labels: Labels, claim: int) -> NDArray[np.float64]:
        """Return log p(label | claim, labelled claims read before it) and evidence of one claim: (L,), nats.

        It is not calibrated: that takes several claims.
        """
        return log_softmax(self._predicted(labels, claim).mean(axis=0)) + self.evidence[claim]

    def predict_all(self, labels: Labels, claims: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return log p(label | claim, labelled claims read before it) and evidence, calibrated: (n, L), nats.

        Where all claims are labelled, these are the conditionals of the evaluation, and cost what it costs. Each
        unlabelled claim is asked by itself, after what stands before it.
        """
        claims = np.arange(labels.size) if claims is None else claims
        rows = self.rows(labels)
        for claim in claims[labels[claims] == UNLABELLED].tolist():
            rows[:, claim] = self._predicted(labels, claim)
        return self.calibrated(rows[:, claims].mean(axis=0)) + self.evidence[claims]

    def rows(self, labels: Labels, known: Evaluation | None = None) -> NDArray[np.float64]:
        """Return log p(label | claim, labelled claims read before it), not calibrated, by order and claim.

        Args:
            labels: (N,) the labelling.
            known: An evaluation whose answers are taken over.

        Returns:
            (R, N, L) nats; NaN for unlabelled claims.
        """
        found = self.readings(labels)
        return self._rows(found, self._ask([found], known.answers if known else {}))

    def calibrated(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return log-probabilities (n, L) without the model's liking for the word of a label, normalised."""
        # Nothing to calibrate on, and the sum of no rows has no logarithm.
        if rows.shape[0] == 0:
            return rows
        if self.settings.class_prior is not None:
            return match_prior(rows, self.settings.class_prior)
        if self.settings.calibration == "none":
            return log_softmax(rows, axis=1)
        return without_mean(rows)

    def readings(self, labels: Labels) -> Readings:
        """Return what is read to evaluate a labelling: by order and block the labelled claims, and the reading."""
        found: Readings = {}
        for order in range(self.num_orders):
            for number, block in enumerate(self._blocks(order)):
                claims = block[labels[block] != UNLABELLED]
                # Nothing is asked of a block without labels: a reading has at least one claim.
                if claims.size:
                    found[order, number] = (claims, self._reading(labels, claims))
        return found

    def _blocks(self, order: int) -> list[NDArray[np.int64]]:
        """Return the blocks of one order of this draw."""
        return self.plan.blocks(self.draw * ORDERS_PER_DRAW + order)

    def _reading(self, labels: Labels, claims: NDArray[np.int64]) -> Reading:
        places: list[int] = claims.tolist()
        shown: list[int] = labels[claims].tolist()
        # The last claim is asked and not shown, so its label is not looked at, and may be missing.
        demos = [self.demos[claim][label] for claim, label in zip(places[:-1], shown, strict=False)]
        return Reading([self.queries[claim] for claim in places], demos)

    def _predicted(self, labels: Labels, claim: int) -> NDArray[np.float64]:
        """Return what is predicted of one claim, labelled or not, in each order: (R, L), nats."""
        readings = []
        for order in range(self.num_orders):
            # Every claim stands in exactly one block of an order.
            (block,) = (block for block in self._blocks(order) if claim in block)
            before = block[: int(np.flatnonzero(block == claim)[0])]
            readings.append(self._reading(labels, np.append(before[labels[before] != UNLABELLED], claim)))
        return log_softmax([rows[-1] for rows in self.scorer.verdict_logprobs(readings)], axis=1)

    def _evaluate_all(self, labellings: Sequence[Labels], known: Mapping[tuple[int, int], Answer]) -> list[Evaluation]:
        asked = [self.readings(labels) for labels in labellings]
        answers = self._ask(asked, known)
        return [self._assemble(labels, found, answers) for labels, found in zip(labellings, asked, strict=True)]

    def _ask(self, asked: Sequence[Readings], known: Mapping[tuple[int, int], Answer]) -> dict[bytes, Answer]:
        """Return the answers to readings by digest, asking once for all that are not known."""
        answers = {answer.digest: answer for answer in known.values()}
        # By digest, so that a block which several labellings share is read once.
        missing = {r.digest: r for found in asked for _, r in found.values() if r.digest not in answers}
        if missing:
            rows = self.scorer.verdict_logprobs(list(missing.values()))
            answers |= {d: Answer(d, log_softmax(each, axis=1)) for d, each in zip(missing, rows, strict=True)}
        return answers

    def _rows(self, found: Readings, answers: Mapping[bytes, Answer]) -> NDArray[np.float64]:
        """Return what the readings of a labelling were answered, by order and claim: (R, N, L), nats."""
        # NaN where nothing is labelled, so that a row which is read by mistake spoils the sum and is noticed.
        rows = np.full((self.num_orders, len(self.queries), self.scorer.num_labels), np.nan)
        for (order, _), (claims, reading) in found.items():
            rows[order, claims] = answers[reading.digest].label_logprobs
        return rows

    def _assemble(self, labels: Labels, found: Readings, answers: Mapping[bytes, Answer]) -> Evaluation:
        """Sum everything anew from the answers to all readings of a labelling."""
        rows = self._rows(found, answers)
        labelled = np.flatnonzero(labels != UNLABELLED)
        prior = self.settings.class_prior
        # Only a known prior moves P: without one, P takes the log-probabilities as the model gave them.
        matched = rows if prior is None else self._calibrated_where(rows, labelled)
        per_order = [gain(each, labels, prior) for each in matched]
        # Averaged first and then calibrated, as in `predict_all`, so that both give the same conditionals.
        averaged = self._calibrated_where(rows.mean(axis=0, keepdims=True), labelled)[0]
        # The class prior is in the gain already, as the code that P is measured against.
        known = prior_knowledge(labels, self.evidence, class_prior=None)
        of_places = {place: answers[reading.digest] for place, (_, reading) in found.items()}
        return assemble(self, labels, per_order, averaged, known, of_places)

    def _calibrated_where(self, rows: NDArray[np.float64], labelled: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return rows (R, N, L) calibrated over the labelled claims, each order by itself; NaN elsewhere."""
        found = np.full_like(rows, np.nan)
        for order, each in enumerate(rows):
            found[order, labelled] = self.calibrated(each[labelled])
        return found


def without_mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log-probabilities (n, L) less the logarithm of the mean probability of each label, normalised."""
    # The log-sum exceeds the log-mean by log n, which is the same for all labels and cancels.
    return log_softmax(rows - np.asarray(logsumexp(rows, axis=0)), axis=1)


def match_prior(rows: NDArray[np.float64], shares: Sequence[float]) -> NDArray[np.float64]:
    """Return log-probabilities moved by an offset per label so that the mean probability of each is its share.

    Args:
        rows: (n, L) log-probabilities, nats.
        shares: (L,) the shares, above 0.

    Returns:
        (n, L) log-probabilities, normalised.
    """
    offsets = np.zeros(rows.shape[1])
    for _ in range(MATCHING_ROUNDS):
        moved = log_softmax(rows + offsets, axis=1)
        # Each offset moves by what the log of its mean probability lacks. That moves the other means: hence the rounds.
        step = np.log(shares) - (logsumexp(moved, axis=0) - np.log(rows.shape[0]))
        offsets += step
        if np.abs(step).max() < MATCHED:
            break
    return log_softmax(rows + offsets, axis=1)


def _cut(order: NDArray[np.int64], units: NDArray[np.int64], num_blocks: int) -> list[NDArray[np.int64]]:
    """Cut an order into blocks as equal as units allow; blocks without a claim are left out."""
    # A unit goes, whole, to the block that the place of its first claim falls into.
    # Units ascend along the order, so searching them in themselves gives where each of them begins.
    starts = np.searchsorted(units, units) if units.size else units
    # Place p of n falls into block p * b // n, so blocks of single claims differ by one claim at most.
    block_of = starts * num_blocks // max(order.size, 1)
    return [order[block_of == block] for block in np.unique(block_of)]
