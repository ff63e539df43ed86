"""Training of a reward model on soft targets, with TRL. Knows rows of tokens, not where they came from.

A pair with probability p that the first response is the better one costs -[p log σ(Δ) + (1 - p) log σ(-Δ)], where Δ is
the difference of the rewards; a single answer costs the same with its reward in place of Δ.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from accelerate import PartialState
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from rich.console import Console
from torch.nn.functional import logsigmoid
from transformers import PrinterCallback, ProgressCallback, Trainer
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import get_last_checkpoint
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer

from icm.errors import ConfigError, TrainingError
from icm.files.records import Record
from icm.training.progress import TrainingProgress
from icm.training.reward.model import RewardModel, quiet_library
from icm.training.reward.rows import EncodedRow
from icm.training.reward.settings import LoraSettings, RewardModelSettings

CHECKPOINTS: Final = "checkpoints"
PROBE_ROWS: Final = 64
"""Rows whose rewards are looked at before and after the training."""


class CurveRow(Record):
    """A line of `training.jsonl`: one step.

    Attributes:
        step: From 1.
        loss: Mean over the pairs or answers of the step, nats.
        learning_rate: Of the step.
        accuracy: Share of the pairs whose preferred response has the higher reward, before the step.
        margin: Mean difference of the rewards of a pair.
    """

    step: int
    loss: float
    learning_rate: float
    accuracy: float | None = None
    margin: float | None = None


def soft_cross_entropy(margin: torch.Tensor, probability: torch.Tensor) -> torch.Tensor:
    """Return -[p log σ(margin) + (1 - p) log σ(-margin)] elementwise, nats.

    Source: Bradley and Terry 1952 with a probability in place of an outcome; used for preference models in
    arXiv 2212.08073, section 4.1.
    """
    return -(probability * logsigmoid(margin) + (1 - probability) * logsigmoid(-margin))


def train_reward_model(
    base: RewardModel, rows: Sequence[EncodedRow], settings: RewardModelSettings, work_dir: Path, console: Console
) -> tuple[RewardModel, list[CurveRow]]:
    """Train a reward model; an interrupted training in the same directory is continued at its last checkpoint.

    Args:
        base: What to start from; its weights are changed.
        rows: Pairs, or single answers, as `settings.kind` says.
        settings: How to train.
        work_dir: Where the checkpoints go; nothing else is written.
        console: Where progress is shown.

    Raises:
        TrainingError: Rewards are NaN before the training, or NaN or all the same after it, or the loss was NaN.
        ConfigError: The batch size does not suit the number of processes.
    """
    probe = [tokens for row in rows[:PROBE_ROWS] for tokens in row.tokens]
    base.rewards_of_tokens(probe)
    if settings.lora is not None:
        base = replace(base, model=_with_adapters(base.model, settings.lora))
    trainer = _trainer(base, rows, settings, work_dir)
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(TrainingProgress(console, "reward model"))
    with quiet_library():
        trainer.train(resume_from_checkpoint=_last_checkpoint(work_dir / CHECKPOINTS))
    model = trainer.accelerator.unwrap_model(trainer.model)
    trained = RewardModel(
        model.merge_and_unload() if settings.lora is not None else model, base.tokenizer, base.max_length, False
    )
    _check_trained(trained.rewards_of_tokens(probe))
    return trained, _curve(trainer.state.log_history)


def is_main_process() -> bool:
    """Say whether this process is the one that writes: the only one, or the first under `accelerate launch`."""
    return _processes().is_main_process


def wait_for_everyone() -> None:
    """Wait until all processes of an `accelerate launch` are here."""
    _processes().wait_for_everyone()


def _processes() -> PartialState:
    return PartialState(cpu=not torch.cuda.is_available())


def remove_checkpoints(work_dir: Path) -> None:
    """Delete the checkpoints of a finished training."""
    shutil.rmtree(work_dir / CHECKPOINTS, ignore_errors=True)


class SoftRewardTrainer(RewardTrainer):
    """TRL's trainer of reward models, with soft targets: pairs have a column `probability`."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the soft loss: TRL's, which is that of p = 1, and what p adds to it.

        log σ(-Δ) = log σ(Δ) - Δ, so the soft loss is -log σ(Δ) + (1 - p) Δ.
        """
        probability = inputs.pop("probability")
        hard_loss, outputs = cast(tuple[Any, Any], super().compute_loss(model, inputs, True, num_items_in_batch))
        chosen, rejected = torch.chunk(outputs.logits.squeeze(-1), chunks=2)
        loss = hard_loss + ((1 - probability) * (chosen - rejected)).mean()
        return (loss, outputs) if return_outputs else loss

    def _set_signature_columns_if_needed(self) -> None:
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
        outputs = model(**inputs, use_cache=False)
        logits = outputs.logits.squeeze(-1)
        loss = soft_cross_entropy(logits, probability).mean() + self._centre * (logits**2).mean()
        return (loss, outputs) if return_outputs else loss


def _trainer(base: RewardModel, rows: Sequence[EncodedRow], settings: RewardModelSettings, work_dir: Path) -> Trainer:
    arguments = _arguments(settings, work_dir)
    columns: dict[str, list[Any]] = {"probability": [row.probability for row in rows]}
    if settings.kind == "pairs":
        columns |= {name: [list(row.tokens[side]) for row in rows] for side, name in enumerate(_SIDES)}
        return SoftRewardTrainer(
            model=base.model,
            args=arguments,
            train_dataset=Dataset.from_dict(columns),
            processing_class=base.tokenizer,
            data_collator=_Collator(base.tokenizer.pad_token_id, _SIDES),
        )
    columns["answer_ids"] = [list(row.tokens[0]) for row in rows]
    return AnswerTrainer(
        model=base.model,
        args=arguments,
        train_dataset=Dataset.from_dict(columns),
        processing_class=base.tokenizer,
        data_collator=_Collator(base.tokenizer.pad_token_id, ("answer_ids",)),
        centre=settings.centre,
    )


_SIDES: Final = ("chosen_ids", "rejected_ids")


class _Collator:
    """Pads the texts of a batch on the right: first all texts of the first column, then all of the second."""

    def __init__(self, pad_token_id: int, columns: Sequence[str]) -> None:
        self._pad_token_id = pad_token_id
        self._columns = columns

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        texts = [torch.tensor(example[column]) for column in self._columns for example in examples]
        return {
            "input_ids": _padded(texts, self._pad_token_id),
            "attention_mask": _padded([torch.ones_like(text) for text in texts], 0),
            "probability": torch.tensor([example["probability"] for example in examples], dtype=torch.float32),
        }


def _padded(texts: list[torch.Tensor], value: int) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=value)


def _arguments(settings: RewardModelSettings, work_dir: Path) -> RewardConfig:
    processes = _processes().num_processes
    micro = settings.micro_batch_size or max(1, settings.batch_size // processes)
    if settings.batch_size % (micro * processes):
        raise ConfigError(
            f"batch_size={settings.batch_size} cannot be dealt to {processes} processes that read {micro} pairs at a "
            f"time; choose a multiple of {micro * processes}, or another micro_batch_size"
        )
    on_gpu = torch.cuda.is_available()
    return RewardConfig(
        output_dir=str(work_dir / CHECKPOINTS),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=settings.batch_size // (micro * processes),
        num_train_epochs=settings.epochs,
        max_steps=settings.steps or -1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup_share,
        weight_decay=settings.weight_decay,
        center_rewards_coefficient=settings.centre or None,
        max_length=None,  # rows that are too long were rejected and listed before
        seed=settings.seed,
        use_cpu=not on_gpu,
        bf16=on_gpu and torch.cuda.is_bf16_supported(),
        dataloader_pin_memory=on_gpu,
        activation_checkpointing=False,
        remove_unused_columns=False,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=settings.checkpoint_every,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
    )


def _with_adapters(model: Any, lora: LoraSettings) -> Any:
    head = "score" if hasattr(model, "score") else "classifier"
    adapters = LoraConfig(
        task_type="SEQ_CLS",
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules="all-linear",
        modules_to_save=[head],  # the head learns whole: low-rank changes to random weights would stay random
    )
    with warnings.catch_warnings():
        # The library asks the model in a way that a later version of the other library will not understand.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        return get_peft_model(model, adapters)


def _last_checkpoint(directory: Path) -> str | None:
    """Return the last whole checkpoint, after deleting one whose writing was cut short."""
    if not directory.is_dir():
        return None
    for checkpoint in directory.glob("checkpoint-*"):
        if not _is_whole(checkpoint):
            shutil.rmtree(checkpoint)
    return get_last_checkpoint(str(directory))


def _is_whole(checkpoint: Path) -> bool:
    """Say whether the file that a checkpoint's writing ends with is there and readable."""
    try:
        json.loads((checkpoint / TRAINER_STATE_NAME).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return True


def _check_trained(rewards: np.ndarray) -> None:
    if np.ptp(rewards) == 0:
        raise TrainingError(
            f"the trained model gives every text the same reward, {rewards[0]:.4g}, so nothing could be learned from "
            f"it; raise learning_rate or epochs, or check the labels"
        )


def _curve(history: Sequence[Mapping[str, float]]) -> list[CurveRow]:
    return [
        CurveRow(
            step=int(logs["step"]),
            loss=logs["loss"],
            learning_rate=logs["learning_rate"],
            accuracy=logs.get("accuracy"),
            margin=logs.get("margin"),
        )
        for logs in history
        if "loss" in logs
    ]
