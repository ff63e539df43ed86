"""The policy stage: an assistant is trained on labels or a reward, and sampled beside the model it came from.

Knows no golden label. Everything that can be wrong with
prompts, tokenizer and reward is found before the first step of the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from icm.errors import TrainingError
from icm.files.curves import read_curve
from icm.files.records import CLAIMS, HELD_OUT, METRICS, REJECTED, Manifest, write_json, write_rows
from icm.files.stage_dir import StageDir, verify
from icm.models.identity import digest_of_directory
from icm.statistics.estimates import Resampling
from icm.training.completions import Policy, base_name, identity_of_base, open_policy
from icm.training.finetune import SftSettings, fine_tune
from icm.training.loop import CURVE, MODEL, is_trained, remove_checkpoints, require_one_process
from icm.training.pairs import PAIRS
from icm.training.policy.dpo import DpoSettings, optimise_preferences
from icm.training.policy.materials import Materials, gather
from icm.training.policy.rewards import ModelReward, Reward, checked_reward_model, open_reward
from icm.training.policy.rl import ROLLOUTS, RlSettings, budget_spent, probe, train_policy
from icm.training.policy.samples import SAMPLES, PolicyMetrics, SampleRow, best_of_n, measure, sample_rows
from icm.training.policy.settings import BestOfNSettings, PolicyConfig

STAGE: Final = "policy"
WARM_START: Final = "warm_start"


def run(
    config: PolicyConfig,
    prepare_dir: Path,
    reward_dir: Path | None,
    out_dir: Path,
    console: Console,
    *,
    overwrite: bool = False,
) -> Manifest:
    """Train a policy and sample it; an interrupted run is continued, a complete one is left as it is.

    Prompts and candidate completions come from the claims in `prepare_dir`, the pairs of methods that train on some
    from `reward_dir`. `out_dir` gets `model/`, `training.jsonl`, `rollouts.jsonl`, `samples.jsonl`, `metrics.json`,
    `rejected.jsonl` and the manifest. With `overwrite`, what it holds under other settings may be deleted.

    Raises:
        RunDirectoryError: A directory is unfinished, altered, or belongs to a run with other settings.
        SchemaError: A file is malformed, or claims hold nothing to ask.
        TrainingError: Base, tokenizer or reward cannot be used, or no prompt fits the context.
        ScoringError: There is no such base.
    """
    require_one_process()
    inputs = _inputs(config, prepare_dir, reward_dir)
    with StageDir(out_dir, STAGE, config.model_dump(mode="json"), inputs, overwrite=overwrite) as stage:
        if done := stage.complete():
            return done
        if not stage.begins_anew:
            # What an interrupted run has trained is looked at before anything is loaded or sampled.
            is_trained(out_dir)
            is_trained(out_dir / WARM_START)
        reward = None if config.reward is None else open_reward(config.reward)
        materials, rejected = gather(config, prepare_dir, reward_dir)
        if config.warm_start is None:
            # With a warm start this must wait: before it, the base may not be able to end a completion.
            _probe(config, open_policy(base_name(config.base), config.completion), materials, reward)
        stage.claim()
        rows = ({"kind": kind, "reason": "over_context", "text": text} for kind, text in rejected)
        write_rows(out_dir / REJECTED, rows)

        base = _warm_start(config, materials, out_dir, console)
        _train(config, base, materials, reward, out_dir, console)
        samples = _sample(config, base, materials, reward, out_dir)
        write_rows(out_dir / SAMPLES, samples)
        metrics = _metrics(config, samples, out_dir)
        write_json(out_dir / METRICS, metrics.model_dump(mode="json"))
        return stage.finish(_counts(materials, [kind for kind, _ in rejected], len(samples)), outputs=_written(out_dir))


def _inputs(config: PolicyConfig, prepare_dir: Path, reward_dir: Path | None) -> dict[str, str]:
    """Check what the stage reads and return the hashes of the files."""
    prepared = verify(prepare_dir, "prepare", CLAIMS, HELD_OUT)
    inputs = {name: prepared.outputs[name] for name in (CLAIMS, HELD_OUT)}
    if isinstance(config.method, RlSettings | BestOfNSettings) and config.reward is None:
        raise TrainingError(f"method={config.method.kind} needs a reward; name one: reward=model or reward=endpoint")
    if config.needs_pairs:
        if reward_dir is None:
            raise TrainingError(f"method={config.method.kind} trains on pairs; name the directory of the reward stage")
        inputs[PAIRS] = verify(reward_dir, "reward", PAIRS).outputs[PAIRS]
    if isinstance(config.reward, ModelReward):
        # By number, since two members may lie in directories of the same name.
        for number, path in enumerate(config.reward.paths):
            inputs[f"reward {number}"] = digest_of_directory(checked_reward_model(path))
    return inputs | identity_of_base(config.base)


def _warm_start(config: PolicyConfig, materials: Materials, out_dir: Path, console: Console) -> Policy:
    """Return the policy that the training starts from."""
    base = open_policy(base_name(config.base), config.completion)
    if config.warm_start is None:
        return base
    directory = out_dir / WARM_START
    if not is_trained(directory):
        fine_tune(base, materials.candidates, config.warm_start, directory, config.seed, console)
    return open_policy(directory / MODEL, config.completion)


def _probe(config: PolicyConfig, policy: Policy, materials: Materials, reward: Reward | None) -> None:
    if isinstance(config.method, RlSettings) and reward is not None:
        probe(policy, materials.prompts, reward, config.seed)


def _train(
    config: PolicyConfig, base: Policy, materials: Materials, reward: Reward | None, out_dir: Path, console: Console
) -> None:
    """Train what `base` was loaded from, unless that is done or there is nothing to train."""
    if is_trained(out_dir) or isinstance(config.method, BestOfNSettings):
        # A process may have been killed between writing the model and dropping its checkpoints.
        remove_checkpoints(out_dir)
        return
    # Loaded anew: `base` itself must stay as it is, to be sampled beside what is trained here.
    policy = open_policy(base.name, config.completion)
    if config.warm_start is not None:
        _probe(config, policy, materials, reward)
    match config.method:
        case RlSettings():
            # `_inputs` has refused such settings.
            assert reward is not None
            train_policy(policy, materials.prompts, reward, config.method, out_dir, config.seed, console)
        case DpoSettings():
            optimise_preferences(policy, materials.pairs, config.method, out_dir, config.seed, console)
        case SftSettings():
            # A response may be preferred to several others; it is one demonstration all the same.
            chosen = dict.fromkeys((pair.prompt, pair.chosen) for pair in materials.pairs)
            fine_tune(policy, list(chosen), config.method, out_dir, config.seed, console)


def _sample(
    config: PolicyConfig, base: Policy, materials: Materials, reward: Reward | None, out_dir: Path
) -> list[SampleRow]:
    policies = [base]
    if (out_dir / MODEL).is_dir():
        policies.append(open_policy(out_dir / MODEL, config.completion))
    prompts, count = materials.sampled_prompts, config.sampling.samples_per_prompt
    # The same seed for both, so that they differ by their weights alone.
    return [row for policy in policies for row in sample_rows(policy, base, prompts, count, reward, config.seed)]


def _metrics(config: PolicyConfig, samples: Sequence[SampleRow], out_dir: Path) -> PolicyMetrics:
    sampling, method = config.sampling, config.method
    resampling = Resampling(
        seed=config.seed, num_resamples=sampling.num_resamples, confidence_level=sampling.confidence_level
    )
    of_base = [row for row in samples if row.source == "base"]
    of_policy = [row for row in samples if row.source == "policy"]
    # Best-of-n alone trains nothing and leaves no curve.
    curve = read_curve(out_dir / CURVE) if (out_dir / CURVE).exists() else []
    return PolicyMetrics(
        base=measure(of_base, resampling),
        policy=measure(of_policy, resampling) if of_policy else None,
        # No weights exist for more samples than were drawn.
        best_of_n=best_of_n(of_base, [n for n in sampling.best_of_n if n <= sampling.samples_per_prompt]),
        steps=len(curve),
        kl_budget_spent=isinstance(method, RlSettings) and budget_spent([row["kl"] for row in curve], method),
    )


def _counts(materials: Materials, kinds: Sequence[str], num_samples: int) -> dict[str, Any]:
    return {
        "prompts": len(materials.prompts),
        "sampled_prompts": len(materials.sampled_prompts),
        "candidates": len(materials.candidates),
        "pairs": len(materials.pairs),
        "samples": num_samples,
        "over_context": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
    }


def _written(out_dir: Path) -> list[str]:
    """Return the names of the stage's files, in an order of their own."""
    names = [REJECTED, SAMPLES, METRICS, *(name for name in (CURVE, ROLLOUTS) if (out_dir / name).exists())]
    models = [out_dir / WARM_START / MODEL, out_dir / MODEL]
    return names + [str(file.relative_to(out_dir)) for model in models for file in sorted(model.glob("*"))]
