"""The training libraries, kept quiet, and the model directories that they write. Knows no model."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import torch
from accelerate import PartialState
from huggingface_hub import constants as hub_constants
from transformers.utils import logging as transformers_logging


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence bars, notices and telemetry of the libraries; what matters of them is checked or shown by our code."""
    # Restored in the end: `icm run stages=all` trains in the process in which other commands follow.
    telemetry_off = hub_constants.HF_HUB_DISABLE_TELEMETRY
    verbosity = transformers_logging.get_verbosity()
    model_bars, data_bars = transformers_logging.is_progress_bar_enabled(), datasets.are_progress_bars_disabled()
    hub_constants.HF_HUB_DISABLE_TELEMETRY = True
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            # TRL and PEFT still use a name that transformers 6 will drop.
            warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)
            yield
    finally:
        hub_constants.HF_HUB_DISABLE_TELEMETRY = telemetry_off
        transformers_logging.set_verbosity(verbosity)
        if model_bars:
            transformers_logging.enable_progress_bar()
        if not data_bars:
            datasets.enable_progress_bars()


def save_model(model: Any, tokenizer: Any, directory: Path) -> None:
    """Write a model directory whole or not at all: beside its place, then renamed."""
    # Stages take a directory of this name for a finished model.
    partial = directory.with_name(directory.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with quiet_libraries():
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
    shutil.rmtree(directory, ignore_errors=True)
    partial.rename(directory)


def processes() -> PartialState:
    """Return the processes of this training: one, or those that `accelerate launch` started."""
    # Told about the CPU, or it would look for a device that only an accelerator has.
    return PartialState(cpu=not torch.cuda.is_available())
