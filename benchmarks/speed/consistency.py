"""How fast violations are counted and conflicts solved, beside other ways. Knows no claims and no model.

    python -m benchmarks.speed.consistency [--quick] [--outcomes FILE]

Constraints of two or three random claims each, labels random and a few of them missing: no locality that a cache
could use, which real groups have. Counts the violated constraints (the recount) and sums their weights. Then runs the
exact solver beside CP-SAT and RC2 (`benchmarks.speed.solvers`; `pip install 'icm-elicitation[benchmarks]'` brings
them). Prints tables and, last, one JSON object:

    recount_speedup_vs_python         the plain reference, over all constraints
    recount_speedup_vs_numpy          NumPy, one gather per position, on the arrays that the kernel reads
    recount_speedup_vs_numpy_int64    the same with the scopes widened beforehand to the index type NumPy likes best
    flip_us                           microseconds for one `flip_delta`, the call from Python included
    recount_gb_per_s                  bytes of the arrays over the time of a recount
    solver_optima_equal               whether on every instance ours is proven, and equal to all that peers proved, one
                                      at least; false where no peer is installed
    solver_speedup_vs_cpsat           CP-SAT's time over ours, on the instance and with the setting where that is
                                      least; null where it is not installed
    solver_speedup_vs_rc2             the same for RC2
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.harness import finish_speed, option_parser
from benchmarks.speed.solvers import PEERS, Comparison, Run, compare
from consistency import (
    Constraint,
    ConstraintArrays,
    acyclic,
    compile_constraints,
    contradiction,
    equivalence,
    exactly_one,
    implication,
    kernels,
    reference,
)

NUM_LABELS = 2
UNLABELLED_SHARE = 0.02
MASKS = {
    2: (contradiction(), implication(), equivalence(NUM_LABELS), exactly_one(2)),
    3: (acyclic((True, True, True)), acyclic((True, True, False)), exactly_one(3)),
}
WEIGHTS = (0.5, 1.0, 2.0)

Recounts = dict[str, Callable[[], float]]
"""Ways to get the same number, by name."""


def random_constraints(generator: np.random.Generator, num_claims: int, num_constraints: int) -> list[Constraint]:
    """Draw constraints over two or three different claims."""
    constraints: list[Constraint] = []
    while len(constraints) < num_constraints:
        # Drawn in bulk, and again until there are enough: some draws name a claim twice and are dropped.
        drawn = generator.integers(num_claims, size=(num_constraints, 3))
        arity = generator.integers(2, 4, size=num_constraints)
        # One number draws both: its remainder picks the mask, and its quotient by 4 one of three weights.
        choice = generator.integers(12, size=num_constraints)
        for claims, k, which in zip(drawn.tolist(), arity.tolist(), choice.tolist(), strict=True):
            if len(set(claims[:k])) == k:
                mask, weight = MASKS[k][which % len(MASKS[k])], WEIGHTS[which // 4]
                constraints.append(Constraint(scope=tuple(claims[:k]), forbidden=mask, weight=weight))
    return constraints[:num_constraints]


def random_labels(generator: np.random.Generator, num_claims: int) -> NDArray[np.int8]:
    """Draw labels, some of them missing."""
    labels = generator.integers(NUM_LABELS, size=num_claims).astype(np.int8)
    labels[generator.random(num_claims) < UNLABELLED_SHARE] = -1
    return labels


def numpy_violated(scope: NDArray[np.integer], arrays: ConstraintArrays, labels: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Return which constraints are violated, with one gather per position and one-byte joint indices: (M,).

    `scope` is `arrays.scope` (K, M) in integers of any kind.
    """
    # One byte holds the joint index: a table has at most 64 entries. A missing label is -1, so `signs` is negative
    # where any member lacks one; there the joint index means nothing, and & 63 only keeps the shift defined.
    joint = labels[scope[0]]
    signs = joint.copy()
    for claims, stride in zip(scope[1:], arrays.strides[1:], strict=True):
        member_labels = labels[claims]
        signs |= member_labels
        joint += member_labels * np.int8(stride)
    forbidden = (arrays.forbidden >> (joint & 63).view(np.uint8)) & np.uint64(1)
    return forbidden.astype(np.bool_) & (signs >= 0)


def median_seconds(function: Callable[[], float], repeats: int) -> float:
    """Return the median time of a call on its thread, after one call that is not timed.

    Processor time of the thread, because other processes on a shared machine make the clock unfair.
    """
    function()
    seconds = []
    for _ in range(repeats):
        start = time.thread_time()
        function()
        seconds.append(time.thread_time() - start)
    return float(np.median(seconds))


def time_all(recounts: Recounts, repeats: int) -> dict[str, float]:
    """Return the median seconds of each way to recount, after checking that all give the same.

    Raises:
        SystemExit: They differ.
    """
    results = {name: recount() for name, recount in recounts.items()}
    if len(set(results.values())) > 1:
        raise SystemExit(f"the recounts differ: {results}")
    return {
        # Plain Python takes seconds a call, so three of them must do.
        name: median_seconds(recount, 3 if name == "plain Python" else repeats)
        for name, recount in recounts.items()
    }


def median_flip_us(arrays: ConstraintArrays, labels: NDArray[np.int8], claims: Sequence[int]) -> float:
    """Return the median time of a `flip_delta` over the claims, microseconds."""
    # Compiles the kernel, so that no timed call does.
    kernels.flip_delta(arrays, labels, claims[0], 0)
    nanoseconds = []
    for claim in claims:
        new_label = 1 - max(int(labels[claim]), 0)
        start = time.perf_counter_ns()
        kernels.flip_delta(arrays, labels, claim, new_label)
        nanoseconds.append(time.perf_counter_ns() - start)
    return float(np.median(nanoseconds)) / 1e3


def show_solvers(comparisons: Sequence[Comparison]) -> dict[str, bool | float | None]:
    """Print what the solvers needed, and return the figures of the JSON object."""
    table = Table(title="exact solvers, one thread each, processor seconds (and times ours)")
    table.add_column("")
    for heading in ("ours", *PEERS, "optima"):
        table.add_column(heading, justify="right")
    for comparison in comparisons:
        row = [comparison.name, _shown(comparison.ours)]
        for peer in PEERS:
            run = comparison.peers.get(peer)
            row.append("not installed" if run is None else f"{_shown(run)} (x {comparison.speedup(peer):,.1f})")
        table.add_row(*row, "equal" if comparison.optima_are_equal else "not shown equal")
    Console().print(table)
    return {
        "solver_optima_equal": all(comparison.optima_are_equal for comparison in comparisons),
        "solver_speedup_vs_cpsat": _least_speedup(comparisons, "CP-SAT"),
        "solver_speedup_vs_rc2": _least_speedup(comparisons, "RC2"),
    }


def _least_speedup(comparisons: Sequence[Comparison], solver: str) -> float | None:
    speedups = [
        comparison.speedup(peer) for comparison in comparisons for peer in comparison.peers if peer.startswith(solver)
    ]
    return round(min(speedups), 2) if speedups else None


def _shown(run: Run) -> str:
    return f"{run.seconds:.3f}" if run.optimum is not None else f"unproven after {run.seconds:.0f}"


def main() -> None:
    """Run the benchmark."""
    parser = option_parser(__doc__, quick="a tenth of constraints, groups and repeats")
    parser.add_argument("--claims", type=int, default=100_000)
    parser.add_argument("--constraints", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=41, help="timed recounts; the table shows medians")
    parser.add_argument("--flips", type=int, default=20_000, help="timed flips")
    parser.add_argument("--groups", type=int, default=10_000, help="groups for the solvers")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds that a peer may take for one component")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.quick:
        options.claims, options.constraints, options.groups, options.repeats = 10_000, 100_000, 1_000, 5

    generator = np.random.default_rng(options.seed)
    constraints = random_constraints(generator, options.claims, options.constraints)
    labels = random_labels(generator, options.claims)
    flipped = generator.integers(options.claims, size=options.flips).tolist()
    start = time.perf_counter()
    arrays = compile_constraints(constraints, options.claims, NUM_LABELS)
    compile_seconds = time.perf_counter() - start

    # Python reads its own lists faster than arrays: the yardstick must not be slowed down.
    plain_labels = labels.tolist()
    wide_scope = arrays.scope.astype(np.int64)
    recounts: Recounts = {
        "kernel": lambda: kernels.count_violations(arrays, labels),
        "NumPy, same arrays": lambda: int(np.count_nonzero(numpy_violated(arrays.scope, arrays, labels))),
        "NumPy, int64 scopes": lambda: int(np.count_nonzero(numpy_violated(wide_scope, arrays, labels))),
        "plain Python": lambda: reference.count_violations(constraints, plain_labels, NUM_LABELS),
    }
    weighted: Recounts = {
        "kernel": lambda: kernels.inconsistency(arrays, labels),
        "NumPy, same arrays": lambda: float(arrays.weight @ numpy_violated(arrays.scope, arrays, labels)),
        "NumPy, int64 scopes": lambda: float(arrays.weight @ numpy_violated(wide_scope, arrays, labels)),
        "plain Python": lambda: reference.inconsistency(constraints, plain_labels, NUM_LABELS),
    }
    recount_seconds = time_all(recounts, options.repeats)
    weighted_seconds = time_all(weighted, options.repeats)
    flip_us = median_flip_us(arrays, labels, flipped)

    table = Table(title=f"{options.constraints:,} constraints over {options.claims:,} claims, one thread")
    table.add_column("")
    for heading in ("count, ms", "ratio", "weighted, ms", "ratio"):
        table.add_column(heading, justify="right")
    for name in recounts:
        row = [name]
        for seconds in (recount_seconds, weighted_seconds):
            row += [f"{seconds[name] * 1e3:,.2f}", f"{seconds[name] / seconds['kernel']:,.1f}"]
        table.add_row(*row)
    Console().print(table)
    print(f"one flip_delta, call included: {flip_us:.1f} µs; laying out the arrays: {compile_seconds:.1f} s")
    # What a recount must read at the least; the index by claim takes no part in it.
    recount_bytes = arrays.scope.nbytes + arrays.forbidden.nbytes + labels.nbytes
    kernel_seconds = recount_seconds["kernel"]
    result = {
        "recount_speedup_vs_python": round(recount_seconds["plain Python"] / kernel_seconds, 1),
        "recount_speedup_vs_numpy": round(recount_seconds["NumPy, same arrays"] / kernel_seconds, 2),
        "recount_speedup_vs_numpy_int64": round(recount_seconds["NumPy, int64 scopes"] / kernel_seconds, 2),
        "flip_us": round(flip_us, 2),
        "recount_gb_per_s": round(recount_bytes / kernel_seconds / 1e9, 2),
    }
    solvers = show_solvers(compare(options.seed, options.groups, repeats=5, limit=options.limit))
    finish_speed("consistency", options, result | solvers)


if __name__ == "__main__":
    main()
