"""Reinforcement learning against the reward of each arm, and what became of the golden quality on the way.

Knows no label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icm.files.curves import read_curve
from icm.files.records import read_rows
from icm.training.arms.materials import ArmContext
from icm.training.arms.samples import CurvePoint, standardised
from icm.training.loop import CURVE
from icm.training.policy import stage as policy
from icm.training.policy.rewards import ModelReward
from icm.training.policy.rl import ROLLOUTS, RlSettings
from icm.training.policy.samples import SAMPLES, SampleRow
from icm.training.policy.settings import PolicyConfig, SamplingSettings
from icm.training.reward.settings import EnsembleSettings


def reinforce(
    context: ArmContext, method: RlSettings, directory: Path, rewards: NDArray[np.float64], seed: int
) -> tuple[CurvePoint, ...]:
    """Train a policy against an arm's reward model, unless that is done.

    Returns points by their step: the rollouts of the training, on its own prompts, and last the policy that came of it,
    on held-out ones.

    The reward model lies in `directory/reward`; `rewards` (N,) are its rewards of the common samples, drawn from the
    base.
    """
    samples, out_dir = context.config.samples, directory / "policy"
    config = PolicyConfig(
        seed=seed,
        base=context.base,
        completion=samples.completion,
        # Of these, the policy's settings keep the part that says what is asked.
        prompts=context.config.pairs,
        warm_start=None,
        method=method,
        reward=ModelReward(paths=(directory / "reward",), ensemble=EnsembleSettings(rule="min", penalty=1.0)),
        # The samples alone are read: intervals and best-of-n are those of the arms, so these hardly matter.
        sampling=SamplingSettings(
            num_prompts=samples.num_prompts,
            samples_per_prompt=samples.samples_per_prompt,
            best_of_n=(1,),
            num_resamples=1000,
            confidence_level=0.95,
        ),
    )
    policy.run(config, context.run_dir / "prepare", None, out_dir, context.console)
    rows = [row.model_dump() for row in read_rows(out_dir / SAMPLES, SampleRow) if row.source == "policy"]
    ratio = float(np.mean([row["log_ratio"] for row in rows]))
    # The policy itself stands at the last step too, behind the rollouts that led there.
    return (*_rollouts(context, out_dir, rewards), _point(context, method.steps, ratio, rows, rewards))


def _rollouts(context: ArmContext, out_dir: Path, base: NDArray[np.float64]) -> list[CurvePoint]:
    """Return the steps of a training of which rollouts were kept."""
    curve, rollouts = (read_curve(out_dir / name) for name in (CURVE, ROLLOUTS))
    # Rollouts carry no divergence; the curve has it, for every step.
    divergence = {row["step"]: row["kl"] for row in curve}
    by_step: dict[int, list[dict[str, Any]]] = {}
    for row in rollouts:
        by_step.setdefault(row["step"], []).append(row)
    return [_point(context, step, divergence[step], rows, base) for step, rows in sorted(by_step.items())]


def _point(
    context: ArmContext, step: int, divergence: float, rows: Sequence[Mapping[str, Any]], base: NDArray[np.float64]
) -> CurvePoint:
    found = np.array([row["reward"] for row in rows], dtype=np.float64)
    quality = None
    if context.judge is not None:
        quality = float(context.judge([row["prompt"] for row in rows], [row["completion"] for row in rows]).mean())
    # An estimate of a divergence from samples may come out a little below 0.
    return CurvePoint(
        step=step, kl=max(divergence, 0.0), proxy=float(standardised(found, base).mean()), quality=quality
    )
