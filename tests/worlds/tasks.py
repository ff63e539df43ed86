"""Settings as their files under `conf/` give them, changed where a test asks: of tasks and of the pocket training."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import TypeAdapter

from icm.files.conf_dir import conf_dir
from icm.pocket.recipe import PocketTraining
from icm.prepare.settings import TaskSettings

CONF_DIR = conf_dir()


def task_settings(name: str, **changes: Any) -> Any:
    """Return the settings of a task, of the class that its `kind` names."""
    return TypeAdapter(TaskSettings).validate_python(_written(f"task/{name}") | changes)


def pocket_training(**changes: Any) -> PocketTraining:
    """Return the settings of a training of the pocket model."""
    written = _written("command/pocket_train")
    told = {key: value for key, value in written.items() if key not in ("defaults", "hydra", "out_dir")}
    return PocketTraining.model_validate(told | changes)


def _written(name: str) -> dict[str, Any]:
    return yaml.safe_load((CONF_DIR / f"{name}.yaml").read_text(encoding="utf-8"))
