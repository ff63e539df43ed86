"""What the shell completes: commands, settings, and the values of groups. Reads files of `conf/`, composes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from icm.commands.conf_files import command_text, groups_of, option_text, options_of

if TYPE_CHECKING:
    from rich.console import Console

    from icm.config import Places

_FLAGS: Final = ("--help", "--json", "--cfg", "--config-dir", "-m")

_SCRIPTS: Final = {
    # Bash ends a word at every `=`, so words are taken from the line, and what stands before the `=` is cut off again.
    "bash": r"""
_icm_complete() {
    local line="${COMP_LINE:0:COMP_POINT}" words cur IFS=$' \t\n'
    read -ra words <<< "$line"
    [[ "$line" == *[[:space:]] ]] && words+=("")
    cur="${words[${#words[@]}-1]}"
    IFS=$'\n'
    COMPREPLY=($(icm completion --words "${words[@]:1}" 2>/dev/null))
    if [[ ${#COMPREPLY[@]} -eq 0 ]]; then
        COMPREPLY=($(compgen -f -- "${cur#*=}"))
        compopt -o filenames
    elif [[ "$cur" == *=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${cur%%=*}="}")
    fi
    [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *[=.] ]] && compopt -o nospace
    return 0
}
complete -F _icm_complete icm
""",
    "zsh": r"""
_icm_complete() {
    local -a found
    found=("${(@f)$(icm completion --words "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then
        compadd -S '' -a found
    else
        compset -P '*='
        _files
    fi
}
compdef _icm_complete icm
""",
    "fish": r"""
complete -c icm -f -a '(icm completion --words (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
complete -c icm -n 'string match -q "*=*" -- (commandline -ct)' -F
""",
}


def __getattr__(name: str) -> Any:
    """Make the class of the settings when it is asked for: completing itself must not wait for pydantic."""
    if name != "CompletionSettings":
        raise AttributeError(name)
    from pydantic import ConfigDict, create_model

    fields: dict[str, Any] = {"shell": (Literal["bash", "zsh", "fish"], ...)}
    return create_model(name, __config__=ConfigDict(frozen=True, extra="forbid"), **fields)


def run(_places: Places, settings: Any, console: Console) -> None:
    """Print the script of a shell."""
    console.file.write(_SCRIPTS[settings.shell].lstrip())


def words_for(typed: Sequence[str], config_names: Mapping[str, str]) -> list[str]:
    """Return what the last word, which may be empty, can become.

    Args:
        typed: The words after `icm`, the last of them unfinished.
        config_names: The file of settings of each command, by its words.
    """
    *before, last = typed or [""]
    bare = [each for each in before if not each.startswith("-") and "=" not in each]
    command = max((each for each in config_names if bare[: len(each.split())] == each.split()), key=len, default=None)
    candidates = _commands(bare, config_names)
    if command is not None:
        candidates += _settings(config_names[command], before, last)
    return [each for each in candidates if each.startswith(last)]


def _commands(bare: Sequence[str], config_names: Mapping[str, str]) -> list[str]:
    """Return the next word of every command that begins with the words so far."""
    parted = (command.split() for command in config_names)
    return list(
        dict.fromkeys(words[len(bare)] for words in parted if words[: len(bare)] == [*bare] and words[len(bare) :])
    )


def _settings(config_name: str, before: Iterable[str], last: str) -> list[str]:
    groups = groups_of(config_name)
    typed = dict(each.split("=", 1) for each in before if "=" in each)
    key, equals, _ = last.partition("=")
    # Where a group stands in the settings, and the file that was chosen for it.
    chosen = {
        group.rpartition("@")[2]: option_text(group, typed.get(group.partition("@")[0], option))
        for group, option in groups.items()
    }
    if equals:
        return [f"{key}={value}" for value in _values(config_name, key, chosen)]
    if last.startswith("-"):
        return list(_FLAGS)
    own = [f"{name}=" for name in _keys(command_text(config_name)) if "." not in name]
    names = [f"{group.partition('@')[0]}=" for group in groups] + [f"{place}." for place in chosen]
    group = last.partition(".")[0]
    if "." not in last or group not in chosen:
        return [*own, *names]
    return [f"{group}.{name}=" for name in _keys(chosen[group])]


def _values(config_name: str, key: str, chosen: Mapping[str, str]) -> list[str]:
    """Return the values that a setting may have, as far as the files say."""
    if options := options_of(key):
        return [*options, *(sorted(map(str, Path().glob("*.yaml"))) if key == "task" else [])]
    if key == "run_dir":
        return sorted(str(path.parent) for path in Path("runs").glob("**/run.json"))
    group, _, name = key.partition(".")
    line = _keys(chosen[group]).get(name, "") if name and group in chosen else _keys(command_text(config_name)).get(key)
    value, _, comment = (line or "").partition("#")
    if value.strip() in ("true", "false"):
        return ["true", "false"]
    # Where values can be listed, the comment lists them with bars between.
    listed = re.search(r"[\w.:-]+(?:: [^|]*)?(?: \| [\w.-]+)+", comment)
    return [each.strip().partition(":")[0] for each in listed[0].split("|")] if listed else []


def _keys(text: str) -> dict[str, str]:
    """Return the dotted keys of a YAML file, each with what follows it on its line."""
    found: dict[str, str] = {}
    path: list[str] = []
    for indent, key, rest in re.findall(r"^( *)(\w+):(.*)$", text.partition("\nhydra:\n")[0], flags=re.MULTILINE):
        path = [*path[: len(indent) // 2], key]
        if path[0] != "defaults":
            found[".".join(path)] = rest
    return found
