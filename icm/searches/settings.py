"""The settings of every search. Knows no search."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from icm.files.records import Record

Origin = Literal["zero_shot", "tempered", "random", "grown"]
"""Where a start of `multistart` comes from, see `icm.searches.starts`."""

ReadOrigin = Literal["zero_shot", "opposite", "random"]
"""Where a start of `shuffled_sweeps` comes from: the model's verdicts without context, calibrated; their opposite (of
two labels); random labels. All are made consistent."""


def _check_falling(schedule: LogarithmicSettings | GeometricSettings) -> LogarithmicSettings | GeometricSettings:
    if schedule.final > schedule.initial:
        raise ValueError(f"the temperature must not rise: initial {schedule.initial}, final {schedule.final}")
    return schedule


class LogarithmicSettings(Record):
    """The published schedule: max(final, initial / (1 + rate * ln n)).

    Attributes:
        initial: T at the start, in the unit of U.
        final: The floor.
        rate: Cooling rate (beta).
    """

    kind: Literal["logarithmic"]
    initial: float = Field(gt=0)
    final: float = Field(gt=0)
    rate: float = Field(ge=0)


class GeometricSettings(Record):
    """A schedule that reaches its end: falls by a constant factor per tick, over the steps of the chain.

    Attributes:
        initial: T at the start, in the unit of U.
        final: T at the end.
    """

    kind: Literal["geometric"]
    initial: float = Field(gt=0)
    final: float = Field(gt=0)


class AnnealingSettings(Record):
    """A simulated-annealing chain.

    Attributes:
        name: How reports call this setting of the chain.
        steps_per_claim: Length of the chain, in steps per claim.
        num_initial: Claims labelled at the start (K).
        initial: `random` claims with random labels, or whole groups with `balanced` labels.
        schedule: The temperature.
        clock: What the schedule counts: `steps`, or `accepted` changes.
        related_weight: How much likelier an unlabelled claim is drawn when its group has a label.
        repair_rounds: Violated constraints tried after each proposal (M).
        repair_options: Consistent assignments tried: `all`, or `some_true` (never all false).
        speculation_window: Steps whose questions are asked at once, as long as none of them changes the labels; 1
            asks step by step. The chain is the same.
        result: The labelling returned: the `final` one, or the `best` by U among those with the most labels.
    """

    kind: Literal["annealing"]
    name: str
    steps_per_claim: float = Field(gt=0)
    num_initial: int = Field(ge=1)
    initial: Literal["random", "balanced"]
    schedule: Annotated[
        LogarithmicSettings | GeometricSettings, Field(discriminator="kind"), AfterValidator(_check_falling)
    ]
    clock: Literal["steps", "accepted"]
    related_weight: float = Field(ge=1)
    repair_rounds: int = Field(ge=0)
    repair_options: Literal["all", "some_true"]
    speculation_window: int = Field(ge=1)
    result: Literal["final", "best"]

    def num_steps(self, num_claims: int) -> int:
        """Return the length of the chain for a number of claims."""
        return math.ceil(self.steps_per_claim * num_claims)


class MultistartSettings(Record):
    """Sweeps from several starts, of which the worse half is dropped now and then; one start is plain `sweeps`.

    While the starts are screened, only some of the claims are labelled.

    Attributes:
        name: How reports call this setting.
        starts: How many starts of each origin.
        screening_claims: Claims, in whole groups, that the starts are screened on; null for all.
        screening_rounds: Sweeps between two halvings.
        num_finalists: How many starts are never dropped.
        final_rounds: Sweeps of the finalists, at the most; who has settled stops.
        sweep_temperature: Temperature of the first sweep, nats; it falls to 0 in a straight line.
        cooling_rounds: Rounds until it is 0.
        violation_penalty: What a sweep pays for a violated weight of 1, nats.
        flip: Whether the exact opposite of the leader joins the finalists (binary labels only).
    """

    kind: Literal["multistart"]
    name: str
    starts: dict[Origin, int] = Field(min_length=1)
    screening_claims: int | None = Field(ge=2)
    screening_rounds: int = Field(ge=1)
    num_finalists: int = Field(ge=1)
    final_rounds: int = Field(ge=1)
    sweep_temperature: float = Field(ge=0)
    cooling_rounds: int = Field(ge=0)
    violation_penalty: float = Field(ge=0)
    flip: bool

    @property
    def num_starts(self) -> int:
        """Starts of all origins."""
        return sum(self.starts.values())

    @model_validator(mode="after")
    def _has_a_start(self) -> Self:
        if min(self.starts.values()) < 0 or not self.num_starts:
            raise ValueError(f"multistart needs at least one start and no negative number of them, got {self.starts}")
        return self


class ShuffledSweepsSettings(Record):
    """Sweeps over claims that are read in fresh random orders each round, from a few starts; for `prequential` alone.

    Attributes:
        name: How reports call this setting.
        starts: How many starts of each origin; at most one from the zero-shot labels and one from their opposite. Where
            neither a relation nor an anchor says which concept is meant, the zero-shot start is the only one; the
            opposite is left out where there are more than two labels.
        screening_rounds: Sweeps of all starts, but for those that have come to the same labelling as a better one.
        screening_orders: Random orders that every labelling is read in meanwhile.
        final_rounds: Further sweeps of the best one, at the most; it stops when it has settled.
        final_orders: Random orders that it is read in.
        num_compared: How many distinct labellings are compared at the end, in the orders of the objective.
        sweep_temperature: Temperature of the first sweep, nats; it falls to 0 in a straight line. It is 0 throughout
            where the zero-shot start is the only one that is of use.
        cooling_rounds: Rounds until it is 0.
        zero_shot_weight: What the zero-shot log-odds of a label count beside those read in context.
        violation_penalty: What a sweep pays for a violated weight of 1, nats.
    """

    kind: Literal["shuffled_sweeps"]
    name: str
    starts: dict[ReadOrigin, int] = Field(min_length=1)
    # With none, the starts are read once and the best of them goes on.
    screening_rounds: int = Field(ge=0)
    screening_orders: int = Field(ge=1)
    final_rounds: int = Field(ge=1)
    final_orders: int = Field(ge=1)
    num_compared: int = Field(ge=1)
    sweep_temperature: float = Field(ge=0)
    cooling_rounds: int = Field(ge=0)
    zero_shot_weight: float = Field(ge=0)
    violation_penalty: float = Field(ge=0)

    @property
    def num_starts(self) -> int:
        """Starts of all origins."""
        return sum(self.starts.values())

    @model_validator(mode="after")
    def _has_a_start(self) -> Self:
        if min(self.starts.values()) < 0 or not self.num_starts:
            raise ValueError(f"shuffled_sweeps needs a start and no negative number of them, got {self.starts}")
        if self.starts.get("zero_shot", 0) > 1 or self.starts.get("opposite", 0) > 1:
            raise ValueError(f"zero_shot and opposite are one labelling each, got {self.starts}")
        return self


class SweepsSettings(Record):
    """Sweeps from one start until nothing changes: a `multistart` without anything to compare.

    Attributes:
        name: How reports call this setting.
        start: Origin of the start.
        final_rounds: Sweeps, at the most.
        sweep_temperature: Temperature of the first sweep, nats; it falls to 0 in a straight line.
        cooling_rounds: Rounds until it is 0.
        violation_penalty: What a sweep pays for a violated weight of 1, nats.
    """

    kind: Literal["sweeps"]
    name: str
    start: Origin
    final_rounds: int = Field(ge=1)
    sweep_temperature: float = Field(ge=0)
    cooling_rounds: int = Field(ge=0)
    violation_penalty: float = Field(ge=0)

    @property
    def as_multistart(self) -> MultistartSettings:
        """The population of one that does the same."""
        shared = self.model_dump(exclude={"kind", "start"})
        # With one start there is nobody to screen: the other settings are of no consequence.
        unread = {"screening_claims": None, "screening_rounds": 1, "num_finalists": 1, "flip": False}
        return MultistartSettings(kind="multistart", starts={self.start: 1}, **unread, **shared)


class GibbsSettings(Record):
    """Every label in turn drawn from its conditional; each claim's most frequent label over the later scans counts.

    Attributes:
        name: How reports call this setting.
        num_scans: How often every claim is drawn.
        burn_in: Scans that do not count.
        temperature: Exponent 1/T of the conditional; 1 samples from the model's own.
    """

    kind: Literal["gibbs"]
    name: str
    num_scans: int = Field(ge=1)
    burn_in: int = Field(ge=0)
    # Potentials are divided by it; towards 0 a scan picks the likeliest label and no longer samples.
    temperature: float = Field(gt=0)

    @model_validator(mode="after")
    def _leaves_a_sample(self) -> Self:
        if self.burn_in >= self.num_scans:
            raise ValueError(f"no scan is left to count: burn_in {self.burn_in} of num_scans {self.num_scans}")
        return self


class BootstrapSettings(Record):
    """Random labels as shots, then in every round the labels predicted in the round before.

    Attributes:
        name: How reports call this setting.
        num_rounds: Rounds of prediction.
        num_shots: Labelled claims before a query.
        balanced: Whether the shots hold every label equally often, as far as there are such claims.
        consistent: Whether predictions are made consistent before they become shots.
    """

    kind: Literal["bootstrap"]
    name: str
    num_rounds: int = Field(ge=1)
    num_shots: int = Field(ge=1)
    balanced: bool
    consistent: bool


class ControlSettings(Record):
    """A labelling that no search is needed for; searches must beat it.

    Attributes:
        name: How reports call this control.
        rule: `zero_shot`, `random`, `majority` (what the model says most often zero-shot, of every claim), or a
            surface rule: `length`, `keywords`, `answer_frequency`.
        consistent: Whether the labels are made consistent; zero-shot and random labels alone can be.
    """

    kind: Literal["control"]
    name: str
    rule: Literal["zero_shot", "random", "majority", "length", "keywords", "answer_frequency"]
    consistent: bool = False

    @model_validator(mode="after")
    def _reads_consistent(self) -> Self:
        if self.consistent and self.rule not in ("zero_shot", "random"):
            raise ValueError(f"search={self.name} does not read consistent; search=zero_shot and search=random do")
        return self


class GivenSettings(Record):
    """Labels that are there already, taken as they are, so that they are judged as those of a search would be.

    Attributes:
        name: How reports call them.
        labels: File of labels; its content decides, wherever it lies.
    """

    kind: Literal["given"]
    name: str
    labels: Path


SearchSettings = Annotated[
    AnnealingSettings
    | MultistartSettings
    | ShuffledSweepsSettings
    | SweepsSettings
    | GibbsSettings
    | BootstrapSettings
    | ControlSettings
    | GivenSettings,
    Field(discriminator="kind"),
]
