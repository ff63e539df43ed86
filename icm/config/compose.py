"""Composes settings: Hydra puts files of `conf/` and what was typed together, pydantic validates the whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from icm.config.settings import Config, Places, Settings
from icm.config.task_files import is_task_file, literal, read_task_file
from icm.config.typed import explain, parse, readable
from icm.errors import ConfigError
from icm.files.conf_dir import conf_dir
from icm.models.names import misplaced_model


def load(*overrides: str) -> Config:
    """Compose the settings in `conf/` with overrides in the syntax of the command line, without a command line.

    Raises:
        ConfigError: A key is unknown, missing, of the wrong type, or out of range.
    """
    return load_command(Config, "run", *overrides)[1]


def load_task(task: Mapping[str, Any], *overrides: str) -> tuple[Places, Config]:
    """Compose places and settings of a run on a task that is given as a value, as `load_command` does.

    Args:
        task: Settings of the task; what it leaves out is as in the file of its kind in `conf/task/`.
        overrides: In the syntax of the command line.

    Raises:
        ConfigError: A key is unknown, missing, of the wrong type, or out of range.
    """
    with _hydra_ready():
        return validate(Config, _composed("run", [readable(each) for each in overrides], literal(dict(task))))


def load_command(kind: type[Settings], name: str, *overrides: str) -> tuple[Places, Settings]:
    """Compose places and settings of a command, from its file in `conf/command/`, as `load` does.

    Raises:
        ConfigError: A key is unknown, missing, of the wrong type, or out of range.
    """
    return validate(kind, compose_command(name, overrides))


def compose_command(name: str, overrides: Sequence[str]) -> DictConfig:
    """Compose what stands in the file of a command, in its groups and in what was typed. Nothing is validated yet.

    `task=FILE.yaml` names a file of the user's in place of one in `conf/task/`.

    Raises:
        ConfigError: There is no such key, option or file, or what was typed cannot be read.
    """
    if problem := misplaced_model(overrides):
        raise ConfigError(problem)
    overrides = [readable(each) for each in overrides]
    named = next((each for each in overrides if is_task_file(each)), None)
    with _hydra_ready():
        if named is None:
            return _composed(name, overrides)
        task = read_task_file(named.partition("=")[2])
        return _composed(name, [each for each in overrides if each is not named], task)


def jobs_of(overrides: Sequence[str]) -> list[list[str]]:
    """Return the settings of each job of a sweep, in which `seed=0,1` stands for two values.

    Raises:
        ConfigError: What was typed cannot be read, or is no sweep over a list of values.
    """
    with _hydra_ready():
        try:
            parsed = OverridesParser.create().parse_overrides([readable(each, sweeps=True) for each in overrides])
            return BasicSweeper.split_arguments(parsed, max_batch_size=None)[0]
        except HydraException as error:
            raise ConfigError(explain(error, "command/run", overrides)) from None


def shown_settings(name: str, overrides: Sequence[str]) -> str:
    """Return the settings of a command as YAML, as they stand: references to others are kept.

    Raises:
        ConfigError: As `compose_command` raises it.
    """
    return OmegaConf.to_yaml(compose_command(name, overrides))


def _composed(name: str, overrides: Sequence[str], task: Mapping[str, Any] | None = None) -> DictConfig:
    typed = [each for each in overrides if task is not None and each.lstrip("+~").startswith("task.")]
    given = [each for each in overrides if each not in typed]
    # What the task leaves out is as in the file of its kind.
    kind = [] if task is None else [f"task={task['kind']}"]
    config_name = f"command/{name}"
    try:
        composed = compose(config_name, overrides=[*kind, *given])
        if task is not None:
            OmegaConf.update(composed, "task", dict(task), merge=True, force_add=True)
        # After the file, since what is typed wins over it.
        for each in map(parse, typed):
            OmegaConf.update(composed, each.key_or_group, each.value(), merge=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error, config_name, [*kind, *overrides])) from None
    return composed


@contextmanager
def _hydra_ready() -> Iterator[None]:
    # Whoever composes inside of another composition finds Hydra set up already, and it refuses to be set up again.
    ready = GlobalHydra.instance().is_initialized()
    with nullcontext() if ready else initialize_config_dir(str(conf_dir()), version_base="1.3"):
        yield


def validate(kind: type[Settings], composed: DictConfig) -> tuple[Places, Settings]:
    """Turn what was composed into places and settings of a kind.

    Raises:
        ConfigError: A key is unknown, missing, of the wrong type, or out of range.
    """
    try:
        # A missing value is the text "???", which pydantic would take for a path.
        raw = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(f"{error.full_key} is missing; give it as {error.full_key}=…") from None
    except OmegaConfBaseException as error:
        raise ConfigError(str(error)) from None
    assert isinstance(raw, dict)
    # Taken out first: settings refuse keys that they do not know, and no command has all places. A key of the
    # settings is none of them: the labels of `icm init` are names and no file.
    names = Places.model_fields.keys() - kind.model_fields.keys()
    places = {name: raw.pop(name) for name in names & raw.keys()}
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
        shown = "" if isinstance(value, Mapping | BaseModel) else f", got {_short(value)}"
        # pydantic puts words of its own before what a validator of ours says.
        lines.append(f"{key or 'settings'}: {problem['msg'].removeprefix('Value error, ')}{shown}")
    return lines


def _short(value: Any) -> str:
    whole = repr(value)
    return whole if len(whole) <= 200 else f"{whole[:197]}..."


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
