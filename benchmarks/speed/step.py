"""What a search step costs outside the model: an instant scorer, the real contexts, journal, constraints and repair.

Usage: python -m benchmarks.speed.step [--quick] [--outcomes FILE]
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.harness import finish_speed, option_parser
from icm.claims import TRUE_FALSE, AnswerKey, Claim, claim_id, freeze, group_id
from icm.config import load
from icm.files.records import TaskRecord
from icm.problem import build_problem
from icm.prompts import Prompt
from icm.relations import Relation
from icm.scoring.fake import HashScorer
from icm.scoring.journal import JournalScorer
from icm.searches.annealing import build_chain
from icm.searches.drive import drive
from icm.searches.settings import AnnealingSettings
from search.annealing import start


class TimedScorer(HashScorer):
    """The instant scorer, with the time spent in it, which stands for the model's."""

    seconds: float = 0.0

    def label_logprobs(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        """Return pseudo-random label log-probabilities: (B, L), nats."""
        started = time.perf_counter()
        answers = super().label_logprobs(prompts)
        self.seconds += time.perf_counter() - started
        return answers


def measure(num_claims: int, num_steps: int, num_runs: int) -> tuple[float, float, float]:
    """Time steps from a random labelling of all claims, half of which a step proposes to change.

    Returns:
        Medians over the runs: µs outside the scorer of a step and of an evaluation of U, prompts of a step.
    """
    settings = load("search=annealing", "objective=released_code", "contexts=tree").for_elicit()
    assert isinstance(settings.search, AnnealingSettings)
    claims = _claims(num_claims)
    task = TaskRecord(name="step", label_space=TRUE_FALSE, relations=(Relation(kind="different_answer", weight=1.0),))
    step_us, evaluation_us, prompts = [], [], []
    for run in range(num_runs):
        with tempfile.TemporaryDirectory() as directory:
            scorer = TimedScorer(TRUE_FALSE, seed=run)
            journal = JournalScorer(scorer, Path(directory) / "journal.jsonl")
            problem = build_problem(claims, task, journal, settings)
            chain = build_chain(settings.search, problem.objective, problem.groups, seed=run)
            # Random labels of all claims: the model disagrees with half of them, so half of the steps propose a change.
            labels = freeze(np.random.default_rng(run).integers(2, size=num_claims).astype(np.int8))
            started, inside = time.perf_counter(), scorer.seconds
            state = start(labels, problem.objective.evaluate(labels))
            evaluation_us.append(1e6 * (time.perf_counter() - started - (scorer.seconds - inside)))
            steps = drive(chain, journal, state)
            next(steps)  # the first step compiles the kernels
            started, inside, asked = time.perf_counter(), scorer.seconds, journal.cost.prompts
            for _ in islice(steps, num_steps):
                pass
            outside = time.perf_counter() - started - (scorer.seconds - inside)
            step_us.append(1e6 * outside / num_steps)
            prompts.append((journal.cost.prompts - asked) / num_steps)
    return statistics.median(step_us), statistics.median(evaluation_us), statistics.median(prompts)


def main() -> None:
    """Measure, print a table and one line of JSON."""
    options = option_parser(__doc__, quick="fewer runs and steps").parse_args()
    quick = options.quick
    sizes = (256, 1024, 4096)
    # Fewer steps where there are more claims, so that all sizes take about equally long.
    results = {size: measure(size, (4 if quick else 16) * 4096 // size // 4, 1 if quick else 3) for size in sizes}

    table = Table("claims", "µs per step", "µs per evaluation of U", "prompts per step", title="outside the model")
    for size, measured in results.items():
        table.add_row(f"{size:,}", *(f"{value:,.0f}" for value in measured))
    console = Console()
    console.print(table)
    # More claims also ask more prompts a step; what grows beyond that is what is looked for.
    cost_per_prompt = {size: step_us / max(prompts, 1.0) for size, (step_us, _, prompts) in results.items()}
    growth = float(np.log(cost_per_prompt[4096] / cost_per_prompt[256]) / np.log(4096 / 256))
    console.print(
        f"time per prompt grows with the claims to the power of {growth:.2f} "
        f"(log N: about 0.15; a term quadratic in N per evaluation: 1)"
    )
    result = {
        "step_us_256": results[256][0],
        "step_us_4096": results[4096][0],
        "evaluation_us_256": results[256][1],
        "evaluation_us_4096": results[4096][1],
        "per_prompt_growth_exponent": growth,
    }
    finish_speed("step", options, result)


def _claims(num_claims: int) -> list[Claim]:
    claims = []
    for number in range(num_claims):
        question = f"Question: what is number {number // 4}?"
        group, answer = group_id(question), str(number % 4)
        text = f"{question}\nClaim: {answer}\nI think this claim is"
        parts = {"question": question, "answer": answer}
        key = AnswerKey(value=answer)
        claims.append(Claim(id=claim_id(group, text), group=group, text=text, parts=parts, key=key))
    return claims


if __name__ == "__main__":
    main()
