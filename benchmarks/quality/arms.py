"""Are elicited labels as good to train on as golden ones? Matched arms on pocket tasks; only the labels differ.

Usage: python -m benchmarks.quality.arms [--seeds N] [--tasks preference,arithmetic] [--claims N] [--rl] [--out DIR]
       [--set key=value ...]

Every seed draws its own claims, elicits its own labels and trains each arm once; all arms of a seed share claims,
steps, held-out pairs and samples. Reward accuracy is on golden pairs of held-out claims; policy quality is the golden
judge's opinion of the best of n samples by reward (a reply: 3 helpful, 0 harmful; a solution: 1 right, 0 wrong).
Intervals are Student's at 95 %, over seeds. With --out, a stopped benchmark goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from hydra import compose, initialize_config_module
from rich.console import Console

from icm import arms, elicit, prepare
from icm.arms_command import ArmsCommand, golden_judge
from icm.config import load, validate_as
from icm.records import TASK, read_task
from icm.report.arms_figure import draw_arms
from icm.scoring.backends import open_scorer
from icm.training.arm_summary import ArmRun, arms_table, difference, summarise

TASKS: Final = ("preference", "arithmetic")
SAMPLES: Final = {
    "preference": (),
    # The base has read no solution that is not followed by a verdict, so it is taught to write some, right and wrong.
    "arithmetic": (
        'samples.completion.ending="\nI think this claim is"',
        "samples.warm_start={steps: 150, batch_size: 32, learning_rate: 0.002}",
    ),
}
RL: Final = "policy={kind: rloo, steps: 60, batch_size: 64, learning_rate: 0.001, kl_weight: 0.05}"


def run_seed(task: str, seed: int, num_claims: int, out_dir: Path, overrides: Sequence[str]) -> list[ArmRun]:
    """Prepare, elicit and train the arms of one seed."""
    run_dir = out_dir / task / f"seed-{seed}"
    config = load(
        f"task=pocket_{task}",
        f"task.num_claims={num_claims}",
        "task.num_held_out=256",
        f"seed={seed}",
        f"data_seed={seed}",
        f"out_dir={run_dir}",
    )
    quiet = Console(quiet=True)
    prepare.run(config.for_prepare(), run_dir / "prepare")
    scorer = open_scorer(config.model, read_task(run_dir / "prepare" / TASK).label_space)
    elicit.run(config.for_elicit(), run_dir / "prepare", run_dir / "elicit", scorer, quiet)
    command = _command(run_dir, f"seeds=[{seed}]", f"samples.seed={seed}", *SAMPLES[task], *overrides)
    arms.run(command.config, run_dir, command.out_dir, scorer, golden_judge(run_dir), quiet)
    return arms.read_arm_runs(command.out_dir)


def report(task: str, runs: Sequence[ArmRun], console: Console) -> dict[str, Any]:
    """Print the arms of a task and return them for the JSON."""
    summaries = summarise(runs)
    console.print(arms_table(f"pocket {task}: {len({run.seed for run in runs})} seeds, ± 95 %", summaries))
    differences = {
        "elicited_minus_golden": difference(runs, "elicited", "golden"),
        "elicited_minus_human": difference(runs, "elicited", "human"),
        "elicited_minus_random_flips": difference(runs, "elicited", "random_flips"),
    }
    for name, found in differences.items():
        if found is not None:
            accuracy = found.reward_accuracy
            console.print(
                f"{name.replace('_', ' ')}: reward accuracy {100 * accuracy.value:+.1f} "
                f"({100 * accuracy.low:+.1f} … {100 * accuracy.high:+.1f}) points"
            )
    return {
        "arms": {summary.arm: summary.model_dump(mode="json", exclude={"arm"}) for summary in summaries},
        **{name: found.model_dump(mode="json") if found else None for name, found in differences.items()},
    }


def _command(run_dir: Path, *overrides: str) -> ArmsCommand:
    with initialize_config_module("conf", version_base="1.3"):
        return validate_as(ArmsCommand, compose("arms", overrides=[f"run_dir={run_dir}", *overrides]))


def main() -> None:
    """Run all seeds, print a table for each task and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tasks", default=",".join(TASKS), help="pocket tasks with a golden judge")
    parser.add_argument("--claims", type=int, default=64, help="claims to elicit and train on")
    parser.add_argument("--rl", action="store_true", help="also train a policy against each reward, by RLOO")
    parser.add_argument("--out", type=Path, help="directory to keep and to go on in; a temporary one if left out")
    parser.add_argument("--set", action="append", default=[], help="a setting, as on the command line of icm arms")
    options = parser.parse_args()
    overrides = [*options.set, *([RL] if options.rl else [])]
    console, progress = Console(width=max(Console().width, 150)), Console(stderr=True, highlight=False)
    started = time.perf_counter()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        out_dir = options.out or Path(temporary)
        for task in options.tasks.split(","):
            runs: list[ArmRun] = []
            for seed in range(options.seeds):
                runs += run_seed(task, seed, options.claims, out_dir, overrides)
                progress.print(f"{task}, seed {seed} of {options.seeds}: {time.perf_counter() - started:,.0f} s")
            results[task] = report(task, runs, console)
            if options.out:
                draw_arms(runs, out_dir / task)
    print(json.dumps({**results, "wall_seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
