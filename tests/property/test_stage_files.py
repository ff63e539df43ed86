"""Whatever stands in the files that a stage goes on from, the answer is a result or a message, never a traceback."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from icm.claims import TRUE_FALSE
from icm.commands.memory import RUN, remembered
from icm.config import Places, load
from icm.elicit.checkpoint import load_checkpoint
from icm.errors import IcmError
from icm.files.curves import read_curve
from icm.files.records import MANIFEST
from icm.files.stage_dir import SETTINGS, StageDir
from icm.models.identity import ADAPTERS, digest_of_directory
from icm.scoring.fake import HashScorer
from icm.scoring.journal import JournalScorer
from icm.training.loop import CHECKPOINTS, CURVE, MARK, TRAINED, is_trained, last_checkpoint

CONFIG = load()
KEYS = st.sampled_from(
    ["stage", "config", "inputs", "outputs", "digest", "files", "curves", "checkpoint", "sha256", "kind", "schema", "x"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5))
CONTENTS = (
    st.binary(max_size=40)
    | VALUES.map(lambda value: json.dumps(value).encode() + b"\n")
    | st.lists(VALUES.map(json.dumps), max_size=3).map(lambda lines: "\n".join(lines).encode())
)


def _stage(directory: Path) -> None:
    with StageDir(directory, "elicit", {"seed": 0}, {}) as stage:
        stage.complete()


def _remembered(directory: Path) -> None:
    remembered(Places(run_dir=directory, out_dir=directory), CONFIG, [])


def _marked(directory: Path) -> None:
    last_checkpoint(directory, (CURVE,), Console(file=io.StringIO()))


READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "manifest": (MANIFEST, _stage),
    "settings": (SETTINGS, _stage),
    "checkpoint": ("checkpoint.json", lambda directory: load_checkpoint(directory / "checkpoint.json")),
    "journal": ("journal.jsonl", lambda directory: JournalScorer(HashScorer(TRUE_FALSE), directory / "journal.jsonl")),
    "run": (RUN, _remembered),
    "curve": (CURVE, lambda directory: read_curve(directory / CURVE)),
    "mark of a checkpoint": (f"{CHECKPOINTS}/checkpoint-3/{MARK}", _marked),
    "mark of a training": (TRAINED, is_trained),
    "adapters": (ADAPTERS, digest_of_directory),
}


@pytest.mark.parametrize(("name", "read"), READERS.values(), ids=READERS)
@settings(max_examples=60)
@given(content=CONTENTS)
@example(content=b"")
@example(content=b"[" * 100_000)
@example(content=b"\xff\xfe")
@example(content=b'{"a": ' + b"9" * 5000 + b"}")
@example(content=b'{"kind": "journal", "schema": 2}\n')
@example(content=b"\x00" * 30)
def test_any_content_is_a_message_or_a_result(
    tmp_path_factory: pytest.TempPathFactory, name: str, read: Callable[[Path], Any], content: bytes
) -> None:
    directory = tmp_path_factory.mktemp("stage")
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    with contextlib.suppress(IcmError):
        read(directory)
