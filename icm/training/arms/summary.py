"""Arms beside one another over seeds: means with intervals, differences within seeds, a table. Trains nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
        label_accuracy: Share of its labels that are the golden ones, `None` without labels.
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


LEVEL: Final = 0.95

Summary = Mapping[str, Estimate | None]
"""Measures of `MEASURES` over seeds, with Student's intervals; `None` where no run has the measure."""

MEASURES: Final[Mapping[str, Callable[[ArmRun], float | None]]] = {
    "label_accuracy": lambda run: run.label_accuracy,
    "num_pairs": lambda run: run.num_pairs,
    "reward_accuracy": lambda run: run.reward_accuracy.value,
    "verdict_accuracy": lambda run: run.verdict_share,
    "policy_quality": lambda run: run.quality,
    "wins_over_base": lambda run: run.wins_over_base,
    "rl_quality": lambda run: run.reinforced[-1].quality if run.reinforced else None,
    "rl_proxy": lambda run: run.reinforced[-1].proxy if run.reinforced else None,
    "rl_kl": lambda run: run.reinforced[-1].kl if run.reinforced else None,
}
"""What of a run is summarised over seeds; `rl_*` are of the policy that the reinforcement learning ended with."""

COMPARED: Final = ("reward_accuracy", "verdict_accuracy", "policy_quality")


def summarise(runs: Sequence[ArmRun]) -> dict[Arm, Summary]:
    """Return every arm over its seeds, in the order of first appearance."""
    arms: list[Arm] = list(dict.fromkeys(run.arm for run in runs))
    return {
        arm: {name: _known([measure(run) for run in runs if run.arm == arm]) for name, measure in MEASURES.items()}
        for arm in arms
    }


def difference(runs: Sequence[ArmRun], one: Arm, other: Arm) -> Summary | None:
    """Return by how much one arm is above another in the same seeds, `None` if one of them was not run."""
    # Seed by seed: what two arms share at a seed (the head, the order, the errors) cancels out.
    ones, others = ({run.seed: run for run in runs if run.arm == arm} for arm in (one, other))
    seeds = sorted(ones.keys() & others.keys())
    if not seeds:
        return None
    values = {name: [(MEASURES[name](ones[seed]), MEASURES[name](others[seed])) for seed in seeds] for name in COMPARED}
    return {
        name: _known([None if a is None or b is None else a - b for a, b in pairs]) for name, pairs in values.items()
    }


def over_seeds(values: Sequence[float]) -> Estimate:
    """Return a mean with Student's interval; of a single value nothing is known but itself."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(value=mean, low=mean, high=mean)
    # Seeds are few, so a bootstrap over them would be far too narrow.
    half = student_half_width(values, LEVEL)
    return Estimate(value=mean, low=mean - half, high=mean + half)


def arms_table(title: str, summaries: Mapping[Arm, Summary]) -> Table:
    """Return the arms as a table for the console."""
    # By heading: the measure, what its value is multiplied by (shares are shown in percent), and its decimals.
    columns = {
        "labels right": ("label_accuracy", 100, 1),
        "pairs": ("num_pairs", 1, 0),
        "reward accuracy": ("reward_accuracy", 100, 1),
        "verdicts right": ("verdict_accuracy", 100, 1),
        "best-of-n quality": ("policy_quality", 1, 2),
        "beats base": ("wins_over_base", 100, 1),
        "RL quality": ("rl_quality", 1, 2),
        "RL KL": ("rl_kl", 1, 2),
    }
    table = Table("arm", *columns, title=title, title_justify="left")
    for arm, summary in summaries.items():
        table.add_row(ARM_NAMES[arm], *(_shown(summary[name], *form) for name, *form in columns.values()))
    return table


def _known(values: Sequence[float | None]) -> Estimate | None:
    known = [value for value in values if value is not None]
    return over_seeds(known) if known else None


def _shown(estimate: Estimate | None, factor: int, digits: int) -> str:
    if estimate is None:
        return ""
    value, half = factor * estimate.value, factor * (estimate.high - estimate.value)
    # A single seed has no interval, and is shown without one.
    return f"{value:,.{digits}f} ± {half:,.{digits}f}" if half else f"{value:,.{digits}f}"
