"""Where the shipped pocket model lies and whether it is whole. Knows no world and imports no torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

from icm.errors import ScoringError

SHIPPED_DIR: Final = Path(__file__).parent / "weights"
HASH_NAME: Final = "sha256.json"
# The tokenizer too: another cut of the same text gives other answers from the same weights.
HASHED_NAMES: Final = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
REBUILD_COMMAND: Final = "icm pocket train"


def pocket_model_dir(directory: Path = SHIPPED_DIR) -> Path:
    """Return the directory of the pocket model after checking its files against their hashes.

    Raises:
        ScoringError: A file is missing or altered.
    """
    hash_path = directory / HASH_NAME
    if not hash_path.exists():
        raise ScoringError(f"{hash_path} is missing, so the pocket model cannot be checked; {_way_out(directory)}")
    # Checked at every load: another model behind the same path would answer, and no one would notice.
    try:
        expected = dict(json.loads(hash_path.read_text()))
    except (ValueError, TypeError) as error:
        raise ScoringError(f"{hash_path} cannot be read ({error}); {_way_out(directory)}") from None
    for name in HASHED_NAMES:
        path = directory / name
        if not path.exists():
            raise ScoringError(f"the pocket model lacks {path}; {_way_out(directory)}")
        if (found := _sha256(path)) != expected.get(name):
            raise ScoringError(
                f"{path} was altered: its SHA-256 is {found}, expected {expected.get(name)}; {_way_out(directory)}"
            )
    return directory


def write_hash(directory: Path) -> None:
    """Write the hashes of a finished model beside it."""
    hashes = {name: _sha256(directory / name) for name in HASHED_NAMES}
    (directory / HASH_NAME).write_text(json.dumps(hashes, indent=2) + "\n")


def _way_out(directory: Path) -> str:
    return f"restore it from version control or train another one with `{REBUILD_COMMAND} out_dir={directory}`"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
