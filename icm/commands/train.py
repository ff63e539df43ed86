"""What `icm run stages=all` does after the labels: reward, policy, export. Knows their commands, computes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from icm.commands import export, policy, reward
from icm.commands.export import ExportCommand
from icm.commands.policy import PolicyCommand
from icm.commands.reward import RewardCommand
from icm.config import Config, Settings, load_as
from icm.errors import ConfigError
from icm.files.records import CLAIMS, TASK, read_claims, read_task
from icm.training.completions import open_policy
from icm.training.pairs import require_pairable
from icm.training.policy.prompts import candidates
from icm.training.reward.model import open_base


@dataclass(frozen=True, slots=True)
class TrainingCommands:
    """The commands that follow the labels, all in the directory of one run."""

    reward: RewardCommand
    policy: PolicyCommand
    export: ExportCommand


def commands_of(config: Config) -> TrainingCommands:
    """Compose the settings of the three commands.

    Raises:
        ConfigError: One of them does not fit.
    """
    return TrainingCommands(
        reward=_composed(RewardCommand, "reward", config, config.training.reward),
        policy=_composed(PolicyCommand, "policy", config, config.training.policy),
        export=_composed(ExportCommand, "export", config, config.training.export),
    )


def _composed(kind: type[Settings], name: str, config: Config, overrides: Sequence[str]) -> Settings:
    # In quotes, since a path may hold what means something on a command line.
    run_dir = f"run_dir={json.dumps(str(config.out_dir))}"
    try:
        return load_as(kind, name, run_dir, *overrides)
    except ConfigError as error:
        raise ConfigError(f"training.{name}: {error}") from None


def require_trainable(commands: TrainingCommands) -> None:
    """Check on the claims, before they have labels, that there will be something to train on and a model to train.

    Raises:
        SchemaError: No pair can follow from the claims, or they hold nothing to ask a policy.
        TrainingError: A base cannot be used.
        ScoringError: There is no such base.
    """
    prepare_dir = commands.reward.run_dir / "prepare"
    claims, space = read_claims(prepare_dir / CLAIMS), read_task(prepare_dir / TASK).label_space
    if commands.reward.model.kind == "pairs":
        require_pairable(claims, space, commands.reward.pairs)
    candidates(claims, commands.policy.prompts)
    open_base(commands.reward.model)
    open_policy(commands.policy.base_name, commands.policy.completion)


def run(commands: TrainingCommands, console: Console) -> None:
    """Train a reward model and a policy on the labels, and export them; what is complete is only checked."""
    reward.run(commands.reward, console)
    policy.run(commands.policy, console)
    export.run(commands.export, console)
