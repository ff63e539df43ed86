"""Does U rank the truth first? Every objective on labellings known beforehand: the truth and its rivals in the world.

Usage: python -m benchmarks.quality.objectives [--model DIR:WORLD_SEED ...] [--seeds N] [--tasks A,B] [--quick]

No search runs. The rivals are the truth turned round, both constant labellings, every other concept of the world
and its opposite, the model's verdicts without context, and labels drawn at random; of each also the nearest labelling
that violates nothing. An objective fails where a rival has a higher U than the truth: any search
that maximises it then has a reason to leave the truth.

The leave-one-out objectives are evaluated in one order of the claims, `prequential` in its own orders.
Each objective of `conf/objective` stands there in three forms. `free` is alpha * P, over all labellings. `penalised`
is U = alpha * P - I, over all labellings. `consistent` is U over those that violate nothing, which is what a search
that keeps the constraints sees. `prior` beside it: the share of true claims in the whole task is known.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.harness import Row, add_pool_options, option_parser, results_path, run_jobs
from benchmarks.quality.pocket_runs import (
    add_models_option,
    concepts_both_ways,
    named_models,
    pocket_config,
    pocket_scorer,
    read_prepared,
    settings_hash,
    weights_hash,
)
from consistency import ConstraintArrays
from icm.claims import Claim, Labels, freeze
from icm.config import Config, load
from icm.objective import (
    LeaveOneOutSettings,
    Objective,
    PrequentialSettings,
    mutual_predictability,
    prior_knowledge,
)
from icm.prepare import stage as prepare
from icm.prepare.pocket import build
from icm.prequential import Prequential
from icm.problem import build_problem, read_in_order
from icm.searches.decoding import build_decoder
from icm.statistics.streams import Stream
from icm.statistics.streams import generator as stream_generator

TASKS: Final = ("facts", "arithmetic", "preference", "misconceptions", "imbalance", "salient_surface", "flipped")
LEAVE_ONE_OUT: Final = ("paper", "released_code", "centred", "lift")
PREQUENTIAL: Final = "prequential"
OBJECTIVES: Final = (*LEAVE_ONE_OUT, PREQUENTIAL)
FORMS: Final = ("free", "penalised", "consistent")
TRUTH: Final = "truth"
NUM_SEEDS: Final = 3


Candidate = tuple[str, Labels]
"""A labelling that may have the highest U, after what it is called."""

Worth = tuple[float, float, float]
"""What one objective says of one labelling: alpha * P, I, and what a known class prior adds, nats."""


def run(job: Row) -> Row:
    """Return `winners`, the winner under each objective by `objective/form` and `objective/form/prior`."""
    with tempfile.TemporaryDirectory() as directory:
        world = f"task.world_seed={job['world_seed']}"
        config = pocket_config(job["task"], job["seed"], directory, world, "objective=lift")
        prepare_dir = Path(directory) / "prepare"
        prepare.run(config.for_prepare(), prepare_dir)
        task, claims, truth = read_prepared(prepare_dir)
    scorer = pocket_scorer(job["model"], task.label_space)
    problem = build_problem(claims, task, scorer, config.for_elicit())
    objective, reading = problem.objective, read_in_order(problem, _reading_settings(), job["seed"])
    rivals = [*_rivals(config, claims, truth), ("zero-shot", freeze(objective.zero_shot().argmax(axis=1)))]
    # The truth stands first: it wins ties, and it keeps its name where a rival is the same labelling.
    candidates = with_consistent([(TRUTH, truth), *rivals], objective.constraints)
    prior = _class_prior(job["task"], job["world_seed"])
    winners = {
        "/".join((name, form, *(["prior"] if knows_prior else []))): winner(candidates, worths, form, knows_prior)
        for name, worths in (*worths_of(candidates, objective, prior), worths_read(candidates, reading, prior))
        for form in FORMS
        for knows_prior in (False, True)
    }
    return {"winners": winners}


def winner(candidates: Sequence[Candidate], worths: Sequence[Worth], form: str, knows_prior: bool) -> tuple[str, float]:
    """Return the name of the labelling of the highest U and the share of the claims that it labels as the truth does.

    Only labellings that the form admits compete; the truth stands first and wins ties.
    """
    admitted = [at for at, (_, violated, _) in enumerate(worths) if form != "consistent" or violated == 0]

    def utility(at: int) -> float:
        predictable, inconsistency, known = worths[at]
        return predictable - (0.0 if form == "free" else inconsistency) + (known if knows_prior else 0.0)

    # `max` returns the first of equals.
    name, labels = candidates[max(admitted, key=utility)]
    return name, float(np.mean(labels == candidates[0][1]))


def worths_of(
    candidates: Sequence[Candidate], objective: Objective, prior: Sequence[float]
) -> Iterator[tuple[str, list[Worth]]]:
    """Yield what each objective says of the candidates; the model is asked once for all, in one order of the claims."""
    evaluations = objective.evaluate_all([labels for _, labels in candidates])
    known = [prior_knowledge(labels, objective.evidence, prior) for _, labels in candidates]
    for name in LEAVE_ONE_OUT:
        settings = _settings(name)
        worths = []
        for (_, labels), evaluation, extra in zip(candidates, evaluations, known, strict=True):
            # The objectives differ in how they read the log-probabilities, not in what is asked: one evaluation
            # serves all.
            nats = mutual_predictability(evaluation.label_logprobs, labels, settings)
            worths.append((settings.alpha * nats, evaluation.inconsistency, extra))
        yield name, worths


def worths_read(
    candidates: Sequence[Candidate], reading: Prequential, prior: Sequence[float]
) -> tuple[str, list[Worth]]:
    """Return what the prequential objective says of the candidates, all read in the same orders."""
    told = replace(reading, settings=reading.settings.model_copy(update={"class_prior": tuple(prior)}))
    alpha = reading.settings.alpha
    worths = []
    for (_, labels), evaluation in zip(
        candidates, reading.evaluate_all([labels for _, labels in candidates]), strict=True
    ):
        # A known prior changes the code that the labels are measured against, and nothing that the model is asked.
        with_prior = told.update(evaluation, labels)
        extra = alpha * (with_prior.predictability - evaluation.predictability)
        worths.append((alpha * evaluation.predictability, evaluation.inconsistency, extra))
    return PREQUENTIAL, worths


def _rivals(config: Config, claims: Sequence[Claim], truth: Labels) -> list[Candidate]:
    """Return what the world and chance offer beside the truth: each concept both ways round."""
    concepts = concepts_both_ways(config, claims) | {f"not {TRUTH}": freeze(1 - truth)}
    generator = stream_generator(config.seed, Stream.RIVAL_LABELS)
    return [
        *((name, labels) for name, labels in concepts.items() if name != TRUTH),
        ("all true", freeze(np.ones_like(truth))),
        ("all false", freeze(np.zeros_like(truth))),
        ("random", freeze(generator.integers(2, size=truth.size))),
    ]


def with_consistent(candidates: Sequence[Candidate], constraints: ConstraintArrays) -> list[Candidate]:
    """Append the nearest consistent form of each candidate; of equal labellings the first one stays."""
    decoder = build_decoder(constraints, penalty=np.inf)
    repaired = [(f"{name}, repaired", decoder.nearest(labels)) for name, labels in candidates]
    distinct: dict[bytes, Candidate] = {}
    for candidate in (*candidates, *repaired):
        # The bytes stand for the labelling, because an array is no key.
        distinct.setdefault(candidate[1].tobytes(), candidate)
    return list(distinct.values())


@cache
def _settings(name: str) -> LeaveOneOutSettings:
    settings = load(f"objective={name}").objective
    assert isinstance(settings, LeaveOneOutSettings), "what is compared here shares its prompts"
    return settings


@cache
def _reading_settings() -> PrequentialSettings:
    settings = load(f"objective={PREQUENTIAL}").objective
    assert isinstance(settings, PrequentialSettings)
    return settings


@cache
def _class_prior(task: str, world_seed: int) -> tuple[float, float]:
    """Return the shares of false and true claims in the whole task, of which a run labels a sample."""
    items = build(task, world_seed).items
    true = sum(item.golden_label == 1 for item in items) / len(items)
    return 1 - true, true


def summarise(rows: Sequence[Row], ranking: str) -> Row:
    """Return how often the truth has the highest U in a ranking, a key of `winners`, and what beats it otherwise."""
    tasks = dict.fromkeys(row["task"] for row in rows)
    models = dict.fromkeys(_model_name(row) for row in rows)
    return {
        **_of(rows, ranking),
        "tasks": {task: _of([row for row in rows if row["task"] == task], ranking) for task in tasks},
        "models": {model: _of([row for row in rows if _model_name(row) == model], ranking) for model in models},
    }


def _of(rows: Sequence[Row], ranking: str) -> Row:
    names, accuracies = zip(*(row["winners"][ranking] for row in rows), strict=True)
    return {
        "truth_wins": names.count(TRUTH) / len(names),
        "accuracy": float(np.mean(accuracies)),
        "beaten_by": dict(Counter(name for name in names if name != TRUTH).most_common()),
        "runs": len(names),
    }


def _model_name(row: Row) -> str:
    return f"{row['model'] or 'shipped'}:{row['world_seed']}"


def _table(report: Mapping[str, Mapping[str, Any]], tasks: Sequence[str]) -> Table:
    title = "share of the runs in which the truth has the highest U; how right the winner is; what wins otherwise"
    table = Table("objective", "all tasks", *tasks, "winner right", "beaten by", title=title)
    for name, row in report.items():
        beaten_by = ", ".join(f"{count}× {rival}" for rival, count in list(row["beaten_by"].items())[:3])
        shares = [row["truth_wins"], *(row["tasks"][task]["truth_wins"] for task in tasks), row["accuracy"]]
        table.add_row(name, *(f"{100 * share:.0f} %" for share in shares), beaten_by)
    return table


def _described(row: Row) -> str:
    return f"{row['task']}, {_model_name(row)}, seed {row['seed']}: {len(row['winners'])} rankings"


def main() -> None:
    """Rank the labellings of all claims, print a table and one line of JSON."""
    parser = option_parser(__doc__, quick="one seed of each task")
    parser.add_argument("--seeds", type=int, help=f"seeds of each task and model, {NUM_SEEDS} if left out")
    parser.add_argument("--tasks", default=",".join(TASKS), help="some of the tasks, separated by commas")
    add_models_option(parser)
    add_pool_options(parser)
    options = parser.parse_args()

    tasks = options.tasks.split(",")
    settings = "-".join(settings_hash([f"objective={name}"]) for name in OBJECTIVES)
    jobs = [
        {
            "task": task,
            "seed": seed,
            "model": model,
            "weights": weights_hash(model),
            "world_seed": world_seed,
            "settings": settings,
        }
        for seed in range(options.seeds or (1 if options.quick else NUM_SEEDS))
        for model, world_seed in named_models(options.model)
        for task in tasks
    ]
    started = time.perf_counter()
    rows = run_jobs(run, jobs, options.workers, results_path(options, "objectives"), _described)
    report = {ranking: summarise(rows, ranking) for ranking in rows[0]["winners"]}
    Console(width=max(Console().width, 170)).print(_table(report, tasks))
    print(json.dumps({**report, "wall_seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
