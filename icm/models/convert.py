"""Turns a GGUF file into a model directory with the transformers library. Loads torch; knows no cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as hub_logging

from icm.errors import ScoringError


def convert(path: Path, out_dir: Path) -> None:
    """Write weights, configuration and tokenizer of a GGUF file as a model directory.

    The weights become bfloat16: what is lost to its eight bits is small beside what the quantisation has lost before.

    Args:
        path: A GGUF file whose header has been checked.
        out_dir: An empty directory.

    Raises:
        ScoringError: The library cannot make a model of the file.
    """
    # The library wants directory and file name apart, and must not look for either of them on the Hub.
    source: dict[str, Any] = {"gguf_file": path.name, "local_files_only": True}
    level = hub_logging.get_verbosity()
    hub_logging.set_verbosity_error()  # its advice on packed weights does not apply: they are unpacked here
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path.parent), **source)
        loaded: Any = AutoModelForCausalLM.from_pretrained(str(path.parent), dtype=torch.bfloat16, **source)
        _plain(loaded).save_pretrained(out_dir)
        tokenizer.save_pretrained(out_dir)
    except Exception as error:  # the tokenizers library raises nothing narrower on a vocabulary that does not fit
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ScoringError(f"{path}: the transformers library cannot convert this GGUF file: {lines[0]}") from error
    finally:
        hub_logging.set_verbosity(level)


def _plain(loaded: Any) -> Any:
    """Return the same model without the mark that its weights came quantised, with which it could not be saved."""
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):  # takes no memory: the weights of the loaded model take their places
        plain: Any = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    # Assigned, not copied: tensors on the meta device have no memory to copy into.
    plain.load_state_dict(loaded.state_dict(), assign=True)
    # Assigning separates embedding and head of a model that shares them; here they become one tensor again.
    plain.tie_weights()
    # A model built from its configuration has default settings of generation; those of the file must not be lost.
    plain.generation_config = loaded.generation_config
    return plain
