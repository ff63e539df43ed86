"""What one exact evaluation of mutual predictability costs: naive, fixed order with a perfect prefix cache, ours.

Usage: python -m benchmarks.speed.leave_one_out [--quick] [--pocket-model DIR]

Tokens are counted on claims of the pocket world. Wall time is taken through the whole scorer, on the pocket model and
on a wider random Llama with demos of 60 to 120 tokens; the naive arm forwards every prompt in full, in padded
batches, and is timed on a random sample of its prompts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.speed.random_models import random_texts, wide_llama, word_tokenizer
from icm.claims import TRUE_FALSE, freeze
from icm.contexts import Contexts, Fixed, Tree, draw_order
from icm.pocket import words
from icm.pocket.statements import fact_statements
from icm.pocket.weights import pocket_model_dir
from icm.pocket.world import World
from icm.prompts import Prompt
from icm.scoring.local import LocalScorer
from icm.scoring.local.loading import load_model
from icm.scoring.local.segments import SegmentTokenizer
from icm.scoring.trie import build_trie

SIZES: Final = (32, 64, 128, 256, 512, 1024)
GROUP_SIZE: Final = 4


@dataclass(frozen=True)
class Claims:
    """Texts to ask, and the group of each."""

    texts: list[str]
    groups: list[str]

    def prompts(self, settings: Tree | Fixed) -> list[Prompt]:
        """Return the leave-one-out prompts of all claims under random labels."""
        demos = [[text + verbalizer for verbalizer in TRUE_FALSE.verbalizers] for text in self.texts]
        labels = freeze(np.random.default_rng(0).integers(0, 2, len(self.texts)).astype(np.int8))
        contexts = Contexts(settings, demos, self.groups, draw_order(self.groups, seed=0))
        return [Prompt(context, self.texts[claim]) for claim, context in contexts.leave_one_out(labels).items()]


def pocket_claims(num_claims: int) -> Claims:
    """Return the first claims of the pocket world's facts."""
    statements = fact_statements(World(seed=0), words.RELATIONS)[:num_claims]
    return Claims([statement.text for statement in statements], [statement.group for statement in statements])


def wide_claims(num_claims: int) -> Claims:
    """Return random claims of 60 to 120 tokens in groups of four."""
    groups = [f"group {claim // GROUP_SIZE}" for claim in range(num_claims)]
    return Claims(random_texts(num_claims, 60, 120), groups)


@dataclass(frozen=True)
class Tokens:
    """Tokens that one evaluation forwards."""

    num_claims: int
    naive: int
    fixed: int
    ours: int


def count(num_claims: int, segments: SegmentTokenizer) -> Tokens:
    """Count the tokens of one evaluation in the three ways."""
    claims = pocket_claims(num_claims)
    ours = build_trie(claims.prompts(Tree()), segments.encode, segments.verbalizers)
    fixed = build_trie(claims.prompts(Fixed()), segments.encode, segments.verbalizers)
    return Tokens(num_claims, int(ours.lengths.sum()), len(fixed.tokens), len(ours.tokens))


@dataclass(frozen=True)
class Wall:
    """Seconds of one evaluation, medians over the repeats."""

    model: str
    num_claims: int
    num_sampled: int
    naive: float
    ours: float


def time_both(name: str, model: Any, tokenizer: Any, claims: Claims, num_sampled: int, repeats: int) -> Wall:
    """Time ours on all prompts and the naive arm on a sample, in turns."""
    ours = LocalScorer(model, tokenizer, TRUE_FALSE, identity=name)
    naive = LocalScorer(model, tokenizer, TRUE_FALSE, identity=name, share_prefixes=False)
    prompts = claims.prompts(Tree())
    random = np.random.default_rng(0)
    ours_seconds, naive_seconds = [], []
    for _ in range(repeats):
        ours_seconds.append(_seconds(ours, prompts))
        sample = [prompts[row] for row in random.choice(len(prompts), num_sampled, replace=False)]
        naive_seconds.append(_seconds(naive, sample) * len(prompts) / num_sampled)
    return Wall(name, len(prompts), num_sampled, statistics.median(naive_seconds), statistics.median(ours_seconds))


def _seconds(scorer: LocalScorer, prompts: Sequence[Prompt]) -> float:
    started = time.perf_counter()
    scorer.label_logprobs(prompts)
    return time.perf_counter() - started


def _print_tokens(console: Console, counts: Sequence[Tokens]) -> None:
    table = Table("claims", "naive", "fixed, cached", "ours", "naive / ours", "fixed / ours")
    table.title = "Tokens for one exact evaluation (pocket claims)"
    for row in counts:
        numbers = (f"{row.naive:,}", f"{row.fixed:,}", f"{row.ours:,}")
        table.add_row(str(row.num_claims), *numbers, f"{row.naive / row.ours:.1f}", f"{row.fixed / row.ours:.1f}")
    console.print(table)


def _print_wall(console: Console, walls: Sequence[Wall]) -> None:
    table = Table("model", "claims", "naive, s", "timed on", "ours, s", "naive / ours")
    table.title = "Wall time of one exact evaluation (naive: scaled up from a random sample of its prompts)"
    for wall in walls:
        seconds = (f"{wall.naive:.1f}", f"{wall.num_sampled} of {wall.num_claims}", f"{wall.ours:.2f}")
        table.add_row(wall.model, str(wall.num_claims), *seconds, f"{wall.naive / wall.ours:.1f}")
    console.print(table)


def main() -> None:
    """Run the benchmark; the last line of the output is the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="up to 256 claims, 32 on the wider model, one repeat")
    parser.add_argument("--pocket-model", type=Path, help="directory of the pocket model, if not the shipped one")
    options = parser.parse_args()
    pocket, pocket_tokenizer, _ = load_model(
        options.pocket_model or pocket_model_dir(), revision=None, dtype="float32", device="cpu"
    )
    segments = SegmentTokenizer(pocket_tokenizer, TRUE_FALSE)
    counts = [count(size, segments) for size in SIZES if size <= 256 or not options.quick]
    at_256 = next(row for row in counts if row.num_claims == 256)
    pocket_wall = time_both(
        "pocket", pocket, pocket_tokenizer, pocket_claims(256), num_sampled=32, repeats=1 if options.quick else 5
    )
    wide_wall = time_both(
        "random Llama, 20M",
        wide_llama(),
        word_tokenizer(),
        wide_claims(32 if options.quick else 256),
        num_sampled=2,
        repeats=1,
    )
    console = Console()
    _print_tokens(console, counts)
    _print_wall(console, [pocket_wall, wide_wall])
    sizes, ours = np.log([row.num_claims for row in counts]), np.log([row.ours for row in counts])
    print(
        json.dumps(
            {
                "tokens_vs_naive_256": at_256.naive / at_256.ours,
                "tokens_vs_fixed_256": at_256.fixed / at_256.ours,
                "wall_vs_naive_256": pocket_wall.naive / pocket_wall.ours,
                "wall_vs_naive_wide": wide_wall.naive / wide_wall.ours,
                "wide_num_claims": wide_wall.num_claims,
                "growth_exponent": float(np.polyfit(sizes, ours, 1)[0]),
            }
        )
    )


if __name__ == "__main__":
    main()
