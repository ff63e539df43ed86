"""Training of a reward model on soft targets, with TRL. Knows rows of tokens, not where they came from.

A pair with probability p that the first response is the better one costs -[p log σ(Δ) + (1 - p) log σ(-Δ)], where Δ is
the difference of the rewards; a single answer costs the same with its reward in place of Δ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from rich.console import Console
from torch.nn.functional import logsigmoid
from transformers import Trainer
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer

from icm.errors import ConfigError, TrainingError
from icm.training.libraries import processes, quiet_libraries
from icm.training.loop import common_arguments, run_training
from icm.training.reward.model import RewardModel
from icm.training.reward.rows import EncodedRow
from icm.training.reward.settings import LoraSettings, RewardModelSettings

PROBE_ROWS: Final = 64
"""Rows whose rewards are looked at before and after the training."""


def soft_cross_entropy(margin: torch.Tensor, probability: torch.Tensor) -> torch.Tensor:
    """Return -[p log σ(margin) + (1 - p) log σ(-margin)] elementwise, nats.

    Source: Bradley and Terry 1952 with a probability in place of an outcome; used for preference models in
    arXiv 2212.08073, section 4.1.
    """
    return -(probability * logsigmoid(margin) + (1 - probability) * logsigmoid(-margin))


def check_trainable(base: RewardModel, rows: Sequence[EncodedRow], settings: RewardModelSettings) -> None:
    """Check, before a directory is bound to these settings, that the training can begin.

    Raises:
        TrainingError: The weights of the base are broken: its rewards are NaN.
        ConfigError: The batch size does not suit the number of processes.
    """
    base.rewards_of_tokens(_probe(rows))
    _micro_batch(settings)


def train_reward_model(
    base: RewardModel, rows: Sequence[EncodedRow], settings: RewardModelSettings, work_dir: Path, console: Console
) -> RewardModel:
    """Train a reward model; an interrupted training in the same directory is continued at its last checkpoint.

    The weights of `base` are changed. Rows are pairs, or single answers, as `settings.kind` says. Checkpoints and
    `training.jsonl` go to `work_dir`, and nothing else.

    Raises:
        TrainingError: Rewards are NaN or all the same after the training, or the loss was NaN.
        ConfigError: The batch size does not suit the number of processes.
    """
    if settings.lora is not None:
        base = replace(base, model=_with_adapters(base.model, settings.lora))
    trainer = run_training(
        lambda: _trainer(base, rows, settings, work_dir), work_dir, console, "reward model", _measures
    )
    # Under `accelerate launch` the trainer holds the model in a wrapper that cannot be saved or merged.
    model = trainer.accelerator.unwrap_model(trainer.model)
    # Merged, so that whoever reads the directory needs no adapter library.
    trained = RewardModel(
        model.merge_and_unload() if settings.lora is not None else model, base.tokenizer, base.max_length, False
    )
    _check_trained(trained.rewards_of_tokens(_probe(rows)))
    return trained


def _probe(rows: Sequence[EncodedRow]) -> list[Sequence[int]]:
    return [text for tokens, _ in rows[:PROBE_ROWS] for text in tokens]


class SoftRewardTrainer(RewardTrainer):
    """TRL's trainer of reward models, with soft targets: pairs have a column `probability`."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the soft loss: TRL's, which is that of p = 1, and what p adds to it.

        log σ(-Δ) = log σ(Δ) - Δ, so the soft loss is -log σ(Δ) + (1 - p) Δ.
        """
        # The model would be handed all that is left in `inputs`.
        probability = inputs.pop("probability")
        hard_loss, outputs = cast(tuple[Any, Any], super().compute_loss(model, inputs, True, num_items_in_batch))
        chosen, rejected = torch.chunk(outputs.logits.squeeze(-1), chunks=2)
        loss = hard_loss + ((1 - probability) * (chosen - rejected)).mean()
        return (loss, outputs) if return_outputs else loss

    def _set_signature_columns_if_needed(self) -> None:
        # TRL's list of the columns that survive lacks `probability`.
        self._signature_columns = ["chosen_ids", "rejected_ids", "probability"]


class AnswerTrainer(Trainer):
    """Trains the logit of a single answer towards the probability that it is right."""

    def __init__(self, *arguments: Any, centre: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._centre = centre
        # The model is handed no labels, so it cannot scale the loss by their number.
        self.model_accepts_loss_kwargs = False

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the mean cross-entropy of the logits."""
        probability = inputs.pop("probability")
        # A cache only helps to generate.
        outputs = model(**inputs, use_cache=False)
        logits = outputs.logits.squeeze(-1)
        loss = soft_cross_entropy(logits, probability).mean() + self._centre * (logits**2).mean()
        return (loss, outputs) if return_outputs else loss


def _trainer(base: RewardModel, rows: Sequence[EncodedRow], settings: RewardModelSettings, work_dir: Path) -> Trainer:
    arguments = _arguments(settings, work_dir)
    names = ("chosen_ids", "rejected_ids") if settings.kind == "pairs" else ("answer_ids",)
    columns: dict[str, list[Any]] = {"probability": [probability for _, probability in rows]}
    columns |= {name: [list(tokens[side]) for tokens, _ in rows] for side, name in enumerate(names)}
    common: dict[str, Any] = {
        "model": base.model,
        "args": arguments,
        "train_dataset": Dataset.from_dict(columns),
        "processing_class": base.tokenizer,
        "data_collator": partial(_collate, base.tokenizer.pad_token_id, names),
    }
    if settings.kind == "pairs":
        return SoftRewardTrainer(**common)
    return AnswerTrainer(**common, centre=settings.centre)


def _collate(
    pad_token_id: int, columns: Sequence[str], examples: Sequence[Mapping[str, Any]]
) -> dict[str, torch.Tensor]:
    """Pad the texts of a batch on the right: first all texts of the first column, then all of the second."""
    # TRL splits the rewards in two halves, so the chosen texts of the whole batch come before the rejected ones.
    texts = [torch.tensor(example[column]) for column in columns for example in examples]
    return {
        "input_ids": _padded(texts, pad_token_id),
        "attention_mask": _padded([torch.ones_like(text) for text in texts], 0),
        "probability": torch.tensor([example["probability"] for example in examples], dtype=torch.float32),
    }


def _padded(texts: list[torch.Tensor], value: int) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=value)


def _micro_batch(settings: RewardModelSettings) -> int:
    """Return how many rows a process reads at a time."""
    # A step must see the same pairs whatever the number of processes, so only whole divisions are allowed.
    num_processes = processes().num_processes
    micro = settings.micro_batch_size or max(1, settings.batch_size // num_processes)
    if settings.batch_size % (micro * num_processes):
        raise ConfigError(
            f"batch_size={settings.batch_size} cannot be dealt to {num_processes} processes that read {micro} pairs "
            f"at a time; choose a multiple of {micro * num_processes}, or another micro_batch_size"
        )
    return micro


def _arguments(settings: RewardModelSettings, work_dir: Path) -> RewardConfig:
    micro = _micro_batch(settings)
    return RewardConfig(
        **common_arguments(work_dir, settings.seed, settings.checkpoint_every),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=settings.batch_size // (micro * processes().num_processes),
        num_train_epochs=settings.epochs,
        max_steps=settings.steps or -1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup_share,  # a number below 1 is read as a share of all steps
        weight_decay=settings.weight_decay,
        center_rewards_coefficient=settings.centre or None,
        max_length=None,  # rows that are too long were rejected and listed before
        remove_unused_columns=False,
    )


def _with_adapters(model: Any, lora: LoraSettings) -> Any:
    # Llama and its kin call the head of a classifier `score`, BERT and its kin `classifier`.
    head = "score" if hasattr(model, "score") else "classifier"
    adapters = LoraConfig(
        task_type="SEQ_CLS",
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules="all-linear",
        modules_to_save=[head],  # the head learns whole: low-rank changes to random weights would stay random
    )
    with quiet_libraries():
        return get_peft_model(model, adapters)


def _check_trained(rewards: np.ndarray) -> None:
    # Flat rewards are what too small a learning rate, or a base that ignores its input, ends in.
    if np.ptp(rewards) == 0:
        raise TrainingError(
            f"the trained model gives every text the same reward, {rewards[0]:.4g}, so nothing could be learned from "
            f"it; raise learning_rate or epochs, or check the labels"
        )


def _measures(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the measures of a step: loss in nats; accuracy and mean difference of the rewards only of pairs."""
    return {name: logs.get(name) for name in ("loss", "learning_rate", "accuracy", "margin")}
