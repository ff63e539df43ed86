"""Fine-tuning a language model on labelled claims: it learns to say the verdict, as in the paper's main figure.

Trains on any labels, and never opens a file of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import Field
from rich.console import Console

from icm.claims import UNLABELLED, Claim, Labels, LabelSpace
from icm.errors import TrainingError
from icm.training.completions import CompletionSettings, base_name, context_length, open_policy
from icm.training.finetune import train_on_completions
from icm.training.loop import LoopSettings, library_arguments

VERDICT: Final = CompletionSettings(stop="\n", ending=None, max_tokens=1, temperature=1.0)
"""A verdict is all that is said after a claim, so what ends it makes no difference."""


class VerdictSettings(LoopSettings):
    """How a language model is fine-tuned on verdicts; each key is explained in conf/command/arms.yaml.

    Source: Wen et al. 2025, arXiv 2506.10139, section 3 (fine-tuning on labels, evaluated on held-out claims).
    """

    base: str | None = Field(min_length=1)


def tune_verdicts(
    claims: Sequence[Claim],
    labels: Labels,
    space: LabelSpace,
    settings: VerdictSettings,
    out_dir: Path,
    seed: int,
    console: Console,
) -> int:
    """Fine-tune a model to say the labels of claims, and write it to `out_dir/model`; return on how many claims.

    Only the verdict carries the loss. An interrupted training goes on at its last checkpoint.

    Args:
        claims: What is judged.
        labels: (N,) their labels; claims without one are left out.
        space: What is said for each label.
        settings: How long and how fast.
        out_dir: Where checkpoints, curve and model go.
        seed: Draws the order.
        console: Where the progress is shown.

    Raises:
        TrainingError: No claim has a label, or one does not fit the model's context.
    """
    policy = open_policy(base_name(settings.base), VERDICT)
    rows = [
        _row(policy.plain_tokenizer, claim.text, space.verbalizers[int(label)])
        for claim, label in zip(claims, labels, strict=True)
        if label != UNLABELLED
    ]
    if not rows:
        raise TrainingError(f"none of the {len(claims):,} claims has a label, so there is no verdict to learn")
    longest = max(len(row["input_ids"]) for row in rows)
    if longest > context_length(policy.model):
        raise TrainingError(
            f"a claim with its verdict has {longest:,} tokens and {policy.name} reads "
            f"{context_length(policy.model):,}; prepare the task with task.max_claim_tokens below that"
        )
    # The length was checked above; the library would cut what is too long, the verdict first.
    arguments = library_arguments(settings, out_dir, seed) | {"max_length": None}
    train_on_completions(policy, rows, arguments, out_dir, console, "verdicts")
    return len(rows)


def _row(tokenizer: Any, text: str, verbalizer: str) -> dict[str, list[int]]:
    """Return a claim and its verdict as tokens: handed over as text, they would get an end-of-sequence token."""
    asked = tokenizer(text, verbose=False)["input_ids"]
    whole = tokenizer(text + verbalizer, verbose=False)["input_ids"]
    return {"input_ids": whole, "completion_mask": [0] * len(asked) + [1] * (len(whole) - len(asked))}
