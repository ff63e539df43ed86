"""What the default search costs from 64 claims to many thousands: tokens per claim, memory, time outside the model.

Usage: python -m benchmarks.speed.scaling [--quick] [--pocket 64,256,1024,4096,10000] [--fake 64,256,1024,4096,16384]
       [--plan 100000] [--outcomes FILE]

The claims are those of the task `facts`, repeated in new groups until there are enough, so all sizes ask for claims of
the same kind. The whole elicit stage runs, with its files. The pocket model stops early where its labels settle; the
fake scorer answers at random and never settles, so it goes through the whole schedule, and its tokens per claim can be
compared exactly. Memory is the peak of a process of its own. `--plan` makes the forecast and the orders of so many
claims, without labelling them.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.harness import Row, append_row, conditions, option_parser, read_rows, results_path
from benchmarks.quality.pocket_runs import pocket_config, pocket_scorer, read_labels, read_prepared, seal_anew
from icm import golden
from icm.claims import Claim, claim_id
from icm.config import Config
from icm.elicit import stage as elicit
from icm.elicit.forecast import forecast
from icm.files.records import CLAIMS, GOLD, TASK, read_claims, read_task, write_rows
from icm.prepare import stage as prepare
from icm.problem import build_problem
from icm.scoring.fake import HashScorer
from icm.scoring.protocol import LabelScorer
from icm.searches.build import build_search

SEED: Final = 0
POCKET: Final = "pocket"
QUICK: Final = 256


def run(job: Row) -> Row:
    """Label so many claims with a scorer, in a directory that is thrown away.

    Returns:
        `tokens_per_claim`, `reads_per_claim`: forwarded and asked. `seconds`, and `outside_model_fraction` of them.
        `peak_rss_mb`: of this process. `accuracy`: with the pocket model; the fake one knows nothing.
    """
    with tempfile.TemporaryDirectory() as directory:
        config, prepare_dir, elicit_dir = _prepared(job["claims"], Path(directory))
        task, _, truth = read_prepared(prepare_dir)
        scorer: LabelScorer = (
            pocket_scorer(None, task.label_space) if job["scorer"] == POCKET else HashScorer(task.label_space)
        )
        started = time.perf_counter()
        manifest = elicit.run(config.for_elicit(), prepare_dir, elicit_dir, scorer, Console(quiet=True))
        seconds = time.perf_counter() - started
        return {
            "tokens_per_claim": manifest.cost["forwarded_tokens"] / job["claims"],
            "reads_per_claim": (manifest.cost["prompts"] - manifest.cost["journal_hits"]) / job["claims"],
            "seconds": seconds,
            # A fake answer takes no model, so all of its time is ours.
            "outside_model_fraction": 1 - manifest.cost["model_seconds"] / seconds if job["scorer"] == POCKET else None,
            "peak_rss_mb": _peak_mb(),
            "accuracy": float(np.mean(read_labels(elicit_dir) == truth)) if job["scorer"] == POCKET else None,
        }


def plan(num_claims: int) -> Row:
    """Return seconds and memory of the forecast of a search, and the tokens that it foretells per claim."""
    with tempfile.TemporaryDirectory() as directory:
        config, prepare_dir, _ = _prepared(num_claims, Path(directory))
        task, claims, _ = read_prepared(prepare_dir)
        started = time.perf_counter()
        problem = build_problem(claims, task, HashScorer(task.label_space), config.for_elicit())
        search = build_search(config.search, problem, SEED)
        told = forecast(problem.objective, claims, task.label_space, search.num_steps, search.num_evaluations)
        seconds = time.perf_counter() - started
        return {"claims": num_claims, "seconds": seconds, "peak_rss_mb": _peak_mb(), "told": str(told)}


def _prepared(num_claims: int, directory: Path) -> tuple[Config, Path, Path]:
    """Prepare so many claims; return the settings and the directories of both stages."""
    config = pocket_config("facts", SEED, directory)
    prepare_dir = directory / "prepare"
    prepare.run(config.for_prepare(), prepare_dir)
    claims, space = read_claims(prepare_dir / CLAIMS), read_task(prepare_dir / TASK).label_space
    truth = golden.load(prepare_dir / GOLD, space)
    copies: list[tuple[Claim, int]] = []
    for at in range(num_claims):
        claim = claims[at % len(claims)]
        group = f"{claim.group}, {at // len(claims)}"
        copies.append((replace(claim, id=claim_id(group, claim.text), group=group), truth[claim.id]))
    write_rows(prepare_dir / CLAIMS, sorted((claim for claim, _ in copies), key=lambda claim: claim.id))
    golden.save(prepare_dir / GOLD, {claim.id: label for claim, label in copies})
    seal_anew(prepare_dir)
    return config, prepare_dir, directory / "elicit"


def _peak_mb() -> float:
    # The kernel counts in units of 1,024 bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _alone(function: Any, argument: Any) -> Any:
    """Return what a function gives in a new process, whose peak of memory is then its own."""
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, argument).result()


def summarise(rows: list[Row]) -> Row:
    """Return the keys of the last line: the ratios compare the most claims with the fewest of the same scorer."""
    by_size = {
        scorer: sorted((row for row in rows if row["scorer"] == scorer), key=lambda row: row["claims"])
        for scorer in dict.fromkeys(row["scorer"] for row in rows)
    }
    result: Row = {
        "claims": max(row["claims"] for row in rows),
        "peak_rss_mb": max(row["peak_rss_mb"] for row in rows),
        "outside_model_fraction": by_size[POCKET][-1]["outside_model_fraction"],
        "tokens_per_claim_ratio": _ratio(by_size["fake"], "tokens_per_claim"),
    }
    for scorer, sizes in by_size.items():
        result[f"{scorer}.claims"] = sizes[-1]["claims"]
        result[f"{scorer}.tokens_per_claim_ratio"] = _ratio(sizes, "tokens_per_claim")
        result[f"{scorer}.seconds_per_claim_ratio"] = (
            sizes[-1]["seconds"] / sizes[-1]["claims"] / (sizes[0]["seconds"] / sizes[0]["claims"])
        )
        result[f"{scorer}.peak_rss_mb"] = sizes[-1]["peak_rss_mb"]
    return result


def _ratio(rows: list[Row], name: str) -> float:
    return rows[-1][name] / rows[0][name]


def _table(rows: list[Row]) -> Table:
    table = Table(
        "scorer", "claims", "tokens a claim", "reads a claim", "seconds", "outside the model", "peak MB", "right"
    )
    for row in rows:
        outside, accuracy = row["outside_model_fraction"], row["accuracy"]
        table.add_row(
            row["scorer"],
            f"{row['claims']:,}",
            f"{row['tokens_per_claim']:.1f}",
            f"{row['reads_per_claim']:.1f}",
            f"{row['seconds']:,.1f}",
            "–" if outside is None else f"{100 * outside:.1f} %",
            f"{row['peak_rss_mb']:,.0f}",
            "–" if accuracy is None else f"{100 * accuracy:.1f} %",
        )
    return table


def main() -> None:
    """Label ever more claims, print a table and one line of JSON."""
    parser = option_parser(__doc__, quick="64 and 256 claims")
    parser.add_argument("--pocket", default="64,256,1024,4096,10000", help="numbers of claims for the pocket model")
    parser.add_argument("--fake", default="64,256,1024,4096,16384", help="numbers of claims for the fake scorer")
    parser.add_argument("--plan", type=int, default=100_000, help="claims to plan without labelling them")
    options = parser.parse_args()

    path = results_path(options, "scaling")
    known = {(row["scorer"], row["claims"]): row for row in read_rows(path)}
    rows: list[Row] = []
    for scorer, sizes in ((POCKET, options.pocket), ("fake", options.fake)):
        for claims in map(int, sizes.split(",")):
            if options.quick and claims > QUICK:
                continue
            if (scorer, claims) not in known:
                job = {"scorer": scorer, "claims": claims}
                known[scorer, claims] = {**job, **_alone(run, job), **conditions()}
                append_row(path, known[scorer, claims])
            rows.append(known[scorer, claims])
    Console(width=max(Console().width, 110)).print(_table(rows))
    planned = _alone(plan, QUICK if options.quick else options.plan)
    Console().print(f"planned {planned['claims']:,} claims in {planned['seconds']:.1f} s: {planned['told']}")
    print(json.dumps({**summarise(rows), "planned_claims": planned["claims"], "plan_seconds": planned["seconds"]}))


if __name__ == "__main__":
    main()
