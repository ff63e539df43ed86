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
from icm.training.arms.verdicts import arm_verdict_accuracy, judged_by_verdict
from icm.training.completions import base_name, identity_of_base, open_policy
from icm.training.reward import stage as reward
from icm.training.reward.metrics import reward_metrics, reward_spread
from icm.training.reward.model import MODEL, load_reward_model, open_base
from icm.training.reward.settings import RewardModelSettings

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

    The run in `run_dir` must be prepared with golden labels and elicited. `out_dir` gets `arms.json`, the manifest and
    a directory for each arm and seed. Zero-shot verdicts of the `scorer` serve as labels and as a reward; the `judge`
    says how good completions really are, where the task has one. With `overwrite`, what `out_dir` holds under other
    settings may be deleted.

    Raises:
        RunDirectoryError: A stage of the run is missing, or there are no golden labels.
        SchemaError: The labels of an arm have no preference structure.
        TrainingError: A reward model or a policy cannot be trained.
    """
    inputs = {name: sha256_of(run_dir / name / MANIFEST) for name in ("prepare", "elicit")}
    for what, part in (("reward", config.model), ("samples", config.samples), ("verdicts", config.verdicts)):
        of_part = {} if part is None else identity_of_base(part.base)
        inputs |= {f"{name} of {what}": digest for name, digest in of_part.items()}
    # By fingerprint: the same model behind another path gives the same verdicts.
    settings = {**config.model_dump(mode="json", exclude={"verdict_model"}), "model_of_verdicts": scorer.fingerprint}
    with StageDir(out_dir, STAGE, settings, inputs, overwrite=overwrite) as stage:
        if done := stage.complete():
            return done
        task = read_arm_task(run_dir, scorer, config.pairs)
        # Only to see that it opens, before the directory is claimed.
        open_policy(base_name(config.samples.base), config.samples.completion)
        stage.claim()
        base, prompts, completions, quality = draw_samples(config.samples, task, config.pairs, judge, out_dir, console)
        context = ArmContext(
            config=config,
            run_dir=run_dir,
            out_dir=out_dir,
            task=task,
            base=base,
            prompts=prompts,
            completions=completions,
            quality=quality,
            scorer=scorer,
            judge=judge,
            console=console,
        )
        # Seed by seed, so that after an interruption whole seeds are there to be compared.
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
    config, unseen = context.config, context.task.pairs
    directory = context.out_dir / arm / f"seed-{seed}"
    model_settings = config.model.model_copy(update={"seed": seed})
    resampling = Resampling(seed=seed, num_resamples=config.num_resamples, confidence_level=0.95)
    rows: list[LabelRow] = []
    num_pairs = 0
    if arm not in UNTRAINED:
        rows = labels_of(arm, context.task, error_rate=config.error_rate, kept_share=config.kept_share, seed=seed)
        num_pairs = _train_reward(context, directory, rows, model_settings)
    margins, rewards = _judged(context, arm, directory, model_settings)
    # In characters: what a reader sees as long, whatever the tokenizer.
    lengths = np.array([len(pair.chosen) - len(pair.rejected) for pair in unseen])
    metrics = reward_metrics(margins, lengths, [pair.group for pair in unseen], resampling)
    # Without labels there is no reward model that a policy could be trained against.
    reinforced: tuple[CurvePoint, ...] = ()
    if config.policy is not None and arm not in UNTRAINED:
        reinforced = reinforce(context, config.policy, directory, rewards, seed)
    result = ArmRun(
        arm=arm,
        seed=seed,
        label_accuracy=_label_accuracy(context.task, rows) if rows else None,
        num_pairs=num_pairs,
        reward_accuracy=metrics.accuracy,
        reward_deviation=_within_prompts(context.prompts, rewards),
        verdict_accuracy=arm_verdict_accuracy(context, arm, directory, rows, resampling),
        curve=best_of_n_curve(context.prompts, rewards, context.quality, config.samples.best_of_n),
        reinforced=reinforced,
        wins_over_base=_wins_over_base(context, rewards),
    )
    context.console.print(_summary_line(result), soft_wrap=True)
    return result


def _summary_line(result: ArmRun) -> str:
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
    # As a file, so that the reward stage reads and hashes these labels like any others.
    write_rows(directory / LABELS, rows)
    trained = reward.run(
        model_settings,
        context.config.pairs,
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
    if arm == "verdict":
        return judged_by_verdict(context)
    task = context.task
    model = open_base(model_settings) if arm == "base" else load_reward_model(directory / "reward" / MODEL)
    chosen = model.rewards([pair.prompt + pair.chosen for pair in task.pairs])
    rejected = model.rewards([pair.prompt + pair.rejected for pair in task.pairs])
    if arm == "base":
        # The accuracy is that of the untrained head, but without a reward no sample is better than another.
        return chosen - rejected, np.zeros(len(context.prompts))
    texts = [prompt + completion for prompt, completion in zip(context.prompts, context.completions, strict=True)]
    return chosen - rejected, model.rewards(texts)


def _wins_over_base(context: ArmContext, rewards: NDArray[np.float64]) -> float | None:
    quality, prompts = context.quality, context.prompts
    if quality is None:
        return None
    best = picks(prompts, rewards, context.config.samples.best_of_n[-1])
    return win_rate(prompts, quality, best, picks(prompts, rewards, 1))


def _within_prompts(prompts: Sequence[str], rewards: NDArray[np.float64]) -> float:
    """Return the deviation of rewards among the samples of a prompt, as a share of that of all samples."""
    spread = reward_spread(rewards, prompts)
    return spread.within_prompts / spread.standard_deviation if spread.standard_deviation > 0 else 0.0


def _label_accuracy(task: ArmTask, rows: Sequence[LabelRow]) -> float:
    # By id, since the rows of an arm may be fewer than the claims.
    golden = {claim.id: int(label) for claim, label in zip(task.claims, task.golden, strict=True)}
    return float(np.mean([row.label == golden[row.id] for row in rows if row.label is not None]))
