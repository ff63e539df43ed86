"""The figure of matched arms: what the judge thinks of what each arm's reward picks. Computes no metric."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib

matplotlib.use("Agg")  # before pyplot is loaded, which would look for a display

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from icm.training.arms.labels import ARM_NAMES, Arm
from icm.training.arms.summary import ArmRun, over_seeds

NAME: Final = "arms"


def draw_arms(runs: Sequence[ArmRun], out_dir: Path) -> list[Path]:
    """Draw what the labels teach, and golden quality and proxy reward against √KL; return the files written."""
    arms: list[Arm] = list(dict.fromkeys(run.arm for run in runs))
    # Not strict: there are more colours than arms.
    colors = dict(zip(arms, plt.get_cmap("tab10").colors, strict=False))  # pyright: ignore[reportAttributeAccessIssue]
    figure, (accuracy, quality, proxy) = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    for place, arm in enumerate(arms):
        of_arm = [run for run in runs if run.arm == arm]
        _share(accuracy, place - 0.2, [run.reward_accuracy.value for run in of_arm], colors[arm], "")
        verdicts = [run.verdict_share for run in of_arm if run.verdict_share is not None]
        _share(accuracy, place + 0.2, verdicts, colors[arm], "//")
        _curve(quality, of_arm, "quality", colors[arm], ARM_NAMES[arm])
        _curve(proxy, of_arm, "proxy", colors[arm], ARM_NAMES[arm])
    accuracy.axvline(50, color="grey", linewidth=0.8)
    accuracy.set_yticks(range(len(arms)), [ARM_NAMES[arm] for arm in arms])
    # The first arm on top, as in the table.
    accuracy.invert_yaxis()
    accuracy.set_xlabel("right, %: reward on golden pairs (plain), tuned verdicts (hatched)")
    quality.set_ylabel("golden quality")
    proxy.set_ylabel("own reward, deviations above the base's mean")
    for axes in (quality, proxy):
        axes.set_xlabel("√KL from the base, √nats: best-of-n (line), RL (dotted, then cross)")
    paths = [out_dir / f"{NAME}.png", out_dir / f"{NAME}.svg"]
    for path in paths:
        figure.savefig(path, dpi=150)
    plt.close(figure)
    return paths


def _share(axes: Axes, place: float, shares: Sequence[float], color: tuple[float, ...], hatch: str) -> None:
    """Draw a bar with an interval over seeds, nothing where nothing was measured."""
    if not shares:
        return
    estimate = over_seeds(shares)
    # Student's interval is symmetric, so one side says it.
    width = 100 * (estimate.high - estimate.value)
    axes.barh(place, 100 * estimate.value, 0.4, xerr=width, color=color, hatch=hatch, edgecolor="white", capsize=3)


def _curve(axes: Axes, runs: Sequence[ArmRun], value: str, color: tuple[float, ...], name: str) -> None:
    """Draw the mean of best-of-n over seeds with its interval, and each policy on its way to a cross."""
    points = np.array([[getattr(point, value) for point in run.curve] for run in runs], dtype=np.float64)
    # Without a judge there is no quality, and None has become NaN.
    if np.isnan(points).any():
        return
    # Best-of-n lies equally far for every seed: its bound depends on n alone.
    distance = np.sqrt([point.kl for point in runs[0].curve])
    estimates = [over_seeds(column.tolist()) for column in points.T]
    axes.plot(distance, [each.value for each in estimates], marker="o", markersize=3, color=color, label=name)
    axes.fill_between(
        distance, [each.low for each in estimates], [each.high for each in estimates], color=color, alpha=0.15
    )
    for run in runs:
        # The last point is the policy on held-out prompts, the others are rollouts on its own; so only that one is
        # marked.
        path = [(np.sqrt(point.kl), getattr(point, value)) for point in run.reinforced]
        if path and path[-1][1] is not None:
            axes.plot(*zip(*path[:-1], strict=True), ":", color=color, linewidth=1)
            axes.plot(*path[-1], "x", color=color)
