"""What all arms share: claims, golden pairs, samples of one policy and a judge's opinion of them. Trains no reward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

from icm import golden
from icm.claims import UNLABELLED, Claim, Labels, LabelSpace
from icm.errors import RunDirectoryError, ScoringError
from icm.pocket.weights import pocket_model_dir
from icm.records import CLAIMS, GOLD, HELD_OUT, LABELS, TASK, LabelRow, read_claims, read_rows, read_task
from icm.reward_evaluation import golden_pairs
from icm.run_directory import StageDir
from icm.scoring.protocol import LabelScorer
from icm.training.arms import Arm, Units, as_wrong_as, most_confident, shuffled, with_errors
from icm.training.completions import CompletionSettings, open_policy, sample
from icm.training.loop import MODEL
from icm.training.pairs import GivenLabel, PairSettings, PreferencePair, build_pairs, render_prompt
from icm.training.policy_prompts import PromptSettings, candidates
from icm.training.sft import SftSettings, fine_tune, fit_demonstrations
from icm.training.verdict import CLAIM_ENDING, VerdictReward, round_robin, verdict_labels

Judge = Callable[[Sequence[str], Sequence[str]], NDArray[np.float64]]
"""Prompts and completions, (B,) each, to golden qualities (B,): larger is better."""

WARM_START: Final = "warm_start"


class SamplesConfig(BaseModel):
    """The policy that all arms pick from, and how it is sampled.

    Attributes:
        base: Model directory or Hub id; `None` for the embedded pocket model.
        completion: Where completions end, and how they are drawn.
        warm_start: Fine-tuning on all responses of the claims, good and bad, for a base that never learned to answer.
        num_prompts: Prompts of held-out claims to sample; all if there are fewer.
        samples_per_prompt: Samples of each.
        best_of_n: Numbers of samples to pick the best from; the last is the one that arms are compared at.
        seed: Draws the samples.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str | None = None
    completion: CompletionSettings
    warm_start: SftSettings | None = None
    num_prompts: int = Field(default=64, ge=1)
    samples_per_prompt: int = Field(default=32, ge=1)
    best_of_n: tuple[int, ...] = Field(default=(1, 2, 4, 8, 16), min_length=1)
    seed: int = Field(default=0, ge=0)

    @property
    def base_name(self) -> str:
        """The model directory or Hub id."""
        return self.base or str(pocket_model_dir())


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTask:
    """The claims that arms are trained on and judged by.

    Attributes:
        space: The label space.
        claims: Claims to train on.
        held_out: Claims of other groups.
        golden: (N,) golden labels of the claims.
        elicited: Elicited labels.
        verdicts: The model's own labels, without context.
        pairs: Golden pairs of the held-out claims that are in no training pair of any arm.
    """

    space: LabelSpace
    claims: list[Claim]
    held_out: list[Claim]
    golden: Labels
    elicited: list[LabelRow]
    verdicts: list[LabelRow]
    pairs: list[PreferencePair]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSamples:
    """Samples of one policy, the same for all arms.

    Attributes:
        prompts: (N,) prompt of each sample.
        completions: (N,) what followed.
        quality: (N,) golden quality, `None` without a judge.
        base: Model directory that was sampled.
    """

    prompts: list[str]
    completions: list[str]
    quality: NDArray[np.float64] | None
    base: str


def read_arm_task(run_dir: Path, scorer: LabelScorer, pairs: PairSettings) -> ArmTask:
    """Read a finished run with golden labels, and ask the model for its own verdicts.

    Raises:
        RunDirectoryError: A stage is missing or unfinished, or there are no golden labels.
    """
    prepare_dir, elicit_dir = run_dir / "prepare", run_dir / "elicit"
    StageDir(prepare_dir, "prepare").verify()
    StageDir(elicit_dir, "elicit").verify(LABELS)
    held_out = read_rows(prepare_dir / HELD_OUT, Claim)
    if not (prepare_dir / GOLD).exists() or not held_out:
        raise RunDirectoryError(
            f"{prepare_dir} has no golden labels of held-out claims, by which the arms are judged; prepare a task that "
            f"has golden labels with task.num_held_out above 0"
        )
    space, claims = read_task(prepare_dir / TASK).label_space, read_claims(prepare_dir / CLAIMS)
    known = golden.load(prepare_dir / GOLD, len(space))
    given = {claim.id: GivenLabel(id=claim.id, label=known.get(claim.id)) for claim in claims}
    seen = {pair.id for pair in build_pairs(claims, given, space, pairs).pairs}
    return ArmTask(
        space=space,
        claims=claims,
        held_out=held_out,
        golden=golden.as_labels(known, claims),
        elicited=read_rows(elicit_dir / LABELS, LabelRow),
        verdicts=verdict_labels(scorer, claims, space),
        pairs=[pair for pair in golden_pairs(prepare_dir, pairs) if pair.id not in seen],
    )


def labels_of(arm: Arm, task: ArmTask, *, error_rate: float, kept_share: float, seed: int) -> list[LabelRow]:
    """Return the labels that an arm is trained on.

    Raises:
        ValueError: The arm has none.
    """
    units = Units(task.claims)
    match arm:
        case "elicited":
            return task.elicited
        case "golden":
            return _rows(task, task.golden)
        case "human":
            return _rows(task, with_errors(task.golden, units, error_rate, seed))
        case "shuffled":
            return _rows(task, shuffled(task.golden, units, seed))
        case "random_flips":
            return _rows(task, as_wrong_as(_labels(task.elicited), task.golden, units, seed))
        case "pseudo_labels":
            confidence = np.array([row.probability or 0.0 for row in task.verdicts])
            kept = most_confident(_labels(task.verdicts), confidence, units, kept_share)
            return [row for row, label in zip(task.verdicts, kept, strict=True) if label != UNLABELLED]
        case _:
            raise ValueError(f"arm {arm!r} is trained on no labels")


def draw_samples(
    config: SamplesConfig, task: ArmTask, prompts: PromptSettings, judge: Judge | None, work_dir: Path, console: Console
) -> ArmSamples:
    """Sample one policy for all arms, after teaching it to answer where the settings say so."""
    base = config.base_name
    if config.warm_start is not None:
        directory = work_dir / WARM_START
        if not (directory / MODEL).is_dir():
            policy = open_policy(base, config.completion)
            taught = fit_demonstrations(policy, candidates(task.claims, prompts)).kept
            fine_tune(policy, taught, config.warm_start, directory, config.seed, console)
        base = str(directory / MODEL)
    asked = list(dict.fromkeys(each.prompt for each in candidates(task.held_out, prompts)))[: config.num_prompts]
    drawn = sample(open_policy(base, config.completion), asked, config.samples_per_prompt, config.seed)
    texts, completions = [each.prompt for each in drawn], [each.text for each in drawn]
    quality = None if judge is None else judge(texts, completions)
    return ArmSamples(prompts=texts, completions=completions, quality=quality, base=base)


class ArmVerdict:
    """The model's verdict as the reward of an arm: on single answers, or on every two responses to a prompt.

    Attributes:
        num_unreadable: Different completions so far that the model could not read.
    """

    def __init__(self, scorer: LabelScorer, task: ArmTask, settings: PairSettings, comparison_claim: str) -> None:
        self._scorer = scorer
        self._claim = comparison_claim
        self.num_unreadable = 0
        # A comparison is asked about the bare question, which a prompt no longer tells apart from its frame.
        self._questions = {
            render_prompt(settings.comparison_prompt, claim): claim.parts["question"]
            for claim in (*task.claims, *task.held_out)
            if "response_1" in claim.parts
        }

    def rewards(self, prompts: Sequence[str], completions: Sequence[str]) -> NDArray[np.float64]:
        """Return the rewards (N,) of completions; of comparisons, against the other completions of the prompt.

        A completion that the model cannot read, for a word it lacks, gets the lowest reward and is counted.
        """
        asked = list(dict.fromkeys(zip(prompts, completions, strict=True)))
        readable = [key for key in asked if self._is_readable(*key)]
        self.num_unreadable += len(asked) - len(readable)
        rewards = self._of_comparisons(readable) if self._questions else self._of_answers(readable)
        lowest = min(rewards.values(), default=0.0)
        return np.array([rewards.get(key, lowest) for key in zip(prompts, completions, strict=True)])

    def _of_answers(self, asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float]:
        rewards = VerdictReward(self._scorer).rewards([prompt + completion for prompt, completion in asked])
        return dict(zip(asked, rewards.tolist(), strict=True))

    def _of_comparisons(self, asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float]:
        rewards: dict[tuple[str, str], float] = {}
        for prompt in dict.fromkeys(prompt for prompt, _ in asked):
            responses = [text for one, text in asked if one == prompt]
            question, stripped = self._questions[prompt], [text.strip() for text in responses]
            means = round_robin(self._scorer, self._claim, question, stripped)
            rewards |= {(prompt, text): float(mean) for text, mean in zip(responses, means, strict=True)}
        return rewards

    def _is_readable(self, prompt: str, completion: str) -> bool:
        text = prompt + completion + CLAIM_ENDING
        if self._questions:
            response = completion.strip()
            text = self._claim.format(question=self._questions[prompt], response_1=response, response_2=response)
        try:
            self._scorer.count_tokens([text])
        except ScoringError:
            return False
        return bool(completion.strip())

    def margin(self, pair: PreferencePair) -> float:
        """Return the reward of the chosen response less that of the rejected one."""
        chosen, rejected = self.rewards([pair.prompt] * 2, [pair.chosen, pair.rejected])
        return float(chosen - rejected)


def _labels(rows: Sequence[LabelRow]) -> Labels:
    return np.array([UNLABELLED if row.label is None else row.label for row in rows], dtype=np.int8)


def _rows(task: ArmTask, labels: Labels) -> list[LabelRow]:
    return [
        LabelRow(id=claim.id, group=claim.group, label=int(label), name=task.space.names[int(label)])
        for claim, label in zip(task.claims, labels, strict=True)
        if label != UNLABELLED
    ]
