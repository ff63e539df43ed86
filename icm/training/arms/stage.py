"""The arms stage: the same reward training and the same samples for every arm; only the labels differ.

It reads golden labels, because some arms are trained on them and all are judged by them; nothing goes back to a search.
Each training is a stage of its own below the directory of this one, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from rich.console import Console

from icm.files.records import LABELS, MANIFEST, LabelRow, Manifest, sha256_of, write_json, write_rows
from icm.files.stage_dir import StageDir, verify
from icm.scoring.protocol import LabelScorer
from icm.statistics.estimates import Resampling
from icm.training.arms.labels import UNTRAINED, Arm
from icm.training.arms.materials import ArmContext, ArmTask, Judge, draw_samples, labels_of, read_arm_task
from icm.training.arms.policies import reinforce
from icm.training.arms.samples import CurvePoint, best_of_n_curve, picks, win_rate
from icm.training.arms.settings import ArmsConfig
from icm.training.arms.summary import ArmRun
from icm.training.arms.verdicts import ArmVerdict, arm_verdict_accuracy
from icm.training.completions import open_policy
from icm.training.reward import stage as reward
from icm.training.reward.metrics import reward_metrics, reward_spread
from icm.training.reward.model import MODEL, RewardModel, load_reward_model, open_base
from icm.training.reward.settings import RewardConfig, RewardModelSettings

STAGE: Final = "arms"
RESULTS: Final = "arms.json"


def run(
    config: ArmsConfig,
    run_dir: Path,
    out_dir: Path,
    scorer: LabelScorer,
    judge: Judge | None,
    console: Console,
    *,
    overwrite: bool = False,
) -> Manifest:
    """Train and judge every arm at every seed.

    Args:
        config: What is the same for all arms, and what differs.
        run_dir: Directory of a run, prepared with golden labels and elicited.
        out_dir: Where `arms.json`, the manifest and a directory for each arm and seed go.
        scorer: The model whose zero-shot verdicts serve as labels and as a reward.
        judge: Says how good completions really are, where the task has such a judge.
        console: Where progress is shown.
        overwrite: Whether what `out_dir` holds under other settings may be deleted.

    Raises:
        RunDirectoryError: A stage of the run is missing, or there are no golden labels.
        SchemaError: The labels of an arm have no preference structure.
        TrainingError: A reward model or a policy cannot be trained.
    """
    inputs = {name: sha256_of(run_dir / name / MANIFEST) for name in ("prepare", "elicit")}
    settings = {**config.model_dump(mode="json", exclude={"verdict_model"}), "model_of_verdicts": scorer.fingerprint}
    stage = StageDir(out_dir, STAGE, settings, inputs, overwrite=overwrite)
    if done := stage.complete():
        return done
    task = read_arm_task(run_dir, scorer, config.pairs)
    open_policy(config.samples.base_name, config.samples.completion)
    stage.claim()
    samples = draw_samples(config.samples, task, config.prompts, judge, out_dir, console)
    context = ArmContext(config, run_dir, out_dir, task, samples, scorer, judge, console)
    runs = [_measure(context, arm, seed) for seed in config.seeds for arm in config.arms]
    write_json(out_dir / RESULTS, [each.model_dump(mode="json") for each in runs])
    counts = {"arms": len(config.arms), "seeds": len(config.seeds), "golden_pairs": len(task.pairs)}
    return stage.finish(counts, outputs=(RESULTS,))


def read_arm_runs(out_dir: Path) -> list[ArmRun]:
    """Read the results of a finished arms stage.

    Raises:
        RunDirectoryError: The directory is unfinished or altered.
    """
    verify(out_dir, STAGE, RESULTS)
    return TypeAdapter(list[ArmRun]).validate_json((out_dir / RESULTS).read_text(encoding="utf-8"))


def _measure(context: ArmContext, arm: Arm, seed: int) -> ArmRun:
    """Train an arm at a seed, unless that is done, and judge it."""
    config, samples, unseen = context.config, context.samples, context.task.pairs
    directory = context.out_dir / arm / f"seed-{seed}"
    model_settings = config.model.model_copy(update={"seed": seed})
    resampling = Resampling(seed=seed, num_resamples=config.num_resamples, confidence_level=0.95)
    rows: list[LabelRow] = []
    num_pairs = 0
    if arm not in UNTRAINED:
        rows = labels_of(arm, context.task, error_rate=config.error_rate, kept_share=config.kept_share, seed=seed)
        num_pairs = _train_reward(context, directory, rows, model_settings)
    margins, rewards = _judged(context, arm, directory, model_settings)
    lengths = np.array([len(pair.chosen) - len(pair.rejected) for pair in unseen])
    metrics = reward_metrics(margins, lengths, [pair.group for pair in unseen], resampling)
    reinforced: tuple[CurvePoint, ...] = ()
    if config.policy is not None and arm not in UNTRAINED:
        reinforced = reinforce(context, config.policy, directory, rewards, seed)
    result = ArmRun(
        arm=arm,
        seed=seed,
        label_accuracy=_label_accuracy(context.task, rows) if rows else None,
        num_pairs=num_pairs,
        reward_accuracy=metrics.accuracy,
        reward_deviation=_within_prompts(samples.prompts, rewards),
        verdict_accuracy=arm_verdict_accuracy(context, arm, directory, rows, resampling),
        curve=best_of_n_curve(samples.prompts, rewards, samples.quality, config.samples.best_of_n),
        reinforced=reinforced,
        wins_over_base=_wins_over_base(context, rewards),
    )
    context.console.print(_told(result), soft_wrap=True)
    return result


def _told(result: ArmRun) -> str:
    labels, verdicts = result.label_accuracy, result.verdict_accuracy
    return (
        f"{result.arm}, seed {result.seed}: reward accuracy {100 * result.reward_accuracy.value:.1f} %"
        f"{f', verdicts {100 * verdicts.value:.1f} % right' if verdicts else ''}"
        f"{f', labels {100 * labels:.1f} % right' if labels is not None else ''}"
    )


def _train_reward(
    context: ArmContext, directory: Path, rows: Sequence[LabelRow], model_settings: RewardModelSettings
) -> int:
    """Train a reward model on an arm's labels, unless that is done; return on how many pairs."""
    write_rows(directory / LABELS, rows)
    trained = reward.run(
        RewardConfig(pairs=context.config.pairs, model=model_settings),
        context.run_dir / "prepare",
        directory / LABELS,
        directory / "reward",
        context.console,
    )
    return trained.counts["trained_on"]


def _judged(
    context: ArmContext, arm: Arm, directory: Path, model_settings: RewardModelSettings
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


def _wins_over_base(context: ArmContext, rewards: NDArray[np.float64]) -> float | None:
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
