"""The settings of the diagnose stage: what is asked, and from where on an answer speaks against the labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from icm.diagnose.schema import CheckName, Verdict


class Bounds(BaseModel):
    """From where on a measure speaks against the labels.

    Attributes:
        worse: The side that speaks against them.
        caution: Beyond this the labels are not trusted; `None`: never.
        reject: Beyond this they are rejected; `None`: never.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    worse: Literal["above", "below"]
    caution: float | None = None
    reject: float | None = None

    @model_validator(mode="after")
    def _rejects_beyond_caution(self) -> Bounds:
        if self.caution is not None and self.reject is not None:
            nearer = self.reject < self.caution if self.worse == "above" else self.reject > self.caution
            if nearer:
                raise ValueError(
                    f"what is rejected must be worse than what calls for caution: {self.worse} is worse, "
                    f"caution {self.caution}, reject {self.reject}"
                )
        return self

    def verdict(self, value: float) -> Verdict:
        """Return what a value means."""
        if self.reject is not None and self._beyond(value, self.reject):
            return "reject"
        return "caution" if self.caution is not None and self._beyond(value, self.caution) else "trust"

    def _beyond(self, value: float, bound: float) -> bool:
        return value > bound if self.worse == "above" else value < bound


class DiagnoseSettings(BaseModel):
    """How labels are diagnosed.

    Attributes:
        seed: Seed of the null labellings.
        num_nulls: Null labellings of each kind (random and consistent; the same labels on other claims).
        num_orders: Other orders of the contexts that the predictions are asked in.
        sweep_rounds: The most sweeps that the labels go through when the label words are swapped.
        violation_penalty: What a violated weight of 1 costs in these sweeps, nats.
        rival_agreement: A labelling found beside the returned one is another concept, a rival, if it agrees with it on
            at most this share of the claims.
        most_doubts: Labels that more checks than this speak against are rejected, however mild each of them is.
        bounds: What speaks against the labels, by check; a check without bounds is only reported.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(ge=0)
    num_nulls: int = Field(ge=1)
    num_orders: int = Field(ge=1)
    sweep_rounds: int = Field(ge=1)
    violation_penalty: float = Field(ge=0)
    rival_agreement: float = Field(gt=0, lt=1)
    most_doubts: int = Field(ge=0)
    bounds: Mapping[CheckName, Bounds]
