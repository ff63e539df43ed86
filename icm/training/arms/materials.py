"""What all arms share: claims, golden pairs, samples of one policy and a judge's opinion of them. Trains no reward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from icm import golden
from icm.claims import UNLABELLED, Claim, Labels, LabelSpace
from icm.errors import RunDirectoryError
from icm.files.labels import label_rows, label_vector, read_elicited_labels
from icm.files.records import CLAIMS, GOLD, HELD_OUT, LABELS, TASK, LabelRow, read_claims, read_rows, read_task
from icm.files.stage_dir import verify
from icm.scoring.protocol import LabelScorer
from icm.training.arms.labels import Arm, Judgements, as_wrong_as, most_confident, shuffled, with_errors
from icm.training.arms.settings import ArmsConfig, SamplesConfig
from icm.training.arms.verdict import verdict_labels
from icm.training.completions import base_name, open_policy, sample
from icm.training.finetune import candidates, fine_tune, fit_demonstrations
from icm.training.loop import MODEL, is_trained
from icm.training.pairs import PairSettings, PreferencePair, build_pairs
from icm.training.reward.evaluation import golden_pairs

Judge = Callable[[Sequence[str], Sequence[str]], NDArray[np.float64]]
"""Prompts and completions, (B,) each, to golden qualities (B,): larger is better."""

WARM_START: Final = "warm_start"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTask:
    """The claims that arms are trained on and judged by.

    Attributes:
        held_out: Claims of other groups than those of the claims to train on.
        golden: (N,) golden labels of the claims; likewise `golden_held_out`.
        verdicts: The model's own labels, without context.
        pairs: Golden pairs of the held-out claims that are in no training pair of any arm.
    """

    space: LabelSpace
    claims: list[Claim]
    held_out: list[Claim]
    golden: Labels
    golden_held_out: Labels
    elicited: list[LabelRow]
    verdicts: list[LabelRow]
    pairs: list[PreferencePair]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmContext:
    """What training and judging an arm needs.

    The zero-shot verdicts of the `scorer` serve as labels and as a reward; the `judge`, where the task has one, says
    how good completions really are. Each arm and seed has a directory below `out_dir`.

    All arms pick from the same samples of one policy, the model directory or Hub id `base`: prompts, completions and,
    with a judge, golden qualities, (N,) each.
    """

    config: ArmsConfig
    run_dir: Path
    out_dir: Path
    task: ArmTask
    base: str
    prompts: list[str]
    completions: list[str]
    quality: NDArray[np.float64] | None
    scorer: LabelScorer
    judge: Judge | None
    console: Console


def read_arm_task(run_dir: Path, scorer: LabelScorer, pairs: PairSettings) -> ArmTask:
    """Read a finished run with golden labels, and ask the model for its own verdicts.

    Raises:
        RunDirectoryError: A stage is missing or unfinished, or there are no golden labels.
    """
    prepare_dir, elicit_dir = run_dir / "prepare", run_dir / "elicit"
    verify(prepare_dir, "prepare")
    verify(elicit_dir, "elicit", LABELS)
    held_out = read_rows(prepare_dir / HELD_OUT, Claim)
    # Both: golden labels to train some arms on, and held-out ones to judge all of them by.
    if not (prepare_dir / GOLD).exists() or not held_out:
        raise RunDirectoryError(
            f"{prepare_dir} has no golden labels of held-out claims, by which the arms are judged; prepare a task that "
            f"has golden labels with task.num_held_out above 0"
        )
    space, claims = read_task(prepare_dir / TASK).label_space, read_claims(prepare_dir / CLAIMS)
    known = golden.load(prepare_dir / GOLD, space)
    of_claims = golden.as_labels(known, claims)
    rows = {row.id: row for row in label_rows(of_claims, claims, space)}
    # Whatever the labels, an arm's pairs are among these: only which response is preferred differs.
    seen = {pair.id for pair in build_pairs(claims, rows, space, pairs)[0]}
    return ArmTask(
        space=space,
        claims=claims,
        held_out=held_out,
        golden=of_claims,
        golden_held_out=golden.as_labels(known, held_out),
        elicited=read_elicited_labels(elicit_dir / LABELS, space, claims),
        verdicts=verdict_labels(scorer, claims, space),
        pairs=[pair for pair in golden_pairs(prepare_dir, pairs) if pair.id not in seen],
    )


def labels_of(arm: Arm, task: ArmTask, *, error_rate: float, kept_share: float, seed: int) -> list[LabelRow]:
    """Return the labels that an arm is trained on.

    Raises:
        ValueError: The arm has none.
    """
    judgements = Judgements(task.claims)
    match arm:
        case "elicited":
            # As they are, with their probabilities; whether those count, the settings of the pairs say.
            return task.elicited
        case "golden":
            labels = task.golden
        case "human":
            labels = with_errors(task.golden, judgements, error_rate, seed)
        case "shuffled":
            labels = shuffled(task.golden, judgements, seed)
        case "random_flips":
            labels = as_wrong_as(_vector(task.elicited, task), task.golden, judgements, seed)
        case "pseudo_labels":
            # Verdicts always have a probability; the type allows rows of other files to lack one.
            confidence = np.array([row.probability or 0.0 for row in task.verdicts])
            kept = most_confident(_vector(task.verdicts, task), confidence, judgements, kept_share)
            return [row for row, label in zip(task.verdicts, kept, strict=True) if label != UNLABELLED]
        case _:
            raise ValueError(f"arm {arm!r} is trained on no labels")
    return label_rows(labels, task.claims, task.space)


def draw_samples(
    config: SamplesConfig, task: ArmTask, pairs: PairSettings, judge: Judge | None, work_dir: Path, console: Console
) -> tuple[str, list[str], list[str], NDArray[np.float64] | None]:
    """Sample one policy for all arms, after teaching it to answer where the settings say so.

    Return its name, prompts, completions and, with a judge, golden qualities, (N,) each.
    """
    base = base_name(config.base)
    if config.warm_start is not None:
        directory = work_dir / WARM_START
        # On good and bad responses alike, so that the common policy prefers none.
        if not is_trained(directory):
            policy = open_policy(base, config.completion)
            taught = fit_demonstrations(policy, candidates(task.claims, pairs))[0]
            fine_tune(policy, taught, config.warm_start, directory, config.seed, console)
        base = str(directory / MODEL)
    # Held-out prompts, on which no arm was trained.
    asked = list(dict.fromkeys(prompt for prompt, _ in candidates(task.held_out, pairs)))[: config.num_prompts]
    drawn = sample(open_policy(base, config.completion), asked, config.samples_per_prompt, config.seed)
    prompts, completions = [each.prompt for each in drawn], [each.text for each in drawn]
    return base, prompts, completions, None if judge is None else judge(prompts, completions)


def _vector(rows: Sequence[LabelRow], task: ArmTask) -> Labels:
    return label_vector({row.id: row.label for row in rows}, task.claims)
