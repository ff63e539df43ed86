"""The settings of the diagnose stage: what is asked, and from where on an answer speaks against the labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from icm.diagnose.schema import CheckName, Verdict
from icm.objective import PrequentialSettings
from icm.statistics.streams import Seed


class Bounds(BaseModel):
    """From where on a measure speaks against the labels; a bound that is `None` is never passed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    worse: Literal["above", "below"]
    caution: float | None = None
    reject: float | None = None

    @model_validator(mode="after")
    def _rejects_beyond_caution(self) -> Bounds:
        # What lies beyond `reject` must lie beyond `caution` too, else a value could be rejected without a warning.
        if self.caution is not None and self.reject is not None and self._beyond(self.caution, self.reject):
            raise ValueError(
                f"what is rejected must be worse than what calls for caution: {self.worse} is worse, "
                f"caution {self.caution}, reject {self.reject}"
            )
        return self

    def verdict(self, value: float) -> Verdict:
        """Return what a value means."""
        # The stricter bound first: a rejected value also lies beyond that of caution.
        if self.reject is not None and self._beyond(value, self.reject):
            return "reject"
        return "caution" if self.caution is not None and self._beyond(value, self.caution) else "trust"

    def _beyond(self, value: float, bound: float) -> bool:
        return value > bound if self.worse == "above" else value < bound


class DiagnoseSettings(BaseModel):
    """How labels are diagnosed. Each key is explained in `conf/diagnose/default.yaml`, which holds the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Seed
    num_nulls: int = Field(ge=1)
    reading: PrequentialSettings
    num_orders: int = Field(ge=1)
    sweep_rounds: int = Field(ge=1)
    violation_penalty: float = Field(ge=0)
    rival_agreement: float = Field(gt=0, lt=1)
    most_doubts: int = Field(ge=0)
    # A check without bounds is measured and shown, and never speaks against the labels.
    bounds: Mapping[CheckName, Bounds]
