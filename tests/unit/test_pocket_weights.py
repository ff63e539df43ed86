from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from icm.errors import ScoringError
from icm.pocket.weights import HASHED_NAMES, SHIPPED_DIR, pocket_model_dir


@pytest.fixture
def copy(tmp_path: Path) -> Any:
    return shutil.copytree(SHIPPED_DIR, tmp_path / "weights")


def test_the_shipped_model_is_whole() -> None:
    assert pocket_model_dir() == SHIPPED_DIR
    assert sum(path.stat().st_size for path in SHIPPED_DIR.iterdir()) < 16e6


@pytest.mark.parametrize("name", HASHED_NAMES)
def test_an_altered_file_is_refused_with_the_way_out(copy: Any, name: str) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    with pytest.raises(ScoringError, match=rf"(?s){name} was altered.*icm pocket train"):
        pocket_model_dir(copy)


@pytest.mark.parametrize("name", [*HASHED_NAMES, "sha256.json"])
def test_a_missing_file_is_refused_with_the_way_out(copy: Any, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ScoringError, match=rf"(?s){name}.*icm pocket train"):
        pocket_model_dir(copy)
