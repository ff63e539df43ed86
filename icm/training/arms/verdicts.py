"""The verdicts of the arms: a model's own as a reward, and how often a model tuned on an arm's labels is right.

Knows the claims and golden labels of a task, and no reward model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from icm.claims import UNLABELLED
from icm.errors import ScoringError, TrainingError
from icm.files.records import LabelRow
from icm.prompts import NO_CONTEXT, Prompt
from icm.scoring.open import LocalModel, open_scorer
from icm.scoring.protocol import LabelScorer
from icm.statistics.estimates import Resampling, estimate
from icm.statistics.schema import Estimate
from icm.training.arms.labels import Arm
from icm.training.arms.materials import ArmContext, ArmTask
from icm.training.arms.settings import VerdictSettings
from icm.training.arms.verdict import CLAIM_ENDING, round_robin, verdict_margins
from icm.training.completions import CompletionSettings, base_name, context_length, open_policy
from icm.training.finetune import train_on_completions
from icm.training.loop import MODEL, is_trained, library_arguments
from icm.training.pairs import PairSettings, render_prompt

VERDICT: Final = CompletionSettings(stop="\n", ending=None, max_tokens=1, temperature=1.0)
"""A verdict is all that is said after a claim, so what ends it makes no difference."""


def arm_verdict_accuracy(
    context: ArmContext, arm: Arm, directory: Path, rows: Sequence[LabelRow], resampling: Resampling
) -> Estimate | None:
    """Return how often the model that an arm's labels make is right; without labels, the model as it is."""
    settings = context.config.verdicts
    if settings is None or arm == "base":
        return None
    if arm == "verdict":
        return verdict_accuracy(context.scorer, context.task, resampling)
    task, out_dir = context.task, directory / "verdicts"
    if not is_trained(out_dir):
        _tune(task, rows, settings, out_dir, resampling.seed, context.console)
    tuned = open_scorer(LocalModel(kind="local", path=str(out_dir / MODEL)), task.space)
    return verdict_accuracy(tuned, task, resampling)


def _tune(
    task: ArmTask, rows: Sequence[LabelRow], settings: VerdictSettings, out_dir: Path, seed: int, console: Console
) -> None:
    """Fine-tune a model to say the labels of claims, as in the paper's main figure, and write it to `out_dir/model`.

    Raises:
        TrainingError: A claim does not fit the model's context.
    """
    policy = open_policy(base_name(settings.base), VERDICT)
    texts = {claim.id: claim.text for claim in task.claims}
    examples = [
        _tokens(policy.plain_tokenizer, texts[row.id], task.space.verbalizers[row.label])
        for row in rows
        if row.label is not None
    ]
    longest = max(len(example["input_ids"]) for example in examples)
    if longest > context_length(policy.model):
        raise TrainingError(
            f"a claim with its verdict has {longest:,} tokens and {policy.name} reads "
            f"{context_length(policy.model):,}; prepare the task with task.max_claim_tokens below that"
        )
    # The length was checked above; the library would cut what is too long, the verdict first.
    arguments = library_arguments(settings, out_dir, seed) | {"max_length": None}
    train_on_completions(policy, examples, arguments, out_dir, console, "verdicts")


def _tokens(tokenizer: Any, text: str, verbalizer: str) -> dict[str, list[int]]:
    """Return a claim and its verdict, which alone carries the loss, as tokens."""
    # Handed over as text, they would get an end-of-sequence token.
    # A control token inside a claim is text here, as it is for the scorer.
    asked = tokenizer(text, split_special_tokens=True, verbose=False)["input_ids"]
    whole = tokenizer(text + verbalizer, split_special_tokens=True, verbose=False)["input_ids"]
    return {"input_ids": whole, "completion_mask": [0] * len(asked) + [1] * (len(whole) - len(asked))}


def verdict_accuracy(scorer: LabelScorer, task: ArmTask, resampling: Resampling) -> Estimate:
    """Return how often a model's verdict on a held-out claim, asked alone, is the golden label."""
    # The same text may stand in two groups; a model tuned on it would be asked what it was told.
    seen = {claim.text for claim in task.claims}
    asked = [
        (claim, int(label))
        for claim, label in zip(task.held_out, task.golden_held_out, strict=True)
        if label != UNLABELLED and claim.text not in seen
    ]
    logprobs = scorer.label_logprobs([Prompt(NO_CONTEXT, claim.text) for claim, _ in asked])
    # Columns are labels in the order of the space, so the place of the largest is the label.
    right = logprobs.argmax(axis=1) == np.array([label for _, label in asked])
    return estimate(right.astype(np.float64), [claim.group for claim, _ in asked], resampling)


def judged_by_verdict(context: ArmContext) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Take the model's verdict for a reward; return its margins on the golden pairs and its rewards of the samples."""
    task = context.task
    reward = _verdict_reward(context.scorer, task, context.config.pairs, context.config.comparison_claim)
    judged = [reward([pair.prompt] * 2, [pair.chosen, pair.rejected]) for pair in task.pairs]
    rewards, num_unreadable = reward(context.prompts, context.completions)
    num_unreadable += sum(count for _, count in judged)
    if num_unreadable:
        context.console.print(
            f"verdict: {num_unreadable:,} different completions hold words that the model cannot read and count as the "
            f"worst",
            soft_wrap=True,
        )
    return np.array([chosen - rejected for (chosen, rejected), _ in judged]), rewards


def _verdict_reward(
    scorer: LabelScorer, task: ArmTask, settings: PairSettings, comparison_claim: str
) -> Callable[[Sequence[str], Sequence[str]], tuple[NDArray[np.float64], int]]:
    """Return the model's verdict as a reward: on single answers, or on every two responses to a prompt.

    Prompts and completions (N,) become rewards (N,), of comparisons against the other completions of the prompt. A
    completion that the model cannot read, for a word it lacks, gets the lowest reward; so many were there.
    """
    # A comparison is asked about the bare question, which a prompt no longer tells apart from its frame.
    questions = {
        render_prompt(settings.comparison_prompt, claim): claim.parts["question"]
        for claim in (*task.claims, *task.held_out)
        if "response_1" in claim.parts
    }

    def is_readable(prompt: str, completion: str) -> bool:
        text = prompt + completion + CLAIM_ENDING
        if questions:
            response = completion.strip()
            text = comparison_claim.format(question=questions[prompt], response_1=response, response_2=response)
        try:
            scorer.count_tokens([text])
        except ScoringError:
            return False
        # An empty completion could be asked about, but it is no answer.
        return bool(completion.strip())

    def of_comparisons(asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float]:
        rewards: dict[tuple[str, str], float] = {}
        for prompt in dict.fromkeys(prompt for prompt, _ in asked):
            responses = [text for one, text in asked if one == prompt]
            means = round_robin(scorer, comparison_claim, questions[prompt], [text.strip() for text in responses])
            rewards |= {(prompt, text): float(mean) for text, mean in zip(responses, means, strict=True)}
        return rewards

    def of_answers(asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float]:
        margins = verdict_margins(scorer, [prompt + completion + CLAIM_ENDING for prompt, completion in asked])
        return dict(zip(asked, margins.tolist(), strict=True))

    def reward(prompts: Sequence[str], completions: Sequence[str]) -> tuple[NDArray[np.float64], int]:
        # Samples repeat one another; each different completion is asked about once.
        asked = list(dict.fromkeys(zip(prompts, completions, strict=True)))
        readable = [key for key in asked if is_readable(*key)]
        rewards = of_comparisons(readable) if questions else of_answers(readable)
        # Where none can be read, all are equally bad.
        lowest = min(rewards.values(), default=0.0)
        found = np.array([rewards.get(key, lowest) for key in zip(prompts, completions, strict=True)])
        return found, len(asked) - len(readable)

    return reward
