"""The settings of the evaluate stage."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from icm.statistics.estimates import Resampling


class EvaluateConfig(BaseModel):
    """How labels are compared.

    Attributes:
        seed: Seed of the draws of shots and of the bootstrap.
        shots: Numbers of labelled claims before a held-out claim; 0 is always asked.
        num_draws: Random draws of shots.
        num_resamples: Bootstrap resamples for each interval.
        confidence_level: Of all intervals.
        num_bins: Bins of the reliability curve.
        max_trace_points: Steps of the trace to keep in `metrics.json`.
        num_disagreements: Claims on which label and golden label differ to list in the report.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0)
    shots: tuple[Annotated[int, Field(ge=0)], ...] = (0, 4, 8, 16, 32, 64)
    num_draws: int = Field(default=10, ge=1)
    num_resamples: int = Field(default=2000, ge=100)
    confidence_level: float = Field(default=0.95, gt=0, lt=1)
    num_bins: int = Field(default=10, ge=1)
    max_trace_points: int = Field(default=400, ge=2)
    num_disagreements: int = Field(default=20, ge=0)

    @property
    def resampling(self) -> Resampling:
        """How intervals are made."""
        return Resampling(seed=self.seed, num_resamples=self.num_resamples, confidence_level=self.confidence_level)
