"""How close the prefix-sharing engine comes to the bare model: tokens per second, and time spent outside the model.

Usage: python -m benchmarks.speed.scorer [--quick] [--models gemma,smollm2] [--outcomes FILE]

The limit is the same model's forward over as many random tokens, in the batch shape in which it is fastest. That is a
shape of short rows, while a token of an exact leave-one-out prompt must attend to all labelled claims. The engine is
held against the limit at 64 claims, where that attention is small beside the rest; at 256 it no longer is.

Real models, those that `icm models get` fetches, are measured on short reviews with what each is asked most: the
leave-one-out prompts of an exact evaluation, and readings of all claims, which a search asks by default. On a CPU all
is taken in processor time, bare model and engine in turns, because other work on the machine stretches the clock; the
rate by the clock is given beside it.

Where there is a GPU, the same is measured on it with a Llama of a billion parameters in bfloat16, and the engine's
useful FLOP/s (attention to tokens that are masked away does not count) against the card's rate on matrix products.
"""

from __future__ import annotations

import csv
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, NamedTuple

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.harness import Row, finish_speed, option_parser
from benchmarks.speed.leave_one_out import Claims, wide_claims
from benchmarks.speed.random_models import billion_llama, random_texts, wide_llama, word_tokenizer
from icm.claims import TRUE_FALSE, LabelSpace
from icm.contexts import Tree
from icm.models.catalogue import packaged_model
from icm.models.fetch import weights_of
from icm.prompts import Reading
from icm.scoring.local import LocalScorer
from icm.scoring.local.loading import load_model
from icm.scoring.local.segments import SegmentTokenizer
from icm.scoring.protocol import ScoringCost
from icm.scoring.trie import build_trie

Shape = tuple[int, int]
"""Rows and tokens per row of a bare forward."""

SIZES: Final = (64, 256)

REAL_SIZES: Final = (64, 128)
"""As many reviews as there are, and the number that the aim is stated for."""

REAL: Final = {"gemma": "gemma3-270m", "smollm2": "smollm2-135m"}
MOODS: Final = LabelSpace(names=("negative", "positive"), verbalizers=(" negative", " positive"))
REVIEWS: Final = files("icm.prepare") / "reviews.csv"


@dataclass(frozen=True, slots=True)
class Setup:
    """A model and what is measured on it.

    Attributes:
        tokenizer: Its tokenizer.
        claims: Claims of a number, to be asked.
        sizes: Numbers of claims; the first is what the aim is stated for.
        shapes: Batch shapes of the bare forward.
        bare_tokens: Tokens that one timing of the bare forward takes at least.
    """

    name: str
    model: Any
    tokenizer: Any
    claims: Callable[[int], Claims]
    sizes: tuple[int, ...]
    shapes: tuple[Shape, ...]
    bare_tokens: int

    @property
    def scorer(self) -> LocalScorer:
        """A scorer of its own: the cache of another would answer the second time."""
        space = self.claims(1).space
        return LocalScorer(self.model, self.tokenizer, space, identity="measured")


class Measured(NamedTuple):
    """Medians over the repeats.

    Attributes:
        bare: Tokens per second of the bare forward, by shape.
        engine: Those of the leave-one-out prompts, everything included, by number of claims.
        reading: Those of readings of all claims in two orders, by number of claims.
        outside: Share of the engine's time outside the model, at the most claims.
        saved: Tokens of the prompts in full over those forwarded, by number of claims.
    """

    bare: dict[Shape, float]
    engine: dict[int, float]
    reading: dict[int, float]
    outside: float
    saved: dict[int, float]


def random_claims(shortest: int, longest: int) -> Callable[[int], Claims]:
    """Return what makes random claims in groups of four, whose demos have so many tokens."""
    return lambda size: Claims(random_texts(size, shortest, longest), wide_claims(size).groups)


def reviews(size: int) -> Claims:
    """Return short reviews, each a group of its own."""
    rows = csv.DictReader(REVIEWS.read_text(encoding="utf-8").splitlines())
    texts = [f"Review: {row['sentence']}\nSentiment:" for row in rows][:size]
    return Claims(texts, [str(place) for place in range(size)], MOODS)


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


def measure(setup: Setup, repeats: int) -> Measured:
    """Time the bare forward and the engine in turns, so that what slows the machine down slows both."""
    bare: dict[Shape, list[float]] = {shape: [] for shape in setup.shapes}
    engine: dict[int, list[float]] = {size: [] for size in setup.sizes}
    reading: dict[int, list[float]] = {size: [] for size in setup.sizes}
    outside: list[float] = []
    saved: dict[int, float] = {}
    for _ in range(repeats):
        for size in setup.sizes:
            claims = setup.claims(size)
            rate, cost = _rate(setup, lambda scorer, of=claims: scorer.label_logprobs(of.prompts(Tree())))
            engine[size].append(rate)
            saved[size] = cost.naive_tokens / cost.forwarded_tokens
            reading[size].append(_rate(setup, lambda scorer, of=claims: scorer.verdict_logprobs(readings(of)))[0])
            if size == setup.sizes[-1]:
                outside.append(cost.other_seconds / (cost.model_seconds + cost.other_seconds))
        for shape in setup.shapes:
            bare[shape].append(bare_rate(setup.model, shape, setup.bare_tokens))
    return Measured(
        {shape: statistics.median(found) for shape, found in bare.items()},
        {size: statistics.median(found) for size, found in engine.items()},
        {size: statistics.median(found) for size, found in reading.items()},
        statistics.median(outside),
        saved,
    )


def readings(claims: Claims) -> list[Reading]:
    """Return readings of all claims in two orders, under random labels."""
    demos = [text + claims.space.verbalizers[place % len(claims.space)] for place, text in enumerate(claims.texts)]
    return [Reading(claims.texts[::step], demos[::step][:-1]) for step in (1, -1)]


def _rate(setup: Setup, ask: Callable[[LocalScorer], object]) -> tuple[float, ScoringCost]:
    """Return the tokens per second of something that is asked of a new scorer, and what it cost."""
    scorer = setup.scorer
    seconds = _seconds(lambda: ask(scorer), 1, setup.model.device)
    return scorer.cost.forwarded_tokens / seconds, scorer.cost


def _seconds(run: Callable[[], object], num_calls: int, device: torch.device) -> float:
    """Return the seconds of some calls, all of whose work is done: on a CPU those of this process on the processor."""
    # A GPU works asynchronously: earlier work must be finished before the clock starts, and its time is no processor's.
    on_gpu = device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    if on_gpu:
        torch.cuda.synchronize(device)
    started = clock()
    for _ in range(num_calls):
        run()
    if on_gpu:
        torch.cuda.synchronize(device)
    return clock() - started


def _measured(console: Console, setup: Setup, repeats: int, prefix: str = "") -> tuple[Row, float]:
    """Measure, print a table; return the figures of the JSON and the engine's tokens per second at the most claims."""
    found = measure(setup, repeats)
    # Against the fastest shape: a slow one would flatter the engine.
    best = max(found.bare.values())
    table = Table("what", "tokens/s", "of the best", "fewer tokens than in full", title=setup.name)
    for (rows, length), rate in found.bare.items():
        table.add_row(f"bare forward, {rows} x {length}", f"{rate:,.0f}", f"{rate / best:.2f}", "")
    for size, rate in found.engine.items():
        table.add_row(f"prompts of {size} claims", f"{rate:,.0f}", f"{rate / best:.2f}", f"{found.saved[size]:.1f} x")
    for size, rate in found.reading.items():
        table.add_row(f"readings of {size} claims", f"{rate:,.0f}", f"{rate / best:.2f}", "")
    console.print(table)
    fewest_claims, most_claims = setup.sizes
    figures = {
        f"{prefix}fraction_of_bare_forward": found.engine[fewest_claims] / best,
        f"{prefix}fraction_of_bare_forward_{most_claims}": found.engine[most_claims] / best,
        f"{prefix}reading_fraction_of_bare_forward": found.reading[fewest_claims] / best,
        f"{prefix}tokens_vs_naive": found.saved[fewest_claims],
        f"{prefix}outside_model_fraction": found.outside,
        f"{prefix}bare_tokens_per_second": best,
    }
    return figures, found.engine[most_claims]


def _real(name: str) -> Setup | None:
    """Return a real model, `None` if it has not been fetched."""
    model = packaged_model(REAL[name])
    if model is None or weights_of(model) is None:
        return None
    loaded, tokenizer, _ = load_model(REAL[name], revision=None, dtype="auto", device="cpu")
    told = f"{REAL[name]}, {str(loaded.dtype).removeprefix('torch.')}, short reviews"
    return Setup(told, loaded, tokenizer, reviews, REAL_SIZES, ((1, 512), (1, 1024), (4, 256), (16, 64)), 1024)


def _on_gpu(console: Console, repeats: int) -> dict[str, float]:
    """Measure a billion parameters on the GPU."""
    device = torch.device("cuda")
    shapes = ((1, 8192), (4, 2048), (16, 512), (64, 128), (64, 512))
    model, claims = billion_llama(device), random_claims(60, 120)
    name = "Random Llama of 1B parameters, bfloat16, demos of 60 to 120 tokens"
    setup = Setup(name, model, word_tokenizer(), claims, SIZES, shapes, 1 << 17)
    figures, rate = _measured(console, setup, repeats, "gpu_")
    achieved = rate * useful_flops_per_token(setup, SIZES[-1])
    peak = matrix_flops(device)
    console.print(f"useful FLOP/s {achieved:.3g} of {peak:.3g} on matrix products: {achieved / peak:.2f}")
    return {**figures, "gpu_useful_flops": achieved, "gpu_matrix_flops": peak}


def main() -> None:
    """Run the benchmark; the last line of the output is the JSON."""
    parser = option_parser(__doc__, quick="one repeat")
    parser.add_argument("--models", default=",".join(REAL), help="real models; none: leave them out")
    options = parser.parse_args()
    repeats = 1 if options.quick else 3
    console = Console()
    shapes = ((1, 512), (1, 2048), (4, 128), (4, 512), (16, 32), (16, 128))
    name = "Random Llama of 20M parameters, float32, demos of 6 to 9 tokens"
    setup = Setup(name, wide_llama(), word_tokenizer(), random_claims(6, 9), SIZES, shapes, 4096)
    figures, _ = _measured(console, setup, repeats)
    for model in options.models.split(",") if options.models != "none" else ():
        real = _real(model)
        if real is None:
            console.print(f"{model}: not here; icm models get {REAL[model]} fetches it")
        else:
            figures |= _measured(console, real, repeats, f"{model}.")[0]
    if torch.cuda.is_available():
        figures |= _on_gpu(console, repeats)
    finish_speed("scorer", options, figures)


if __name__ == "__main__":
    main()
