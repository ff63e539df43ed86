"""What `icm reward` does: train a reward model on labels, then judge it where there is something to judge it on."""

from __future__ import annotations

from typing import Final

from rich.console import Console

from icm.config import Places
from icm.files.labels import told_of_unlabelled
from icm.files.records import GOLD, HELD_OUT, LABELS
from icm.files.stage_dir import read_manifest
from icm.training.libraries import processes
from icm.training.reward import evaluation as reward_evaluation
from icm.training.reward import stage as reward
from icm.training.reward.model import MODEL
from icm.training.reward.settings import RewardConfig

EVALUATION: Final = "evaluation"
SHOWN: Final = ("pairs", "answers", "one_sided", "contradicting", "undecided", "same_label", "overruled", "unlabelled")
"""The counts that the console shows, where they are not 0."""


def run(places: Places, settings: RewardConfig, console: Console) -> None:
    """Train a reward model, judge it on golden pairs and files, and show what came of it."""
    prepare_dir = places.run / "prepare"
    labels_path = places.labels or places.run / "elicit" / LABELS
    manifest = reward.run(
        settings.model, settings.pairs, prepare_dir, labels_path, places.out_dir, console, overwrite=places.overwrite
    )
    # Under `accelerate launch` every process comes here; one judges and speaks for all.
    if not processes().is_main_process:
        return
    counts = manifest.counts
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in counts["unusable"].items()) or "none"
    shown = ", ".join(f"{counts[name]:,} {name.replace('_', ' ')}" for name in SHOWN if counts.get(name))
    head = " with a fresh head" if counts["fresh_head"] else ""
    console.print(
        f"reward model{head} trained on {counts['trained_on']:,} examples ({counts['tokens']:,} tokens) in "
        f"{manifest.seconds:,.1f} s; left out: {left_out}; {shown}; in {places.out_dir / MODEL}",
        soft_wrap=True,
    )
    without, total = (manifest.counts.get(name, 0) for name in ("claims_without_label", "all_claims"))
    if told := told_of_unlabelled(labels_path, without, total):
        console.print(told, soft_wrap=True, markup=False)
    # A task without held-out claims has an empty file of them; its golden labels are of claims trained on.
    has_golden = GOLD in read_manifest(prepare_dir, "prepare").outputs
    has_golden_pairs = has_golden and (prepare_dir / HELD_OUT).stat().st_size > 0
    if not has_golden_pairs and not settings.evaluate.files:
        console.print(
            "no golden labels of held-out claims and no files of judged pairs: the reward model was not judged"
        )
        return
    out_dir = places.out_dir / EVALUATION
    reward_dirs = (places.out_dir, *places.members)
    reward_evaluation.run(
        settings.evaluate, settings.pairs, prepare_dir, reward_dirs, out_dir, overwrite=places.overwrite
    )
    console.print(reward_evaluation.results_table(reward_evaluation.read_results(out_dir)))
