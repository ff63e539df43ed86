"""What `icm COMMAND --help` shows: how it is called, and the commented files of the settings that it reads."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from icm.commands.conf_files import command_text, groups_of, option_text, options_of
from icm.commands.memory import PLACES, READ


def help_text(words: str, config_name: str, told: str, overrides: Sequence[str]) -> str:
    """Return the help of a command.

    Args:
        words: The command.
        config_name: Its file in `conf/command/`.
        told: What it does.
        overrides: What was typed beside `--help`; it chooses the options of the groups.
    """
    settings, usage = _without_plumbing(command_text(config_name))
    groups = groups_of(config_name)
    if words in READ:
        # Four commands share one file; each shows what it reads.
        read = (*READ[words], *PLACES)
        usage = f"icm {words}: {told}\n\nusage: icm {words} [run_dir=DIR] [key=value ...]"
        settings = _only(settings, read)
        groups = {group: option for group, option in groups.items() if group in read}
    typed = dict(each.split("=", 1) for each in overrides if "=" in each)
    shown = [_group(group, typed.get(group.partition("@")[0], option)) for group, option in groups.items()]
    about = "Settings (key=value), with their defaults:"
    return f"{usage}\n\n{about}\n\n{textwrap.indent(settings, '  ')}\n\n" + "\n\n".join(shown) + "\n"


def _group(group: str, option: str) -> str:
    name, _, place = group.partition("@")
    others = [each for each in options_of(name) if each != option]
    text = option_text(name, option) or _own_file(option)
    also = textwrap.fill(f"also: {', '.join(others)}", 100, initial_indent="  # ", subsequent_indent="  #   ")
    told = f"\n{also}" if others else ""
    return f"{place or name}.…  as {name}={option} has them:{told}\n{textwrap.indent(text.strip(), '  ')}"


def _own_file(option: str) -> str:
    """Return the text of a task file of the user's."""
    path = Path(option.strip("'\"")).expanduser()
    return path.read_text(encoding="utf-8") if path.suffix in (".yaml", ".yml") and path.is_file() else ""


def _without_plumbing(text: str) -> tuple[str, str]:
    """Return the settings of the file of a command as they are commented, and how the command is called."""
    body, _, hydra = text.partition("\nhydra:\n")
    usage = textwrap.dedent(hydra.partition("header: |\n")[2]).strip()
    # The list of groups, of which each is shown on its own, and what tells Hydra where the settings go.
    body = re.sub(r"^defaults:\n(?:  .*\n)+", "", body, flags=re.MULTILINE)
    return re.sub(r"^# @package.*\n", "", body).strip(), usage


def _only(settings: str, keys: Sequence[str]) -> str:
    """Return the lines of some keys, with those that belong to them."""
    kept, keep = [], False
    for line in settings.splitlines():
        if line and not line.startswith((" ", "#")):
            keep = line.partition(":")[0] in keys
        if keep and not line.startswith("#"):
            kept.append(line)
    return "\n".join(kept)
