"""The evaluation of reward models on pairs that people or golden labels judged. Feeds nothing back into a training."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from icm import golden
from icm.claims import Claim, composed
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
from icm.training.reward.judged_pairs import JudgedPair, read_judged_pairs
from icm.training.reward.metrics import RewardMetrics, RewardSpread, reward_metrics, reward_spread
from icm.training.reward.model import MODEL, RewardModel, combined_rewards, load_reward_model
from icm.training.reward.rows import TrainingRow, encode_rows
from icm.training.reward.settings import RewardEvaluationConfig

STAGE: Final = "reward_evaluation"
MARGINS: Final = "margins.jsonl"
GOLDEN: Final = "held_out"
"""Name of the golden pairs among the sources of judged pairs."""


class JudgedSource(Record):
    """A reward on one source of judged pairs.

    `metrics` is `None` if no pair could be used. Left out, and counted: the pairs that the model was trained on
    (`num_seen`), rows that are no pair (`rejected`) and pairs that it cannot read (`unusable`), both by reason.
    """

    metrics: RewardMetrics | None
    num_seen: int
    rejected: dict[str, int]
    unusable: dict[str, int]


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

    Golden labels of the held-out claims in `prepare_dir` become pairs as `pairs` says; without such labels, files alone
    are used. There is a directory of the reward stage for each member. `out_dir` gets `metrics.json`, the manifest and
    `margins.jsonl`: for each pair its source, its group, and the reward of the better response less that of the worse
    one. With `overwrite`, what it holds under other settings may be deleted.

    Raises:
        RunDirectoryError: A directory is unfinished or altered.
        SchemaError: A file is malformed, or there is nothing to judge on.
        TrainingError: A reward model cannot be loaded.
    """
    verify(prepare_dir, "prepare")
    trained = [verify(directory, "reward") for directory in reward_dirs]
    # Numbered: the directories of two members may have the same name.
    inputs = {f"reward_{number}": sha256_of(path / MANIFEST) for number, path in enumerate(reward_dirs)}
    inputs |= {"prepare": sha256_of(prepare_dir / MANIFEST)}
    # A file that is missing is reported where it is read.
    inputs |= {str(path): sha256_of(path) for path in config.files if path.exists()}
    settings = {**config.model_dump(mode="json"), "pairs": pairs.model_dump(mode="json")}
    with StageDir(out_dir, STAGE, settings, inputs, overwrite=overwrite) as stage:
        if done := stage.complete():
            return done

        # Loaded after the check for a finished result, which needs none of them.
        members = [load_reward_model(directory / MODEL) for directory in reward_dirs]
        results: dict[str, JudgedSource] = {}
        margins: list[dict[str, Any]] = []
        for name, judged, rejected, num_seen in _sources(config, pairs, prepare_dir, reward_dirs):
            metrics, unusable, differences = judge(members, judged, config)
            results[name] = JudgedSource(metrics=metrics, num_seen=num_seen, rejected=rejected, unusable=unusable)
            margins += [{"source": name, "group": pair.group, "margin": margin} for pair, margin in differences]
        if not results:
            raise SchemaError(
                f"there is nothing to judge the reward on: {prepare_dir} holds no golden labels of held-out claims, "
                f"and no file was given; prepare the task with task.num_held_out above 0, or give evaluate.files=[FILE]"
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
) -> tuple[RewardMetrics | None, dict[str, int], list[tuple[JudgedPair, float]]]:
    """Judge reward models, as one, on pairs.

    Return the metrics, the number of pairs that a member cannot read by reason, and the margin of each other pair.
    """
    # The probability is of no account: `encode_rows` only tells which texts a member can read.
    rows: list[TrainingRow] = [
        (str(number), (pair.prompt + pair.better, pair.prompt + pair.worse), 1.0) for number, pair in enumerate(judged)
    ]
    # The last member has the say on the reason; a pair that two members cannot read is still one pair.
    unusable = {each.id: each.reason for member in members for each in encode_rows(member, rows)[1]}
    usable = [pair for (row_id, *_), pair in zip(rows, judged, strict=True) if row_id not in unusable]
    reasons = dict(sorted(Counter(unusable.values()).items()))
    if not usable:
        return None, reasons, []
    reward = combined_rewards(members, config.ensemble)
    better = reward([pair.prompt + pair.better for pair in usable])
    worse = reward([pair.prompt + pair.worse for pair in usable])
    # One subset for everything would repeat the accuracy.
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
    return metrics, reasons, list(zip(usable, (better - worse).tolist(), strict=True))


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
    taught = _taught(reward_dirs)
    if found := golden_pairs(prepare_dir, pairs):
        trained_on = {pair.id for pair in taught}
        # Held-out claims may repeat a pair of the training in a group of their own.
        unseen = [
            JudgedPair(group=pair.group, prompt=pair.prompt, better=pair.chosen, worse=pair.rejected)
            for pair in found
            if pair.id not in trained_on
        ]
        sources.append((GOLDEN, unseen, {}, len(found) - len(unseen)))
    for path in config.files:
        judged, rejected = read_judged_pairs(path, pairs.comparison_prompt)
        # A published file may hold the very pairs that the claims were made of.
        seen = {_content(pair.prompt, pair.chosen, pair.rejected) for pair in taught}
        unseen = [pair for pair in judged if _content(pair.prompt, pair.better, pair.worse) not in seen]
        reasons = dict(Counter(row.reason for row in rejected))
        sources.append((path.name, unseen, reasons, len(judged) - len(unseen)))
    return sources


def _content(prompt: str, one: str, other: str) -> tuple[str, frozenset[str]]:
    """Return what a pair says, whichever of its responses is preferred and however its letters are composed."""
    return composed(prompt), frozenset((composed(one.strip()), composed(other.strip())))


def _taught(reward_dirs: Sequence[Path]) -> list[PreferencePair]:
    """Return the pairs that any member was trained on."""
    # An id does not depend on which response is preferred, so a pair counts as seen whatever its training label was.
    paths = [directory / PAIRS for directory in reward_dirs if (directory / PAIRS).exists()]
    return [pair for path in paths for pair in read_rows(path, PreferencePair)]


def _spread(pairs: Sequence[JudgedPair], better: NDArray[np.float64], worse: NDArray[np.float64]) -> RewardSpread:
    """Return how the rewards of all distinct responses vary."""
    # A response may stand in many pairs (RM-Bench crosses two lists); each counts once.
    rewards: dict[tuple[str, str], float] = {}
    for pair, high, low in zip(pairs, better.tolist(), worse.tolist(), strict=True):
        rewards[pair.prompt, pair.better], rewards[pair.prompt, pair.worse] = high, low
    return reward_spread(np.array(list(rewards.values())), [prompt for prompt, _ in rewards])
