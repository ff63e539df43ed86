"""How close the prefix-sharing engine comes to the bare model: tokens per second, and time spent outside the model.

Usage: python -m benchmarks.speed.scorer [--quick]

The limit is the same model's forward over as many random tokens, in the batch shape in which it is fastest. That is a
shape of short rows, while a token of an exact leave-one-out prompt must attend to all labelled claims. The engine is
held against the limit at 64 claims, where that attention is small beside the rest; at 256 it no longer is.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any, Final

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.speed.leave_one_out import Claims, wide_claims
from benchmarks.speed.random_models import random_texts, wide_llama, word_tokenizer
from icm.claims import TRUE_FALSE
from icm.contexts import Tree
from icm.scoring.local import LocalScorer
from icm.scoring.protocol import ScoringCost

SHAPES: Final = ((1, 512), (1, 2048), (4, 128), (4, 512), (16, 32), (16, 128))
"""Rows and tokens per row of the bare forward."""

BARE_TOKENS: Final = 4096
SIZES: Final = (64, 256)


@torch.inference_mode()
def bare_rate(model: Any, shape: tuple[int, int], num_tokens: int) -> float:
    """Return the tokens per second of plain forwards in one batch shape."""
    tokens = torch.randint(model.config.vocab_size, shape, generator=torch.Generator().manual_seed(0))
    num_calls = max(1, round(num_tokens / tokens.numel()))
    started = time.perf_counter()
    for _ in range(num_calls):
        model(tokens, use_cache=False, logits_to_keep=1)
    return num_calls * tokens.numel() / (time.perf_counter() - started)


def engine_cost(scorer: LocalScorer, claims: Claims) -> ScoringCost:
    """Return what one exact evaluation costs through the engine."""
    before = scorer.cost
    scorer.label_logprobs(claims.prompts(Tree()))
    return scorer.cost - before


def _rate(cost: ScoringCost) -> float:
    return cost.forwarded_tokens / (cost.model_seconds + cost.other_seconds)


def _outside(cost: ScoringCost) -> float:
    return cost.other_seconds / (cost.model_seconds + cost.other_seconds)


def main() -> None:
    """Run the benchmark; the last line of the output is the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one repeat")
    repeats = 1 if parser.parse_args().quick else 3
    model, tokenizer = wide_llama(), word_tokenizer()
    costs: dict[int, list[ScoringCost]] = {size: [] for size in SIZES}
    rates: dict[tuple[int, int], list[float]] = {shape: [] for shape in SHAPES}
    for _ in range(repeats):
        for size in SIZES:
            scorer = LocalScorer(model, tokenizer, TRUE_FALSE, identity="random")
            claims = Claims(random_texts(size, 6, 9), wide_claims(size).groups)
            costs[size].append(engine_cost(scorer, claims))
        for shape in SHAPES:
            rates[shape].append(bare_rate(model, shape, BARE_TOKENS))
    bare = {shape: statistics.median(found) for shape, found in rates.items()}
    engine = {size: statistics.median(map(_rate, found)) for size, found in costs.items()}
    best = max(bare.values())

    table = Table("what", "tokens/s", "of the best", title="Random Llama of 20M parameters, claims of 6 to 9 tokens")
    for (rows, length), rate in bare.items():
        table.add_row(f"bare forward, {rows} x {length}", f"{rate:,.0f}", f"{rate / best:.2f}")
    for size, rate in engine.items():
        table.add_row(f"engine, {size} claims, all included", f"{rate:,.0f}", f"{rate / best:.2f}")
    Console().print(table)
    print(
        json.dumps(
            {
                "fraction_of_bare_forward": engine[64] / best,
                "fraction_of_bare_forward_256": engine[256] / best,
                "outside_model_fraction": statistics.median(map(_outside, costs[256])),
            }
        )
    )


if __name__ == "__main__":
    main()
