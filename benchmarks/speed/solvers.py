"""The exact solver beside OR-tools CP-SAT and python-sat's RC2 on the same instances. Knows no claims and no model.

Part of `python -m benchmarks.speed.consistency`. Log-odds and penalties are whole multiples of 1/1024 nat, so that all
solvers can be given the very same instance and their optima compared as integers. Each solver has one thread and is
timed in processor seconds. A peer's model is built beforehand and its building not timed, while ours is timed from
the constraint arrays on; and a peer gets the groups one by one, which is much faster for it than all of them at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import combinations
from threading import Timer
from typing import Final

import numpy as np

from consistency import Constraint, acyclic, compile_constraints, contradiction, equivalence
from consistency.solve import solve

UNIT: Final = 1024
"""Steps of a nat."""

PENALTY: Final = 2 * UNIT
"""What a violated weight of 1 costs."""


@dataclass(frozen=True, slots=True)
class Part:
    """Claims and the constraints on them: the log-odds of each being true, in steps."""

    log_odds: Sequence[int]
    constraints: Sequence[Constraint]


@dataclass(frozen=True, slots=True)
class Run:
    """What a solver made of an instance: its optimum in steps, `None` if not proven in time, and its seconds."""

    optimum: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What all solvers made of one instance; `peers` by name."""

    name: str
    ours: Run
    peers: dict[str, Run]

    @property
    def optima_are_equal(self) -> bool:
        """Whether ours is proven, some peer proved its own, and all that did found the same."""
        proven = {run.optimum for run in self.peers.values() if run.optimum is not None}
        return proven == {self.ours.optimum}

    def speedup(self, peer: str) -> float:
        """The peer's seconds over ours: at least that much where the peer ran out of time."""
        return self.peers[peer].seconds / self.ours.seconds


def answer_groups(generator: np.random.Generator, num_groups: int) -> list[Part]:
    """Draw groups of 2 to 12 claims: equal answers have equal labels, of different ones at most one is true."""
    groups = []
    for _ in range(num_groups):
        size = int(generator.integers(2, 13))
        answers = generator.integers(max(2, size // 2), size=size).tolist()
        constraints = [
            Constraint(scope=(i, j), forbidden=equivalence(2) if answers[i] == answers[j] else contradiction())
            for i, j in combinations(range(size), 2)
        ]
        groups.append(Part(_steps(2 * generator.standard_normal(size)), constraints))
    return groups


def ranking(generator: np.random.Generator, pairs: Sequence[tuple[int, int]]) -> Part:
    """Draw comparisons of responses that have a hidden order, log-odds 1 with noise 1, and forbid circles of three."""
    claim = {pair: i for i, pair in enumerate(pairs)}
    responses = sorted({response for pair in pairs for response in pair})
    rank = generator.permutation(len(responses))
    constraints = [
        Constraint(scope=(claim[a, b], claim[b, c], claim[a, c]), forbidden=acyclic((True, True, False)))
        for a, b in pairs
        for c in responses
        if (b, c) in claim and (a, c) in claim
    ]
    signs = np.array([1 if rank[a] < rank[b] else -1 for a, b in pairs])
    return Part(_steps(signs + generator.standard_normal(len(pairs))), constraints)


def instances(seed: int, num_groups: int) -> dict[str, list[Part]]:
    """Return the instances by name; the comparisons are one connected component each."""
    generator = np.random.default_rng(seed)
    every_pair = list(combinations(range(21), 2))
    kept = sorted(generator.choice(len(every_pair), 200, replace=False).tolist())
    near_pairs = [(a, a + step) for a in range(101) for step in (1, 2)][:200]
    return {
        f"{num_groups:,} groups of 2-12 claims": answer_groups(generator, num_groups),
        "200 comparisons among 21 responses": [ranking(generator, [every_pair[i] for i in kept])],
        "200 comparisons of neighbours": [ranking(generator, near_pairs)],
    }


def run_ours(parts: Sequence[Part], repeats: int) -> Run:
    """Solve all parts in one call; the median time of several."""
    offsets = np.cumsum([0, *(len(part.log_odds) for part in parts)]).tolist()
    constraints = [
        Constraint(scope=tuple(offset + i for i in constraint.scope), forbidden=constraint.forbidden)
        for part, offset in zip(parts, offsets, strict=False)
        for constraint in part.constraints
    ]
    log_odds = np.concatenate([part.log_odds for part in parts])
    arrays = compile_constraints(constraints, offsets[-1], 2)
    # Not normalised: then the objective counts from all claims false, as it does for the peers.
    label_logprobs = np.stack([np.zeros(log_odds.size), log_odds / UNIT], axis=1)
    solution = solve(arrays, label_logprobs, PENALTY / UNIT)  # compiles, too
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        solution = solve(arrays, label_logprobs, PENALTY / UNIT)
        seconds.append(time.process_time() - start)
    optimum = None if solution.num_greedy else round(solution.objective * UNIT)
    return Run(optimum, float(np.median(seconds)))


def run_cp_sat(part: Part, limit: float, linearization_level: int) -> Run:
    """Solve with OR-tools CP-SAT: a Boolean for each claim and for each violation; the limit is in wall-clock seconds.

    `linearization_level` is how much of it goes into linear programs: 1 is CP-SAT's default, 2 is everything.
    """
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    claims = [model.new_bool_var("") for _ in part.log_odds]
    violations = [model.new_bool_var("") for _ in part.constraints]
    for constraint, violation in zip(part.constraints, violations, strict=True):
        for clause in _clauses(constraint):
            literals = [claims[i] if label else ~claims[i] for i, label in clause]
            model.add_bool_or([*literals, violation])
    # A clause holds or its constraint is violated, so the solver sets a violation only where it must.
    gains = [*part.log_odds, *(-PENALTY for _ in violations)]
    model.maximize(cp_model.LinearExpr.weighted_sum([*claims, *violations], gains))
    solver = cp_model.CpSolver()
    # By default CP-SAT runs several strategies at once, one on each core.
    solver.parameters.num_workers = 1
    solver.parameters.linearization_level = linearization_level
    solver.parameters.max_time_in_seconds = limit
    start = time.process_time()
    status = solver.solve(model)
    seconds = time.process_time() - start
    return Run(round(solver.objective_value) if status == cp_model.OPTIMAL else None, seconds)


def run_rc2(part: Part, limit: float) -> Run:
    """Solve with python-sat's RC2, as weighted MaxSAT: labels and kept constraints are soft."""
    from pysat.examples.rc2 import RC2
    from pysat.formula import WCNF

    formula = WCNF()
    # Variables count from 1 and a minus negates. `number`, which costs if it is true, says that a constraint is broken.
    for number, constraint in enumerate(part.constraints, start=len(part.log_odds) + 1):
        for clause in _clauses(constraint):
            formula.append([*(i + 1 if label else -i - 1 for i, label in clause), number])
        formula.append([-number], weight=PENALTY)
    for number, gain in enumerate(part.log_odds, start=1):
        if gain:
            formula.append([number if gain > 0 else -number], weight=abs(gain))
    start = time.process_time()
    with RC2(formula) as solver:
        # RC2 knows no time limit of its own.
        timer = Timer(limit, solver.interrupt)
        timer.start()
        model = solver.compute(expect_interrupt=True)
        timer.cancel()
        seconds = time.process_time() - start
        # RC2 gives what is lost against winning every positive log-odds; ours counts what is won.
        return Run(None if model is None else sum(max(gain, 0) for gain in part.log_odds) - int(solver.cost), seconds)


PEERS: Final[dict[str, tuple[str, Callable[[Part, float], Run]]]] = {
    "CP-SAT": ("ortools", partial(run_cp_sat, linearization_level=1)),
    "CP-SAT, all linear": ("ortools", partial(run_cp_sat, linearization_level=2)),
    "RC2": ("pysat", run_rc2),
}
"""By name: the package that must be installed, and how to run it on one part with a limit in seconds."""


def compare(seed: int, num_groups: int, repeats: int, limit: float) -> list[Comparison]:
    """Run all solvers that are installed on all instances."""
    installed = {name: run for name, (package, run) in PEERS.items() if find_spec(package) is not None}
    return [
        Comparison(
            name,
            run_ours(parts, repeats),
            {peer: _total(run(part, limit) for part in parts) for peer, run in installed.items()},
        )
        for name, parts in instances(seed, num_groups).items()
    ]


def _total(runs: Iterator[Run]) -> Run:
    """Sum runs over independent parts."""
    optimum: int | None = 0
    seconds = 0.0
    for run in runs:
        # One part without a proof leaves the whole without one.
        optimum = None if optimum is None or run.optimum is None else optimum + run.optimum
        seconds += run.seconds
    return Run(optimum, seconds)


def _clauses(constraint: Constraint) -> Iterator[list[tuple[int, bool]]]:
    """Yield for each forbidden joint assignment of two labels the (claim, label) pairs of which one must hold."""
    for joint in range(2 ** len(constraint.scope)):
        if constraint.forbidden >> joint & 1:
            # Bit `place` of the joint index is the label of that claim; one claim must have the other label.
            yield [(claim, not joint >> place & 1) for place, claim in enumerate(constraint.scope)]


def _steps(nats: np.ndarray) -> list[int]:
    return np.rint(UNIT * nats).astype(int).tolist()
