"""Sweeps over claims that are read once, in fresh random orders each round: labels as a code, from several starts.

    labels <- zero-shot, their opposite, or random
    each round, at a temperature that falls to 0:
        read all claims with their labels, in a few random orders, in blocks that fit the model's context
        labels <- argmax of (what was expected of each label, calibrated + a part of the zero-shot log-odds
                             + temperature * Gumbel noise), made consistent
    after some rounds the start with the highest U goes on alone
    at the end its labels are decided by the mean of what was expected in all of its last readings, and compared with
        the best of the other concepts found, in orders that are new to both

All labels move at once and every claim is read as often in each round, so the cost is linear in the number of claims.
U is an estimate in every round, because the orders are new, so the highest of them is the luckiest as well: hence the
mean. Only the last comparison is of one U. Knows no file and no golden label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from icm.claims import Labels, freeze
from icm.errors import ConfigError
from icm.objective import Evaluation
from icm.prequential import Prequential
from icm.problem import Problem
from icm.searches.decoding import Decoder, build_decoder
from icm.searches.multistart import basins
from icm.searches.protocol import Result
from icm.searches.settings import ReadOrigin, ShuffledSweepsSettings
from search.annealing import StepInfo
from search.population import Halving, Member, Population, falling
from search.randomness import step_generator

FIRST_DRAW: Final = 1_000
"""The draw of orders of the first round. Draws below are left to those who ask about the labels afterwards: they must
not see the orders that the labels were fitted to."""

COMPARISON: Final = 0
"""The draw of orders of the objective itself, in which the best are compared at the end."""


@dataclass(frozen=True, slots=True)
class Read:
    """A labelling as it was read in the orders of one round.

    Attributes:
        labels: (N,) the labelling.
        evaluation: Its evaluation under these orders.
        draw: Which orders.
        conditionals: (N, L) log-potentials of the next labels, nats.
    """

    labels: Labels
    evaluation: Evaluation
    draw: int
    conditionals: NDArray[np.float64]

    @property
    def utility(self) -> float:
        """U under these orders."""
        return self.evaluation.utility


@dataclass(frozen=True, slots=True)
class ShuffledState:
    """A population on its way.

    Attributes:
        population: Its members, and how many rounds they have done.
        last_reads: The readings of the leader since the others stopped moving.
        compared: Whether the best have been compared, which is the last step.
    """

    population: Population[Read]
    last_reads: tuple[Read, ...] = ()
    compared: bool = False

    @property
    def step(self) -> int:
        """Rounds done, the comparison among them."""
        return self.population.step

    @property
    def labels(self) -> Labels:
        """(N,) the best labelling so far."""
        return self.population.labels

    @property
    def evaluation(self) -> Evaluation:
        """Its evaluation, under the orders in which it was read."""
        return self.population.evaluation.evaluation


@dataclass(frozen=True, slots=True)
class ShuffledSweeps:
    """A population that is ready to run.

    Attributes:
        settings: What it was made from.
        problem: What is searched.
        objective: U.
        decoder: Makes labellings consistent.
        kernel: Does the rounds, but for their reading.
    """

    settings: ShuffledSweepsSettings
    problem: Problem
    objective: Prequential
    decoder: Decoder
    kernel: Halving[Read]

    @property
    def num_steps(self) -> int:
        """The most rounds it takes, and the comparison."""
        return len(self.kernel.plan) + 1

    @property
    def num_evaluations(self) -> int:
        """The most readings of all claims, in evaluations of U: zero-shot, the starts, all sweeps, the comparison."""
        screening = self.settings.num_starts * (1 + self.settings.screening_rounds) * self.settings.screening_orders
        readings = 1 + screening + self.settings.final_rounds * self.settings.final_orders
        # An evaluation of U reads all claims once in each of its orders; rounded up.
        return -(-readings // self.objective.num_orders) + self.settings.num_compared

    @property
    def period(self) -> int:
        """One: every round is one batch."""
        return 1

    def start(self) -> ShuffledState:
        """Return the starts, read."""
        return self._with_last_read(ShuffledState(self._reading_in(FIRST_DRAW).start(self._starts())))

    def walk(self, state: ShuffledState) -> Iterator[tuple[ShuffledState, StepInfo]]:
        """Do the remaining rounds one by one, then compare the best."""
        while not state.compared:
            before, population = state, state.population
            if self.kernel.is_done(population):
                state = self._compared(state)
            else:
                moved = self._reading_in(FIRST_DRAW + population.step + 1).step(population)
                state = self._with_last_read(replace(state, population=moved))
            # No difference of U is reported: it would be one between estimates from different orders.
            changed = not np.array_equal(state.labels, before.labels)
            yield state, StepInfo(temperature=self.kernel.schedule(before.step), changed=changed)

    def is_done(self, state: ShuffledState) -> bool:
        """Say whether the best have been compared."""
        return state.compared

    def result(self, state: ShuffledState) -> Result:
        """Return the labelling with the highest U, the share of starts that agree, and what else was found."""
        # Dropped starts vote as well: where they led is what stability is about.
        votes = [member.best_labels for member in (*state.population.members, *state.population.dropped)]
        return Result(
            labels=state.labels,
            stability=np.mean(np.stack(votes) == state.labels, axis=0),
            alternatives=basins(state.population),
        )

    def save(self, state: ShuffledState) -> Mapping[str, Any]:
        """Return a state as plain JSON."""
        return {
            "step": state.step,
            "compared": state.compared,
            "members": [_saved(member) for member in state.population.members],
            "dropped": [_saved(member) for member in state.population.dropped],
            "last_reads": [{"labels": read.labels.tolist(), "draw": read.draw} for read in state.last_reads],
        }

    def restore(self, saved: Mapping[str, Any]) -> ShuffledState:
        """Return a saved state; its evaluations are asked anew, which the journal answers."""
        members, dropped = (tuple(self._restored(each) for each in saved[part]) for part in ("members", "dropped"))
        last_reads = [self._read(each["draw"])([freeze(each["labels"])])[0] for each in saved["last_reads"]]
        return ShuffledState(Population(saved["step"], members, dropped), tuple(last_reads), saved["compared"])

    def _restored(self, saved: Mapping[str, Any]) -> Member[Read]:
        now, best = freeze(saved["labels"]), freeze(saved["best_labels"])
        # Each in the orders in which it was read; in others U would be another estimate.
        (now_read,), (best_read,) = self._read(saved["draw"])([now]), self._read(saved["best_draw"])([best])
        return Member(saved["origin"], now, now_read, best, best_read, saved["settled"])

    def _reading_in(self, draw: int) -> Halving[Read]:
        """Return the kernel whose labellings are read in the orders of a draw."""
        return replace(self.kernel, evaluate_all=self._read(draw))

    def _read(self, draw: int) -> Callable[[Sequence[Labels]], list[Read]]:
        objective = self.objective.in_orders(draw, self._num_orders(draw))

        def read(labellings: Sequence[Labels]) -> list[Read]:
            opinion = self._opinion() if self.settings.zero_shot_weight else 0.0
            evaluations = objective.evaluate_all(labellings)
            return [
                Read(labels, each, draw, each.conditionals + opinion)
                for labels, each in zip(labellings, evaluations, strict=True)
            ]

        return read

    def _num_orders(self, draw: int) -> int:
        """Return in how many orders a draw reads."""
        if draw == COMPARISON:
            return self.objective.num_orders
        # The starts are read in draw FIRST_DRAW, round k in draw FIRST_DRAW + k.
        is_screening = draw <= FIRST_DRAW + self.settings.screening_rounds
        return self.settings.screening_orders if is_screening else self.settings.final_orders

    def _zero_shot(self) -> NDArray[np.float64]:
        """Return what the model says of each claim without context, calibrated: (N, L), nats."""
        # Calibration corrects the model, so the evidence of anchors, which `zero_shot` adds, stays out of it.
        return self.objective.calibrated(self.objective.zero_shot() - self.objective.evidence)

    def _opinion(self) -> NDArray[np.float64]:
        """Return what the zero-shot verdicts add to what is read in context: (N, L), nats."""
        zero_shot, prior = self._zero_shot(), self.objective.settings.class_prior
        # What is read in context is matched to the prior already, which must not count twice.
        return self.settings.zero_shot_weight * (zero_shot if prior is None else zero_shot - np.log(prior))

    def _starts(self) -> list[tuple[str, Labels]]:
        """Return origin and labelling of every start, made consistent."""
        generator = step_generator(self.kernel.seed, 0)
        evidence = self.objective.evidence
        starts: list[tuple[str, Labels]] = []
        for origin, number in self.settings.starts.items():
            for _ in range(number):
                match origin:
                    case "zero_shot":
                        labels = self.decoder(self._zero_shot() + evidence)
                    case "opposite":
                        # Only the verdicts are turned round: anchors hold either way.
                        labels = self.decoder(evidence - self._zero_shot())
                    case "random":
                        labels = self.decoder.draw(generator, evidence, 1.0)
                starts.append((origin, labels))
        return starts

    def _with_last_read(self, state: ShuffledState) -> ShuffledState:
        """Return the state with the reading of its leader added, once the others have stopped moving."""
        read = state.population.leader.evaluation
        is_new = not state.last_reads or state.last_reads[-1].draw != read.draw
        if state.step < self.settings.screening_rounds or not is_new:
            return state
        return replace(state, last_reads=(*state.last_reads, read))

    def _compared(self, state: ShuffledState) -> ShuffledState:
        """Decide the leader's labels, and read them and the best rivals in the orders of the objective."""
        population = state.population
        (leader,) = self.kernel.survivors(population, 1)
        # Without a reading of its own since the screening there is nothing to take a mean of but the last one.
        reads = state.last_reads or (population.members[leader].evaluation,)
        decided = self.decoder(np.mean([read.conditionals for read in reads], axis=0))
        chosen = self.kernel.survivors(population, self.settings.num_compared)
        best = {index: decided if index == leader else population.members[index].best_labels for index in chosen}
        read = self._read(COMPARISON)(list(best.values()))
        members = tuple(
            Member(population.members[index].origin, labels, each, labels, each, settled=True)
            for (index, labels), each in zip(best.items(), read, strict=True)
        )
        others = tuple(member for index, member in enumerate(population.members) if index not in chosen)
        compared = Population(population.step + 1, members, others)
        return replace(state, population=compared, compared=True)


def build_shuffled_sweeps(settings: ShuffledSweepsSettings, problem: Problem, seed: int) -> ShuffledSweeps:
    """Put a population together.

    Args:
        settings: What kind of population.
        problem: What is searched.
        seed: Seed of everything random in it.

    Raises:
        ConfigError: U is not read one claim after the other.
    """
    objective = problem.objective
    if not isinstance(objective, Prequential):
        raise ConfigError(
            f"search=shuffled_sweeps reads the claims one after the other, which objective.kind="
            f"{objective.settings.kind} does not; add objective=prequential, or take search=multistart"
        )
    settings = settings.model_copy(update={"starts": _useful_starts(settings, problem)})
    plan = (settings.num_starts,) * settings.screening_rounds + (1,) * settings.final_rounds
    decoder = build_decoder(objective.constraints, settings.violation_penalty)
    # Without ties there is one start, in the basin that is meant: noise could only lead out of it.
    temperature = settings.sweep_temperature if _is_tied(problem) else 0.0
    schedule = falling(temperature, settings.cooling_rounds)
    kernel: Halving[Read] = Halving(seed, _unread, decoder, plan, schedule)
    return ShuffledSweeps(settings, problem, objective, decoder, kernel)


def _useful_starts(settings: ShuffledSweepsSettings, problem: Problem) -> dict[ReadOrigin, int]:
    """Return the starts that can tell something, and a zero-shot start where no other is left.

    Random labels, and the opposite of the model's verdicts, lead to whatever concept the model compresses best.
    Relations and anchors say which one is meant; without them nothing does but the verdicts themselves, so the search
    starts from those alone. Of more than two labels there is no opposite.
    """
    is_tied, is_binary = _is_tied(problem), len(problem.task.label_space) == 2
    tells: dict[ReadOrigin, bool] = {"zero_shot": True, "opposite": is_tied and is_binary, "random": is_tied}
    starts: dict[ReadOrigin, int] = {
        origin: number for origin, number in settings.starts.items() if number and tells[origin]
    }
    return starts or {"zero_shot": 1}


def _is_tied(problem: Problem) -> bool:
    """Say whether a relation or an anchor says anything about which concept is meant."""
    objective = problem.objective
    return objective.constraints.weight.size > 0 or bool(np.ptp(objective.evidence, axis=1).any())


def _unread(_labellings: Sequence[Labels]) -> list[Read]:
    raise AssertionError("each round reads in orders of its own")


def _saved(member: Member[Read]) -> Mapping[str, Any]:
    return {
        "origin": member.origin,
        "labels": member.labels.tolist(),
        "draw": member.evaluation.draw,
        "best_labels": member.best_labels.tolist(),
        "best_draw": member.best.draw,
        "settled": member.settled,
    }
