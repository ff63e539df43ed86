"""Rewards of completions: from a reward model, an ensemble of them, or a server. Knows no policy and no trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import httpx
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from icm.errors import TrainingError
from icm.files.records import MANIFEST, Record
from icm.files.stage_dir import read_manifest, verify
from icm.training.reward.model import MODEL, combined_rewards, load_reward_model
from icm.training.reward.settings import EnsembleSettings

Rewards = NDArray[np.float64]
Reward = Callable[[Sequence[str], Sequence[str]], Rewards]
"""Prompts and their completions, (B,) each, to rewards (B,): larger is better, and all are finite."""

CONSTANT_DEVIATION: Final = 1e-6
"""Rewards whose standard deviation within a prompt is below this say nothing."""


class ModelReward(Record):
    """A reward model, or several that must agree; each key is explained in conf/reward/model.yaml."""

    kind: Literal["model"] = "model"
    paths: tuple[Path, ...] = Field(min_length=1)
    ensemble: EnsembleSettings


class EndpointReward(Record):
    """A server: POST `{"prompts": [...], "completions": [...]}` is answered with `{"rewards": [...]}`."""

    kind: Literal["endpoint"] = "endpoint"
    url: str = Field(pattern=r"^https?://")
    timeout_seconds: float = Field(gt=0)
    connection_retries: int = Field(ge=0)


RewardSettings = Annotated[ModelReward | EndpointReward, Field(discriminator="kind")]


def open_reward(settings: RewardSettings) -> Reward:
    """Return the reward that the settings name.

    Raises:
        TrainingError: A directory holds no reward model.
    """
    match settings:
        case ModelReward():
            return _model_reward(settings)
        case EndpointReward():
            return _endpoint_reward(settings)


def reward_model_dir(path: Path) -> Path:
    """Return the directory of a reward model, given it or the one of the stage that trained it.

    Raises:
        TrainingError: There is neither.
    """
    # `icm reward` writes its model below the directory of its stage, and both are named by users.
    directory = path / MODEL if (path / MODEL).is_dir() else path
    if not (directory / "config.json").is_file():
        raise TrainingError(f"{path}: there is no reward model here; `icm reward` trains one, into its model/")
    return directory


def checked_reward_model(path: Path) -> Path:
    """Return the directory of a reward model, as `reward_model_dir`, after checking that it is what was trained.

    Raises:
        TrainingError: There is none.
        RunDirectoryError: It lies in the directory of a stage, and was altered, or the stage has not finished.
    """
    directory = reward_model_dir(path)
    # A reward model of other origin has no manifest to check.
    if (directory.parent / MANIFEST).exists():
        manifest = read_manifest(directory.parent, "reward")
        verify(directory.parent, "reward", *(name for name in manifest.outputs if name.startswith(f"{MODEL}/")))
    return directory


def require_informative(rewards: Rewards, prompts: Sequence[str]) -> None:
    """Check that rewards (B,) differ between the completions of a prompt (B,), else there is nothing to learn.

    Raises:
        TrainingError: All completions of each prompt have the same reward.
    """
    # Within prompts: rewards that only tell easy prompts from hard ones cancel out in every method.
    names, member = np.unique(np.array(prompts), return_inverse=True)
    means = np.bincount(member, rewards) / np.bincount(member)
    if np.std(rewards - means[member]) < CONSTANT_DEVIATION:
        raise TrainingError(
            f"the reward is constant: to {len(rewards)} completions of {len(names)} prompts it gave one value for each "
            f"prompt (from {rewards.min():.6g} to {rewards.max():.6g}), so nothing can be learned from it; train the "
            f"reward model longer or on other labels, or raise completion.temperature if all completions are the same"
        )


def _model_reward(settings: ModelReward) -> Reward:
    members = [load_reward_model(reward_model_dir(path)) for path in settings.paths]
    of_texts = combined_rewards(members, settings.ensemble)

    def reward(prompts: Sequence[str], completions: Sequence[str]) -> Rewards:
        return of_texts([prompt + completion for prompt, completion in zip(prompts, completions, strict=True)])

    return reward


def _endpoint_reward(settings: EndpointReward) -> Reward:
    # One client for all batches keeps the connection open; only connecting is tried again, since a server that is slow
    # would otherwise be asked the same twice.
    client = httpx.Client(
        timeout=settings.timeout_seconds, transport=httpx.HTTPTransport(retries=settings.connection_retries)
    )

    def reward(prompts: Sequence[str], completions: Sequence[str]) -> Rewards:
        body = {"prompts": list(prompts), "completions": list(completions)}
        try:
            answer = client.post(settings.url, json=body).raise_for_status()
        except httpx.TimeoutException as error:
            raise TrainingError(
                f"{settings.url} gave no rewards within {settings.timeout_seconds:g} s for {len(prompts)} completions; "
                f"raise reward.timeout_seconds, or make the batches smaller"
            ) from error
        except httpx.HTTPError as error:
            raise TrainingError(f"{settings.url} gave no rewards: {error}; start the server, then try again") from error
        return _parse(answer, completions, settings.url)

    return reward


def _parse(answer: httpx.Response, completions: Sequence[str], url: str) -> Rewards:
    try:
        rewards = np.array(answer.json()["rewards"], dtype=np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f'{url} must answer {{"rewards": [number, ...]}}, got {answer.text[:80]!r}') from error
    if rewards.shape != (len(completions),):
        raise TrainingError(f"{url} must give one reward to each of {len(completions)} completions, got {rewards.size}")
    # JSON has no NaN, but Python reads one, and null becomes one in an array of floats.
    if not np.isfinite(rewards).all():
        bad = int(np.flatnonzero(~np.isfinite(rewards))[0])
        raise TrainingError(f"{url} gave the reward {rewards[bad]} to {completions[bad]!r}; rewards must be numbers")
    return rewards
