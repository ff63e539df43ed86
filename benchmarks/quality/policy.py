"""What the policies of a run are really worth: the golden judge on the samples and rollouts of `icm policy`.

Usage: python -m benchmarks.quality.policy RUN_DIR [POLICY_DIR ...]

RUN_DIR is the directory of a run on a pocket task that has a judge; policies lie in RUN_DIR/policy or where named. A
reply is worth 3 (helpful) to 0 (harmful, or no reply at all), a solution 1 or 0.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.harness import Row
from icm.errors import ConfigError
from icm.files.curves import read_curve
from icm.files.records import METRICS, Record, read_rows
from icm.files.stage_dir import read_manifest, verify
from icm.prepare.judge import Judge, judge_all, judge_of
from icm.prepare.settings import PocketSettings
from icm.statistics.estimates import Resampling, estimate
from icm.training.loop import CURVE
from icm.training.policy.rl import ROLLOUTS
from icm.training.policy.samples import SAMPLES, PolicyMetrics, SampleRow, expected_best_of_n

RESAMPLING = Resampling(seed=0, num_resamples=2000, confidence_level=0.95)


class _RolloutRow(Record):
    step: int
    prompt: str
    completion: str
    reward: float


def judge_of_run(run_dir: Path) -> Judge:
    """Return the golden judge of the task of a run.

    Raises:
        ConfigError: The task has no judge.
    """
    task = read_manifest(run_dir / "prepare", "prepare").config["task"]
    if task["kind"] != "pocket":
        raise ConfigError(f"{run_dir}: only pocket tasks have a golden judge, this one is {task['name']!r}")
    settings = PocketSettings.model_validate(task)
    return judge_of(settings.task, settings.world_seed)


def worths(policy_dir: Path, judge: Judge) -> dict[str, Row]:
    """Return what base, policy and the best of n of the base are worth.

    Returns:
        By source: `quality`, by the golden judge with an interval over prompts; `unparseable`, the share of completions
        that are none, `None` for best of n, which is an expectation; `reward`, which the training saw; `kl` from the
        base, nats per completion; `tokens`, the mean length.
    """
    rows = read_rows(policy_dir / SAMPLES, SampleRow)
    metrics = PolicyMetrics.model_validate_json((policy_dir / METRICS).read_text(encoding="utf-8"))
    found: dict[str, Row] = {}
    for source, measures in (("base", metrics.base), ("policy", metrics.policy)):
        if measures is None:
            continue
        mine = [row for row in rows if row.source == source]
        quality, is_unparseable = _judged(judge, mine)
        found[source] = {
            "quality": estimate(quality, [row.prompt for row in mine], RESAMPLING).model_dump(),
            "unparseable": float(is_unparseable.mean()),
            "reward": None if measures.reward is None else measures.reward.value,
            "kl": measures.kl.value,
            "tokens": measures.tokens,
        }
    of_base = [row for row in rows if row.source == "base"]
    quality, _ = _judged(judge, of_base)
    for best in metrics.best_of_n:
        # Computed from the samples of the base, not drawn: every subset of n counts, so the estimate varies less.
        by_prompt = expected_best_of_n(of_base, quality, best.n)
        found[f"best_of_{best.n}"] = {
            "quality": estimate(by_prompt, np.arange(by_prompt.size), RESAMPLING).model_dump(),
            "unparseable": None,
            "reward": best.reward,
            "kl": best.kl,
            "tokens": best.tokens,
        }
    return found


def curve(policy_dir: Path, judge: Judge) -> list[Row]:
    """Return `step`, `root_kl`, `reward` and `quality` of the rollouts of a training; nothing where there was none."""
    if not (policy_dir / ROLLOUTS).exists():
        return []
    rows = read_rows(policy_dir / ROLLOUTS, _RolloutRow)
    # A KL that is estimated from samples may fall below 0, and its root is plotted.
    divergence = {row["step"]: max(row["kl"], 0.0) for row in read_curve(policy_dir / CURVE)}
    points = []
    for step in dict.fromkeys(row.step for row in rows):
        mine = [row for row in rows if row.step == step]
        points.append(
            {
                "step": step,
                "root_kl": float(np.sqrt(divergence[step])),
                "reward": float(np.mean([row.reward for row in mine])),
                "quality": float(_judged(judge, mine)[0].mean()),
            }
        )
    return points


def _judged(
    judge: Judge, rows: Sequence[SampleRow] | Sequence[_RolloutRow]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    return judge_all(judge, [row.prompt for row in rows], [row.completion for row in rows])


def _worth_table(title: str, found: dict[str, Row]) -> Table:
    table = Table("", "quality", "95 % interval", "unparseable", "reward", "KL, nats", "tokens", title=title)
    for name, worth in found.items():
        quality = worth["quality"]
        table.add_row(
            name.replace("_", " "),
            f"{quality['value']:.3f}",
            f"{quality['low']:.3f} – {quality['high']:.3f}",
            "" if worth["unparseable"] is None else f"{worth['unparseable']:.1%}",
            "" if worth["reward"] is None else f"{worth['reward']:.3f}",
            f"{worth['kl']:.2f}",
            f"{worth['tokens']:.2f}",
        )
    return table


def _curve_table(points: Sequence[Row]) -> Table:
    table = Table("step", "√KL", "reward", "quality", title="rollouts")
    for point in points:
        table.add_row(
            str(point["step"]), f"{point['root_kl']:.2f}", f"{point['reward']:.3f}", f"{point['quality']:.3f}"
        )
    return table


def main() -> None:
    """Judge every policy, print tables and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("policy_dirs", type=Path, nargs="*", help="RUN_DIR/policy if left out")
    options = parser.parse_args()
    judge = judge_of_run(options.run_dir)
    console, results = Console(width=max(Console().width, 120)), {}
    for policy_dir in options.policy_dirs or [options.run_dir / "policy"]:
        # A training that was stopped has samples but no manifest, and they are not judged.
        verify(policy_dir, "policy", SAMPLES, METRICS)
        found, points = worths(policy_dir, judge), curve(policy_dir, judge)
        console.print(_worth_table(str(policy_dir), found))
        if points:
            console.print(_curve_table(points))
        results[policy_dir.name] = {"worth": found, "curve": points}
    print(json.dumps(results))


if __name__ == "__main__":
    main()
