"""The settings of the arms. Knows no file."""

from __future__ import annotations

from pydantic import Field

from icm.files.records import Record
from icm.prepare.settings import ReadText
from icm.scoring.open import ModelSettings
from icm.statistics.streams import LibrarySeed
from icm.training.arms.labels import Arm
from icm.training.completions import CompletionSettings
from icm.training.finetune import SftSettings
from icm.training.loop import LoopSettings
from icm.training.pairs import PairSettings
from icm.training.policy.rl import RlSettings
from icm.training.reward.settings import RewardModelSettings


class SamplesConfig(Record):
    """The policy that all arms pick from, and how it is sampled; each key is explained in conf/command/arms.yaml."""

    base: str | None
    completion: CompletionSettings
    warm_start: SftSettings | None
    num_prompts: int = Field(ge=1)
    samples_per_prompt: int = Field(ge=1)
    best_of_n: tuple[int, ...] = Field(min_length=1)
    seed: LibrarySeed


class VerdictSettings(LoopSettings):
    """How a language model is fine-tuned to say verdicts; each key is explained in conf/command/arms.yaml.

    Source: Wen et al. 2025, arXiv 2506.10139, section 3 (fine-tuning on labels, evaluated on held-out claims).
    """

    base: str | None = Field(min_length=1)


class ArmsConfig(Record):
    """What is the same for all arms, and what makes their labels differ; see conf/command/arms.yaml."""

    verdict_model: ModelSettings
    arms: tuple[Arm, ...]
    seeds: tuple[LibrarySeed, ...] = Field(min_length=1)
    error_rate: float = Field(ge=0, le=1)
    kept_share: float = Field(gt=0, le=1)
    comparison_claim: ReadText
    pairs: PairSettings
    model: RewardModelSettings
    verdicts: VerdictSettings | None
    samples: SamplesConfig
    policy: RlSettings | None
    num_resamples: int = Field(ge=100)
