"""The settings of the arms. Knows no file."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from icm.pocket.weights import pocket_model_dir
from icm.scoring.open import ModelSettings
from icm.training.arms.labels import ARMS, Arm
from icm.training.arms.verdict_tuning import VerdictSettings
from icm.training.completions import CompletionSettings
from icm.training.finetune import SftSettings
from icm.training.pairs import PairSettings
from icm.training.policy.prompts import PromptSettings
from icm.training.policy.rl import RlSettings
from icm.training.reward.settings import RewardModelSettings


class SamplesConfig(BaseModel):
    """The policy that all arms pick from, and how it is sampled.

    Attributes:
        base: Model directory or Hub id; `None` for the embedded pocket model.
        completion: Where completions end, and how they are drawn.
        warm_start: Fine-tuning on all responses of the claims, good and bad, for a base that never learned to answer.
        num_prompts: Prompts of held-out claims to sample; all if there are fewer.
        samples_per_prompt: Samples of each.
        best_of_n: Numbers of samples to pick the best from; the last is the one that arms are compared at.
        seed: Draws the samples.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str | None = None
    completion: CompletionSettings
    warm_start: SftSettings | None = None
    num_prompts: int = Field(default=64, ge=1)
    samples_per_prompt: int = Field(default=32, ge=1)
    best_of_n: tuple[int, ...] = Field(default=(1, 2, 4, 8, 16), min_length=1)
    seed: int = Field(default=0, ge=0)

    @property
    def base_name(self) -> str:
        """The model directory or Hub id."""
        return self.base or str(pocket_model_dir())


class ArmsConfig(BaseModel):
    """What is the same for all arms, and what makes their labels differ.

    Attributes:
        verdict_model: Whose zero-shot verdicts serve as labels and as a reward.
        arms: Which arms.
        seeds: Seeds of the trainings; every arm gets each. They also draw the errors.
        error_rate: Share of the judgements that a human gets wrong.
        kept_share: Share of the zero-shot labels that are confident enough to train on.
        comparison_claim: What the model is asked about two responses, up to its verdict.
        pairs: How labels become pairs.
        model: The reward model; its seed is replaced by each of `seeds`.
        verdicts: A language model fine-tuned to say the labels; `None` for none.
        samples: The policy that all arms pick from.
        policy: Reinforcement learning against each reward model; `None` for best-of-n alone.
        num_resamples: Bootstrap resamples of the intervals within one seed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict_model: ModelSettings
    arms: tuple[Arm, ...] = ARMS
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0,), min_length=1)
    error_rate: float = Field(default=0.25, ge=0, le=1)
    kept_share: float = Field(default=0.5, gt=0, le=1)
    comparison_claim: str
    pairs: PairSettings
    model: RewardModelSettings
    verdicts: VerdictSettings | None = None
    samples: SamplesConfig
    policy: RlSettings | None = None
    num_resamples: int = Field(default=1000, ge=100)

    @property
    def prompts(self) -> PromptSettings:
        """What a policy is asked: what the reward models are trained on."""
        return PromptSettings(
            comparison_prompt=self.pairs.comparison_prompt,
            answer_prompt=self.pairs.answer_prompt,
            answer_part=self.pairs.answer_part,
        )
