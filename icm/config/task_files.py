"""A task of the user's own, in a YAML file: `task=reviews.yaml`. What it leaves out is as in the file of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from icm.config.typed import nearest, options_of
from icm.errors import ConfigError
from icm.files.conf_dir import conf_dir

_ENDINGS: Final = (".yaml", ".yml")
_DATA: Final = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".xlsx")


def is_task_file(override: str) -> bool:
    """Say whether what was typed names a file as the task."""
    key, _, value = override.partition("=")
    return key == "task" and Path(value.strip("'\"")).suffix.lower() in (*_ENDINGS, *_DATA)


def read_task_file(typed: str) -> dict[str, Any]:
    """Read a task from a file.

    Args:
        typed: Its path, in quotes or not.

    Returns:
        The settings that it states, `kind` among them; a relative `path` is taken from the folder of the file.

    Raises:
        ConfigError: There is no such file, it is not YAML, or it holds an unknown key.
    """
    path = Path(typed.strip("'\"")).expanduser()
    if path.suffix.lower() in _DATA:
        raise ConfigError(f"task={path}: a task is a YAML file; `icm init {path}` writes one for this data")
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - made from the safe loader
    except OSError as error:
        raise ConfigError(f"task={path}: {error.strerror or error}; `icm init FILE` writes a task for a file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"task={path}: not UTF-8 text; save the file as UTF-8") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"task={path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"task={path}: must hold settings, a `key: value` on each line, got {str(found)[:80]!r}")
    task = {"kind": "custom", "name": path.stem, **found}
    # The groups of the shipped file belong to its template; another template has other columns.
    if task["kind"] == "custom" and "template" in task:
        task = {"group_columns": [], **task}
    _check_keys(path, task)
    if isinstance(task.get("path"), str) and not Path(task["path"]).expanduser().is_absolute():
        task["path"] = str(path.parent / task["path"])
    return literal(task)


def _check_keys(path: Path, task: Mapping[str, Any]) -> None:
    kinds = [kind for kind in options_of("task") if not kind.startswith("pocket_")]
    kind = task["kind"]
    # The kind `pocket` has a file for each of its tasks, and none of its own.
    if not isinstance(kind, str) or kind not in kinds:
        raise ConfigError(f"task={path}: kind: there is no kind {kind!r} of task; there are {', '.join(kinds)}")
    known = yaml.safe_load(conf_dir().joinpath("task", f"{kind}.yaml").read_text(encoding="utf-8"))
    for key in task:
        if key not in known:
            keys = ", ".join(known)
            raise ConfigError(
                f"task={path}: {key}: there is no such setting{nearest(str(key), known)}. There are: {keys}"
            )


def literal(value: Any) -> Any:
    """Return a value in which no text means anything to OmegaConf, for which ${…} names another setting."""
    if isinstance(value, str):
        return value.replace("${", r"\${")
    if isinstance(value, dict):
        return {key: literal(each) for key, each in value.items()}
    return [literal(each) for each in value] if isinstance(value, list) else value


class _Loader(yaml.SafeLoader):
    """Reads YAML as its version 1.2 means it, in which yes, no, on and off are words."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
