"""The recipe of a pocket model: its world, its shape, the phases of its training. Knows no document and no weights."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from icm.pocket.corpus import MIXTURE
from icm.pocket.tokenizer import MAX_LENGTH
from icm.statistics.streams import Seed

# Heads of one size at every width: a wider model has more heads, not larger ones.
HEAD_DIM: Final = 32
MIN_LENGTH: Final = 16


class Phase(BaseModel):
    """A part of the training.

    Attributes:
        steps: How many steps it takes.
        lengths: Tokens of a document; the lengths take turns, step by step.
        taught: The families with lessons, documents in which every label is true.
        lessons: Share of their documents that are lessons, at the first step and after the last, linear in between.
        rate: What the learning rates are multiplied by, likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(ge=1)
    lengths: tuple[int, ...] = Field(min_length=1)
    taught: tuple[str, ...] = ()
    lessons: tuple[float, float] = (0.0, 0.0)
    rate: tuple[float, float] = (1.0, 1.0)

    @field_validator("lengths")
    @classmethod
    def _fit_the_context(cls, lengths: tuple[int, ...]) -> tuple[int, ...]:
        for length in lengths:
            if not MIN_LENGTH <= length <= MAX_LENGTH:
                raise ValueError(f"a document has {MIN_LENGTH} to {MAX_LENGTH} tokens, got {length}")
        return lengths

    @field_validator("taught")
    @classmethod
    def _are_families(cls, taught: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(taught) - set(MIXTURE)):
            raise ValueError(f"there is no family {unknown[0]!r}; the families are {', '.join(MIXTURE)}")
        return taught


SHORT: Final = (96,)
MIXED: Final = (128, 256, 96, 192)
LONG: Final = (1792, 128, 512, 256)
ALL: Final = tuple(MIXTURE)

# What is half forgotten when the lessons end: computations, and families with few documents.
HARD: Final = ("arithmetic", "surface", "flipped")

PHASES: Final = (
    # Facts are learned from short documents that say the truth, twice as fast as from long ones.
    Phase(steps=800, lengths=SHORT, taught=ALL, lessons=(1.0, 1.0)),
    # Ended at once, the lessons are forgotten before the model finds out how to read a concept off the context.
    Phase(steps=900, lengths=MIXED, taught=ALL, lessons=(1.0, 0.0)),
    Phase(steps=1900, lengths=MIXED),
    Phase(steps=500, lengths=LONG, rate=(1.0, 0.6)),
    # Taught again, the hard families meet a model that reads concepts off the context; so twice.
    Phase(steps=800, lengths=SHORT, taught=HARD, lessons=(1.0, 1.0)),
    Phase(steps=400, lengths=MIXED, taught=HARD, lessons=(1.0, 0.0)),
    Phase(steps=500, lengths=LONG, rate=(1.0, 0.4)),
    Phase(steps=600, lengths=SHORT, taught=HARD, lessons=(1.0, 1.0), rate=(0.7, 0.7)),
    Phase(steps=300, lengths=MIXED, taught=HARD, lessons=(1.0, 0.0), rate=(0.7, 0.7)),
    Phase(steps=700, lengths=LONG, rate=(0.7, 0.0)),
    # By now facts were half forgotten as well.
    Phase(steps=500, lengths=SHORT, taught=ALL, lessons=(1.0, 1.0)),
    Phase(steps=400, lengths=MIXED, taught=ALL, lessons=(1.0, 0.0)),
    Phase(steps=600, lengths=MIXED),
    Phase(steps=700, lengths=LONG, rate=(1.0, 0.0)),
    # Every round of lessons and mixed documents brought what was behind nearer to what can be read off the context.
    Phase(steps=900, lengths=MIXED),
    Phase(steps=500, lengths=SHORT, taught=HARD, lessons=(1.0, 1.0)),
    Phase(steps=300, lengths=MIXED, taught=HARD, lessons=(1.0, 0.0)),
    Phase(steps=800, lengths=LONG, rate=(1.0, 0.0)),
    Phase(steps=400, lengths=SHORT, taught=("arithmetic", "preference"), lessons=(1.0, 1.0)),
    Phase(steps=300, lengths=MIXED, taught=("arithmetic", "preference"), lessons=(1.0, 0.0)),
    Phase(steps=600, lengths=LONG, rate=(1.0, 0.0)),
    # What a round leaves out is half forgotten at its end; so the last one teaches everything.
    Phase(steps=500, lengths=SHORT, taught=ALL, lessons=(1.0, 1.0)),
    Phase(steps=300, lengths=MIXED, taught=ALL, lessons=(1.0, 0.0)),
    Phase(steps=900, lengths=LONG, rate=(1.0, 0.0)),
)
"""The phases of a training from scratch: those of the shipped weights."""


SHIFT: Final = (
    Phase(steps=150, lengths=MIXED, rate=(0.3, 0.3)),
    Phase(steps=250, lengths=LONG, rate=(0.3, 0.0)),
)
"""The phases that move the prior of a finished model."""

# The phases that teach a finished model another world; how to read a concept off the context it keeps.
RELEARN: Final = (
    Phase(steps=1000, lengths=SHORT, taught=ALL, lessons=(1.0, 1.0)),
    Phase(steps=400, lengths=MIXED, taught=ALL, lessons=(1.0, 0.0)),
    Phase(steps=500, lengths=MIXED),
    Phase(steps=700, lengths=LONG, rate=(1.0, 0.0)),
)

NAMED_PHASES: Final = {"full": PHASES, "shift": SHIFT, "relearn": RELEARN}


class PocketTraining(BaseModel):
    """What world the model learns and how. Each key is explained in `conf/command/pocket_train.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    world_seed: Seed
    seed: Seed
    # The family `principle` takes it twice, and some of its documents must be left to labellers without a concept.
    truth_share: float = Field(gt=0, le=0.45)
    # Before `phases`, which looks at it: fields are validated in order.
    base: Path | None
    width: int = Field(ge=HEAD_DIM, multiple_of=HEAD_DIM)
    layers: int = Field(ge=1)
    mlp_width: int = Field(ge=1)
    phases: tuple[Phase, ...] = Field(min_length=1)
    tokens_per_step: int = Field(ge=MIN_LENGTH)
    warmup_steps: int = Field(ge=1)
    matrix_rate: float = Field(gt=0)
    vector_rate: float = Field(gt=0)
    checkpoint_every: int = Field(ge=1)

    @field_validator("phases", mode="before")
    @classmethod
    def _look_up(cls, phases: object, info: ValidationInfo) -> object:
        if phases is None:
            return SHIFT if info.data.get("base") else PHASES
        if not isinstance(phases, str):
            return phases
        if phases not in NAMED_PHASES:
            raise ValueError(
                f"named phases are {', '.join(NAMED_PHASES)}; choose one of them, or give a list of phases"
            )
        return NAMED_PHASES[phases]

    @property
    def steps(self) -> int:
        """All steps of the training."""
        return sum(phase.steps for phase in self.phases)

    def length_at(self, step: int) -> int:
        """Return the length of the documents of a step, tokens."""
        phase, _ = self._at(step)
        return phase.lengths[step % len(phase.lengths)]

    def lesson_share_at(self, step: int, family: str) -> float:
        """Return the share of the documents of a family that are lessons at a step."""
        phase, progress = self._at(step)
        first, last = phase.lessons if family in phase.taught else (0.0, 0.0)
        return first + (last - first) * progress

    def rate_factor_at(self, step: int) -> float:
        """Return what the learning rates of a step are multiplied by."""
        phase, progress = self._at(step)
        first, last = phase.rate
        # Step 0 already learns a little: at a rate of zero its batch would be wasted.
        return min(1.0, (step + 1) / self.warmup_steps) * (first + (last - first) * progress)

    def _at(self, step: int) -> tuple[Phase, float]:
        """Return the phase of a step and how much of the phase lies behind it."""
        begun = 0
        for phase in self.phases:
            if step < begun + phase.steps:
                return phase, (step - begun) / phase.steps
            begun += phase.steps
        raise ValueError(f"step {step} lies beyond the {self.steps} steps of the training")
