"""The verdicts of the arms: a model's own as a reward, and how often a model tuned on an arm's labels is right.

Knows the claims and golden labels of a task, and no reward model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from icm.claims import UNLABELLED
from icm.errors import ScoringError
from icm.files.labels import label_vector
from icm.files.records import LabelRow
from icm.prompts import NO_CONTEXT, Prompt
from icm.scoring.open import LocalModel, open_scorer
from icm.scoring.protocol import LabelScorer
from icm.statistics.estimates import Resampling, estimate
from icm.statistics.schema import Estimate
from icm.training.arms.labels import Arm
from icm.training.arms.materials import ArmContext, ArmTask
from icm.training.arms.verdict import CLAIM_ENDING, round_robin, verdict_margins
from icm.training.arms.verdict_tuning import VerdictSettings, tune_verdicts
from icm.training.loop import MODEL
from icm.training.pairs import PairSettings, PreferencePair, render_prompt


def arm_verdict_accuracy(
    context: ArmContext, arm: Arm, directory: Path, rows: Sequence[LabelRow], resampling: Resampling
) -> Estimate | None:
    """Return how often the model that an arm's labels make is right; without labels, the model as it is."""
    settings = context.config.verdicts
    if settings is None or arm == "base":
        return None
    scorer = context.scorer
    if arm != "verdict":
        out_dir = directory / "verdicts"
        scorer = _tuned_scorer(context.task, rows, settings, out_dir, resampling.seed, context.console)
    return verdict_accuracy(scorer, context.task, resampling)


def _tuned_scorer(
    task: ArmTask, rows: Sequence[LabelRow], settings: VerdictSettings, out_dir: Path, seed: int, console: Console
) -> LabelScorer:
    """Return a model that was fine-tuned on the labels of an arm, after doing so unless that is done."""
    if not (out_dir / MODEL).is_dir():
        labels = label_vector({row.id: row.label for row in rows}, task.claims)
        tune_verdicts(task.claims, labels, task.space, settings, out_dir, seed, console)
    return open_scorer(LocalModel(kind="local", path=str(out_dir / MODEL)), task.space)


def verdict_accuracy(scorer: LabelScorer, task: ArmTask, resampling: Resampling) -> Estimate:
    """Return how often a model's verdict on a held-out claim, asked alone, is the golden label."""
    seen = {claim.text for claim in task.claims}
    asked = [
        (claim, int(label))
        for claim, label in zip(task.held_out, task.golden_held_out, strict=True)
        if label != UNLABELLED and claim.text not in seen
    ]
    logprobs = scorer.label_logprobs([Prompt(NO_CONTEXT, claim.text) for claim, _ in asked])
    right = logprobs.argmax(axis=1) == np.array([label for _, label in asked])
    return estimate(right.astype(np.float64), [claim.group for claim, _ in asked], resampling)


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
        rewards = verdict_margins(self._scorer, [prompt + completion + CLAIM_ENDING for prompt, completion in asked])
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
