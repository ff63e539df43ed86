"""What a run remembers of its settings, and which of them each command reads. Knows `run.json`, runs no stage.

`run_dir=DIR` goes on with an existing run: what is not typed is what it was when the run was made.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from icm.config import Config, Places, jobs_of, load
from icm.errors import ConfigError, RunDirectoryError
from icm.files.lock import alone
from icm.files.records import first_problem, write_json
from icm.models.names import misplaced_model
from icm.objective import PrequentialSettings

RUN: Final = "run.json"

READ: Final = {
    "prepare": ("task", "data_seed", "model"),
    "elicit": ("seed", "model", "objective", "search", "contexts", "anchors"),
    "diagnose": ("seed", "model", "diagnose"),
    "evaluate": ("seed", "model", "evaluate"),
}
"""Settings that each stage reads; `icm run` reads all. The seed is that of diagnosis and evaluation by default."""

TYPED: Final = "typed"
"""Key under which `run.json` keeps the command line of each stage, for people."""

PLACES: Final = ("out_dir", "run_dir", "overwrite", "hydra", "labels", "corrections")

RENAMED: Final = {"evaluate.num_draws": "evaluate.draws"}
"""Settings that had another name before, and are still typed so."""

_NAMING: Final = ("task", "search", "seed")
"""What the default out_dir is named after."""


def typed_keys(overrides: Sequence[str]) -> list[str]:
    """Return the keys of what was typed, `task.path` of `+task.path=x`, flags left out."""
    # Hydra adds a key with +, replaces or adds it with ++, and removes it with ~.
    return [each.lstrip("+~").partition("=")[0] for each in overrides if "=" in each and not each.startswith("-")]


def _root(key: str) -> str:
    """Return the setting or group that a key belongs to."""
    # group@package=option names a group and where it goes; the group is what is read.
    return key.partition(".")[0].partition("@")[0]


def require_read(command: str, overrides: Sequence[str]) -> None:
    """Refuse settings, typed after a command, that it would not read.

    Raises:
        ConfigError: There is one.
    """
    if problem := misplaced_model(overrides):
        raise ConfigError(problem)
    keys = typed_keys(overrides)
    for key in keys:
        if key in RENAMED:
            raise ConfigError(f"{key} is called {RENAMED[key]} now; type that")
    roots = {_root(key) for key in keys}
    _require_no_contradiction(command, overrides, roots)
    if command not in READ:
        return
    # What the default out_dir is named after is read by every stage, unless the directory is given.
    read = (*READ[command], *PLACES, *(() if {"out_dir", "run_dir"} & roots else _NAMING))
    for key in keys:
        if _root(key) not in read:
            makers = [stage for stage, names in READ.items() if _root(key) in names]
            where = f"`icm {makers[0]}` reads it" if makers else "`icm run` reads it"
            raise ConfigError(f"`icm {command}` does not read {key}: {where}; leave it out, or use `icm run`")


def _require_no_contradiction(command: str, overrides: Sequence[str], roots: Set[str]) -> None:
    """Refuse settings of which one makes another useless."""
    # Of the other commands, run_dir names what is read and out_dir where they write.
    if (command == "run" or command in READ) and {"out_dir", "run_dir"} <= roots:
        raise ConfigError("run_dir names the run to go on with and out_dir a new one; give one of the two")
    if command == "run" and "training" in roots and not any(each.startswith("stages=all") for each in overrides):
        raise ConfigError("training=… is read with stages=all alone; add it, or leave the training settings out")
    # Which objective it is follows from defaults, search=… and objective=… together, so the settings are composed.
    if "contexts" in roots and isinstance(load(*jobs_of(overrides)[0]).objective, PrequentialSettings):
        raise ConfigError(
            "objective=prequential reads claims in blocks and no contexts=…; leave the contexts out, or choose another "
            "objective"
        )
    judged = sorted({"labels", "corrections"} & roots)
    if judged and command in ("run", "prepare", "elicit"):
        raise ConfigError(
            f"`icm {command}` makes labels and reads no {judged[0]}=…; `icm diagnose`, `icm evaluate` and `icm export` "
            f"judge labels that are there; labels to search with are anchors=FILE"
        )


def remembered(places: Places, config: Config, overrides: Sequence[str]) -> tuple[Places, Config]:
    """Return places and settings of the run in `run_dir`, in which what was typed replaces what is remembered.

    Raises:
        RunDirectoryError: The directory holds no run, or one of another version of this package.
    """
    run_dir = places.run
    # Places are never remembered, so that a run may be moved and gone on with where it is now.
    typed = {_root(key) for key in typed_keys(overrides)} - {*PLACES}
    found = _read(run_dir / RUN)
    composed = config.model_dump(mode="json")
    # Whole groups: a group that was typed in part has been composed with its other values by Hydra.
    merged = found | {name: composed[name] for name in typed & composed.keys()}
    if "seed" in typed:
        # The seeds of diagnosis and evaluation follow the seed of the run unless they are typed themselves.
        for stage in {"diagnose", "evaluate"} - typed:
            merged[stage] = {**merged[stage], "seed": composed["seed"]}
    try:
        return places.model_copy(update={"out_dir": run_dir}), Config.model_validate(merged)
    except ValidationError as error:
        raise RunDirectoryError(
            f"{run_dir / RUN}: {first_problem(error)}; it was written by another version of icm: give the settings "
            f"once more, with out_dir={run_dir}"
        ) from None


def remembered_run(run_dir: Path) -> tuple[Places, Config]:
    """Return places and settings of a run as it remembers them.

    Raises:
        RunDirectoryError: The directory holds no run, or one of another version of this package.
    """
    places = Places(run_dir=run_dir, out_dir=run_dir)
    return remembered(places, load(), [])


def remember(places: Places, config: Config, command: str) -> None:
    """Write down the settings that a command has used; those of other stages stay as they were."""
    path = places.out_dir / RUN
    settings = config.model_dump(mode="json")
    typed = {command: typed_line()}
    # Two stages of a run may end at the same time, and each must keep what the other has written.
    with alone(places.out_dir):
        if path.exists() and command in READ:
            # A stage run alone replaces its own settings; the others describe results that are still there.
            before = _load(path)
            settings = _settings(before) | {name: settings[name] for name in READ[command]}
            typed = before.get(TYPED, {}) | typed
        write_json(path, settings | {TYPED: typed})


def typed_line() -> str | None:
    """Return the command line of this process, `None` where the package is used without one."""
    program, *arguments = sys.argv
    return f"icm {shlex.join(arguments)}" if Path(program).name == "icm" else None


def _read(path: Path) -> dict[str, Any]:
    return _settings(_load(path))


def _settings(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name != TYPED}


def _load(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise RunDirectoryError(
            f"{path}: no such file, so {path.parent} holds no run that this version of icm made; give the settings "
            f"with out_dir={path.parent}, or begin a new run"
        )
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError("it holds no JSON object")
        return value
    # Wrong JSON and wrong UTF-8 are errors of a value; JSON may also be nested too deeply to be read.
    except (ValueError, RecursionError) as error:
        raise RunDirectoryError(
            f"{path} is corrupt ({error}); delete it and give the settings with out_dir={path.parent}"
        ) from None
