"""What a user typed, key=value: how it is read, and what is said where it does not fit. Composes nothing for good."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, ListConfig, OmegaConf

from icm.errors import ConfigError
from icm.files.conf_dir import conf_dir

PATHS: Final = frozenset(
    {"out_dir", "run_dir", "labels", "corrections", "reward_dir", "anchors", "other", "disagrees", "claim", "directory"}
    | {"task.path", "model.path", "file", "out"}
)
"""Keys whose values are taken as they stand, whatever characters they hold."""

_TEMPLATES: Final = ("template",)
"""Ends of keys whose values are put in quotes where they cannot be read without: braces, colons, commas, brackets."""


def readable(override: str, *, sweeps: bool = False) -> str:
    """Return an override that Hydra can read: paths and templates are put in quotes, where they are in none.

    Args:
        override: What was typed.
        sweeps: Whether commas part values, of which each makes a run.

    Raises:
        ConfigError: A path is empty.
    """
    key, equals, value = override.partition("=")
    name = key.lstrip("+")
    if not equals or (sweeps and "," in value):
        return override
    if name in PATHS and not (name == "labels" and value.startswith("[")):
        if not value:
            raise ConfigError(f"{key}= is empty; name a file or directory, or leave {key} out")
        # A shell leaves the ~ of `key=~/x` as it is, because it does not begin the word.
        path = str(Path(value).expanduser()) if value.startswith("~") else value
        return override if value[0] in "'\"" or value == "null" else f"{key}={_quoted(path)}"
    if name.rpartition(".")[2] in _TEMPLATES and not _is_readable(override):
        return f"{key}={_quoted(value)}"
    return override


def parse(override: str) -> Override:
    """Read one override.

    Raises:
        OverrideParseException: It is not in Hydra's grammar.
    """
    return OverridesParser.create().parse_override(override)


def _is_readable(override: str) -> bool:
    try:
        parse(override)
    except HydraException:
        return False
    return True


def _quoted(text: str) -> str:
    return QuotedString(text=text, quote=Quote.single).with_quotes()


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint at the known names that are most like a name, as the end of a sentence; empty if none is."""
    found = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def options_of(group: str) -> list[str]:
    """Return what a group of `conf/` offers, empty where there is no such group."""
    return sorted(path.stem for path in (_CONF / group).glob("*.yaml"))


_CONF: Final = conf_dir()


def explain(error: Exception, config_name: str, overrides: Sequence[str]) -> str:
    """Return what is wrong with what was typed, in words of ours.

    Args:
        error: What Hydra raised.
        config_name: The file that was composed, without its ending.
        overrides: What was typed.
    """
    for override in overrides:
        if not _is_readable(override):
            return _unreadable(override, config_name)
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        offered = ", ".join(error.options)
        return f"{group}={option}: there is no such {group}{nearest(option, error.options)}. There are: {offered}"
    groups, values = _parted(overrides)
    known = compose(config_name, overrides=groups)
    for each in values:
        if not (each.is_add() or each.is_force_add()) and not _has(known, each.key_or_group):
            return _unknown(each.key_or_group, known, groups)
    return str(error)


def _unreadable(override: str, config_name: str) -> str:
    key, equals, value = override.partition("=")
    if not equals:
        hint = _like(override, _keys(compose(config_name)))
        return f"{override}: a setting is written as key=value{hint}"
    return (
        f"{key}: cannot read the value {value}; text with braces, commas, brackets or quotes goes in quotes, as in "
        f"'{key}=\"…\"', a list is written [a, b], a mapping {{a: 1}}"
    )


def _parted(overrides: Sequence[str]) -> tuple[list[str], list[Override]]:
    """Return the overrides that choose a file of a group, and those that give a value."""
    groups, values = [], []
    for override in overrides:
        each = parse(override)
        if options_of(each.key_or_group) or each.key_or_group.startswith("hydra"):
            groups.append(override)
        else:
            values.append(each)
    return groups, values


def _has(known: DictConfig, key: str) -> bool:
    return key in _keys(known)


def _keys(known: DictConfig | ListConfig) -> list[str]:
    """Return all keys of a configuration, dotted, those of groups too."""
    plain = OmegaConf.to_container(known, resolve=False)
    assert isinstance(plain, dict)
    return list(_dotted(plain))


def _dotted(plain: dict[Any, Any], prefix: str = "") -> Iterable[str]:
    for name, value in plain.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{name}.")


def _unknown(key: str, known: DictConfig, groups: Sequence[str]) -> str:
    """Return that there is no such key, with those like it, and the options of its group that do have it."""
    group, _, name = key.partition(".")
    hint = _like(key, _keys(known)) or "; `icm COMMAND --help` lists them"
    if not name:
        return f"{key}: there is no such setting{hint}"
    chosen = next((each.partition("=")[2] for each in groups if each.partition("=")[0] == group), "")
    owners = [option for option in options_of(group) if name in _keys(OmegaConf.load(_CONF / group / f"{option}.yaml"))]
    of = f" of {group}={chosen}" if chosen else ""
    where = f"; {group}={'|'.join(owners[:4])} has it" if owners else ""
    return f"{key}: there is no such setting{of}{hint}{where}"


def _like(key: str, keys: Sequence[str]) -> str:
    """Return a hint at the keys whose last part is, or is almost, that of a key: the group is easily forgotten."""
    last = [each.rpartition(".")[2] for each in keys]
    ends = difflib.get_close_matches(key.rpartition(".")[2], sorted({*last}), n=2, cutoff=0.75)
    # The likest first, then the shortest: `search` before `search.name`.
    found = [each for end in ends for each in sorted(keys, key=len) if each.rpartition(".")[2] == end]
    return f"; did you mean {' or '.join(found[:3])}?" if found else ""
