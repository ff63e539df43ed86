"""One chain, asked in three ways: every query in full, perfectly cached, and as icm asks. Same steps, same model.

Usage: python -m benchmarks.speed.search [--quick] [--task pocket_facts] [--claims 128] [--steps 192] [--window 8]
       [--outcomes FILE]

"As sent" is how the released code puts its questions: at every step one prompt to predict a label, and for every
labelling that is considered one prompt per labelled claim, each with all its demos, in one fixed order. "Cached" is a
perfect cache behind that: no prompt is asked twice in the whole run and every shared beginning is forwarded once.
Both are counted on the labellings that the chain considered; what the released code asks again inside its repair is
not. The wall time of "as sent" is taken on a random sample of its prompts, forwarded in padded batches, and scaled by
tokens.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.harness import finish_speed, option_parser
from icm.claims import UNLABELLED, Claim, Labels
from icm.config import Config, load
from icm.files.records import CLAIMS, TASK, TaskRecord, read_claims, read_task
from icm.objective import Evaluation, LeaveOneOut
from icm.pocket.weights import pocket_model_dir
from icm.prepare import stage as prepare
from icm.problem import build_problem
from icm.prompts import NO_CONTEXT, Prompt, render_demo
from icm.scoring.journal import JournalScorer
from icm.scoring.local import LocalScorer
from icm.scoring.local.loading import load_model
from icm.scoring.protocol import LabelScorer, ScoringCost
from icm.searches.annealing import build_chain
from icm.searches.drive import drive
from icm.searches.settings import AnnealingSettings

CACHE_TOKENS: Final = 16384


@dataclass(frozen=True, slots=True, kw_only=True)
class Considered(LeaveOneOut):
    """An objective that remembers which labellings it was asked about."""

    labellings: list[Labels] = field(default_factory=list)

    def evaluate(self, labels: Labels) -> Evaluation:
        """Evaluate a labelling from scratch."""
        self.labellings.append(labels)
        return LeaveOneOut.evaluate(self, labels)

    def update(self, evaluation: Evaluation, labels: Labels) -> Evaluation:
        """Evaluate a labelling that differs from an evaluated one."""
        self.labellings.append(labels)
        return LeaveOneOut.update(self, evaluation, labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRun:
    """A chain that was run: the labellings whose U was asked, and what scoring cost.

    Attributes:
        predictions: For each step the labels before it and the claim whose label was predicted.
        decisions: For each step the labels after it.
    """

    considered: list[Labels]
    predictions: list[tuple[Labels, int]]
    decisions: list[Labels]
    cost: ScoringCost
    seconds: float


def run_chain(
    config: Config, claims: Sequence[Claim], task: TaskRecord, scorer: LabelScorer, num_steps: int
) -> ChainRun:
    """Run the first steps of a chain and remember what it asked."""
    assert isinstance(config.search, AnnealingSettings)
    problem = build_problem(claims, task, scorer, config.for_elicit())
    # A copy under another class: the chain must see the same objective, and only remember what was asked.
    fields = {name: getattr(problem.objective, name) for name in LeaveOneOut.__slots__}
    objective = Considered(**fields)
    chain = build_chain(config.search, objective, problem.groups, config.seed)
    spent, started = scorer.cost, time.perf_counter()
    predictions, decisions = [], []
    steps = drive(chain, scorer)
    # First comes the start, to which no step led.
    before = next(steps)[0].labels
    for state, info in islice(steps, num_steps):
        predictions.append((before, info.claim))
        decisions.append(state.labels)
        before = state.labels
    return ChainRun(
        considered=objective.labellings,
        predictions=predictions,
        decisions=decisions,
        cost=scorer.cost - spent,
        seconds=time.perf_counter() - started,
    )


class Demos:
    """Tokens of the claims as demos and as queries, for counting what other ways of asking would forward."""

    def __init__(self, claims: Sequence[Claim], task: TaskRecord, scorer: LabelScorer) -> None:
        space = task.label_space
        self._queries = scorer.count_tokens([claim.text for claim in claims])
        self._demos = np.stack(
            [scorer.count_tokens([render_demo(claim, label, space) for claim in claims]) for label in range(len(space))]
        )

    def as_sent(self, run: ChainRun) -> tuple[int, int]:
        """Return the prompts and tokens of asking every query in full."""
        prompts, tokens = 0, 0
        for labels in run.considered:
            claims = np.flatnonzero(labels != UNLABELLED)
            shown = self._shown(labels)
            prompts += claims.size
            # Each of n labelled claims is asked after the demos of all others: n times all demos, less each one once.
            tokens += int(claims.size * shown.sum() - shown.sum() + self._queries[claims].sum())
        for labels, claim in run.predictions:
            shown = self._shown(labels)
            prompts += 1
            tokens += int(shown.sum() - shown[claim] + self._queries[claim])
        return prompts, tokens

    def cached(self, run: ChainRun) -> tuple[int, int]:
        """Return the prompts and tokens left when equal prompts are asked once and shared beginnings forwarded once."""
        seen: set[int] = set()
        prompts, tokens = 0, 0

        def visit(key: int, cost: int) -> int:
            nonlocal tokens
            if key not in seen:
                seen.add(key)
                tokens += cost
            return key

        def ask(labels: Labels, asked: Sequence[int]) -> None:
            nonlocal prompts
            given, cost = labels.tolist(), self._shown(labels).tolist()
            shown = [claim for claim, label in enumerate(given) if label != UNLABELLED]
            before = 0  # the root: keys are hashes of the path, 64 bits, so that a collision is out of the question
            beginnings = {}
            for claim in shown:
                beginnings[claim] = before
                before = visit(hash((before, claim, given[claim])), cost[claim])
            for claim in asked:
                # What stands before the claim is shared with the labelling itself; what follows it is a path of its
                # own, because the claim's own demo is left out. An unlabelled claim follows all demos.
                node = beginnings.get(claim, before)
                for other in shown[shown.index(claim) + 1 :] if claim in beginnings else ():
                    node = visit(hash((node, other, given[other])), cost[other])
                # Asked before `visit` marks it as seen: a prompt counts the first time alone.
                prompts += (query := hash((node, claim))) not in seen
                visit(query, int(self._queries[claim]))

        for labels in run.considered:
            ask(labels, np.flatnonzero(labels != UNLABELLED).tolist())
        for labels, claim in run.predictions:
            ask(labels, [claim])
        return prompts, tokens

    def _shown(self, labels: Labels) -> NDArray[np.int64]:
        """Return the tokens that each claim adds to a context, 0 where it is unlabelled: (N,)."""
        return np.where(labels == UNLABELLED, 0, self._demos[labels, np.arange(labels.size)])


def naive_seconds_per_token(
    run: ChainRun, claims: Sequence[Claim], task: TaskRecord, scorer: LabelScorer, num_samples: int
) -> float:
    """Time a random sample of the prompts as sent, in three batches; return the median seconds per token."""
    random = np.random.default_rng(0)
    prompts = []
    for index in random.integers(len(run.considered), size=num_samples):
        labels = run.considered[index]
        shown = np.flatnonzero(labels != UNLABELLED).tolist()
        asked = int(random.choice(shown))
        demos = [render_demo(claims[i], int(labels[i]), task.label_space) for i in shown if i != asked]
        prompts.append(Prompt(NO_CONTEXT.extend(demos), claims[asked].text))
    # The median of three batches: one slow moment of the machine must not decide.
    rates = []
    for batch in (prompts[start::3] for start in range(3)):
        before = scorer.cost
        scorer.label_logprobs(batch)
        spent = scorer.cost - before
        rates.append((spent.model_seconds + spent.other_seconds) / spent.naive_tokens)
    return statistics.median(rates)


def main() -> None:
    """Run the chain, count the other two ways, print a table and one line of JSON."""
    parser = option_parser(__doc__, quick="48 claims")
    parser.add_argument("--task", default="pocket_preference", help="a pocket task in conf/task")
    parser.add_argument("--claims", type=int, default=128)
    parser.add_argument("--steps", type=int, default=None, help="the first steps of the chain; all if left out")
    parser.add_argument("--window", type=int, default=8, help="steps asked ahead")
    parser.add_argument("--search", default="annealing", help="a name in conf/search")
    parser.add_argument("--check-steps", type=int, default=24, help="steps that are repeated one by one, in full")
    parser.add_argument("--model", default=None, help="directory of a pocket model; the shipped one if left out")
    options = parser.parse_args()
    num_claims = 48 if options.quick else options.claims

    with tempfile.TemporaryDirectory() as directory:
        settings = (
            f"task={options.task}",
            f"task.num_claims={num_claims}",
            "task.num_held_out=0",
            f"out_dir={directory}",
        )
        config = load(*settings, f"search={options.search}", f"search.speculation_window={options.window}")
        prepare_dir = Path(directory) / "prepare"
        prepare.run(config.for_prepare(), prepare_dir)
        claims, task = read_claims(prepare_dir / CLAIMS), read_task(prepare_dir / TASK)
        model, tokenizer, identity = load_model(
            options.model or pocket_model_dir(), revision=None, dtype="float32", device="cpu"
        )
        ours = LocalScorer(model, tokenizer, task.label_space, identity=identity, cache_tokens=CACHE_TOKENS)
        plain = LocalScorer(model, tokenizer, task.label_space, identity=identity, share_prefixes=False)

        journal = JournalScorer(ours, Path(directory) / "journal.jsonl")
        assert isinstance(config.search, AnnealingSettings)
        num_steps = options.steps or config.search.num_steps(len(claims))
        run = run_chain(config, claims, task, journal, num_steps)
        step_by_step = load(*settings, f"search={options.search}", "search.speculation_window=1")
        checked = run_chain(step_by_step, claims, task, plain, num_steps=options.check_steps)
        # Not strict: only the first steps were taken a second time.
        same = all(np.array_equal(*pair) for pair in zip(run.decisions, checked.decisions, strict=False))

        demos = Demos(claims, task, ours)
        sent_prompts, sent_tokens = demos.as_sent(run)
        cached_prompts, cached_tokens = demos.cached(run)
        sent_seconds = sent_tokens * naive_seconds_per_token(run, claims, task, plain, 24 if options.quick else 96)

    cost = run.cost
    table = Table(
        "",
        "prompts",
        "tokens",
        "calls",
        "seconds",
        title=f"{options.task}, {num_claims} claims, {len(run.decisions)} steps",
    )
    table.add_row(
        "as sent", f"{sent_prompts:,}", f"{sent_tokens:,}", f"{sent_prompts:,}", f"{sent_seconds:,.0f} (sampled)"
    )
    table.add_row("perfectly cached", f"{cached_prompts:,}", f"{cached_tokens:,}", f"{cached_prompts:,}", "")
    asked = f"{cost.prompts - cost.journal_hits:,}"
    table.add_row("ours", asked, f"{cost.forwarded_tokens:,}", f"{cost.calls:,}", f"{run.seconds:,.1f}")
    console = Console()
    console.print(table)
    console.print(
        f"asked one by one, in full, without journal or sharing, the first {len(checked.decisions)} steps "
        f"{'take the same decisions' if same else 'take OTHER decisions'}"
    )
    result = {
        "tokens_vs_reference": sent_tokens / cost.forwarded_tokens,
        "tokens_vs_reference_cached": cached_tokens / cost.forwarded_tokens,
        "wall_vs_reference": sent_seconds / run.seconds,
        "same_decisions": same,
        "steps": len(run.decisions),
        "considered_labellings": len(run.considered),
        "tokens_as_sent": sent_tokens,
        "tokens_cached": cached_tokens,
        "tokens": cost.forwarded_tokens,
        "calls": cost.calls,
        "seconds": run.seconds,
    }
    finish_speed("search", options, result)


if __name__ == "__main__":
    main()
