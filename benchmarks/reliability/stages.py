"""Every stage on a tiny world, as a function of the directory it writes. Knows no fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from icm.compare import stage as compare
from icm.compare.settings import CompareSettings
from icm.config import Config, load, load_command
from icm.diagnose import stage as diagnose
from icm.elicit import stage as elicit
from icm.evaluate import stage as evaluate
from icm.export import stage as export
from icm.export.settings import ExportConfig
from icm.files.records import GOLD, TASK, read_task
from icm.prepare import stage as prepare
from icm.scoring.open import open_scorer
from icm.scoring.protocol import LabelScorer
from icm.training.arms import stage as arms
from icm.training.arms.settings import ArmsConfig
from icm.training.policy import stage as policy
from icm.training.policy.settings import PolicyConfig
from icm.training.reward import evaluation as reward_evaluation
from icm.training.reward import stage as reward
from icm.training.reward.settings import RewardConfig

Stage = Callable[[Path, Path], object]
"""Takes the directory of a run, of which it reads, and the directory it writes."""

QUIET: Final = Console(quiet=True)

WORLD: Final = (
    "task=pocket_preference",
    "task.num_claims=16",
    "task.num_held_out=8",
    "model=fake",
    "evaluate.shots=[0,2]",
    "evaluate.draws=2",
    "evaluate.num_resamples=100",
)

SEARCHES: Final[Mapping[str, tuple[str, ...]]] = {
    "multistart": ("search=multistart",),
    "shuffled_sweeps": ("search=shuffled_sweeps", "objective=prequential", "search.starts.random=2"),
    "annealing": ("search=annealing", "search.steps_per_claim=3"),
    "gibbs": ("search=gibbs", "search.num_scans=6", "search.burn_in=1"),
}

TRAINING: Final = ("method.steps=4", "method.batch_size=8", "method.checkpoint_every=1")
SAMPLING: Final = ("sampling.num_prompts=2", "sampling.samples_per_prompt=4", "sampling.best_of_n=[1,2]")


@cache
def config(run_dir: Path, *overrides: str) -> Config:
    """Return the settings of a run."""
    # Kept, since composing them takes longer than most of the stages.
    return load(*WORLD, *overrides, f"out_dir={run_dir}")


def scorer(run_dir: Path) -> LabelScorer:
    """Return the fake, bound to the labels of a run."""
    return open_scorer(config(run_dir).model, read_task(run_dir / "prepare" / TASK).label_space)


def _prepare(run_dir: Path, out_dir: Path) -> object:
    return prepare.run(config(run_dir).for_prepare(), out_dir)


def _elicit(search: str, checkpoint_seconds: float) -> Stage:
    def run(run_dir: Path, out_dir: Path) -> object:
        settings = config(run_dir, *SEARCHES[search]).for_elicit()
        settings = settings.model_copy(update={"checkpoint_seconds": checkpoint_seconds})
        return elicit.run(settings, run_dir / "prepare", out_dir, scorer(run_dir), QUIET)

    return run


def _diagnose(run_dir: Path, out_dir: Path) -> object:
    settings = config(run_dir).diagnose
    return diagnose.run(settings, run_dir / "prepare", run_dir / "elicit", out_dir, scorer(run_dir))


def _evaluate(run_dir: Path, out_dir: Path) -> object:
    settings = config(run_dir).evaluate
    return evaluate.run(settings, run_dir / "prepare", run_dir / "elicit", out_dir, scorer(run_dir))


def _export(run_dir: Path, out_dir: Path) -> object:
    _, settings = load_command(ExportConfig, "export", f"run_dir={run_dir}")
    return export.run(settings, run_dir, run_dir / "elicit" / "labels.jsonl", out_dir)


def _compare(_run_dir: Path, out_dir: Path) -> object:
    common = [each for each in WORLD if not each.startswith("task=")]
    told = [
        f"common={common!r}".replace("'", '"'),
        "tasks=[pocket_preference]",
        "seeds=[0]",
        "searches=[sweeps,random]",
    ]
    _, settings = load_command(CompareSettings, "compare", *told, f"out_dir={out_dir}")
    return compare.run(settings, out_dir, QUIET)


def _reward(run_dir: Path, out_dir: Path) -> object:
    steps = ("model.steps=4", "model.batch_size=4", "model.checkpoint_every=1")
    _, settings = load_command(RewardConfig, "reward", f"run_dir={run_dir}", *steps)
    labels = run_dir / "prepare" / GOLD
    return reward.run(settings.model, settings.pairs, run_dir / "prepare", labels, out_dir, QUIET)


def _judge(run_dir: Path, out_dir: Path) -> object:
    _, settings = load_command(RewardConfig, "reward", f"run_dir={run_dir}", "evaluate.num_resamples=100")
    reward_dirs = (run_dir / "reward",)
    return reward_evaluation.run(settings.evaluate, settings.pairs, run_dir / "prepare", reward_dirs, out_dir)


def _policy(*overrides: str) -> Stage:
    def run(run_dir: Path, out_dir: Path) -> object:
        _, settings = load_command(PolicyConfig, "policy", f"run_dir={run_dir}", *overrides, *TRAINING, *SAMPLING)
        return policy.run(settings, run_dir / "prepare", run_dir / "reward", out_dir, QUIET)

    return run


def _arms(run_dir: Path, out_dir: Path) -> object:
    small: dict[str, Any] = {
        "seeds": "[0]",
        "arms": "[golden,shuffled]",
        "model.steps": 3,
        "verdicts.steps": 3,
        "samples.num_prompts": 2,
        "samples.samples_per_prompt": 4,
        "samples.best_of_n": "[1,2]",
        "num_resamples": 100,
    }
    told = [f"{name}={value}" for name, value in small.items()]
    _, settings = load_command(ArmsConfig, "arms", f"run_dir={run_dir}", *told)
    return arms.run(settings, run_dir, out_dir, scorer(run_dir), None, QUIET)


SCORED: Final[Mapping[str, Stage]] = {
    "prepare": _prepare,
    **{f"elicit, {search}": _elicit(search, 0.0) for search in SEARCHES},
    "elicit, no checkpoint": _elicit("multistart", 1e9),
    "diagnose": _diagnose,
    "evaluate": _evaluate,
    "export": _export,
    "compare": _compare,
}
TRAINED: Final[Mapping[str, Stage]] = {
    "reward": _reward,
    "reward evaluation": _judge,
    "policy, dpo": _policy("method=dpo"),
    "policy, rloo": _policy("method=rloo"),
    "arms": _arms,
}
STAGES: Final[Mapping[str, Stage]] = {**SCORED, **TRAINED}


def make_run(run_dir: Path) -> None:
    """Make the run that the stages read.

    What is compiled, composed or loaded on the way is there for all processes that are forked from this one.
    """
    _prepare(run_dir, run_dir / "prepare")
    for search in SEARCHES:
        _elicit(search, 1e9)(run_dir, run_dir / search)
    (run_dir / "multistart").rename(run_dir / "elicit")
    _diagnose(run_dir, run_dir / "diagnose")
    _evaluate(run_dir, run_dir / "evaluate")
