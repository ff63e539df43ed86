"""What `icm run stages=all` does after the labels: reward, policy, export. Knows their commands, computes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console

from icm.commands import export, policy, reward
from icm.config import Config, Places, Settings, load_command
from icm.errors import ConfigError
from icm.export.settings import ExportConfig
from icm.files.records import CLAIMS, TASK, read_claims, read_task
from icm.training.completions import open_policy
from icm.training.pairs import require_pairable
from icm.training.policy.prompts import candidates
from icm.training.policy.settings import PolicyConfig
from icm.training.reward.model import open_base
from icm.training.reward.settings import RewardConfig


class TrainingCommands(NamedTuple):
    """Places and settings of the commands that follow the labels, all in the directory of one run."""

    reward: tuple[Places, RewardConfig]
    policy: tuple[Places, PolicyConfig]
    export: tuple[Places, ExportConfig]


def compose_commands(places: Places, config: Config) -> TrainingCommands:
    """Compose the settings of the three commands.

    Raises:
        ConfigError: One of them does not fit.
    """

    def composed(kind: type[Settings], name: str, overrides: Sequence[str]) -> tuple[Places, Settings]:
        # In quotes, since a path may hold what means something on a command line.
        run_dir = f"run_dir={json.dumps(str(places.out_dir))}"
        try:
            return load_command(kind, name, run_dir, f"overwrite={places.overwrite}", *overrides)
        except ConfigError as error:
            raise ConfigError(f"training.{name}: {error}") from None

    return TrainingCommands(
        reward=composed(RewardConfig, "reward", config.training.reward),
        policy=composed(PolicyConfig, "policy", config.training.policy),
        export=composed(ExportConfig, "export", config.training.export),
    )


def require_trainable(commands: TrainingCommands) -> None:
    """Check on the claims, before they have labels, that there will be something to train on and a model to train.

    Raises:
        SchemaError: No pair can follow from the claims, or they hold nothing to ask a policy.
        TrainingError: A base cannot be used.
        ScoringError: There is no such base.
    """
    places, settings = commands.reward
    claims = read_claims(places.run / "prepare" / CLAIMS)
    if settings.model.kind == "pairs":
        require_pairable(claims, read_task(places.run / "prepare" / TASK).label_space, settings.pairs)
    _, assistant = commands.policy
    candidates(claims, assistant.prompts)
    open_base(settings.model)
    open_policy(assistant.base_name, assistant.completion)


def run(commands: TrainingCommands, console: Console) -> None:
    """Train a reward model and a policy on the labels, and export them; what is complete is only checked."""
    reward.run(*commands.reward, console)
    policy.run(*commands.policy, console)
    export.run(*commands.export, console)
