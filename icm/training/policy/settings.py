"""The settings of the policy stage. Knows no file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from icm.files.records import Record
from icm.pocket.weights import pocket_model_dir
from icm.training.completions import CompletionSettings
from icm.training.finetune import SftSettings
from icm.training.policy.dpo import DpoSettings
from icm.training.policy.prompts import PromptSettings
from icm.training.policy.rewards import RewardSettings
from icm.training.policy.rl import RlSettings


class BestOfNSettings(Record):
    """Nothing is trained: the base is sampled, and the best of n by reward stands for a policy."""

    kind: Literal["best_of_n"] = "best_of_n"


MethodSettings = Annotated[RlSettings | DpoSettings | SftSettings | BestOfNSettings, Field(discriminator="kind")]


class SamplingSettings(Record):
    """How base and policy are compared.

    Attributes:
        num_prompts: Prompts to sample, held-out ones where there are any; all if there are fewer.
        samples_per_prompt: Completions of each.
        best_of_n: Sizes of the arm without training, at most `samples_per_prompt`.
        num_resamples: Bootstrap resamples for an interval.
        confidence_level: Share of the resampled means inside an interval.
    """

    num_prompts: int = Field(default=64, ge=1)
    samples_per_prompt: int = Field(default=32, ge=1)
    best_of_n: tuple[Annotated[int, Field(ge=1)], ...] = (1, 2, 4, 8, 16)
    num_resamples: int = Field(default=1000, ge=1)
    confidence_level: float = Field(default=0.95, gt=0, lt=1)


class PolicyConfig(Record):
    """What the policy follows from, besides claims, pairs and reward.

    Attributes:
        seed: Draws order, completions and samples.
        base: Model directory or Hub id to start from; `None` for the embedded pocket model.
        completion: How completions are sampled and where they end.
        prompts: What the policy is asked.
        warm_start: Fine-tuning on all candidate completions, good and bad, before anything else, for a base that never
            learned to answer these prompts; `None` for none.
        method: How the policy is trained.
        reward: What it is trained for; `None` for none, where the method needs none.
        sampling: How base and policy are compared.
    """

    seed: int = Field(ge=0)
    base: str | None = None
    completion: CompletionSettings
    prompts: PromptSettings = PromptSettings()
    warm_start: SftSettings | None = None
    method: MethodSettings
    reward: RewardSettings | None = None
    sampling: SamplingSettings = SamplingSettings()

    @property
    def base_name(self) -> str:
        """The model directory or Hub id to start from."""
        return self.base or str(pocket_model_dir())

    @property
    def needs_pairs(self) -> bool:
        """Whether the method trains on pairs."""
        return isinstance(self.method, DpoSettings | SftSettings)
