"""The settings of the reward stage and of its evaluation. Loads no library."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from icm.files.records import Record
from icm.statistics.estimates import Resampling
from icm.statistics.streams import LibrarySeed
from icm.training.pairs import PairSettings


class EnsembleSettings(Record):
    """How the rewards of several models become one.

    A plain mean does not keep a policy from exploiting what the members share; `mean_minus_variance` takes the mean
    less `penalty` (1 / reward) times the variance.
    """

    rule: Literal["mean", "min", "mean_minus_variance"]
    penalty: float = Field(ge=0)


class LoraSettings(Record):
    """Low-rank adapters on all linear layers, scaled by alpha / rank; they are merged into the written model."""

    # Defaults in code: `lora` is null in the YAML, and a user who turns it on may name one of the two alone.
    rank: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)


class RewardModelSettings(Record):
    """How a reward model is trained; each key is explained in conf/reward_model/default.yaml."""

    base: str | None
    revision: str | None
    kind: Literal["pairs", "pointwise"]
    fresh_head: bool
    pad_token: str | None
    lora: LoraSettings | None
    over_context: Literal["drop", "refuse"]
    max_length: int | None = Field(ge=2)
    learning_rate: float = Field(gt=0)
    warmup_share: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    epochs: int = Field(ge=1)
    steps: int | None = Field(ge=1)
    batch_size: int = Field(ge=1)
    micro_batch_size: int | None = Field(ge=1)
    centre: float = Field(ge=0)
    seed: LibrarySeed
    checkpoint_every: int = Field(ge=1)


class RewardEvaluationConfig(Record):
    """How reward models are judged; each key is explained in conf/command/reward.yaml."""

    files: tuple[Path, ...]
    ensemble: EnsembleSettings
    seed: LibrarySeed
    num_resamples: int = Field(ge=100)
    confidence_level: float = Field(gt=0, lt=1)
    num_bins: int = Field(ge=1)

    @property
    def resampling(self) -> Resampling:
        """How intervals are made."""
        return Resampling(seed=self.seed, num_resamples=self.num_resamples, confidence_level=self.confidence_level)


class RewardConfig(Record):
    """What `icm reward` is told; the reward model does not depend on how it is judged (`evaluate`)."""

    pairs: PairSettings
    model: RewardModelSettings
    evaluate: RewardEvaluationConfig
