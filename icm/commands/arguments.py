"""What was typed after `icm`, parted into command, settings and flags, in whatever order. Composes and runs nothing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

from icm.commands.conf_files import command_text
from icm.errors import ConfigError

_SWITCHES: Final = {
    "--help": "help",
    "-h": "help",
    "--version": "version",
    "--json": "json",
    "-m": "sweep",
    "--multirun": "sweep",
}
_KEY: Final = re.compile(r"[+~]*[A-Za-z_][\w.@]*$")
_WITH_VALUE: Final = {"--cfg": "config", "-c": "config", "--config-dir": "config_dir", "-cd": "config_dir"}


class Arguments(NamedTuple):
    """What was typed.

    Attributes:
        command: The words of the command; `None` if there are none.
        overrides: Settings, key=value, in the order in which they were typed.
        config: What `--cfg` was given.
    """

    command: str | None
    overrides: list[str]
    help: bool = False
    version: bool = False
    json: bool = False
    sweep: bool = False
    config: str | None = None


def read_arguments(
    typed: Sequence[str], positional: Mapping[str, Sequence[str]], config_names: Mapping[str, str]
) -> Arguments:
    """Part what was typed.

    A flag that names a setting of the command is that setting: `--row 3` is `row=3`, `--uncertain` is `uncertain=true`.

    Args:
        typed: What was typed after `icm`.
        positional: The settings that bare words stand for, by the words of each command.
        config_names: The file of settings of each command.

    Raises:
        ConfigError: There is no such command or flag, or a word too many.
    """
    words = [each for each in typed if not each.startswith("-") and not _is_setting(each)]
    command = _command(words, positional)
    told = {_SWITCHES[each] for each in typed if each in _SWITCHES}
    if command is None:
        _refuse_unknown(typed, words, positional, told=bool(told & {"help", "version"}))
        return Arguments(None, [], help="help" in told, version="version" in told)
    # From here on only what belongs to the command; its own words are taken out once each.
    rest = list(typed)
    for word in command.split():
        rest.remove(word)
    kinds = _settings_of(config_names[command])
    overrides, values, bare = _parted(rest, kinds)
    keys = positional[command]
    if len(bare) > len(keys):
        raise ConfigError(f"icm {command}: {bare[len(keys)]!r} is one word too many; settings are written as key=value")
    given = [f"{key}={word}" for key, word in zip(keys, bare, strict=False)]
    if "config_dir" in values:
        given.append(f"hydra.searchpath=[file://{values.pop('config_dir')}]")
    return Arguments(
        command,
        [*given, *overrides],
        help="help" in told,
        version="version" in told,
        json="json" in told,
        sweep="sweep" in told,
        config=values.get("config"),
    )


def _command(words: Sequence[str], positional: Mapping[str, Sequence[str]]) -> str | None:
    """Return the command of the most words that what was typed begins with."""
    begun = [command for command in positional if list(words[: len(command.split())]) == command.split()]
    return max(begun, key=len, default=None)


def _refuse_unknown(
    typed: Sequence[str], words: Sequence[str], positional: Mapping[str, Sequence[str]], *, told: bool
) -> None:
    if words:
        near = difflib.get_close_matches(words[0].lower(), list(positional), n=2, cutoff=0.5)
        # Two words, of which the first alone is no command.
        near = near or [command for command in positional if command.split()[0] == words[0]]
        hint = f"; did you mean icm {' or icm '.join(near)}?" if near else "; `icm --help` lists them"
        raise ConfigError(f"{words[0]}: there is no such command{hint}")
    flags = [each for each in typed if each.startswith("-") and each not in {*_SWITCHES, *_WITH_VALUE}]
    if flags and not told:
        raise ConfigError(f"{flags[0]}: there is no such flag{_near_flags(flags[0], ())}")
    if any("=" in each for each in typed):
        raise ConfigError("no command was given, only settings; `icm run key=value …` is the usual one")


def _parted(typed: Sequence[str], kinds: Mapping[str, bool]) -> tuple[list[str], dict[str, str], list[str]]:
    """Return settings, values of flags, and bare words; `kinds` says of each setting whether it is true or false."""
    overrides: list[str] = []
    values: dict[str, str] = {}
    bare: list[str] = []
    left = [each for each in typed if each not in _SWITCHES]
    while left:
        word = left.pop(0)
        flag, equals, value = word.partition("=")
        if not word.startswith("-"):
            (overrides if _is_setting(word) else bare).append(word)
        elif flag in _WITH_VALUE:
            values[_WITH_VALUE[flag]] = value if equals else _next(flag, left)
        elif (key := flag.lstrip("-").replace("-", "_")) in kinds:
            told = value if equals else "true" if kinds[key] else _next(flag, left)
            overrides.append(f"{key}={told}")
        else:
            raise ConfigError(f"{flag}: there is no such flag{_near_flags(flag, kinds)}")
    return overrides, values, bare


def _is_setting(word: str) -> bool:
    # A directory may have an equals sign in its name, but a key has no slash.
    key, equals, _ = word.partition("=")
    return word.startswith("~") or (bool(equals) and _KEY.match(key) is not None)


def _next(flag: str, left: list[str]) -> str:
    if not left or left[0].startswith("-"):
        raise ConfigError(f"{flag} needs a value after it")
    return left.pop(0)


def _near_flags(flag: str, keys: Sequence[str] | Mapping[str, bool]) -> str:
    known = [*_SWITCHES, *_WITH_VALUE, *(f"--{key}" for key in keys)]
    near = difflib.get_close_matches(flag, known, n=2)
    return f"; did you mean {' or '.join(near)}?" if near else "; settings are written as key=value"


@cache
def _settings_of(config_name: str) -> dict[str, bool]:
    """Return the settings in the file of a command, each with whether it is true or false by default."""
    # Read by its lines: a parser of YAML takes longer than all the rest.
    lines = re.findall(r"^(\w+): *(\S*)", command_text(config_name), flags=re.MULTILINE)
    return {key: value in ("true", "false") for key, value in lines if key not in ("defaults", "hydra")}
