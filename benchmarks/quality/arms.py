"""Are elicited labels as good to train on as golden ones? Matched arms on pocket tasks; only the labels differ.

Usage: python -m benchmarks.quality.arms [--seeds N] [--tasks preference,arithmetic] [--claims N] [--rl | --no-rl]
       [--quick] [--out DIR] [--set key=value ...]

Every seed draws its own claims, elicits its own labels and trains each arm once; all arms of a seed share claims,
steps, held-out pairs and samples. Reward accuracy is on golden pairs of held-out claims; verdict accuracy is that of a
model fine-tuned to say the labels, on held-out claims; policy quality is the golden judge's opinion of the best of n
samples by reward (a reply: 3 helpful, 0 harmful; a solution: 1 right, 0 wrong), RL quality that of a trained policy.
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

from rich.console import Console

from icm.commands.arms import ArmsCommand, golden_judge
from icm.config import load, load_as
from icm.elicit import stage as elicit
from icm.files.records import TASK, read_task
from icm.prepare import stage as prepare
from icm.scoring.open import open_scorer
from icm.statistics.schema import Estimate
from icm.training.arms import stage
from icm.training.arms.figure import draw_arms
from icm.training.arms.summary import ArmRun, Summary, arms_table, difference, summarise

TASKS: Final = ("preference", "arithmetic")
SAMPLES: Final = {
    "preference": (),
    # The base has read no solution that is not followed by a verdict, so it is taught to write some, right and wrong.
    "arithmetic": (
        'samples.completion.ending="\nI think this claim is"',
        "samples.warm_start={steps: 150, batch_size: 32, learning_rate: 0.002}",
    ),
}
RL: Final = "policy={kind: rloo, steps: 40, batch_size: 64, learning_rate: 0.001, kl_weight: 0.05, rollouts_every: 5}"
QUICK: Final = (
    "arms=[base,verdict,elicited,golden,human,shuffled]",
    "model.steps=40",
    "verdicts.steps=30",
    "samples.num_prompts=16",
    "samples.samples_per_prompt=16",
)


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
    command = load_as(
        ArmsCommand, "arms", f"run_dir={run_dir}", f"seeds=[{seed}]", f"samples.seed={seed}", *SAMPLES[task], *overrides
    )
    stage.run(command.config, run_dir, command.out_dir, scorer, golden_judge(run_dir), quiet)
    return stage.read_arm_runs(command.out_dir)


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
            console.print(
                f"{name.replace('_', ' ')}, points: reward accuracy {_points(found['reward_accuracy'])}"
                + (f", verdicts {_points(found['verdict_accuracy'])}" if found["verdict_accuracy"] else "")
            )
    return {
        "arms": {arm: _plain(summary) for arm, summary in summaries.items()},
        **{name: _plain(found) if found else None for name, found in differences.items()},
    }


def _plain(summary: Summary) -> dict[str, Any]:
    return {name: estimate and estimate.model_dump() for name, estimate in summary.items()}


def _points(found: Estimate | None) -> str:
    if found is None:
        return "unknown"
    return f"{100 * found.value:+.1f} ({100 * found.low:+.1f} … {100 * found.high:+.1f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, help="5, with --quick 2")
    parser.add_argument("--tasks", default=",".join(TASKS), help="pocket tasks with a golden judge")
    parser.add_argument("--claims", type=int, help="claims to elicit and train on; 64, with --quick 32")
    parser.add_argument("--rl", action=argparse.BooleanOptionalAction, help="train policies, too; not with --quick")
    parser.add_argument("--quick", action="store_true", help="less of everything: whether it runs, not what is true")
    parser.add_argument("--out", type=Path, help="directory to keep and to go on in; a temporary one if left out")
    parser.add_argument("--set", action="append", default=[], help="a setting, as on the command line of icm arms")
    options = parser.parse_args()
    options.tasks = options.tasks.split(",")
    options.seeds = options.seeds or (2 if options.quick else 5)
    options.claims = options.claims or (32 if options.quick else 64)
    options.rl = not options.quick if options.rl is None else options.rl
    return options


def main() -> None:
    """Run all seeds, print a table for each task and one line of JSON."""
    options = _options()
    overrides = [*(QUICK if options.quick else ()), *([RL] if options.rl else ()), *options.set]
    console, progress = Console(width=max(Console().width, 150)), Console(stderr=True, highlight=False)
    started = time.perf_counter()
    runs: dict[str, list[ArmRun]] = {task: [] for task in options.tasks}
    with tempfile.TemporaryDirectory() as temporary:
        out_dir = options.out or Path(temporary)
        for seed in range(options.seeds):
            for task in options.tasks:
                runs[task] += run_seed(task, seed, options.claims, out_dir, overrides)
                progress.print(f"{task}, seed {seed} of {options.seeds}: {time.perf_counter() - started:,.0f} s")
        results = {task: report(task, of_task, console) for task, of_task in runs.items()}
        if options.out:
            for task, of_task in runs.items():
                draw_arms(of_task, out_dir / task)
    print(json.dumps({**results, "wall_seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
