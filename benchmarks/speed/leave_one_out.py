"""What one exact evaluation of mutual predictability costs: naive, fixed order with a perfect prefix cache, ours.

Usage: python -m benchmarks.speed.leave_one_out [--quick] [--pocket-model DIR] [--outcomes FILE]

Tokens are counted on claims of the pocket world. Wall time is taken through the whole scorer, on the pocket model and
on a wider random Llama with demos of 60 to 120 tokens; the naive arm forwards every prompt in full, in padded
batches, and is timed on a random sample of its prompts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.harness import finish_speed, option_parser
from benchmarks.speed.random_models import random_texts, wide_llama, word_tokenizer
from icm.claims import TRUE_FALSE, LabelSpace, freeze
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
    """Texts to ask, the group of each, and what their labels are called."""

    texts: list[str]
    groups: list[str]
    space: LabelSpace = TRUE_FALSE

    def prompts(self, settings: Tree | Fixed) -> list[Prompt]:
        """Return the leave-one-out prompts of all claims under random labels."""
        demos = [[text + verbalizer for verbalizer in self.space.verbalizers] for text in self.texts]
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


def count(num_claims: int, segments: SegmentTokenizer) -> tuple[int, int, int]:
    """Count the tokens of one evaluation: every prompt in full, in a fixed order perfectly cached, and ours."""
    claims = pocket_claims(num_claims)
    ours = build_trie(claims.prompts(Tree()), segments.encode, segments.verbalizers)
    fixed = build_trie(claims.prompts(Fixed()), segments.encode, segments.verbalizers)
    return int(ours.lengths.sum()), len(fixed.tokens), len(ours.tokens)


def time_both(
    name: str, model: Any, tokenizer: Any, claims: Claims, num_sampled: int, repeats: int
) -> tuple[float, float]:
    """Time the naive arm on a sample of the prompts and ours on all, in turns.

    Returns:
        Seconds of one evaluation, medians over the repeats: naive, scaled up from the sample, and ours.
    """
    ours = LocalScorer(model, tokenizer, TRUE_FALSE, identity=name)
    naive = LocalScorer(model, tokenizer, TRUE_FALSE, identity=name, share_prefixes=False)
    prompts = claims.prompts(Tree())
    random = np.random.default_rng(0)
    ours_seconds, naive_seconds = [], []
    # In turns, so that a change of the machine's load falls on both.
    for _ in range(repeats):
        ours_seconds.append(_seconds(ours, prompts))
        # Drawn at random: prompts differ in length, and the first ones are no fair sample.
        sample = [prompts[row] for row in random.choice(len(prompts), num_sampled, replace=False)]
        naive_seconds.append(_seconds(naive, sample) * len(prompts) / num_sampled)
    return statistics.median(naive_seconds), statistics.median(ours_seconds)


def _seconds(scorer: LocalScorer, prompts: Sequence[Prompt]) -> float:
    started = time.perf_counter()
    scorer.label_logprobs(prompts)
    return time.perf_counter() - started


def _print_tokens(console: Console, counts: Mapping[int, tuple[int, int, int]]) -> None:
    table = Table("claims", "naive", "fixed, cached", "ours", "naive / ours", "fixed / ours")
    table.title = "Tokens for one exact evaluation (pocket claims)"
    for size, (naive, fixed, ours) in counts.items():
        tokens = (f"{naive:,}", f"{fixed:,}", f"{ours:,}")
        table.add_row(str(size), *tokens, f"{naive / ours:.1f}", f"{fixed / ours:.1f}")
    console.print(table)


def main() -> None:
    """Run the benchmark; the last line of the output is the JSON."""
    parser = option_parser(__doc__, quick="up to 256 claims, 32 on the wider model, one repeat")
    parser.add_argument("--pocket-model", type=Path, help="directory of the pocket model, if not the shipped one")
    options = parser.parse_args()
    pocket, pocket_tokenizer, _ = load_model(
        options.pocket_model or pocket_model_dir(), revision=None, dtype="float32", device="cpu"
    )
    segments = SegmentTokenizer(pocket_tokenizer, TRUE_FALSE)
    counts = {size: count(size, segments) for size in SIZES if size <= 256 or not options.quick}
    console = Console()
    _print_tokens(console, counts)
    num_wide = 32 if options.quick else 256
    repeats = 1 if options.quick else 5
    # Two prompts of the wider model must do: at 256 claims each of them has about 20,000 tokens.
    arms = {
        "pocket": (pocket, pocket_tokenizer, pocket_claims(256), 32, repeats),
        "random Llama, 20M": (wide_llama(), word_tokenizer(), wide_claims(num_wide), 2, 1),
    }
    table = Table("model", "claims", "naive, s", "timed on", "ours, s", "naive / ours")
    table.title = "Wall time of one exact evaluation (naive: scaled up from a random sample of its prompts)"
    speedups = {}
    for name, (model, tokenizer, claims, num_sampled, num_repeats) in arms.items():
        naive, ours = time_both(name, model, tokenizer, claims, num_sampled, num_repeats)
        speedups[name] = naive / ours
        size = str(len(claims.texts))
        table.add_row(name, size, f"{naive:.1f}", f"{num_sampled} of {size}", f"{ours:.2f}", f"{naive / ours:.1f}")
    console.print(table)
    naive, fixed, ours = counts[256]
    # The slope on logarithmic axes is the power of N that the tokens grow with.
    growth = np.polyfit(np.log(list(counts)), np.log([row[2] for row in counts.values()]), 1)[0]
    result = {
        "tokens_vs_naive_256": naive / ours,
        "tokens_vs_fixed_256": fixed / ours,
        "wall_vs_naive_256": speedups["pocket"],
        "wall_vs_naive_wide": speedups["random Llama, 20M"],
        "wide_num_claims": num_wide,
        "growth_exponent": float(growth),
    }
    finish_speed("leave_one_out", options, result)


if __name__ == "__main__":
    main()
