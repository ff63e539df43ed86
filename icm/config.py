"""The settings of the command line: Hydra composes them, pydantic validates them, the stages see frozen values.

A command is told two things: settings, which its result follows from, and places, where files lie and whether they may
be overwritten. Settings are recorded with the result and compared; places are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal, TypeVar

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from icm.contexts import ContextSettings
from icm.diagnose.settings import DiagnoseSettings
from icm.elicit.settings import ElicitSettings
from icm.errors import ConfigError
from icm.evaluate.settings import EvaluateConfig
from icm.models.names import misplaced_model
from icm.objective import ObjectiveSettings
from icm.prepare.settings import PrepareConfig, TaskSettings
from icm.scoring.open import ModelSettings
from icm.searches.settings import SearchSettings

Settings = TypeVar("Settings", bound=BaseModel)


class Places(BaseModel):
    """Where the files of a command lie, and what it may do to them.

    Attributes:
        out_dir: Where the command writes, if it writes.
        run_dir: Directory of the run that it reads; `None` for commands that read none.
        labels: File of labels, of any source; `None` for those of the run's elicit stage.
        corrections: File of labels that go over those; what they replace stays in its file.
        reward_dir: Directory of the reward stage, whose pairs and model a policy may be trained on.
        members: Directories of further reward models, which are judged together with the new one.
        hub_id: Data set on the Hub that an export is pushed to as well; `None` for none.
        hub_private: Whether that is private, if the push makes it.
        overwrite: Whether a result under other settings may be deleted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    out_dir: Path = Path()
    run_dir: Path | None = None
    labels: Path | None = None
    corrections: Path | None = None
    reward_dir: Path | None = None
    members: tuple[Path, ...] = ()
    hub_id: str | None = Field(default=None, pattern=r"^[\w.-]+/[\w.-]+$")
    hub_private: bool = True
    overwrite: bool = False

    @property
    def run(self) -> Path:
        """The directory of the run, for commands that read one."""
        assert self.run_dir is not None, "the YAML of this command asks for a run_dir"
        return self.run_dir


class TrainingOverrides(BaseModel):
    """What a run with all stages asks of its training, as on the command lines of the commands.

    Attributes:
        reward: Settings of `icm reward`.
        policy: Settings of `icm policy`.
        export: Settings of `icm export`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reward: tuple[str, ...]
    policy: tuple[str, ...]
    export: tuple[str, ...]


class Config(BaseModel):
    """Everything that `icm run` can be told.

    Attributes:
        stages: What `icm run` does: `labels` ends with labels and what they are worth, `all` trains on them as well.
        seed: Seed of the search.
        data_seed: Seed of the choice of claims.
        task: Where the claims come from.
        model: What predicts the labels.
        objective: U.
        search: Which search, and how.
        contexts: What stands before a claim when its label is predicted.
        anchors: File of labels that the user vouches for.
        diagnose: What speaks against the labels, golden labels apart.
        evaluate: How the labels are compared with golden ones.
        training: What is asked of reward, policy and export.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stages: Literal["labels", "all"]
    # A seed is one word, of 64 bits, of the key of a generator.
    seed: int = Field(ge=0, lt=2**64)
    data_seed: int = Field(ge=0, lt=2**64)
    task: TaskSettings
    model: ModelSettings
    objective: ObjectiveSettings
    search: SearchSettings
    contexts: ContextSettings
    anchors: Path | None
    diagnose: DiagnoseSettings
    evaluate: EvaluateConfig
    training: TrainingOverrides

    def for_prepare(self) -> PrepareConfig:
        """Return what the prepare stage is told."""
        return PrepareConfig(task=self.task, seed=self.data_seed)

    def for_elicit(self) -> ElicitSettings:
        """Return what the elicit stage is told."""
        return ElicitSettings(
            seed=self.seed,
            search=self.search,
            objective=self.objective,
            contexts=self.contexts,
            anchors=self.anchors,
        )


def load(*overrides: str) -> Config:
    """Compose the settings in `conf/` with overrides in the syntax of the command line, without a command line.

    Raises:
        ConfigError: A key is unknown, missing, of the wrong type, or out of range.
    """
    return load_command(Config, "run", *overrides)[1]


def load_command(kind: type[Settings], name: str, *overrides: str) -> tuple[Places, Settings]:
    """Compose places and settings of a command, from its file in `conf/command/`, as `load` does.

    Raises:
        ConfigError: A key is unknown, missing, of the wrong type, or out of range.
    """
    if problem := misplaced_model(overrides):
        raise ConfigError(problem)
    # While a command of the command line runs, Hydra stands ready with the same `conf` and refuses to be set up again.
    ready = GlobalHydra.instance().is_initialized()
    with nullcontext() if ready else initialize_config_module("conf", version_base="1.3"):
        try:
            composed = compose(f"command/{name}", overrides=list(overrides))
        except HydraException as error:
            raise ConfigError(str(error)) from None
    return validate(kind, composed)


def validate(kind: type[Settings], composed: DictConfig) -> tuple[Places, Settings]:
    """Turn what Hydra composed into places and settings of a kind.

    Raises:
        ConfigError: A key is unknown, missing, of the wrong type, or out of range.
    """
    try:
        # A missing value is the text "???", which pydantic would take for a path.
        raw = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error)) from None
    assert isinstance(raw, dict)
    # Taken out first: settings refuse keys that they do not know, and no command has all places.
    places = {name: raw.pop(name) for name in Places.model_fields if name in raw}
    return _validated(Places, places), _validated(kind, raw)


def _validated(kind: type[Settings], raw: dict[Any, Any]) -> Settings:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(_problems(error, raw))) from None


def _problems(error: ValidationError, raw: Any) -> list[str]:
    lines = []
    for problem in error.errors(include_url=False):
        key = ".".join(_path_in(raw, problem["loc"]))
        value = problem.get("input")
        # A whole group would bury the message; the key is enough there.
        shown = "" if isinstance(value, Mapping) else f", got {value!r}"
        # pydantic puts words of its own before what a validator of ours says.
        lines.append(f"{key or 'settings'}: {problem['msg'].removeprefix('Value error, ')}{shown}")
    return lines


def _path_in(raw: Any, location: tuple[int | str, ...]) -> list[str]:
    """Return the key as a user writes it: without the kind of a union's member, which pydantic puts into the path."""
    path: list[str] = []
    here = raw
    for part in location:
        if isinstance(here, Mapping) and part == here.get("kind"):
            continue
        path.append(str(part))
        if isinstance(here, Mapping):
            here = here.get(part)
        elif isinstance(here, list) and isinstance(part, int):
            here = here[part]
    return path
