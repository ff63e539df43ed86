"""Arms beside one another over seeds: means with intervals, differences within seeds, a table. Trains nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from rich.table import Table
from scipy import stats

from icm.evaluation.schema import Estimate
from icm.records import Record
from icm.training.arm_samples import CurvePoint
from icm.training.arms import ARM_NAMES, Arm


class ArmRun(Record):
    """One arm at one seed.

    Attributes:
        arm: The arm.
        seed: Its seed.
        label_accuracy: Share of its labels that are the golden ones, `None` without labels.
        num_pairs: Pairs that it was trained on.
        reward_accuracy: Share of the held-out golden pairs that its reward puts in the right order; ties count half.
        reward_deviation: Deviation of its rewards among the samples of a prompt, as a share of that of all samples.
        curve: Best-of-n of the common samples by its reward.
        policy: The policy trained against its reward, where one was.
        wins_over_base: How often its best-of-n is better than a sample of the base; ties count half.
    """

    arm: Arm
    seed: int
    label_accuracy: float | None
    num_pairs: int
    reward_accuracy: Estimate
    reward_deviation: float
    curve: tuple[CurvePoint, ...]
    policy: CurvePoint | None = None
    wins_over_base: float | None = None

    @property
    def quality(self) -> float | None:
        """Golden quality of best-of-n, at the largest n."""
        return self.curve[-1].quality


class ArmSummary(Record):
    """An arm over seeds; intervals are Student's at 95 %, over seeds.

    Attributes:
        arm: The arm.
        seeds: How many.
        label_accuracy: Of its labels.
        reward_accuracy: On held-out golden pairs.
        policy_quality: Golden quality of best-of-n at the largest n.
        rl_quality: Golden quality of the policies trained against its rewards.
        rl_kl: How far these went from the base, nats.
        wins_over_base: How often best-of-n beats a sample of the base.
        num_pairs: Pairs that it was trained on, mean.
    """

    arm: Arm
    seeds: int
    label_accuracy: Estimate | None
    reward_accuracy: Estimate
    policy_quality: Estimate | None
    rl_quality: Estimate | None
    rl_kl: Estimate | None
    wins_over_base: Estimate | None
    num_pairs: float


class ArmDifference(Record):
    """How much one arm is above another, seed by seed."""

    reward_accuracy: Estimate
    policy_quality: Estimate | None


LEVEL: Final = 0.95


def summarise(runs: Sequence[ArmRun]) -> list[ArmSummary]:
    """Return every arm over its seeds, in the order of first appearance."""
    arms: list[Arm] = list(dict.fromkeys(run.arm for run in runs))
    return [_summary(arm, [run for run in runs if run.arm == arm]) for arm in arms]


def difference(runs: Sequence[ArmRun], one: Arm, other: Arm) -> ArmDifference | None:
    """Return by how much one arm is above another in the same seeds, `None` if one of them was not run."""
    ones, others = ({run.seed: run for run in runs if run.arm == arm} for arm in (one, other))
    seeds = sorted(ones.keys() & others.keys())
    if not seeds:
        return None
    accuracies = [ones[seed].reward_accuracy.value - others[seed].reward_accuracy.value for seed in seeds]
    qualities = [(ones[seed].quality, others[seed].quality) for seed in seeds]
    return ArmDifference(
        reward_accuracy=over_seeds(accuracies),
        policy_quality=_known([None if a is None or b is None else a - b for a, b in qualities]),
    )


def over_seeds(values: Sequence[float]) -> Estimate:
    """Return a mean with Student's interval; of a single value nothing is known but itself."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(value=mean, low=mean, high=mean)
    half = float(stats.sem(values) * stats.t.ppf(0.5 + LEVEL / 2, len(values) - 1))
    return Estimate(value=mean, low=mean - half, high=mean + half)


def arms_table(title: str, summaries: Sequence[ArmSummary]) -> Table:
    """Return the arms as a table for the console."""
    columns = (
        "arm",
        "labels right",
        "pairs",
        "reward accuracy",
        "best-of-n quality",
        "beats base",
        "RL quality",
        "RL KL",
    )
    table = Table(*columns, title=title, title_justify="left")
    for arm in summaries:
        table.add_row(
            ARM_NAMES[arm.arm],
            _shown(arm.label_accuracy, 100),
            f"{arm.num_pairs:,.0f}",
            _shown(arm.reward_accuracy, 100),
            _shown(arm.policy_quality, 1),
            _shown(arm.wins_over_base, 100),
            _shown(arm.rl_quality, 1),
            _shown(arm.rl_kl, 1),
        )
    return table


def _summary(arm: Arm, runs: Sequence[ArmRun]) -> ArmSummary:
    policies = [run.policy for run in runs if run.policy is not None]
    return ArmSummary(
        arm=arm,
        seeds=len(runs),
        label_accuracy=_known([run.label_accuracy for run in runs]),
        reward_accuracy=over_seeds([run.reward_accuracy.value for run in runs]),
        policy_quality=_known([run.quality for run in runs]),
        rl_quality=_known([point.quality for point in policies]),
        rl_kl=_known([point.kl for point in policies]),
        wins_over_base=_known([run.wins_over_base for run in runs]),
        num_pairs=float(np.mean([run.num_pairs for run in runs])),
    )


def _known(values: Sequence[float | None]) -> Estimate | None:
    known = [value for value in values if value is not None]
    return over_seeds(known) if known else None


def _shown(estimate: Estimate | None, factor: float) -> str:
    if estimate is None:
        return ""
    digits = 1 if factor == 100 else 2
    value, half = factor * estimate.value, factor * (estimate.high - estimate.value)
    return f"{value:.{digits}f} ± {half:.{digits}f}" if half else f"{value:.{digits}f}"
