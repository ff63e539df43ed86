"""What a search step costs outside the model: an instant scorer, the real contexts, journal, constraints and repair.

Usage: python -m benchmarks.speed.step [--quick]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from icm.claims import TRUE_FALSE, AnswerKey, Claim, claim_id, freeze, group_id
from icm.config import load
from icm.files.records import TaskRecord
from icm.problem import build_problem
from icm.prompts import Prompt
from icm.relations import DifferentAnswer
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


@dataclass(frozen=True, slots=True)
class Measured:
    """Medians over several runs: time outside the scorer and evaluations of U, per step."""

    step_us: float
    evaluation_us: float
    prompts_per_step: float


def measure(num_claims: int, num_steps: int, num_runs: int) -> Measured:
    """Time steps from a random labelling of all claims, half of which a step proposes to change."""
    settings = load("search=annealing", "objective=released_code", "contexts=tree").for_elicit()
    assert isinstance(settings.search, AnnealingSettings)
    claims = _claims(num_claims)
    task = TaskRecord(
        name="step", label_space=TRUE_FALSE, relations=(DifferentAnswer(kind="different_answer", weight=1.0),)
    )
    step_us, evaluation_us, prompts = [], [], []
    for run in range(num_runs):
        with tempfile.TemporaryDirectory() as directory:
            scorer = TimedScorer(TRUE_FALSE, seed=run)
            journal = JournalScorer(scorer, Path(directory) / "journal.jsonl")
            problem = build_problem(claims, task, journal, settings)
            chain = build_chain(settings.search, problem.objective, problem.groups, seed=run)
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
    return Measured(statistics.median(step_us), statistics.median(evaluation_us), statistics.median(prompts))


def main() -> None:
    """Measure, print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs and steps")
    quick = parser.parse_args().quick
    sizes = (256, 1024, 4096)
    results = {size: measure(size, (4 if quick else 16) * 4096 // size // 4, 1 if quick else 3) for size in sizes}

    table = Table("claims", "µs per step", "µs per evaluation of U", "prompts per step", title="outside the model")
    for size, measured in results.items():
        row = (f"{measured.step_us:,.0f}", f"{measured.evaluation_us:,.0f}", f"{measured.prompts_per_step:,.0f}")
        table.add_row(f"{size:,}", *row)
    console = Console()
    console.print(table)
    cost_per_prompt = {size: results[size].step_us / max(results[size].prompts_per_step, 1.0) for size in sizes}
    growth = float(np.log(cost_per_prompt[4096] / cost_per_prompt[256]) / np.log(4096 / 256))
    console.print(
        f"time per prompt grows with the claims to the power of {growth:.2f} "
        f"(log N: about 0.15; a term quadratic in N per evaluation: 1)"
    )
    print(
        json.dumps(
            {
                "step_us_256": results[256].step_us,
                "step_us_4096": results[4096].step_us,
                "evaluation_us_256": results[256].evaluation_us,
                "evaluation_us_4096": results[4096].evaluation_us,
                "per_prompt_growth_exponent": growth,
            }
        )
    )


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
