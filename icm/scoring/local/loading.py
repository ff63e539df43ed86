"""Finds, checks and loads a model for the scorer. Knows files and devices, not prompts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as hub_logging

from icm.errors import ScoringError
from icm.models.identity import ADAPTERS, base_of_adapters, digest_of_directory
from icm.models.names import local_directory
from icm.models.whole import require_causal, require_sizes, require_weights

Dtype = Literal["auto", "float32", "bfloat16", "float16"]

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")


def load_model(name: str | Path, *, revision: str | None, dtype: Dtype, device: str) -> tuple[Any, Any, str]:
    """Load a causal language model from a directory or from the Hub; a directory never touches the network.

    Return the model in evaluation mode, its tokenizer, and a string that identifies both and the library.

    Args:
        name: A model directory, a GGUF file, a name that `icm models` lists, or a Hub id such as
            "Qwen/Qwen3-0.6B-Base".
        revision: Branch, tag or commit of a Hub id.
        dtype: "auto" takes bfloat16 on a GPU that has it; on a CPU where `cpu_dtype` says so; else float32.
        device: "auto" takes a GPU if there is one.

    Raises:
        ScoringError: There is no such model, it lacks safetensors weights or a tokenizer, or it is no whole causal
            language model.
    """
    place = _device(device)
    _check_dtype(dtype, place)
    directory = _directory(name)
    # Code that lies beside weights is never run.
    source: dict[str, Any] = {"trust_remote_code": False}
    source |= {"local_files_only": True} if directory else {"revision": revision}
    base = None if directory is None else base_of_adapters(directory)
    target = str(base or directory or name)
    with _quiet():
        try:
            config = AutoConfig.from_pretrained(target, **source)
            number = _auto_dtype(config, place) if dtype == "auto" else getattr(torch, dtype)
            tokenizer = AutoTokenizer.from_pretrained(target, **source)
            # Weights of another shape are let through here, so that they can be named below.
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                target,
                dtype=number,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **source,
            )
            model, report = loaded
            require_weights(target, report, ScoringError)
            if base is not None:
                _put_on(model, str(directory))
        except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
            # The messages of the library are long; their first line names the cause.
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ScoringError(f"cannot load {target!r} as a causal language model: {reason}") from error
    # A branch of a Hub id moves on, so the commit that was loaded stands for the weights.
    weights = digest_of_directory(directory) if directory else f"{name}@{model.config._commit_hash}"
    identity = f"{weights}-{str(number).removeprefix('torch.')}-transformers{transformers.__version__}"
    model = model.eval().to(place)
    require_sizes(str(name), model, tokenizer, ScoringError)
    require_causal(str(name), model, ScoringError)
    return model, tokenizer, identity


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the library's bar and its report on weights, which is read here."""
    bars_shown, level = hub_logging.is_progress_bar_enabled(), hub_logging.get_verbosity()
    hub_logging.disable_progress_bar()
    hub_logging.set_verbosity_error()
    try:
        yield
    finally:
        hub_logging.set_verbosity(level)
        if bars_shown:
            hub_logging.enable_progress_bar()


def _put_on(model: Any, directory: str) -> None:
    """Put adapters on their base.

    Raises:
        ScoringError: Some of their weights are missing or have no place.
    """
    with warnings.catch_warnings():
        # PEFT still uses a name that transformers 6 will drop.
        warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)
        report = model.load_adapter(directory, adapter_kwargs={"local_files_only": True})
    require_weights(directory, vars(report), ScoringError)


def _directory(name: str | Path) -> Path | None:
    """Return the model directory, checked; `None` if the name can only be a Hub id."""
    path = local_directory(name)
    if path is None:
        return None
    # Adapters bring neither configuration nor tokenizer of their own: both are those of their base.
    if (path / ADAPTERS).is_file():
        # The library would take pickled ones too, which could run code of their own.
        if not (path / "adapter_model.safetensors").is_file():
            raise ScoringError(f"{path}: adapters without adapter_model.safetensors; save them in safetensors format")
        return path
    if not (path / "config.json").is_file():
        raise ScoringError(f"{path}: not a model directory: config.json is missing")
    if not any(path.glob("*.safetensors")):
        raise ScoringError(
            f"{path}: no weights in safetensors format (*.safetensors); "
            f"convert them with model.save_pretrained(..., safe_serialization=True)"
        )
    if not any((path / file).is_file() for file in _TOKENIZER_FILES):
        raise ScoringError(
            f"{path}: no tokenizer (none of {', '.join(_TOKENIZER_FILES)}); "
            f"copy in the files of the model's own tokenizer"
        )
    return path


def _device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ScoringError(f"device {device!r} is asked for, but torch finds no GPU; use device=cpu or device=auto")
    try:
        place = torch.device(device)
    except RuntimeError:
        raise ScoringError(
            f"device {device!r}: there is no such device; use auto, cpu, cuda, cuda:1 … or mps"
        ) from None
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise ScoringError(f"device {device!r}: there are {torch.cuda.device_count()} GPUs, counted from cuda:0")
    if place.type == "mps" and not torch.backends.mps.is_available():
        raise ScoringError(f"device {device!r}: torch finds no such device here; use device=cpu or device=auto")
    # Others are named by torch and not installed with it, or hold no numbers at all (`meta`).
    if place.type not in ("cpu", "cuda", "mps"):
        raise ScoringError(f"device {device!r}: models run on cpu, cuda or mps; use device=auto")
    return place


def cpu_dtype(stored: torch.dtype | None, has_units: bool) -> torch.dtype:
    """Return the number format in which to compute on a CPU where the user leaves the choice.

    bfloat16 where the weights are stored in it anyway and the CPU has units for it: two such models read 1.9 times as
    many tokens per second of processor time, and their label log-probabilities moved by 0.03 nats in the mean and 0.11
    at most, which turned no label (docs/results/dtype.jsonl). Without such units bfloat16 is emulated and slow, and
    weights stored in float32 would lose digits.

    Args:
        stored: Number format of the weights in their file; `None` where the model does not say.
        has_units: Whether the CPU has units for bfloat16.
    """
    return torch.bfloat16 if has_units and stored == torch.bfloat16 else torch.float32


def _check_dtype(dtype: Dtype, device: torch.device) -> None:
    if dtype == "float16" and device.type == "cpu":
        raise ScoringError(
            "dtype float16 is asked for on a CPU, which computes in it slowly and with overflows; use dtype=auto, "
            "float32 or bfloat16"
        )


def _auto_dtype(config: Any, device: torch.device) -> torch.dtype:
    if device.type == "cpu":
        return cpu_dtype(getattr(config.get_text_config(), "dtype", None), _has_bfloat16_units())
    # float16 is never chosen: activations of models trained in bfloat16 go beyond its range.
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32


def _has_bfloat16_units() -> bool:
    # Those of ARM processors were not measured and do not count.
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
