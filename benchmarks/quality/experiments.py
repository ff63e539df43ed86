"""Two ways to ask less of U in a step of the annealing chain, measured: what do they save, and what do they cost?

Usage: python -m benchmarks.quality.experiments [--quick] [--seeds N] [--tasks facts,preference] [--workers N]

`plain` is Algorithm 1 of the paper under the objective of the released code, each proposal by the whole U. `sequential`
rejects a proposal as soon as a random part of U speaks against it (`icm.acceptance`); `blocks` compares the U of one
block of claims at a time (`icm.searches.blocks`). Same claims, seeds and number of steps.

U is always the exact U of all claims for the labels at the end. "Same decision" compares, at each proposal of an arm
that changes a label and violates nothing, what the arm did with what the exact chain does in the same state with the
same draw; the questions for that are asked of another scorer and do not count.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.quality.intervals import half_width, with_interval
from benchmarks.quality.pocket_runs import NUM_CLAIMS, in_workers, pocket_config, pocket_scorer
from consistency.kernels import violated_constraints
from icm import golden, prepare
from icm.claims import Labels
from icm.objective import Objective
from icm.problem import build_problem
from icm.proposals import with_label
from icm.records import CLAIMS, GOLD, TASK, read_claims, read_task
from icm.scoring.journal import JournalScorer
from icm.searches.build import build_search
from search.annealing import StepInfo, accepts
from search.randomness import step_generator

ARMS: Final[Mapping[str, tuple[str, ...]]] = {
    "plain": (),
    "sequential_0.05": ("search.acceptance_error=0.05",),
    "sequential_0.2": ("search.acceptance_error=0.2",),
    "blocks_16": ("search.block_size=16",),
}
TASKS: Final = ("facts", "preference")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run: a task, an arm, a seed."""

    task: str
    arm: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run came to.

    Attributes:
        accuracy: Share of the claims with the golden label; unlabelled claims count as wrong.
        utility: Exact U of the labels.
        tokens: Tokens forwarded from the first question to the last step.
        proposals: Proposals that would have changed a label.
        rejected: Those that were rejected.
        rejected_early: Those that were rejected on a part of U.
        compared: Proposals whose decision was compared with the exact one.
        equal: Those decided alike.
        seconds: Wall time of the steps, comparing included.
    """

    accuracy: float
    utility: float
    tokens: int
    proposals: int
    rejected: int
    rejected_early: int
    compared: int
    equal: int
    seconds: float


def run(job: Job) -> Outcome:
    """Prepare, take the steps, compare with the exact chain and the golden labels."""
    with tempfile.TemporaryDirectory() as directory:
        arm = ("search=annealing", "objective=released_code", *ARMS[job.arm])
        config = pocket_config(job.task, job.seed, directory, *arm)
        prepare_dir = Path(directory) / "prepare"
        prepare.run(config.for_prepare(), prepare_dir)
        task, claims = read_task(prepare_dir / TASK), read_claims(prepare_dir / CLAIMS)
        arm_scorer, judge_scorer = (pocket_scorer(None, task.label_space, role) for role in ("arm", "judge"))
        scorer = JournalScorer(arm_scorer, Path(directory) / "arm.jsonl")
        judge = JournalScorer(judge_scorer, Path(directory) / "judge.jsonl")
        exact = build_problem(claims, task, judge, config.for_elicit()).objective
        problem = build_problem(claims, task, scorer, config.for_elicit())
        search = build_search(config.search, problem, job.seed)

        started = time.perf_counter()
        scorer.forget()
        state = search.start()
        decisions: list[Decision] = []
        for after, info in search.walk(state):
            if info.label != state.labels[info.claim]:
                decisions.append(_decision(exact, state.labels, info, job, after.step))
            state = after
            if state.step % search.period == 0:
                scorer.forget()
        seconds = time.perf_counter() - started
        labels = search.result(state).labels
        golden_labels = golden.as_labels(golden.load(prepare_dir / GOLD, len(task.label_space)), claims)
        compared = [decision for decision in decisions if decision.exact is not None]
        return Outcome(
            accuracy=float(np.mean(labels == golden_labels)),
            utility=exact.evaluate(labels).utility,
            tokens=scorer.cost.forwarded_tokens,
            proposals=len(decisions),
            rejected=sum(not decision.accepted for decision in decisions),
            rejected_early=sum(decision.early for decision in decisions),
            compared=len(compared),
            equal=sum(decision.exact == decision.accepted for decision in compared),
            seconds=seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What an arm did with a proposal, and what the exact chain does with it where there is nothing to repair."""

    accepted: bool
    early: bool
    exact: bool | None


def _decision(exact: Objective, before: Labels, info: StepInfo, job: Job, step: int) -> Decision:
    assert info.claim is not None
    assert info.label is not None
    assert info.temperature is not None
    labels = with_label(before, info.claim, info.label)
    early = info.delta_utility is None
    decided = None
    if not len(violated_constraints(exact.constraints, labels)):
        decided = info.accepted
        # All other decisions of the plain chain and of the test rest on the exact U already.
        if early or job.arm.startswith("blocks"):
            generator = step_generator(job.seed, step)
            generator.random()  # drew the claim
            evaluation = exact.evaluate(before)
            delta = exact.update(evaluation, labels).utility - evaluation.utility
            decided = accepts(delta, info.temperature, generator.random())
    return Decision(accepted=info.accepted, early=early, exact=decided)


def _described(job: Job, outcome: Outcome) -> str:
    return f"{job.task}, {job.arm}, seed {job.seed}: U {outcome.utility:.1f}, {outcome.tokens:,} tokens"


def summarise(outcomes: Sequence[Outcome], plain: Sequence[Outcome]) -> dict[str, Any]:
    """Return means over seeds with 95 % intervals (Student's t), and tokens as a ratio to the plain chain's."""
    accuracies = np.array([outcome.accuracy for outcome in outcomes])
    utilities = np.array([outcome.utility for outcome in outcomes])
    gained = utilities - [outcome.utility for outcome in plain]
    compared = sum(outcome.compared for outcome in outcomes)
    tokens = sum(outcome.tokens for outcome in outcomes)
    return {
        "accuracy": float(accuracies.mean()),
        "accuracy_half_width": half_width(accuracies.tolist()),
        "utility": float(utilities.mean()),
        "utility_half_width": half_width(utilities.tolist()),
        "utility_minus_plain": float(gained.mean()),
        "utility_minus_plain_half_width": half_width(gained.tolist()),
        "same_decisions": sum(outcome.equal for outcome in outcomes) / max(compared, 1),
        "decisions_compared": compared,
        "proposals": sum(outcome.proposals for outcome in outcomes),
        "rejected": sum(outcome.rejected for outcome in outcomes),
        "rejected_early": sum(outcome.rejected_early for outcome in outcomes),
        "tokens": tokens / len(outcomes),
        "tokens_vs_plain": tokens / sum(outcome.tokens for outcome in plain),
        "tokens_vs_plain_median": float(
            np.median([one.tokens / other.tokens for one, other in zip(outcomes, plain, strict=True)])
        ),
        "seconds": float(np.median([outcome.seconds for outcome in outcomes])),
        "seeds": len(outcomes),
        "accuracies": [round(float(accuracy), 3) for accuracy in accuracies],
        "utilities": [round(float(utility), 2) for utility in utilities],
        "tokens_by_seed": [outcome.tokens for outcome in outcomes],
    }


def _table(report: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    columns = (
        "task", "arm", "accuracy", "exact U", "U less plain's", "same decision", "rejected (early)", "tokens",
        "tokens, plain = 1 (median)",
    )  # fmt: skip
    table = Table(*columns, title=f"{NUM_CLAIMS} claims; means over seeds, 95 % intervals")
    for task, arms in report.items():
        for arm, row in arms.items():
            table.add_row(
                task,
                arm,
                with_interval(row["accuracy"], row["accuracy_half_width"], 100),
                with_interval(row["utility"], row["utility_half_width"]),
                with_interval(row["utility_minus_plain"], row["utility_minus_plain_half_width"]),
                f"{100 * row['same_decisions']:.1f} % of {row['decisions_compared']}",
                f"{row['rejected']} ({row['rejected_early']}) of {row['proposals']}",
                f"{row['tokens']:,.0f}",
                f"{row['tokens_vs_plain']:.2f} ({row['tokens_vs_plain_median']:.2f})",
            )
    return table


def main() -> None:
    """Run all seeds, print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1 seed")
    parser.add_argument("--seeds", type=int, help="seeds of every arm; 3 if left out")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()

    seeds = range(options.first_seed, options.first_seed + (options.seeds or (1 if options.quick else 3)))
    tasks = options.tasks.split(",")
    jobs = [Job(task=task, arm=arm, seed=seed) for task in tasks for seed in seeds for arm in ARMS]
    started = time.perf_counter()
    outcomes: dict[tuple[str, str], list[Outcome]] = {}
    for job, outcome in in_workers(run, jobs, options.workers, _described):
        outcomes.setdefault((job.task, job.arm), []).append(outcome)
    report: dict[str, Any] = {
        task: {arm: summarise(outcomes[task, arm], outcomes[task, "plain"]) for arm in ARMS} for task in tasks
    }
    Console(width=max(Console().width, 170)).print(_table(report))
    report["wall_seconds"] = time.perf_counter() - started
    print(json.dumps(report))


if __name__ == "__main__":
    main()
