"""What is typed after a command, turned into the key=value that Hydra reads: positions, flags, paths of any name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from icm.errors import ConfigError

POSITIONS: Final[Mapping[str, tuple[str, ...]]] = {"show": ("run_dir",), "diff": ("run_dir", "other")}
"""What the words after a command name, in their order."""

FLAGS: Final[Mapping[str, tuple[str, ...]]] = {
    "show": ("claim", "row", "disagrees", "labels", "corrections", "limit", "uncertain"),
    "diff": ("labels", "corrections", "limit"),
}
"""Settings that may also be typed as `--name value`."""

SWITCHES: Final = ("uncertain",)
"""Flags that take no value."""

PATHS: Final = frozenset(
    {"out_dir", "run_dir", "labels", "corrections", "reward_dir", "anchors", "other", "disagrees"}
    | {"task.path", "model.path", "claim"}
)
"""Keys whose values are taken as they stand, whatever characters they hold."""

_KEY: Final = re.compile(r"[+~]*[A-Za-z_][\w.@]*$")


def as_settings(command: str, arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command as Hydra reads them.

    Raises:
        ConfigError: A flag lacks its value, there is a word too many, or a path is empty.
    """
    sweeps = bool({"-m", "--multirun"} & {*arguments})
    return [_quoted(each, sweeps) for each in _named(command, arguments)]


def _named(command: str, arguments: Sequence[str]) -> Iterator[str]:
    """Yield the arguments with positions and flags as key=value."""
    positions, flags = iter(POSITIONS.get(command, ())), FLAGS.get(command, ())
    rest = iter(arguments)
    for argument in rest:
        flag, equals, value = argument.removeprefix("--").partition("=")
        if argument.startswith("--") and flag in flags:
            if flag in SWITCHES:
                value = value or "true"
            elif not equals:
                value = next(rest, "")
            if not value:
                raise ConfigError(f"--{flag} needs a value: --{flag} VALUE")
            yield f"{flag}={value}"
        # A directory may have an equals sign in its name, but a key has no slash.
        elif command not in POSITIONS or argument.startswith("-") or (equals and _KEY.match(flag)):
            yield argument
        else:
            key = next(positions, None)
            if key is None:
                usage = " ".join(name.upper() for name in POSITIONS[command])
                raise ConfigError(f"`icm {command}` takes {usage} and key=value; {argument!r} is one word too many")
            yield f"{key}={argument}"


def _quoted(argument: str, sweeps: bool) -> str:
    """Return key=value with the value in quotes where it is a path, so that Hydra reads none of its characters."""
    key, equals, value = argument.partition("=")
    if not equals or key.lstrip("+") not in PATHS:
        return argument
    if not value:
        raise ConfigError(f"{key}= is empty; name a file or directory, or leave {key} out")
    # Already quoted, or no path; and a list of values to sweep over has its commas outside of quotes.
    if value[0] in "'\"" or value == "null" or (sweeps and "," in value):
        return argument
    # A shell leaves the ~ of `key=~/x` as it is, because it does not begin the word.
    path = str(Path(value).expanduser()) if value.startswith("~") else value
    escaped = path.replace("\\", "\\\\").replace("'", "\\'")
    return f"{key}='{escaped}'"
