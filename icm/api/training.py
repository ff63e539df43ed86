"""`icm.train_reward`: a reward model from the labels of a result. Needs the extra `train`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from icm.api.result import Result
from icm.config import load_command

if TYPE_CHECKING:
    from icm.training.reward.model import RewardModel


def train_reward(
    result: Result, *, base: str | None = None, out_dir: str | Path | None = None, overrides: Sequence[str] = ()
) -> RewardModel:
    """Train a reward model on the pairs that follow from labels, as `icm reward` does.

    Args:
        result: The labels.
        base: Model directory or Hub id; the embedded model if left out.
        out_dir: Directory of the training; `reward` in that of the run if left out.
        overrides: Any other settings, as on the command line: `["model.epochs=2"]`.

    Returns:
        The model; its `rewards(texts)` scores prompts with their responses, its directory is `out_dir/model`.

    Raises:
        ModuleNotFoundError: The extra is not installed.
        SchemaError: No pair follows from the labels.
        TrainingError: The base cannot be trained.
    """
    # Loaded here: the training libraries take seconds, and are an extra.
    from icm.api.labelling import quiet_console
    from icm.commands import reward
    from icm.training.reward.model import MODEL, load_reward_model
    from icm.training.reward.settings import RewardConfig

    named = [] if base is None else [f"model.base={json.dumps(base)}"]
    where = [] if out_dir is None else [f"out_dir={json.dumps(str(out_dir))}"]
    places, settings = load_command(
        RewardConfig, "reward", f"run_dir={json.dumps(str(result.run_dir))}", *named, *where, *overrides
    )
    reward.run(places, settings, quiet_console())
    return load_reward_model(places.out_dir / MODEL)
