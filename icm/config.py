"""The settings of the command line: Hydra composes them, pydantic validates them, the stages see frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from icm.chain import AnnealingSettings
from icm.contexts import ContextSettings
from icm.elicit import ElicitSettings
from icm.errors import ConfigError
from icm.evaluate import EvaluateConfig
from icm.objective import ObjectiveSettings
from icm.prepare import PrepareConfig
from icm.scoring.backends import ModelSettings
from icm.tasks import TaskSettings


class Config(BaseModel):
    """Everything that `icm run` can be told.

    Attributes:
        seed: Seed of the search.
        data_seed: Seed of the choice of claims.
        out_dir: Where each stage makes its directory.
        task: Where the claims come from.
        model: What predicts the labels.
        objective: U.
        search: The chain.
        contexts: What stands before a claim when its label is predicted.
        evaluate: How the labels are compared with golden ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(ge=0)
    data_seed: int = Field(ge=0)
    out_dir: Path
    task: TaskSettings
    model: ModelSettings
    objective: ObjectiveSettings
    search: AnnealingSettings
    contexts: ContextSettings
    evaluate: EvaluateConfig

    def for_prepare(self) -> PrepareConfig:
        """Return what the prepare stage is told."""
        return PrepareConfig(task=self.task, seed=self.data_seed)

    def for_elicit(self) -> ElicitSettings:
        """Return what the elicit stage is told."""
        return ElicitSettings(seed=self.seed, search=self.search, objective=self.objective, contexts=self.contexts)


def validate(composed: DictConfig) -> Config:
    """Turn what Hydra composed into settings.

    Raises:
        ConfigError: A key is unknown, missing, of the wrong type, or out of range.
    """
    try:
        raw = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error)) from None
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(_problems(error, raw))) from None


def _problems(error: ValidationError, raw: Any) -> list[str]:
    lines = []
    for problem in error.errors(include_url=False):
        key = ".".join(_path_in(raw, problem["loc"]))
        value = problem.get("input")
        shown = "" if isinstance(value, Mapping) else f", got {value!r}"
        lines.append(f"{key or 'settings'}: {problem['msg']}{shown}")
    return lines


def _path_in(raw: Any, location: tuple[int | str, ...]) -> list[str]:
    """Return the key as a user writes it: without the names of union members that pydantic puts between."""
    path: list[str] = []
    here: Any = raw
    for part in location[:-1]:
        children: Any = dict(enumerate(here)) if isinstance(here, list) else here
        if isinstance(children, Mapping) and part in children:
            here = children[part]
            path.append(str(part))
    return [*path, *map(str, location[-1:])]
