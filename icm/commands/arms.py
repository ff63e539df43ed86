"""What `icm arms` does: train and judge every arm on a run, and show them side by side. Knows the files of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from icm.errors import ConfigError
from icm.files.records import TASK, read_task
from icm.files.stage_dir import StageDir
from icm.prepare.judge import judge_all, judge_of
from icm.prepare.settings import PocketSettings
from icm.scoring.open import ModelSettings, open_scorer
from icm.training.arms import stage
from icm.training.arms.materials import Judge
from icm.training.arms.settings import ArmsConfig
from icm.training.arms.summary import arms_table, summarise


class ArmsCommand(ArmsConfig):
    """Everything that `icm arms` can be told.

    Attributes:
        run_dir: Directory of a run, prepared with golden labels and elicited.
        out_dir: Where the arms go.
        verdict_model: Whose zero-shot verdicts serve as labels and as a reward.
    """

    run_dir: Path
    out_dir: Path
    verdict_model: ModelSettings

    @property
    def config(self) -> ArmsConfig:
        """What the arms follow from, without the places of the files."""
        return ArmsConfig.model_validate(self.model_dump(exclude={"run_dir", "out_dir", "verdict_model"}))


def run(command: ArmsCommand, console: Console) -> None:
    """Train and judge the arms, and print a table and where the figure lies."""
    from icm.training.arms.figure import draw_arms

    task = read_task(command.run_dir / "prepare" / TASK)
    scorer = open_scorer(command.verdict_model, task.label_space)
    stage.run(command.config, command.run_dir, command.out_dir, scorer, golden_judge(command.run_dir), console)
    runs = stage.read_arm_runs(command.out_dir)
    console.print(
        arms_table(f"{task.name}: arms that differ in their labels alone; ± 95 % over seeds", summarise(runs))
    )
    for path in draw_arms(runs, command.out_dir):
        console.print(f"figure: {path}", soft_wrap=True)


def golden_judge(run_dir: Path) -> Judge | None:
    """Return the judge of the task of a run, `None` where it has none."""
    task = StageDir(run_dir / "prepare", "prepare").read_manifest().config["task"]
    if task["kind"] != "pocket":
        return None
    settings = PocketSettings.model_validate(task)
    try:
        judge = judge_of(settings.task, settings.world_seed)
    except ConfigError:
        return None

    def quality(prompts: Sequence[str], completions: Sequence[str]) -> NDArray[np.float64]:
        return judge_all(judge, prompts, completions)[0]

    return quality
