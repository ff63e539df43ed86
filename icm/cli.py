"""The command line: `icm prepare|elicit|diagnose|evaluate|run key=value …` and the others. Knows every command.

Errors of the user, of a file or of a model are printed without a traceback (HYDRA_FULL_ERROR=1 shows it) and end
with status 2. A stopped search ends with status 130.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

import hydra
from omegaconf import DictConfig, OmegaConf
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from icm.commands import run, stages
from icm.config import Config, validate, validate_as
from icm.errors import ConfigError, IcmError, Interrupted
from icm.models.names import misplaced_model
from icm.records import first_problem

FILE_WIDTH: Final = 132
"""Columns of a table that goes to a file or a pipe."""

USAGE: Final = """\
usage: icm prepare|elicit|diagnose|evaluate|run [key=value ...]
       icm compare [key=value ...]
       icm reward|arms run_dir=DIR [key=value ...]
       icm policy run_dir=DIR [key=value ...]
       icm export run_dir=DIR [key=value ...]
       icm models [get NAME] [key=value ...]
       icm pocket train [key=value ...]

  prepare       data source -> claims.jsonl (and gold.jsonl, for evaluate alone)
  elicit        claims -> labels.jsonl, trace.jsonl
  diagnose      labels -> whether to trust them, told without golden labels: diagnosis.json
  evaluate      labels against golden labels -> metrics.json, report.html
  run           the four in turn; with no settings, a pocket task on the embedded model; with stages=all
                also reward, policy and export
  compare       searches, or any other settings, side by side over seeds and tasks -> a table and figures
  reward        labels of a run -> a reward model, judged on golden pairs
  arms          the same reward training on other labels, arm by arm -> arms.json
  policy        a reward model, or pairs -> an assistant, sampled beside the model it came from
  export        labels of a run -> the formats of training libraries, with a data card
  models        pretrained models that can be fetched, and `icm models get NAME`, which fetches one
  pocket train  a pocket world and the model that knows it

icm run --help lists all settings; icm run --cfg job prints them.
"""


_TRAINING_LIBRARIES: Final = ("trl", "peft", "accelerate", "httpx")


def main() -> NoReturn:
    """Run one command of the command line and exit with its status."""
    match sys.argv[1:]:
        case ["pocket", "train", *rest]:
            _hydra(_guarded(_pocket_train), "pocket_train", ["icm pocket train", *rest])
        case ["reward", *rest]:
            _hydra(_guarded(_reward), "reward", ["icm reward", *rest])
        case ["arms", *rest]:
            _hydra(_guarded(_arms), "arms", ["icm arms", *rest])
        case ["policy", *rest]:
            _hydra(_guarded(_policy), "policy", ["icm policy", *rest])
        case ["export", *rest]:
            _hydra(_guarded(_export), "export", ["icm export", *rest])
        case [("compare" | "models") as name, *rest]:
            command, settings = (_compare, rest) if name == "compare" else (_models, _models_settings(rest))
            _hydra(_guarded(command), name, [f"icm {name}", *settings])
        case [("prepare" | "elicit" | "diagnose" | "evaluate" | "run") as name, *rest]:
            commands = {
                "prepare": stages.prepare,
                "elicit": stages.elicit,
                "diagnose": stages.diagnose,
                "evaluate": stages.evaluate,
                "run": run.run,
            }
            _hydra(_guarded(_with_config(commands[name])), "config", [f"icm {name}", *rest])
        case ["--version"]:
            import icm

            sys.stdout.write(f"icm {icm.__version__}\n")
        case ["--help" | "-h"]:
            sys.stdout.write(USAGE)
        case _:
            sys.stderr.write(USAGE)
            sys.exit(2)
    sys.exit(0)


def _compare(composed: DictConfig, console: Console) -> None:
    from icm.commands.compare import CompareCommand, run

    run(validate_as(CompareCommand, composed), console)


def _pocket_train(composed: DictConfig, console: Console) -> None:
    from icm.pocket.recipe import PocketTraining
    from icm.pocket.train import train

    raw = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(raw, dict)
    out_dir = Path(raw.pop("out_dir"))
    try:
        # A setting that is null takes its default.
        settings = PocketTraining.model_validate({key: value for key, value in raw.items() if value is not None})
    except ValidationError as error:
        raise ConfigError(first_problem(error)) from None
    train(settings, out_dir)
    console.print(f"trained: model.path={out_dir}", soft_wrap=True)


def _reward(composed: DictConfig, console: Console) -> None:
    # Loaded only here: the training libraries take seconds that no other command should wait.
    from icm.commands.reward import RewardCommand, run

    run(validate_as(RewardCommand, composed), console)


def _policy(composed: DictConfig, console: Console) -> None:
    from icm.commands.policy import PolicyCommand, run

    run(validate_as(PolicyCommand, composed), console)


def _arms(composed: DictConfig, console: Console) -> None:
    from icm.commands.arms import ArmsCommand, run

    run(validate_as(ArmsCommand, composed), console)


def _export(composed: DictConfig, console: Console) -> None:
    from icm.commands.export import ExportCommand, run

    run(validate_as(ExportCommand, composed), console)


def _models(composed: DictConfig, console: Console) -> None:
    from icm.commands.models import ModelsCommand, run

    run(validate_as(ModelsCommand, composed), console)


def _models_settings(words: list[str]) -> list[str]:
    """Return `get NAME` as the setting get=NAME."""
    match words:
        case ["get", name, *rest] if "=" not in name and not name.startswith("-"):
            return [f"get={name}", *rest]
        case _:
            return words


def _with_config(stage: Callable[[Config, Console], None]) -> Callable[[DictConfig, Console], None]:
    def run(composed: DictConfig, console: Console) -> None:
        stage(validate(composed), console)

    return run


def _guarded(command: Callable[[DictConfig, Console], None]) -> Callable[[DictConfig], None]:
    """Return the command with errors turned into a message and an exit status."""

    def guarded(composed: DictConfig) -> None:
        # A file has no width of its own, and tables squeezed into 80 columns lose their words.
        has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
        console = Console(highlight=False, width=None if has_width else FILE_WIDTH)
        try:
            command(composed, console)
        except ModuleNotFoundError as error:
            library = (error.name or "").partition(".")[0]
            if library not in _TRAINING_LIBRARIES:
                raise
            Console(stderr=True, highlight=False).print(
                f"icm: this command trains, which needs {library}: pip install 'icm[train]'", markup=False
            )
            sys.exit(2)
        except (IcmError, OSError, KeyboardInterrupt) as error:
            if os.environ.get("HYDRA_FULL_ERROR") == "1":
                raise
            Console(stderr=True, highlight=False).print(Text(_message(error)), soft_wrap=True)
            sys.exit(130 if isinstance(error, Interrupted | KeyboardInterrupt) else 2)

    return guarded


def _message(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "icm: stopped at once; run the same command again to go on from the last checkpoint"
    if isinstance(error, OSError) and not isinstance(error, IcmError):
        return (
            f"icm: {error.filename or 'a file'}: {error.strerror or error}. What was written before is kept: "
            f"put this right, then run the same command again"
        )
    return f"icm: {error}"


def _hydra(command: Callable[[DictConfig], None], config_name: str, arguments: Sequence[str]) -> None:
    sys.argv = list(arguments)
    if problem := misplaced_model(arguments):
        sys.stderr.write(f"icm: {problem}\n")
        sys.exit(2)
    try:
        hydra.main(version_base="1.3", config_path="pkg://conf", config_name=config_name)(command)()
    except SystemExit as stop:
        # Hydra ends with 1 after it has explained an override that does not fit; here that is a user's error.
        sys.exit(2 if stop.code == 1 else stop.code)
