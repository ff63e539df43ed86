"""The evaluation of reward models on pairs that people or golden labels judged. Feeds nothing back into a training."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from icm import golden
from icm.claims import Claim
from icm.errors import SchemaError
from icm.files.labels import label_rows
from icm.files.records import (
    GOLD,
    HELD_OUT,
    MANIFEST,
    METRICS,
    TASK,
    Manifest,
    Record,
    read_rows,
    read_task,
    sha256_of,
    write_json,
    write_rows,
)
from icm.files.stage_dir import StageDir, verify
from icm.training.pairs import PAIRS, PairSettings, PreferencePair, build_pairs
from icm.training.reward.ensembles import RewardEnsemble
from icm.training.reward.judged_pairs import JudgedPair, read_judged_pairs
from icm.training.reward.metrics import RewardMetrics, RewardSpread, reward_metrics, reward_spread
from icm.training.reward.model import MODEL, RewardModel, load_reward_model
from icm.training.reward.rows import TrainingRow, find_unusable
from icm.training.reward.settings import RewardEvaluationConfig

STAGE: Final = "reward_evaluation"
MARGINS: Final = "margins.jsonl"
GOLDEN: Final = "held_out"
"""Name of the golden pairs among the sources of judged pairs."""


class JudgedSource(Record):
    """A reward on one source of judged pairs.

    Attributes:
        metrics: `None` if no pair could be used.
        num_seen: Pairs left out because the reward model was trained on them.
        rejected: Rows of the file that became no pair, by reason.
        unusable: Pairs that the reward model cannot read, by reason; left out.
    """

    metrics: RewardMetrics | None
    num_seen: int = 0
    rejected: dict[str, int]
    unusable: dict[str, int]


class MarginRow(Record):
    """A line of `margins.jsonl`: the reward of the better response less that of the worse one.

    Attributes:
        source: `held_out`, or the name of the file.
        group: Content hash of what the pair is about.
        margin: The difference.
    """

    source: str
    group: str
    margin: float


def run(
    config: RewardEvaluationConfig,
    pairs: PairSettings,
    prepare_dir: Path,
    reward_dirs: Sequence[Path],
    out_dir: Path,
    *,
    overwrite: bool = False,
) -> Manifest:
    """Judge a reward model, or an ensemble of several, on held-out golden pairs and on files.

    Args:
        config: How they are judged.
        pairs: How golden labels become pairs.
        prepare_dir: Directory of the prepare stage; without golden labels for held-out claims, files alone are used.
        reward_dirs: Directories of the reward stage, one for each member.
        out_dir: Where `metrics.json`, `margins.jsonl` and the manifest go.
        overwrite: Whether what `out_dir` holds under other settings may be deleted.

    Raises:
        RunDirectoryError: A directory is unfinished or altered.
        SchemaError: A file is malformed, or there is nothing to judge on.
        TrainingError: A reward model cannot be loaded.
    """
    verify(prepare_dir, "prepare")
    trained = [verify(directory, "reward") for directory in reward_dirs]
    inputs = {f"reward_{number}": sha256_of(path / MANIFEST) for number, path in enumerate(reward_dirs)}
    inputs |= {"prepare": sha256_of(prepare_dir / MANIFEST)}
    inputs |= {str(path): sha256_of(path) for path in config.files if path.exists()}
    settings = {**config.model_dump(mode="json"), "pairs": pairs.model_dump(mode="json")}
    stage = StageDir(out_dir, STAGE, settings, inputs, overwrite=overwrite)
    if done := stage.complete():
        return done

    members = [load_reward_model(directory / MODEL) for directory in reward_dirs]
    results, margins = {}, []
    for name, judged, rejected, num_seen in _sources(config, pairs, prepare_dir, reward_dirs):
        source, differences = judge(members, judged, config)
        results[name] = source.model_copy(update={"rejected": rejected, "num_seen": num_seen})
        margins += [MarginRow(source=name, group=pair.group, margin=margin) for pair, margin in differences]
    if not results:
        raise SchemaError(
            f"there is nothing to judge the reward on: {prepare_dir} holds no golden labels of held-out claims, and no "
            f"file was given; prepare the task with task.num_held_out above 0, or give evaluate.files=[FILE]"
        )
    stage.claim()
    write_json(out_dir / METRICS, {name: source.model_dump(mode="json") for name, source in results.items()})
    write_rows(out_dir / MARGINS, margins)
    counts = {name: source.metrics.num_pairs if source.metrics else 0 for name, source in results.items()}
    return stage.finish({**counts, "members": len(trained)}, outputs=(METRICS, MARGINS))


def read_results(out_dir: Path) -> dict[str, JudgedSource]:
    """Read `metrics.json` of a finished evaluation, by source.

    Raises:
        RunDirectoryError: The directory is unfinished or altered.
    """
    verify(out_dir, STAGE, METRICS)
    raw = json.loads((out_dir / METRICS).read_text(encoding="utf-8"))
    return {name: JudgedSource.model_validate(source) for name, source in raw.items()}


def golden_pairs(prepare_dir: Path, settings: PairSettings) -> list[PreferencePair]:
    """Return the pairs that follow from the golden labels of held-out claims, none if there are no such labels.

    Raises:
        SchemaError: The golden labels have no preference structure.
    """
    if not (prepare_dir / GOLD).exists():
        return []
    space = read_task(prepare_dir / TASK).label_space
    held_out = read_rows(prepare_dir / HELD_OUT, Claim)
    if not held_out:
        return []
    labels = golden.as_labels(golden.load(prepare_dir / GOLD, space), held_out)
    given = {row.id: row for row in label_rows(labels, held_out, space)}
    return build_pairs(held_out, given, space, settings)[0]


def judge(
    members: Sequence[RewardModel], judged: Sequence[JudgedPair], config: RewardEvaluationConfig
) -> tuple[JudgedSource, list[tuple[JudgedPair, float]]]:
    """Judge reward models, as one, on pairs; return the result and the margin of each pair that they can read."""
    rows = [
        TrainingRow(str(number), (pair.prompt + pair.better, pair.prompt + pair.worse), 1.0)
        for number, pair in enumerate(judged)
    ]
    unusable = {each.id: each.reason for member in members for each in find_unusable(member, rows)}
    usable = [pair for row, pair in zip(rows, judged, strict=True) if row.id not in unusable]
    reasons = dict(sorted(Counter(unusable.values()).items()))
    if not usable:
        return JudgedSource(metrics=None, rejected={}, unusable=reasons), []
    reward = members[0] if len(members) == 1 else RewardEnsemble(members, config.ensemble)
    better = reward.rewards([pair.prompt + pair.better for pair in usable])
    worse = reward.rewards([pair.prompt + pair.worse for pair in usable])
    has_subsets = any(pair.subset for pair in usable)
    metrics = reward_metrics(
        better - worse,
        np.array([len(pair.better) - len(pair.worse) for pair in usable]),
        [pair.group for pair in usable],
        config.resampling,
        num_bins=config.num_bins,
        subsets=[pair.subset for pair in usable] if has_subsets else (),
        spread=_spread(usable, better, worse),
    )
    source = JudgedSource(metrics=metrics, rejected={}, unusable=reasons)
    return source, list(zip(usable, (better - worse).tolist(), strict=True))


def results_table(results: dict[str, JudgedSource]) -> Table:
    """Return the results as a table for the console."""
    columns = ("judged pairs", "pairs", "accuracy", "95 % interval", "ECE", "Brier", "longer", "better is longer")
    table = Table(*(*columns, "spread", "left out"), title="reward model", title_justify="left")
    for name, source in results.items():
        left_out = {"seen": source.num_seen, **source.rejected, **source.unusable}
        note = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items() if count) or "none"
        metrics = source.metrics
        if metrics is None:
            table.add_row(name, "0", *[""] * 7, note)
            continue
        bias = metrics.length_bias
        table.add_row(
            name,
            f"{metrics.num_pairs:,}",
            f"{100 * metrics.accuracy.value:.1f} %",
            f"{100 * metrics.accuracy.low:.1f}–{100 * metrics.accuracy.high:.1f}",
            f"{metrics.calibration.expected_calibration_error:.3f}",
            f"{metrics.calibration.brier:.3f}",
            f"{100 * bias.prefers_longer:.0f} %" if bias else "",
            f"{100 * bias.better_is_longer:.0f} %" if bias else "",
            f"{metrics.spread.within_prompts:.2f}" if metrics.spread else "",
            note,
        )
    return table


def _sources(
    config: RewardEvaluationConfig, pairs: PairSettings, prepare_dir: Path, reward_dirs: Sequence[Path]
) -> list[tuple[str, list[JudgedPair], dict[str, int], int]]:
    """Return name, pairs, rejected rows and number of pairs left out of each source."""
    sources = []
    if found := golden_pairs(prepare_dir, pairs):
        trained_on = _trained_on(reward_dirs)
        unseen = [
            JudgedPair(group=pair.group, prompt=pair.prompt, better=pair.chosen, worse=pair.rejected)
            for pair in found
            if pair.id not in trained_on
        ]
        sources.append((GOLDEN, unseen, {}, len(found) - len(unseen)))
    for path in config.files:
        read = read_judged_pairs(path, pairs.comparison_prompt)
        reasons = Counter(row.reason for row in read.rejected)
        sources.append((path.name, read.pairs, dict(reasons), 0))
    return sources


def _trained_on(reward_dirs: Sequence[Path]) -> set[str]:
    """Return the ids of the pairs that any member was trained on."""
    paths = [directory / PAIRS for directory in reward_dirs if (directory / PAIRS).exists()]
    return {pair.id for path in paths for pair in read_rows(path, PreferencePair)}


def _spread(pairs: Sequence[JudgedPair], better: NDArray[np.float64], worse: NDArray[np.float64]) -> RewardSpread:
    """Return how the rewards of all distinct responses vary."""
    rewards: dict[tuple[str, str], float] = {}
    for pair, high, low in zip(pairs, better.tolist(), worse.tolist(), strict=True):
        rewards[pair.prompt, pair.better], rewards[pair.prompt, pair.worse] = high, low
    return reward_spread(np.array(list(rewards.values())), [prompt for prompt, _ in rewards])
