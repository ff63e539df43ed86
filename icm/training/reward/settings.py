"""The settings of the reward stage and of its evaluation. Loads no library."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from icm.statistics.estimates import Resampling
from icm.training.pairs import PairSettings
from icm.training.reward.ensembles import EnsembleSettings


class LoraSettings(BaseModel):
    """Low-rank adapters on all linear layers; they are merged into the written model.

    Attributes:
        rank: Rank of the adapters.
        alpha: Their scale is alpha / rank.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)


class RewardModelSettings(BaseModel):
    """How a reward model is trained.

    Attributes:
        base: Model directory or Hub id to start from; `None` for the embedded pocket model.
        revision: Revision of the Hub id.
        kind: `pairs` trains on which of two responses is better (soft Bradley–Terry), `pointwise` on whether a single
            answer is right (a classifier, whose logit is the reward).
        fresh_head: Whether a base without a reward head gets one with random weights; otherwise it is refused.
        pad_token: Token to pad with, for a tokenizer that has none of its own.
        lora: Adapters instead of all weights.
        over_context: What becomes of a pair that is longer than `max_length`: `drop` leaves it out and lists it.
        max_length: Most tokens of prompt and response; `None` for what the model can read.
        learning_rate: Peak of the learning rate.
        warmup_share: Share of the steps until the peak; the rate then falls to 0 along a cosine.
        weight_decay: Of the optimiser, AdamW.
        epochs: Passes over the pairs.
        steps: Steps of the optimiser in place of whole passes, so that trainings on other pairs can be compared.
        batch_size: Pairs in a step, over all processes.
        micro_batch_size: Pairs that one process reads at a time; `None` for its share of the batch.
        centre: Weight of the squared sum of a pair's rewards in the loss, which keeps rewards around 0.
        seed: Draws the head and the order of the pairs.
        checkpoint_every: Steps between checkpoints.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str | None = None
    revision: str | None = None
    kind: Literal["pairs", "pointwise"] = "pairs"
    fresh_head: bool = True
    pad_token: str | None = None
    lora: LoraSettings | None = None
    over_context: Literal["drop", "refuse"] = "drop"
    max_length: int | None = Field(default=None, ge=2)
    learning_rate: float = Field(default=1e-5, gt=0)
    warmup_share: float = Field(default=0.1, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    epochs: int = Field(default=3, ge=1)
    steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=32, ge=1)
    micro_batch_size: int | None = Field(default=None, ge=1)
    centre: float = Field(default=0.01, ge=0)
    seed: int = Field(default=0, ge=0)
    checkpoint_every: int = Field(default=100, ge=1)


class RewardEvaluationConfig(BaseModel):
    """How reward models are judged.

    Attributes:
        files: Files of judged pairs, of any layout that `icm.training.reward.judged_pairs` knows.
        ensemble: How several reward models become one.
        seed: Seed of the bootstrap.
        num_resamples: Bootstrap resamples for each interval.
        confidence_level: Of all intervals.
        num_bins: Bins of the reliability curve.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: tuple[Path, ...] = ()
    ensemble: EnsembleSettings = EnsembleSettings()
    seed: int = Field(default=0, ge=0)
    num_resamples: int = Field(default=2000, ge=100)
    confidence_level: float = Field(default=0.95, gt=0, lt=1)
    num_bins: int = Field(default=10, ge=1)

    @property
    def resampling(self) -> Resampling:
        """How intervals are made."""
        return Resampling(seed=self.seed, num_resamples=self.num_resamples, confidence_level=self.confidence_level)


class RewardConfig(BaseModel):
    """What the reward model follows from, besides claims and labels.

    Attributes:
        pairs: How labels become pairs, or targets of single answers.
        model: The reward model and its training.
        evaluate: How it is judged; the reward model does not depend on it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pairs: PairSettings
    model: RewardModelSettings
    evaluate: RewardEvaluationConfig = RewardEvaluationConfig()
