"""The settings of the policy stage. Knows no file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from icm.files.records import Record
from icm.statistics.streams import LibrarySeed
from icm.training.completions import CompletionSettings
from icm.training.finetune import SftSettings
from icm.training.pairs import PromptSettings
from icm.training.policy.dpo import DpoSettings
from icm.training.policy.rewards import RewardSettings
from icm.training.policy.rl import RlSettings


class BestOfNSettings(Record):
    """Nothing is trained: the base is sampled, and the best of n by reward stands for a policy."""

    kind: Literal["best_of_n"] = "best_of_n"


MethodSettings = Annotated[RlSettings | DpoSettings | SftSettings | BestOfNSettings, Field(discriminator="kind")]


class SamplingSettings(Record):
    """How base and policy are compared; each key is explained in conf/command/policy.yaml."""

    num_prompts: int = Field(ge=1)
    samples_per_prompt: int = Field(ge=1)
    best_of_n: tuple[Annotated[int, Field(ge=1)], ...]
    num_resamples: int = Field(ge=1)
    confidence_level: float = Field(gt=0, lt=1)


class PolicyConfig(Record):
    """What the policy follows from, besides claims and pairs; each key is explained in conf/command/policy.yaml.

    `prompts` must be those that the reward model was trained on; `reward` is `None` where the method needs none.
    """

    seed: LibrarySeed
    base: str | None
    completion: CompletionSettings
    prompts: PromptSettings
    warm_start: SftSettings | None
    method: MethodSettings
    reward: RewardSettings | None
    sampling: SamplingSettings

    @property
    def needs_pairs(self) -> bool:
        """Whether the method trains on pairs."""
        return isinstance(self.method, DpoSettings | SftSettings)
