"""Are elicited labels as good to train on as golden ones? Matched arms on pocket tasks; only the labels differ.

Usage: python -m benchmarks.quality.arms [--seeds N] [--tasks preference,arithmetic] [--claims N] [--rl | --no-rl]
       [--quick] [--out DIR] [--set key=value ...] [--outcomes FILE]

Every seed draws its own claims, elicits its own labels and trains each arm once; all arms of a seed share claims,
steps, held-out pairs and samples. Reward accuracy is on golden pairs of held-out claims; verdict accuracy is that of a
model fine-tuned to say the labels, on held-out claims; policy quality is the golden judge's opinion of the best of n
samples by reward (a reply: 3 helpful, 0 harmful; a solution: 1 right, 0 wrong), RL quality that of a trained policy.
Intervals are Student's at 95 %, over seeds. A stopped benchmark goes on with
the seeds that its file of results lacks; with --out, within a seed too.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks.harness import Row, option_parser, results_path, run_jobs
from benchmarks.quality.pocket_runs import weights_hash
from icm.commands.arms import golden_judge
from icm.config import load, load_command
from icm.elicit import stage as elicit
from icm.files.records import TASK, read_task
from icm.prepare import stage as prepare
from icm.scoring.open import open_scorer
from icm.statistics.schema import Estimate
from icm.training.arms import stage
from icm.training.arms.figure import draw_arms
from icm.training.arms.settings import ArmsConfig
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


def run_seed(job: Row, out_dir: Path) -> Row:
    """Prepare, elicit and train the arms of one seed; return what came of them as `arms`, an `ArmRun` each.

    The job holds `task`, `seed`, `claims` (their number) and `overrides` of `icm arms`.
    """
    task, seed = job["task"], job["seed"]
    run_dir = out_dir / task / f"seed-{seed}"
    # One seed for both: each repetition has claims and a search of its own.
    config = load(
        f"task=pocket_{task}",
        f"task.num_claims={job['claims']}",
        "task.num_held_out=256",
        f"seed={seed}",
        f"data_seed={seed}",
        f"out_dir={run_dir}",
    )
    quiet = Console(quiet=True)
    prepare.run(config.for_prepare(), run_dir / "prepare")
    scorer = open_scorer(config.model, read_task(run_dir / "prepare" / TASK).label_space)
    elicit.run(config.for_elicit(), run_dir / "prepare", run_dir / "elicit", scorer, quiet)
    # The overrides stand last, so that what the user sets wins over what a task needs.
    overrides = (f"run_dir={run_dir}", f"seeds=[{seed}]", f"samples.seed={seed}", *SAMPLES[task], *job["overrides"])
    places, settings = load_command(ArmsConfig, "arms", *overrides)
    stage.run(settings, run_dir, places.out_dir, scorer, golden_judge(run_dir), quiet)
    return {"arms": [run.model_dump(mode="json") for run in stage.read_arm_runs(places.out_dir)]}


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


def main() -> None:
    """Run all seeds, print a table for each task and one line of JSON."""
    parser = option_parser(__doc__, quick="less of everything: whether it runs, not what is true")
    parser.add_argument("--seeds", type=int, help="5, with --quick 2")
    parser.add_argument("--tasks", default=",".join(TASKS), help="pocket tasks with a golden judge")
    parser.add_argument("--claims", type=int, help="claims to elicit and train on; 64, with --quick 32")
    parser.add_argument("--rl", action=argparse.BooleanOptionalAction, help="train policies, too; not with --quick")
    parser.add_argument("--out", type=Path, help="directory to keep the runs in; a temporary one if left out")
    parser.add_argument("--set", action="append", default=[], help="a setting, as on the command line of icm arms")
    options = parser.parse_args()
    reinforced = not options.quick if options.rl is None else options.rl
    overrides = [*(QUICK if options.quick else ()), *([RL] if reinforced else ()), *options.set]
    num_claims = options.claims or (32 if options.quick else 64)
    # Part of every job, so that rows of other weights are not taken for rows of these.
    weights = weights_hash(None)
    jobs = [
        {"task": task, "seed": seed, "claims": num_claims, "overrides": overrides, "weights": weights}
        # Seed by seed: stopped early, the benchmark has all tasks at equally many seeds.
        for seed in range(options.seeds or (2 if options.quick else 5))
        for task in options.tasks.split(",")
    ]
    console = Console(width=max(Console().width, 150))
    started = time.perf_counter()
    runs: dict[str, list[ArmRun]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        out_dir = options.out or Path(temporary)
        run = partial(run_seed, out_dir=out_dir)
        for row in run_jobs(run, jobs, 1, results_path(options, "arms"), _described):
            runs.setdefault(row["task"], []).extend(ArmRun.model_validate(arm) for arm in row["arms"])
        results = {task: report(task, of_task, console) for task, of_task in runs.items()}
        if options.out:
            for task, of_task in runs.items():
                draw_arms(of_task, out_dir / task)
    print(json.dumps({**results, "wall_seconds": time.perf_counter() - started}))


def _described(row: Row) -> str:
    return f"{row['task']}, seed {row['seed']}: {len(row['arms'])} arms"


if __name__ == "__main__":
    main()
