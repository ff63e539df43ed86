"""What `icm arms` does: train and judge every arm on a run, and show them side by side. Knows the files of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from icm.config import Places
from icm.errors import ConfigError
from icm.files.records import TASK, read_task
from icm.files.stage_dir import read_manifest
from icm.prepare.judge import judge_all, judge_of
from icm.prepare.settings import PocketSettings
from icm.scoring.open import open_scorer
from icm.training.arms import stage
from icm.training.arms.materials import Judge
from icm.training.arms.settings import ArmsConfig
from icm.training.arms.summary import arms_table, summarise


def run(places: Places, settings: ArmsConfig, console: Console) -> None:
    """Train and judge the arms, and print a table and where the figure lies."""
    # Loaded only here: drawing takes a second to load, and a run that is refused draws nothing.
    from icm.training.arms.figure import draw_arms

    task = read_task(places.run / "prepare" / TASK)
    scorer = open_scorer(settings.verdict_model, task.label_space)
    judge = golden_judge(places.run)
    stage.run(settings, places.run, places.out_dir, scorer, judge, console, overwrite=places.overwrite)
    runs = stage.read_arm_runs(places.out_dir)
    console.print(
        arms_table(f"{task.name}: arms that differ in their labels alone; ± 95 % over seeds", summarise(runs))
    )
    for path in draw_arms(runs, places.out_dir):
        console.print(f"figure: {path}", soft_wrap=True)


def golden_judge(run_dir: Path) -> Judge | None:
    """Return the judge of the task of a run, `None` where it has none."""
    # From the manifest and not from what is typed now: the judge must know the world that the claims came from.
    task = read_manifest(run_dir / "prepare", "prepare").config["task"]
    if task["kind"] != "pocket":
        return None
    settings = PocketSettings.model_validate(task)
    # Most pocket tasks have no judge of free text; their arms are compared by accuracy alone.
    try:
        judge = judge_of(settings.task, settings.world_seed)
    except ConfigError:
        return None

    def quality(prompts: Sequence[str], completions: Sequence[str]) -> NDArray[np.float64]:
        return judge_all(judge, prompts, completions)[0]

    return quality
