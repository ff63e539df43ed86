"""What `icm run` does: the stages one after the other; with `stages=all` also the training. Skips what is complete."""

from __future__ import annotations

from rich.console import Console

from icm.commands import stages
from icm.config import Config
from icm.files.records import GOLD


def run(config: Config, console: Console) -> None:
    """Make labels, say what they are worth and, with `stages=all`, train on them.

    What could stop the training is looked for before the search begins. The same command goes on where it was stopped.
    """
    if config.stages == "labels":
        stages.prepare(config, console)
        _label(config, console)
        return
    # Loaded only here: the training libraries take seconds, and one without them must be told before anything is done.
    from icm.commands import train

    commands = train.commands_of(config)
    stages.prepare(config, console)
    train.require_trainable(commands)
    _label(config, console)
    train.run(commands, console)


def _label(config: Config, console: Console) -> None:
    scorer = stages.scorer_of(config)
    stages.elicit(config, console, scorer)
    stages.diagnose(config, console, scorer)
    if (config.out_dir / "prepare" / GOLD).exists():
        stages.evaluate(config, console, scorer)
    else:
        console.print("the task has no golden labels, so there is nothing to compare the labels with")
