"""The command line: `icm COMMAND key=value …`. Knows every command, from one table.

Settings, flags and other words may stand in any order. Errors of the user, of a file or of a model are printed without
a traceback (HYDRA_FULL_ERROR=1 shows it) and end with status 2. A stopped search ends with status 130.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from icm.commands.arguments import Arguments, read_arguments
from icm.commands.neighbours import check_neighbours
from icm.errors import IcmError, Interrupted
from icm.report.streams import close_streams, prepare_streams

# Libraries are loaded where they are used: `icm --version`, help and completion must answer at once.
if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

    from icm.config import Places

PIPE_CLOSED: Final = 141
"""128 + 13, what a shell reports of a program whose output nobody reads any more."""

FILE_WIDTH: Final = 132
"""Columns of a table that goes to a file or a pipe."""


class Command(NamedTuple):
    """A row of the table of commands.

    Attributes:
        words: What is typed after `icm`.
        config_name: The file in `conf/command` with its settings.
        settings: Where the class of its settings stands, as "module:name". Loaded only when the command is run, since
            some libraries take a second that no other command should wait.
        run: Where the function stands that is called with places, settings and a console.
        told: What it does, for the usage.
        positional: Settings that bare words after the command stand for, in their order.
    """

    words: str
    config_name: str
    settings: str
    run: str
    told: str
    positional: tuple[str, ...] = ()


COMMANDS: Final = (
    Command(
        "init",
        "init",
        "icm.init.settings:InitSettings",
        "icm.commands.init:run",
        "a file of yours -> a task file for it, with one prompt to look at",
        ("file",),
    ),
    Command(
        "prepare",
        "run",
        "icm.config:Config",
        "icm.commands.stages:prepare",
        "data source -> claims.jsonl (and gold.jsonl, for evaluate alone)",
    ),
    Command("elicit", "run", "icm.config:Config", "icm.commands.stages:elicit", "claims -> labels.jsonl, trace.jsonl"),
    Command(
        "diagnose",
        "run",
        "icm.config:Config",
        "icm.commands.stages:diagnose",
        "labels -> whether to trust them, told without golden labels: diagnosis.json",
    ),
    Command(
        "evaluate",
        "run",
        "icm.config:Config",
        "icm.commands.stages:evaluate",
        "labels against golden labels -> metrics.json, figures, and the report",
    ),
    Command(
        "run",
        "run",
        "icm.config:Config",
        "icm.commands.run:run",
        "the four in turn; with no settings, a pocket task on the embedded model; with stages=all also reward, "
        "policy and export",
    ),
    Command(
        "show",
        "show",
        "icm.show.settings:ShowSettings",
        "icm.commands.show:run",
        "the labels of a run beside their texts; everything about one of them with --claim ID or --row N",
        ("run_dir",),
    ),
    Command(
        "diff",
        "diff",
        "icm.diff.settings:DiffSettings",
        "icm.commands.diff:run",
        "how far two runs, or a run and a file of labels, agree, and where they differ",
        ("run_dir", "other"),
    ),
    Command(
        "compare",
        "compare",
        "icm.compare.settings:CompareSettings",
        "icm.commands.stages:compare",
        "searches, or any other settings, side by side over seeds and tasks -> a table and figures",
    ),
    Command(
        "reward",
        "reward",
        "icm.training.reward.settings:RewardConfig",
        "icm.commands.reward:run",
        "labels of a run -> a reward model, judged on golden pairs",
    ),
    Command(
        "arms",
        "arms",
        "icm.training.arms.settings:ArmsConfig",
        "icm.commands.arms:run",
        "the same reward training on other labels, arm by arm -> arms.json",
    ),
    Command(
        "policy",
        "policy",
        "icm.training.policy.settings:PolicyConfig",
        "icm.commands.policy:run",
        "a reward model, or pairs -> an assistant, sampled beside the model it came from",
    ),
    Command(
        "export",
        "export",
        "icm.export.settings:ExportConfig",
        "icm.commands.export:run",
        "labels of a run -> the formats of training libraries, with a data card",
    ),
    Command(
        "models",
        "models",
        "icm.models.settings:ModelsSettings",
        "icm.commands.models:run",
        "pretrained models that can be fetched; icm models get NAME fetches one",
    ),
    Command(
        "models get",
        "models",
        "icm.models.settings:ModelsSettings",
        "icm.commands.models:run",
        "fetch, convert and keep one of them",
        ("get",),
    ),
    Command(
        "pocket train",
        "pocket_train",
        "icm.pocket.recipe:PocketTraining",
        "icm.commands.stages:train_pocket",
        "a pocket world and the model that knows it",
    ),
    Command(
        "clean",
        "clean",
        "icm.commands.clean:CleanSettings",
        "icm.commands.clean:run",
        "list, and with delete=true delete, what unfinished runs left behind",
        ("directory",),
    ),
    Command(
        "completion",
        "completion",
        "icm.commands.completion:CompletionSettings",
        "icm.commands.completion:run",
        "print what makes the shell complete commands, settings and values",
        ("shell",),
    ),
)

# What the extra `train` brings. Any other missing module means a broken installation, and its traceback is shown.
_TRAINING_LIBRARIES: Final = ("trl", "peft", "accelerate", "httpx")


def main() -> NoReturn:
    """Run one command of the command line and exit with its status."""
    prepare_streams()
    # First of all: with a stranger in their places, ours fail with errors that name neither.
    _guarded(check_neighbours)
    _guarded(lambda: _main(sys.argv[1:]))
    sys.exit(0)


def _main(typed: list[str]) -> None:
    # What the shell asks for while somebody types; it knows no settings and must answer fast.
    if typed[:2] == ["completion", "--words"]:
        from icm.commands.completion import words_for

        sys.stdout.write("".join(f"{word}\n" for word in words_for(typed[2:], commands())))
        return
    arguments = read_arguments(typed, {each.words: each.positional for each in COMMANDS}, commands())
    command = next((each for each in COMMANDS if each.words == arguments.command), None)
    if arguments.version:
        import icm

        sys.stdout.write(f"icm {icm.__version__}\n")
    elif command is None and arguments.help:
        sys.stdout.write(usage())
    elif command is None:
        sys.stderr.write(usage())
        sys.exit(2)
    elif arguments.help:
        from icm.commands.help import help_text

        sys.stdout.write(help_text(command.words, command.config_name, command.told, arguments.overrides))
    else:
        _run(command, arguments)


def usage() -> str:
    """Return the list of commands."""
    width = max(len(command.words) for command in COMMANDS) + 2
    rows = "".join(
        textwrap.fill(f"  {command.words:<{width}}{command.told}", 80, subsequent_indent=" " * (width + 2)) + "\n"
        for command in COMMANDS
    )
    return (
        f"usage: icm COMMAND [key=value ...]\n\n{rows}\n"
        f"icm COMMAND --help shows its settings, icm COMMAND --cfg job prints them.\n"
        f"run_dir=DIR goes on with an existing run: its settings are taken again.\n"
        f"-m runs a sweep: seed=0,1,2. --json prints the result as a line of JSON.\n"
        f"Begin with your own file: icm init FILE\n"
    )


def commands() -> dict[str, str]:
    """Return the file of settings of each command, by its words."""
    return {each.words: each.config_name for each in COMMANDS}


def _run(command: Command, arguments: Arguments) -> None:
    """Compose the settings of a command and call it, once for each job of a sweep."""
    from icm.commands.memory import require_read
    from icm.config import jobs_of, shown_settings

    # First, since a setting that nobody reads would be accepted and do nothing.
    require_read(command.words, arguments.overrides)
    if arguments.config is not None:
        sys.stdout.write(shown_settings(command.config_name, arguments.overrides))
        return
    for overrides in jobs_of(arguments.overrides) if arguments.sweep else [arguments.overrides]:
        if arguments.sweep:
            _print(f"icm {command.words} {' '.join(overrides)}")
        _call(command, overrides, as_json=arguments.json)


def _call(command: Command, overrides: list[str], *, as_json: bool) -> None:
    from icm.commands.memory import remembered
    from icm.config import load_command
    from icm.report.console import PlainConsole

    places, settings = load_command(_load(command.settings), command.config_name, *overrides)
    if command.config_name == "run" and places.run_dir is not None:
        places, settings = remembered(places, settings, overrides)
    run: Callable[[Places, BaseModel, Console], None] = _load(command.run)
    # A file has no width of its own, and tables squeezed into 80 columns lose their words.
    has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    # With --json the output is for a program, and what people read goes beside it.
    run(places, settings, PlainConsole(width=None if has_width else FILE_WIDTH, stderr=as_json))
    if as_json:
        from icm.commands.result import result_json

        sys.stdout.write(result_json(command.words, places) + "\n")


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def _guarded(action: Callable[[], None]) -> None:
    """Do something; print the errors that a user can do something about, and exit."""
    try:
        action()
        sys.stdout.flush()
    except BrokenPipeError:
        # `icm … | head`: nobody reads on, so there is nothing to say and nobody to say it to.
        close_streams()
        sys.exit(PIPE_CLOSED)
    except ModuleNotFoundError as error:
        # The name may be that of a module inside the library.
        library = (error.name or "").partition(".")[0]
        if library not in _TRAINING_LIBRARIES:
            raise
        _print(f"icm: this command trains, which needs {library}: pip install 'icm-elicitation[train]'")
        sys.exit(2)
    except (IcmError, OSError, KeyboardInterrupt) as error:
        # Hydra's own switch, so that one variable shows the tracebacks of both.
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        _print(_message(error))
        # 128 + 2 is what a shell reports of a program that was ended by Ctrl-C.
        sys.exit(130 if isinstance(error, Interrupted | KeyboardInterrupt) else 2)


def _print(message: str) -> None:
    from rich.text import Text

    from icm.report.console import PlainConsole

    # As `Text`, because square brackets in a message would be read as markup.
    PlainConsole(stderr=True).print(Text(message), soft_wrap=True)


def _message(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "icm: stopped at once; run the same command again to go on from the last checkpoint"
    if isinstance(error, OSError) and not isinstance(error, IcmError):
        return (
            f"icm: {error.filename or 'a file'}: {error.strerror or error}. What was written before is kept: "
            f"put this right, then run the same command again"
        )
    return f"icm: {error}"
