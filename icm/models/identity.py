"""What a model directory is, by content: hashes of everything that its answers depend on. Loads no model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final

from icm.errors import ScoringError

ADAPTERS: Final = "adapter_config.json"

WEIGHTS: Final = ".safetensors"

_NEVER_READ: Final = frozenset(
    # Weights in other formats, papers and pictures. Whatever else lies there may be read: tokenizers have files of many
    # names, and a name that is not known here must not be left out.
    (".bin", ".gguf", ".h5", ".md", ".msgpack", ".onnx", ".pdf", ".jpg", ".png", ".pt", ".pth", ".svg", ".webp")
)


def digest_of_directory(directory: Path) -> str:
    """Return the content hash of a model directory; of adapters, together with that of their base.

    Raises:
        ScoringError: The directory holds adapters, and their base is not here.
    """
    base = base_of_adapters(directory)
    own = _digest(_read_files(directory))
    return own if base is None else f"{own}-on-{digest_of_directory(base)}"


def digest_of_tokenizer(directory: Path) -> str:
    """Return the content hash of what cuts texts into tokens: of all files but the weights.

    Raises:
        ScoringError: As `digest_of_directory`.
    """
    base = base_of_adapters(directory)
    own = _digest(file for file in _read_files(directory) if file.suffix != WEIGHTS)
    return own if base is None else f"{own}-on-{digest_of_tokenizer(base)}"


def base_of_adapters(directory: Path) -> Path | None:
    """Return the model directory that adapters stand on, `None` for a directory that holds no adapters.

    Raises:
        ScoringError: The base is not named, or is no directory on this machine.
    """
    path = directory / ADAPTERS
    if not path.is_file():
        return None
    try:
        base = json.loads(path.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (ValueError, AttributeError, RecursionError) as error:
        raise ScoringError(f"{path}: cannot be read ({error}); restore it") from None
    # A Hub id could be loaded, but what it stands for may change under its name.
    if not isinstance(base, str) or not base or not (Path(base) / "config.json").is_file():
        raise ScoringError(
            f"{directory} holds adapters alone, and their base {base!r} is no model directory here: write its "
            f"directory into base_model_name_or_path of {ADAPTERS}, or merge them (merge_and_unload, then "
            f"save_pretrained) and name the merged model"
        )
    return Path(base)


def _read_files(directory: Path) -> list[Path]:
    # Sorted, since a directory lists its files in no order of its own. A name without a suffix is a licence's.
    return sorted(
        path
        for path in directory.iterdir()
        if path.is_file() and path.suffix and path.suffix not in _NEVER_READ and not path.name.startswith(".")
    )


def _digest(files: Iterable[Path]) -> str:
    hasher = hashlib.blake2b(digest_size=16)
    for file in files:
        stat = file.stat()
        hasher.update(f"{file.name}\n{_digest_of_file(file, stat.st_size, stat.st_mtime_ns)}\n".encode())
    return hasher.hexdigest()


@lru_cache(maxsize=256)
def _digest_of_file(file: Path, size: int, modified: int) -> str:  # noqa: ARG001 - size and time make a stale entry miss
    with file.open("rb") as content:
        return hashlib.file_digest(content, "blake2b").hexdigest()
