"""Comparisons and answers that several tests of the training share, with their truth."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from icm.claims import AnswerKey, Claim, ClaimId
from icm.config import load
from icm.files.records import GOLD, LabelRow
from icm.prepare import stage as prepare
from icm.prepare.shapes import answer_claim, comparison_claim


def comparison(question: str, first: str, second: str) -> Claim:
    """Return the claim that the first response is better."""
    return comparison_claim(question, first, second, "better")


def answer(question: str, text: str) -> Claim:
    """Return the claim that an answer is right."""
    return answer_claim(question, text, AnswerKey(value=text))


def given(labels: Iterable[tuple[Claim, int | tuple[int, float]]]) -> dict[ClaimId, LabelRow]:
    """Return labels by claim: an index, or an index with its probability."""
    rows = {}
    for claim, label in labels:
        index, probability = label if isinstance(label, tuple) else (label, None)
        rows[claim.id] = LabelRow(id=claim.id, group=claim.group, label=index, probability=probability)
    return rows


def prepare_pocket(run_dir: Path, task: str = "preference", num_claims: int = 48, num_held_out: int = 64) -> Path:
    """Prepare a pocket task in a run directory and return its golden labels, to be named as a label file."""
    config = load(
        f"task=pocket_{task}",
        f"task.num_claims={num_claims}",
        f"task.num_held_out={num_held_out}",
        f"out_dir={run_dir}",
    )
    prepare.run(config.for_prepare(), run_dir / "prepare")
    return run_dir / "prepare" / GOLD
