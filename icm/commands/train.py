"""What `icm run stages=all` does after the labels: reward, policy, export. Knows their commands, computes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console

from icm.commands import export, policy, reward
from icm.config import Config, Places, Settings, load_command
from icm.errors import ConfigError
from icm.export.settings import ExportConfig
from icm.files.records import CLAIMS, TASK, read_claims, read_task
from icm.training.completions import base_name, open_policy
from icm.training.finetune import candidates
from icm.training.pairs import require_pairable
from icm.training.policy.settings import PolicyConfig
from icm.training.reward.model import open_base
from icm.training.reward.settings import RewardConfig

TrainingCommands = tuple[tuple[Places, RewardConfig], tuple[Places, PolicyConfig], tuple[Places, ExportConfig]]
"""Places and settings of the commands that follow the labels, all in the directory of one run."""


def compose_commands(places: Places, config: Config) -> TrainingCommands:
    """Compose the settings of the three commands.

    Raises:
        ConfigError: One of them does not fit.
    """

    def composed(kind: type[Settings], name: str, overrides: Sequence[str]) -> tuple[Places, Settings]:
        # In quotes, since a path may hold what means something on a command line.
        run_dir = f"run_dir={json.dumps(str(places.out_dir))}"
        # Named by its key in the settings of the run, since the user typed no such command.
        try:
            return load_command(kind, name, run_dir, f"overwrite={places.overwrite}", *overrides)
        except ConfigError as error:
            raise ConfigError(f"training.{name}: {error}") from None

    return (
        composed(RewardConfig, "reward", config.training.reward),
        composed(PolicyConfig, "policy", config.training.policy),
        composed(ExportConfig, "export", config.training.export),
    )


def require_trainable(commands: TrainingCommands) -> None:
    """Check on the claims, before they have labels, that there will be something to train on and a model to train.

    Raises:
        SchemaError: No pair can follow from the claims, or they hold nothing to ask a policy.
        TrainingError: A base cannot be used.
        ScoringError: There is no such base.
    """
    (places, settings), (_, assistant), _ = commands
    claims = read_claims(places.run / "prepare" / CLAIMS)
    if settings.model.kind == "pairs":
        require_pairable(claims, read_task(places.run / "prepare" / TASK).label_space, settings.pairs)
    # Made and thrown away: what they raise must be raised before the search, which may take hours.
    candidates(claims, assistant.prompts)
    open_base(settings.model)
    open_policy(base_name(assistant.base), assistant.completion)


def run(commands: TrainingCommands, console: Console) -> None:
    """Train a reward model and a policy on the labels, and export them; what is complete is only checked."""
    of_reward, of_policy, of_export = commands
    reward.run(*of_reward, console)
    policy.run(*of_policy, console)
    export.run(*of_export, console)
