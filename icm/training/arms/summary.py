"""Arms beside one another over seeds: means with intervals, differences within seeds, a table. Trains nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from rich.table import Table

from icm.files.records import Record
from icm.statistics.estimates import student_half_width
from icm.statistics.schema import Estimate
from icm.training.arms.labels import ARM_NAMES, Arm
from icm.training.arms.samples import CurvePoint


class ArmRun(Record):
    """One arm at one seed.

    Attributes:
        arm: The arm.
        seed: Its seed.
        label_accuracy: Share of its labels that are the golden ones, `None` without labels.
        num_pairs: Pairs that it was trained on.
        reward_accuracy: Share of the held-out golden pairs that its reward puts in the right order; ties count half.
        reward_deviation: Deviation of its rewards among the samples of a prompt, as a share of that of all samples.
        verdict_accuracy: Share of the held-out claims that a model fine-tuned on its labels judges as the golden labels
            do; of the zero-shot verdict, the model as it is. `None` where none was.
        curve: Best-of-n of the common samples by its reward.
        reinforced: The policy trained against its reward, by step, where one was; the last point is what came of it.
        wins_over_base: How often its best-of-n is better than a sample of the base; ties count half.
    """

    arm: Arm
    seed: int
    label_accuracy: float | None
    num_pairs: int
    reward_accuracy: Estimate
    reward_deviation: float
    verdict_accuracy: Estimate | None = None
    curve: tuple[CurvePoint, ...]
    reinforced: tuple[CurvePoint, ...] = ()
    wins_over_base: float | None = None

    @property
    def quality(self) -> float | None:
        """Golden quality of best-of-n, at the largest n."""
        return self.curve[-1].quality

    @property
    def verdict_share(self) -> float | None:
        """The verdict accuracy without its interval."""
        return None if self.verdict_accuracy is None else self.verdict_accuracy.value


class ArmSummary(Record):
    """An arm over seeds; intervals are Student's at 95 %, over seeds.

    Attributes:
        arm: The arm.
        seeds: How many.
        label_accuracy: Of its labels.
        reward_accuracy: On held-out golden pairs.
        verdict_accuracy: Of a model fine-tuned on its labels, on held-out claims.
        policy_quality: Golden quality of best-of-n at the largest n.
        rl_quality: Golden quality of the policies trained against its rewards.
        rl_proxy: Their own reward, in standard deviations of the base's rewards above their mean.
        rl_kl: How far these went from the base, nats.
        wins_over_base: How often best-of-n beats a sample of the base.
        num_pairs: Pairs that it was trained on, mean.
    """

    arm: Arm
    seeds: int
    label_accuracy: Estimate | None
    reward_accuracy: Estimate
    verdict_accuracy: Estimate | None
    policy_quality: Estimate | None
    rl_quality: Estimate | None
    rl_proxy: Estimate | None
    rl_kl: Estimate | None
    wins_over_base: Estimate | None
    num_pairs: float


class ArmDifference(Record):
    """How much one arm is above another, seed by seed."""

    reward_accuracy: Estimate
    verdict_accuracy: Estimate | None
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
    pairs = [(ones[seed], others[seed]) for seed in seeds]
    return ArmDifference(
        reward_accuracy=over_seeds([a.reward_accuracy.value - b.reward_accuracy.value for a, b in pairs]),
        verdict_accuracy=_known([_less(a.verdict_share, b.verdict_share) for a, b in pairs]),
        policy_quality=_known([_less(a.quality, b.quality) for a, b in pairs]),
    )


def _less(value: float | None, subtracted: float | None) -> float | None:
    return None if value is None or subtracted is None else value - subtracted


def over_seeds(values: Sequence[float]) -> Estimate:
    """Return a mean with Student's interval; of a single value nothing is known but itself."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(value=mean, low=mean, high=mean)
    half = student_half_width(values, LEVEL)
    return Estimate(value=mean, low=mean - half, high=mean + half)


def arms_table(title: str, summaries: Sequence[ArmSummary]) -> Table:
    """Return the arms as a table for the console."""
    columns = (
        "arm",
        "labels right",
        "pairs",
        "reward accuracy",
        "verdicts right",
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
            _shown(arm.verdict_accuracy, 100),
            _shown(arm.policy_quality, 1),
            _shown(arm.wins_over_base, 100),
            _shown(arm.rl_quality, 1),
            _shown(arm.rl_kl, 1),
        )
    return table


def _summary(arm: Arm, runs: Sequence[ArmRun]) -> ArmSummary:
    policies = [run.reinforced[-1] for run in runs if run.reinforced]
    return ArmSummary(
        arm=arm,
        seeds=len(runs),
        label_accuracy=_known([run.label_accuracy for run in runs]),
        reward_accuracy=over_seeds([run.reward_accuracy.value for run in runs]),
        verdict_accuracy=_known([run.verdict_share for run in runs]),
        policy_quality=_known([run.quality for run in runs]),
        rl_quality=_known([point.quality for point in policies]),
        rl_proxy=_known([point.proxy for point in policies]),
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
