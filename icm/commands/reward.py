"""What `icm reward` does: train a reward model on labels, then judge it. Knows both stages, and the files of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict
from rich.console import Console

from icm.files.records import GOLD, HELD_OUT, LABELS
from icm.training.libraries import is_main_process
from icm.training.pairs import PairSettings
from icm.training.reward import evaluation as reward_evaluation
from icm.training.reward import stage as reward
from icm.training.reward.evaluation import RewardEvaluationConfig
from icm.training.reward.model import MODEL
from icm.training.reward.settings import RewardModelSettings
from icm.training.reward.stage import RewardConfig

EVALUATION: Final = "evaluation"


class RewardCommand(BaseModel):
    """Everything that `icm reward` can be told.

    Attributes:
        run_dir: Directory of a run, with `prepare/` in it.
        labels: File of labels; `None` for those of the run's elicit stage.
        out_dir: Where the reward model goes, and its evaluation below.
        members: Directories of further reward models, which are judged together with this one.
        pairs: How labels become pairs.
        model: The reward model and its training.
        evaluate: How it is judged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_dir: Path
    labels: Path | None = None
    out_dir: Path
    members: tuple[Path, ...] = ()
    pairs: PairSettings
    model: RewardModelSettings
    evaluate: RewardEvaluationConfig


def run(command: RewardCommand, console: Console) -> None:
    """Train a reward model and judge it, where there is something to judge it on."""
    prepare_dir = command.run_dir / "prepare"
    labels_path = command.labels or command.run_dir / "elicit" / LABELS
    config = RewardConfig(pairs=command.pairs, model=command.model)
    manifest = reward.run(config, prepare_dir, labels_path, command.out_dir, console)
    if not is_main_process():
        return
    counts = manifest.counts
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in counts["unusable"].items()) or "none"
    told = ", ".join(f"{counts[name]:,} {name.replace('_', ' ')}" for name in _TOLD if counts.get(name))
    head = " with a fresh head" if counts["fresh_head"] else ""
    console.print(
        f"reward model{head} trained on {counts['trained_on']:,} examples ({counts['tokens']:,} tokens) in "
        f"{manifest.seconds:,.1f} s; left out: {left_out}; {told}; in {command.out_dir / MODEL}",
        soft_wrap=True,
    )
    has_golden_pairs = (prepare_dir / GOLD).exists() and (prepare_dir / HELD_OUT).stat().st_size > 0
    if not has_golden_pairs and not command.evaluate.files:
        console.print(
            "no golden labels of held-out claims and no files of judged pairs: the reward model was not judged"
        )
        return
    out_dir = command.out_dir / EVALUATION
    reward_dirs = (command.out_dir, *command.members)
    reward_evaluation.run(command.evaluate, command.pairs, prepare_dir, reward_dirs, out_dir)
    console.print(reward_evaluation.results_table(reward_evaluation.read_results(out_dir)))


_TOLD: Final = ("pairs", "answers", "one_sided", "contradicting", "undecided", "same_label", "overruled", "unlabelled")
"""What the console says of the counts."""
