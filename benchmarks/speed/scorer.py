"""How close the prefix-sharing engine comes to the bare model: tokens per second, and time spent outside the model.

Usage: python -m benchmarks.speed.scorer [--quick] [--outcomes FILE]

The limit is the same model's forward over as many random tokens, in the batch shape in which it is fastest. That is a
shape of short rows, while a token of an exact leave-one-out prompt must attend to all labelled claims. The engine is
held against the limit at 64 claims, where that attention is small beside the rest; at 256 it no longer is.

Where there is a GPU, the same is measured on it with a Llama of a billion parameters in bfloat16, and the engine's
useful FLOP/s (attention to tokens that are masked away does not count) against the card's rate on matrix products.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.harness import finish_speed, option_parser
from benchmarks.speed.leave_one_out import Claims, wide_claims
from benchmarks.speed.random_models import billion_llama, random_texts, wide_llama, word_tokenizer
from icm.claims import TRUE_FALSE
from icm.contexts import Tree
from icm.scoring.local import LocalScorer
from icm.scoring.local.segments import SegmentTokenizer
from icm.scoring.protocol import ScoringCost
from icm.scoring.trie import build_trie

Shape = tuple[int, int]
"""Rows and tokens per row of a bare forward."""

SIZES: Final = (64, 256)


@dataclass(frozen=True, slots=True)
class Setup:
    """A model and what is measured on it.

    Attributes:
        shapes: Batch shapes of the bare forward.
        bare_tokens: Tokens that one timing of the bare forward takes at least.
        demo_tokens: Fewest and most tokens of a demo.
    """

    name: str
    model: Any
    shapes: tuple[Shape, ...]
    bare_tokens: int
    demo_tokens: tuple[int, int]

    def claims(self, size: int) -> Claims:
        """Return random claims in groups of four."""
        return Claims(random_texts(size, *self.demo_tokens), wide_claims(size).groups)


@torch.inference_mode()
def bare_rate(model: Any, shape: Shape, num_tokens: int) -> float:
    """Return the tokens per second of plain forwards in one batch shape."""
    tokens = torch.randint(model.config.vocab_size, shape, generator=torch.Generator().manual_seed(0)).to(model.device)
    # Shapes differ in tokens per call; so many calls make every timing about equally long.
    num_calls = max(1, round(num_tokens / tokens.numel()))
    seconds = _seconds(lambda: model(tokens, use_cache=False, logits_to_keep=1), num_calls, model.device)
    return num_calls * tokens.numel() / seconds


@torch.inference_mode()
def matrix_flops(device: torch.device, size: int = 8192) -> float:
    """Return the FLOP/s of large matrix products in bfloat16."""
    left, right = (torch.randn(size, size, dtype=torch.bfloat16, device=device) for _ in range(2))
    # Not timed: the first product sets the library up.
    _seconds(lambda: left @ right, 1, device)
    # A product of two n x n matrices takes n**3 multiplications and about as many additions.
    return 16 * 2 * size**3 / _seconds(lambda: left @ right, 16, device)


def useful_flops_per_token(setup: Setup, size: int) -> float:
    """Return the FLOP of a token of one exact evaluation: two per weight, and its attention to its ancestors."""
    segments = SegmentTokenizer(word_tokenizer(), TRUE_FALSE)
    trie = build_trie(setup.claims(size).prompts(Tree()), segments.encode, segments.verbalizers)
    config = setup.model.config
    num_weights = sum(weight.numel() for weight in setup.model.model.layers.parameters())
    # A multiplication and an addition per weight; per ancestor two each for the score and for the sum of values.
    return 2 * num_weights + 4 * config.num_hidden_layers * config.hidden_size * float((trie.depth + 1).mean())


def measure(setup: Setup, repeats: int) -> tuple[dict[Shape, float], dict[int, float], float]:
    """Time the bare forward and the engine in turns.

    Returns:
        Medians over the repeats: tokens per second of the bare forward by shape; those of the engine, everything
        included, by number of claims; the share of the engine's time outside the model at the most claims.
    """
    costs: dict[int, list[ScoringCost]] = {size: [] for size in SIZES}
    rates: dict[Shape, list[float]] = {shape: [] for shape in setup.shapes}
    for _ in range(repeats):
        for size in SIZES:
            # A new scorer each time: its cache would answer the second time.
            scorer = LocalScorer(setup.model, word_tokenizer(), TRUE_FALSE, identity="random")
            scorer.label_logprobs(setup.claims(size).prompts(Tree()))
            costs[size].append(scorer.cost)
        for shape in setup.shapes:
            rates[shape].append(bare_rate(setup.model, shape, setup.bare_tokens))
    return (
        {shape: statistics.median(found) for shape, found in rates.items()},
        {size: statistics.median(map(_rate, found)) for size, found in costs.items()},
        statistics.median(map(_outside, costs[SIZES[-1]])),
    )


def _seconds(run: Callable[[], object], num_calls: int, device: torch.device) -> float:
    """Return the seconds of some calls, all of whose work is done."""
    # A GPU works asynchronously: earlier work must be finished before the clock starts.
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    for _ in range(num_calls):
        run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _rate(cost: ScoringCost) -> float:
    return cost.forwarded_tokens / (cost.model_seconds + cost.other_seconds)


def _outside(cost: ScoringCost) -> float:
    return cost.other_seconds / (cost.model_seconds + cost.other_seconds)


def _measured(console: Console, setup: Setup, repeats: int, prefix: str = "") -> tuple[dict[str, float], float]:
    """Measure, print a table; return the figures of the JSON and the engine's tokens per second at the most claims."""
    bare, engine, outside = measure(setup, repeats)
    # Against the fastest shape: a slow one would flatter the engine.
    best = max(bare.values())
    fewest, most = setup.demo_tokens
    table = Table("what", "tokens/s", "of the best", title=f"{setup.name}, demos of {fewest} to {most} tokens")
    for (rows, length), rate in bare.items():
        table.add_row(f"bare forward, {rows} x {length}", f"{rate:,.0f}", f"{rate / best:.2f}")
    for size, rate in engine.items():
        table.add_row(f"engine, {size} claims, all included", f"{rate:,.0f}", f"{rate / best:.2f}")
    console.print(table)
    fewest_claims, most_claims = SIZES
    figures = {
        f"{prefix}fraction_of_bare_forward": engine[fewest_claims] / best,
        f"{prefix}fraction_of_bare_forward_256": engine[most_claims] / best,
        f"{prefix}outside_model_fraction": outside,
    }
    return figures, engine[most_claims]


def _on_gpu(console: Console, repeats: int) -> dict[str, float]:
    """Measure a billion parameters on the GPU."""
    device = torch.device("cuda")
    shapes = ((1, 8192), (4, 2048), (16, 512), (64, 128), (64, 512))
    setup = Setup("Random Llama of 1B parameters, bfloat16", billion_llama(device), shapes, 1 << 17, (60, 120))
    figures, rate = _measured(console, setup, repeats, "gpu_")
    achieved = rate * useful_flops_per_token(setup, SIZES[-1])
    peak = matrix_flops(device)
    console.print(f"useful FLOP/s {achieved:.3g} of {peak:.3g} on matrix products: {achieved / peak:.2f}")
    return {**figures, "gpu_useful_flops": achieved, "gpu_matrix_flops": peak}


def main() -> None:
    """Run the benchmark; the last line of the output is the JSON."""
    options = option_parser(__doc__, quick="one repeat").parse_args()
    repeats = 1 if options.quick else 3
    console = Console()
    shapes = ((1, 512), (1, 2048), (4, 128), (4, 512), (16, 32), (16, 128))
    setup = Setup("Random Llama of 20M parameters, float32", wide_llama(), shapes, 4096, (6, 9))
    figures, _ = _measured(console, setup, repeats)
    if torch.cuda.is_available():
        figures |= _on_gpu(console, repeats)
    finish_speed("scorer", options, figures)


if __name__ == "__main__":
    main()
