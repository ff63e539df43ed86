"""The command line: `icm COMMAND key=value …`. Knows every command, from one table.

Errors of the user, of a file or of a model are printed without a traceback (HYDRA_FULL_ERROR=1 shows it) and end
with status 2. A stopped search ends with status 130.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

import hydra
from omegaconf import DictConfig
from pydantic import BaseModel
from rich.console import Console
from rich.text import Text

from icm.commands.arguments import as_settings
from icm.commands.memory import remembered, require_read
from icm.config import Places, validate
from icm.errors import IcmError, Interrupted

T = TypeVar("T")

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
    """

    words: str
    config_name: str
    settings: str
    run: str
    told: str


COMMANDS: Final = (
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
        "labels against golden labels -> metrics.json, report.html",
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
    ),
    Command(
        "diff",
        "diff",
        "icm.diff.settings:DiffSettings",
        "icm.commands.diff:run",
        "how far two runs, or a run and a file of labels, agree, and where they differ",
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
        "pocket train",
        "pocket_train",
        "icm.pocket.recipe:PocketTraining",
        "icm.commands.stages:train_pocket",
        "a pocket world and the model that knows it",
    ),
)

# What the extra `train` brings. Any other missing module means a broken installation, and its traceback is shown.
_TRAINING_LIBRARIES: Final = ("trl", "peft", "accelerate", "httpx")


def main() -> NoReturn:
    """Run one command of the command line and exit with its status."""
    arguments = sys.argv[1:]
    match arguments:
        case ["--version"]:
            import icm

            sys.stdout.write(f"icm {icm.__version__}\n")
        case ["--help" | "-h"]:
            sys.stdout.write(usage())
        case _:
            for command in COMMANDS:
                # A command may have two words, `pocket train`, so the first argument alone does not name it.
                words = command.words.split()
                if arguments[: len(words)] == words:
                    _run(command, arguments[len(words) :])
                    sys.exit(0)
            sys.stderr.write(usage())
            sys.exit(2)
    sys.exit(0)


def usage() -> str:
    """Return the list of commands."""
    width = max(len(command.words) for command in COMMANDS) + 2
    rows = "".join(f"  {command.words:<{width}}{command.told}\n" for command in COMMANDS)
    return (
        f"usage: icm COMMAND [key=value ...]\n\n{rows}\n"
        f"icm COMMAND --help lists all settings of a command; icm COMMAND --cfg job prints them.\n"
        f"run_dir=DIR goes on with an existing run: its settings are taken again.\n"
    )


def _run(command: Command, overrides: Sequence[str]) -> None:
    """Compose the settings of a command, validate them and call it, with errors turned into a message and a status."""
    # Hydra knows key=value alone, so `get NAME` becomes one.
    if command.words == "models" and len(overrides) > 1 and overrides[0] == "get":
        overrides = [f"get={overrides[1]}", *overrides[2:]]
    typed = overrides
    overrides = _guarded(lambda: as_settings(command.words, typed))
    # Before Hydra, which would accept these settings and let them do nothing.
    _guarded(lambda: require_read(command.words, overrides))
    # Hydra reads its arguments from here, and calls the program by the first of them.
    sys.argv = [f"icm {command.words}", *overrides]

    def composed(config: DictConfig) -> None:
        _guarded(lambda: _call(command, config, overrides))

    try:
        config_name = f"command/{command.config_name}"
        hydra.main(version_base="1.3", config_path="pkg://conf", config_name=config_name)(composed)()
    except SystemExit as stop:
        # Hydra ends with 1 after it has explained an override that does not fit; here that is a user's error.
        sys.exit(2 if stop.code == 1 else stop.code)


def _call(command: Command, config: DictConfig, overrides: Sequence[str]) -> None:
    places, settings = validate(_load(command.settings), config)
    if command.config_name == "run" and places.run_dir is not None:
        places, settings = remembered(places, settings, overrides)
    run: Callable[[Places, BaseModel, Console], None] = _load(command.run)
    # A file has no width of its own, and tables squeezed into 80 columns lose their words.
    has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    run(places, settings, Console(highlight=False, width=None if has_width else FILE_WIDTH))


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def _guarded(action: Callable[[], T]) -> T:
    """Do something; print the errors that a user can do something about, and exit."""
    try:
        return action()
    except ModuleNotFoundError as error:
        # The name may be that of a module inside the library.
        library = (error.name or "").partition(".")[0]
        if library not in _TRAINING_LIBRARIES:
            raise
        _print(f"icm: this command trains, which needs {library}: pip install 'icm[train]'")
        sys.exit(2)
    except (IcmError, OSError, KeyboardInterrupt) as error:
        # Hydra's own switch, so that one variable shows the tracebacks of both.
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        _print(_message(error))
        # 128 + 2 is what a shell reports of a program that was ended by Ctrl-C.
        sys.exit(130 if isinstance(error, Interrupted | KeyboardInterrupt) else 2)


def _print(message: str) -> None:
    # As `Text`, because square brackets in a message would be read as markup.
    Console(stderr=True, highlight=False).print(Text(message), soft_wrap=True)


def _message(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "icm: stopped at once; run the same command again to go on from the last checkpoint"
    if isinstance(error, OSError) and not isinstance(error, IcmError):
        return (
            f"icm: {error.filename or 'a file'}: {error.strerror or error}. What was written before is kept: "
            f"put this right, then run the same command again"
        )
    return f"icm: {error}"
