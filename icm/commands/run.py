"""What `icm run` does: the stages one after the other; with `stages=all` also the training. Skips what is complete."""

from __future__ import annotations

from rich.console import Console

from icm.commands import stages
from icm.config import Config, Places
from icm.evaluate.stage import why_not_comparable


def run(places: Places, config: Config, console: Console) -> None:
    """Make labels, say what they are worth and, with `stages=all`, train on them.

    What could stop the training is looked for before the search begins. The same command goes on where it was stopped.
    """
    if config.stages == "labels":
        stages.prepare(places, config, console)
        _label(places, config, console)
        return
    # Loaded only here: the training libraries take seconds, and one without them must be told before anything is done.
    from icm.commands import train

    # Composed first: a mistyped training setting must not be found after hours of search.
    commands = train.compose_commands(places, config)
    stages.prepare(places, config, console)
    train.require_trainable(commands)
    _label(places, config, console)
    train.run(commands, console)


def _label(places: Places, config: Config, console: Console) -> None:
    # One scorer for all stages, so that the model is loaded once.
    scorer = stages.scorer_of(places, config)
    stages.elicit(places, config, console, scorer)
    stages.diagnose(places, config, console, scorer)
    if reason := why_not_comparable(places.out_dir / "prepare"):
        console.print(f"not evaluated: {reason}")
    else:
        stages.evaluate(places, config, console, scorer)
    stages.tell_views(places, console)
