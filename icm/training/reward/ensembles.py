"""Several reward models as one that is wary where they disagree. Knows rewards, no text and no label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Rule = Literal["mean", "min", "mean_minus_variance"]


class EnsembleSettings(BaseModel):
    """How the rewards of several models become one.

    Attributes:
        rule: `min` takes the lowest; `mean_minus_variance` takes the mean less `penalty` times the variance. A plain
            mean does not keep a policy from exploiting what the members share.
        penalty: Weight of the variance, 1 / reward.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: Rule = "min"
    penalty: float = Field(default=1.0, ge=0)


class Rewards(Protocol):
    """Whatever gives texts (prompt and response joined) rewards."""

    def rewards(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the reward of each text (N,)."""
        ...


@dataclass(frozen=True, slots=True)
class RewardEnsemble:
    """Reward models whose rewards are combined by a rule."""

    members: Sequence[Rewards]
    settings: EnsembleSettings

    def rewards(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the combined reward of each text (N,)."""
        return combine(np.stack([member.rewards(texts) for member in self.members]), self.settings)


def combine(rewards: NDArray[np.float64], settings: EnsembleSettings) -> NDArray[np.float64]:
    """Combine the rewards of members, (M, N), into one of each text (N,).

    Raises:
        ValueError: There are no members.

    Source: Coste et al. 2024, arXiv 2310.02743 (worst case, and uncertainty-weighted mean).
    """
    if len(rewards) == 0:
        raise ValueError("an ensemble needs at least one member, got none")
    match settings.rule:
        case "mean":
            return rewards.mean(axis=0)
        case "min":
            return rewards.min(axis=0)
        case "mean_minus_variance":
            return rewards.mean(axis=0) - settings.penalty * rewards.var(axis=0)
