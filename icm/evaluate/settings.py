"""The settings of the evaluate stage."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from icm.statistics.estimates import Resampling
from icm.statistics.streams import Seed


class EvaluateConfig(BaseModel):
    """How labels are compared. Each key is explained in `conf/evaluate/default.yaml`, which holds the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Seed
    # 0 shots are asked in any case: the other numbers are read beside it.
    shots: tuple[Annotated[int, Field(ge=0)], ...]
    draws: int = Field(ge=1)
    budget: float | None = Field(gt=0)
    # With fewer the ends of an interval, which are quantiles, would rest on two or three resamples.
    num_resamples: int = Field(ge=100)
    confidence_level: float = Field(gt=0, lt=1)
    num_bins: int = Field(ge=1)
    # The first and the last step are always kept.
    max_trace_points: int = Field(ge=2)
    num_disagreements: int = Field(ge=0)

    @property
    def resampling(self) -> Resampling:
        """How intervals are made."""
        return Resampling(seed=self.seed, num_resamples=self.num_resamples, confidence_level=self.confidence_level)
