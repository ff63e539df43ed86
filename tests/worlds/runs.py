"""Run directories as the stages leave them, and the settings of stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from icm import golden as gold
from icm.claims import Claim, ClaimId
from icm.commands.memory import READ
from icm.config import load, load_command
from icm.elicit.settings import ElicitSettings
from icm.evaluate.against_golden import Elicitation
from icm.evaluate.settings import EvaluateConfig
from icm.export.settings import ExportConfig
from icm.files.records import CLAIMS, GOLD, HELD_OUT, LABELS, TASK, TRACE, write_json, write_rows
from icm.files.stage_dir import StageDir
from icm.prepare import stage as prepare
from icm.training.pairs import PairSettings
from icm.training.reward.settings import RewardConfig
from tests.worlds.claims import make_task

Settings = TypeVar("Settings", bound=BaseModel)


def write_prepared(directory: Path, claims: list[Claim]) -> None:
    """Write what the prepare stage leaves, without golden labels."""
    write_rows(directory / CLAIMS, claims)
    write_json(directory / TASK, make_task().model_dump(mode="json"))
    StageDir(directory, "prepare", {}, {}).finish({}, outputs=(CLAIMS, TASK))


def elicit_settings(seed: int = 0, *overrides: str) -> ElicitSettings:
    """Return the settings of an elicit stage: the paper's chain under the released objective, changed where asked."""
    return load(f"seed={seed}", "search=annealing", "objective=released_code", *overrides).for_elicit()


def changed(settings: Settings, **changes: object) -> Settings:
    """Return settings with other values for some of their keys, checked like those of a command line."""
    return type(settings).model_validate(settings.model_dump() | changes)


@cache
def reward_settings() -> RewardConfig:
    """Return the settings of `icm reward` as they ship."""
    return load_command(RewardConfig, "reward", "run_dir=runs/any")[1]


def pair_settings(**changes: object) -> PairSettings:
    """Return the settings of pairs as they ship, changed where asked."""
    return changed(reward_settings().pairs, **changes)


def evaluate_settings(**changes: Any) -> EvaluateConfig:
    """Return the settings of an evaluate stage as `conf/` has them, changed where asked."""
    return changed(load().evaluate, **changes)


def export_settings(**changes: Any) -> ExportConfig:
    """Return the settings of an export stage as `conf/` has them, changed where asked."""
    return changed(load_command(ExportConfig, "export", "run_dir=unused")[1], **changes)


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


def write_run(of: Elicitation, directory: Path, golden: Mapping[ClaimId, int] | None = None) -> tuple[Path, Path]:
    """Write the directories of the prepare and the elicit stage and return them."""
    prepare_dir, elicit_dir = directory / "prepare", directory / "elicit"
    write_rows(prepare_dir / CLAIMS, of.claims)
    write_rows(prepare_dir / HELD_OUT, of.held_out)
    gold.save(prepare_dir / GOLD, of.golden if golden is None else golden)
    write_json(prepare_dir / TASK, of.task.model_dump(mode="json"))
    prepared = StageDir(prepare_dir, "prepare", {}, {}).finish({}, outputs=(CLAIMS, HELD_OUT, GOLD, TASK))
    write_rows(elicit_dir / LABELS, of.rows)
    write_rows(elicit_dir / TRACE, of.trace)
    settings = {"search": {"kind": "annealing", "note": "<script>alert(1)</script>"}}
    inputs = {name: prepared.outputs[name] for name in (CLAIMS, TASK)}
    cost = {"prompts": 1200, "forwarded_tokens": 48210, "model_seconds": 3.25}
    StageDir(elicit_dir, "elicit", settings, inputs).finish({}, outputs=(LABELS, TRACE), cost=cost)
    return prepare_dir, elicit_dir


def read_by(stage: str, arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a run that one of its stages reads."""
    roots = {argument: argument.partition("=")[0].partition(".")[0] for argument in arguments}
    return [argument for argument, root in roots.items() if root in (*READ[stage], "out_dir")]
