"""The files under `conf/` as texts, for help and completion. Composes nothing."""

from __future__ import annotations

import re
from functools import cache

from icm.files.conf_dir import conf_dir


@cache
def command_text(config_name: str) -> str:
    """Return the file of settings of a command."""
    return (conf_dir() / "command" / f"{config_name}.yaml").read_text(encoding="utf-8")


def groups_of(config_name: str) -> dict[str, str]:
    """Return the groups that a command is composed of, each with the option it has by default.

    A group that stands elsewhere in the settings is named as `group@place`.
    """
    found = re.findall(r"^  - /([\w@]+): (\w+)$", command_text(config_name), flags=re.MULTILINE)
    return dict(found)


def options_of(group: str) -> list[str]:
    """Return the options of a group."""
    return sorted(path.stem for path in (conf_dir() / group.partition("@")[0]).glob("*.yaml"))


def option_text(group: str, option: str) -> str:
    """Return the file of an option of a group; empty if there is none."""
    path = conf_dir() / group.partition("@")[0] / f"{option}.yaml"
    return path.read_text(encoding="utf-8") if path.is_file() else ""
