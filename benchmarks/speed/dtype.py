"""Number formats on a CPU: how fast a model reads prompts in each, and how far its label log-probabilities move.

    python -m benchmarks.speed.dtype --data SST2.csv --model smollm2-135m --model gemma3-270m --out dtype.jsonl

One thread. Speed is given per second of processor time, which other work on the machine does not slow down much, beside
that of the clock. A line for each model, format and round.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from icm.claims import LabelSpace
from icm.prompts import NO_CONTEXT, Prompt
from icm.scoring.local import LocalScorer
from icm.scoring.local.loading import load_model

SPACE: Final = LabelSpace(names=("negative", "positive"), verbalizers=(" negative", " positive"))
NUM_DEMOS: Final = 8


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write a line of JSON for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CSV with the columns sentence and label")
    parser.add_argument("--model", action="append", required=True, help="what model.path takes")
    parser.add_argument("--num-prompts", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    prompts, golden = _prompts(options.data, options.num_prompts)
    with options.out.open("a") as out:
        for model in options.model:
            for row in _measure(model, prompts, golden, options.rounds):
                out.write(json.dumps(row) + "\n")
                out.flush()
                print(row)


def _measure(model: str, prompts: list[Prompt], golden: NDArray[np.int64], rounds: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    exact: NDArray[np.float64] | None = None
    for number in range(rounds):
        for dtype in ("float32", "bfloat16"):
            weights, tokenizer, identity = load_model(model, revision=None, dtype=dtype, device="cpu")
            scorer = LocalScorer(weights, tokenizer, SPACE, identity=identity, share_prefixes=False)
            scorer.label_logprobs(prompts[:1])
            before, wall, cpu = scorer.cost, time.perf_counter(), time.process_time()
            logprobs = _normalised(scorer.label_logprobs(prompts))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            tokens = (scorer.cost - before).forwarded_tokens
            # float32 is the first format, so its answers are what the others are measured against.
            exact = logprobs if exact is None else exact
            gap = np.abs(logprobs - exact)
            rows.append(
                {
                    "model": Path(model).name,
                    "dtype": dtype,
                    "round": number,
                    "prompts": len(prompts),
                    "tokens": tokens,
                    "tokens_per_cpu_second": round(tokens / cpu, 1),
                    "tokens_per_second": round(tokens / wall, 1),
                    "mean_abs_nats": round(float(gap.mean()), 5),
                    "max_abs_nats": round(float(gap.max()), 5),
                    "same_label": round(float((logprobs.argmax(1) == exact.argmax(1)).mean()), 4),
                    "accuracy": round(float((logprobs.argmax(1) == golden).mean()), 4),
                }
            )
    return rows


def _prompts(path: Path, size: int) -> tuple[list[Prompt], NDArray[np.int64]]:
    """Return prompts of eight labelled reviews and one to judge, and the true labels of those."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    texts = [f"Review: {row['sentence']}\nSentiment:" for row in rows]
    labels = [int(row["label"]) for row in rows]
    demos = [text + SPACE.verbalizers[label] for text, label in zip(texts, labels, strict=True)]
    prompts = [
        # Four contexts in turn, of the rows that follow those to be judged.
        Prompt(NO_CONTEXT.extend(demos[size + NUM_DEMOS * (i % 4) : size + NUM_DEMOS * (i % 4 + 1)]), texts[i])
        for i in range(size)
    ]
    return prompts, np.array(labels[:size])


def _normalised(logprobs: NDArray[np.float64]) -> NDArray[np.float64]:
    return logprobs - np.logaddexp.reduce(logprobs, axis=1)[:, None]


if __name__ == "__main__":
    main()
