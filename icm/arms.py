"""The arms stage: the same reward training and the same samples for every arm; only the labels differ.

It reads golden labels, because some arms are trained on them and all are judged by them; nothing goes back to a search.
Each training is a stage of its own below the directory of this one, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from rich.console import Console

from icm import policy, reward
from icm.arm_materials import (
    ArmSamples,
    ArmTask,
    ArmVerdict,
    Judge,
    SamplesConfig,
    draw_samples,
    labels_of,
    read_arm_task,
)
from icm.evaluation.intervals import Resampling
from icm.records import MANIFEST, LabelRow, Manifest, read_rows, sha256_of, write_json, write_rows
from icm.reward import RewardConfig
from icm.run_directory import StageDir
from icm.scoring.protocol import LabelScorer
from icm.training.arm_samples import CurvePoint, best_of_n_curve, picks, standardised, win_rate
from icm.training.arm_summary import ArmRun
from icm.training.arms import ARMS, UNTRAINED, Arm
from icm.training.completions import open_policy
from icm.training.pairs import PairSettings
from icm.training.policy import RlSettings
from icm.training.policy_prompts import PromptSettings
from icm.training.policy_samples import SAMPLES, SampleRow
from icm.training.policy_settings import PolicyConfig, SamplingSettings
from icm.training.reward_metrics import reward_metrics, reward_spread
from icm.training.reward_model import MODEL, RewardModel, load_reward_model, open_base
from icm.training.reward_settings import RewardModelSettings
from icm.training.rewards import ModelReward

STAGE: Final = "arms"
RESULTS: Final = "arms.json"


class ArmsConfig(BaseModel):
    """What is the same for all arms, and what makes their labels differ.

    Attributes:
        arms: Which arms.
        seeds: Seeds of the trainings; every arm gets each. They also draw the errors.
        error_rate: Share of the judgements that a human gets wrong.
        kept_share: Share of the zero-shot labels that are confident enough to train on.
        comparison_claim: What the model is asked about two responses, up to its verdict.
        pairs: How labels become pairs.
        model: The reward model; its seed is replaced by each of `seeds`.
        samples: The policy that all arms pick from.
        policy: Reinforcement learning against each reward model; `None` for best-of-n alone.
        num_resamples: Bootstrap resamples of the intervals within one seed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    arms: tuple[Arm, ...] = ARMS
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0,), min_length=1)
    error_rate: float = Field(default=0.25, ge=0, le=1)
    kept_share: float = Field(default=0.5, gt=0, le=1)
    comparison_claim: str
    pairs: PairSettings
    model: RewardModelSettings
    samples: SamplesConfig
    policy: RlSettings | None = None
    num_resamples: int = Field(default=1000, ge=100)


@dataclass(frozen=True, slots=True)
class _Context:
    """What measuring an arm needs."""

    config: ArmsConfig
    run_dir: Path
    out_dir: Path
    task: ArmTask
    samples: ArmSamples
    scorer: LabelScorer
    judge: Judge | None
    console: Console


def run(
    config: ArmsConfig, run_dir: Path, out_dir: Path, scorer: LabelScorer, judge: Judge | None, console: Console
) -> Manifest:
    """Train and judge every arm at every seed.

    Args:
        config: What is the same for all arms, and what differs.
        run_dir: Directory of a run, prepared with golden labels and elicited.
        out_dir: Where `arms.json`, the manifest and a directory for each arm and seed go.
        scorer: The model whose zero-shot verdicts serve as labels and as a reward.
        judge: Says how good completions really are, where the task has such a judge.
        console: Where progress is shown.

    Raises:
        RunDirectoryError: A stage of the run is missing, or there are no golden labels.
        SchemaError: The labels of an arm have no preference structure.
        TrainingError: A reward model or a policy cannot be trained.
    """
    started = time.perf_counter()
    stage = StageDir(out_dir, STAGE)
    inputs = {name: sha256_of(run_dir / name / MANIFEST) for name in ("prepare", "elicit")}
    settings = {**config.model_dump(mode="json"), "model_of_verdicts": scorer.fingerprint, "inputs": inputs}
    if (out_dir / MANIFEST).exists():
        stage.claim(settings)
        return stage.verify(RESULTS)
    task = read_arm_task(run_dir, scorer, config.pairs)
    open_policy(config.samples.base_name, config.samples.completion)
    # Only now, when hardly anything can fail for a reason that lies in the settings, is the directory tied to them.
    stage.claim(settings)
    samples = draw_samples(config.samples, task, _prompts(config.pairs), judge, out_dir, console)
    context = _Context(config, run_dir, out_dir, task, samples, scorer, judge, console)
    runs = [_measure(context, arm, seed) for seed in config.seeds for arm in config.arms]
    write_json(out_dir / RESULTS, [each.model_dump(mode="json") for each in runs])
    counts = {"arms": len(config.arms), "seeds": len(config.seeds), "golden_pairs": len(task.pairs)}
    manifest = Manifest(
        stage=STAGE, config=settings, inputs=inputs, counts=counts, seconds=time.perf_counter() - started
    )
    return stage.finish(manifest, outputs=(RESULTS,))


def read_arm_runs(out_dir: Path) -> list[ArmRun]:
    """Read the results of a finished arms stage.

    Raises:
        RunDirectoryError: The directory is unfinished or altered.
    """
    StageDir(out_dir, STAGE).verify(RESULTS)
    return TypeAdapter(list[ArmRun]).validate_json((out_dir / RESULTS).read_text(encoding="utf-8"))


def _measure(context: _Context, arm: Arm, seed: int) -> ArmRun:
    """Train an arm at a seed, unless that is done, and judge it."""
    config, samples = context.config, context.samples
    directory = context.out_dir / arm / f"seed-{seed}"
    model_settings = config.model.model_copy(update={"seed": seed})
    label_accuracy, num_pairs = None, 0
    if arm not in UNTRAINED:
        rows = labels_of(arm, context.task, error_rate=config.error_rate, kept_share=config.kept_share, seed=seed)
        label_accuracy = _label_accuracy(context.task, rows)
        write_rows(directory / "labels.jsonl", rows)
        trained = reward.run(
            RewardConfig(pairs=config.pairs, model=model_settings),
            context.run_dir / "prepare",
            directory / "labels.jsonl",
            directory / "reward",
            context.console,
        )
        num_pairs = trained.counts["trained_on"]
    margins, rewards = _judged(context, arm, directory, model_settings)
    unseen = context.task.pairs
    metrics = reward_metrics(
        margins,
        np.array([len(pair.chosen) - len(pair.rejected) for pair in unseen]),
        [pair.group for pair in unseen],
        Resampling(seed=seed, num_resamples=config.num_resamples, confidence_level=0.95),
    )
    result = ArmRun(
        arm=arm,
        seed=seed,
        label_accuracy=label_accuracy,
        num_pairs=num_pairs,
        reward_accuracy=metrics.accuracy,
        reward_deviation=_within_prompts(samples.prompts, rewards),
        curve=best_of_n_curve(samples.prompts, rewards, samples.quality, config.samples.best_of_n),
        policy=_reinforce(context, directory, rewards, seed) if arm not in UNTRAINED else None,
        wins_over_base=_wins_over_base(context, rewards),
    )
    context.console.print(
        f"{arm}, seed {seed}: reward accuracy {100 * metrics.accuracy.value:.1f} %, labels "
        f"{'none' if label_accuracy is None else f'{100 * label_accuracy:.1f} % right'}",
        soft_wrap=True,
    )
    return result


def _judged(
    context: _Context, arm: Arm, directory: Path, model_settings: RewardModelSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the reward's margins on the golden pairs, and the rewards of the samples."""
    task, samples = context.task, context.samples
    if arm == "verdict":
        verdict = ArmVerdict(context.scorer, task, context.config.pairs, context.config.comparison_claim)
        margins = np.array([verdict.margin(pair) for pair in task.pairs])
        rewards = verdict.rewards(samples.prompts, samples.completions)
        if verdict.num_unreadable:
            context.console.print(
                f"verdict: {verdict.num_unreadable:,} different completions hold words that the model cannot read and "
                f"count as the worst",
                soft_wrap=True,
            )
        return margins, rewards
    model: RewardModel = open_base(model_settings) if arm == "base" else load_reward_model(directory / "reward" / MODEL)
    chosen = model.rewards([pair.prompt + pair.chosen for pair in task.pairs])
    rejected = model.rewards([pair.prompt + pair.rejected for pair in task.pairs])
    if arm == "base":
        # The accuracy is that of the untrained head, but without a reward no sample is better than another.
        return chosen - rejected, np.zeros(len(samples.prompts))
    texts = [prompt + completion for prompt, completion in zip(samples.prompts, samples.completions, strict=True)]
    return chosen - rejected, model.rewards(texts)


def _reinforce(context: _Context, directory: Path, rewards: NDArray[np.float64], seed: int) -> CurvePoint | None:
    """Train a policy against an arm's reward model and say how far it went and what became of the golden quality."""
    config = context.config
    if config.policy is None:
        return None
    reward_dir, out_dir = directory / "reward", directory / "policy"
    policy_config = PolicyConfig(
        seed=seed,
        base=context.samples.base,
        completion=config.samples.completion,
        prompts=_prompts(config.pairs),
        method=config.policy,
        reward=ModelReward(paths=(reward_dir,)),
        sampling=SamplingSettings(
            num_prompts=config.samples.num_prompts, samples_per_prompt=config.samples.samples_per_prompt, best_of_n=(1,)
        ),
    )
    policy.run(policy_config, context.run_dir / "prepare", None, out_dir, context.console)
    rows = [row for row in read_rows(out_dir / SAMPLES, SampleRow) if row.source == "policy"]
    quality = None
    if context.judge is not None:
        judged = context.judge([row.prompt for row in rows], [row.completion for row in rows])
        quality = float(judged.mean())
    found = np.array([row.reward for row in rows], dtype=np.float64)
    return CurvePoint(
        n=None,
        kl=float(np.mean([row.log_ratio for row in rows])),
        proxy=float(standardised(found, rewards).mean()),
        quality=quality,
    )


def _wins_over_base(context: _Context, rewards: NDArray[np.float64]) -> float | None:
    quality, prompts = context.samples.quality, context.samples.prompts
    if quality is None:
        return None
    best = picks(prompts, rewards, context.config.samples.best_of_n[-1])
    return win_rate(prompts, quality, best, picks(prompts, rewards, 1))


def _within_prompts(prompts: Sequence[str], rewards: NDArray[np.float64]) -> float:
    """Return the deviation of rewards among the samples of a prompt, as a share of that of all samples."""
    spread = reward_spread(rewards, prompts)
    return spread.within_prompts / spread.standard_deviation if spread.standard_deviation > 0 else 0.0


def _label_accuracy(task: ArmTask, rows: Sequence[LabelRow]) -> float:
    golden = {claim.id: int(label) for claim, label in zip(task.claims, task.golden, strict=True)}
    return float(np.mean([row.label == golden[row.id] for row in rows if row.label is not None]))


def _prompts(pairs: PairSettings) -> PromptSettings:
    """Return what the policy is asked: what the reward models are trained on."""
    return PromptSettings(
        comparison_prompt=pairs.comparison_prompt, answer_prompt=pairs.answer_prompt, answer_part=pairs.answer_part
    )
