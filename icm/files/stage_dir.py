"""Directories of stages: claimed by their settings first, completed by their manifest last. Knows no stage.

A directory without a manifest holds no result: it is either being written or was interrupted.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

import icm
from icm.errors import RunDirectoryError
from icm.files.records import MANIFEST, Manifest, first_problem, sha256_of, write_json

SETTINGS: Final = "settings.json"

_RECORDED_VERSIONS: Final = ("numpy", "numba", "torch", "transformers", "tokenizers")


@dataclass(frozen=True, slots=True)
class StageDir:
    """The directory of one stage of one run: claimed by its settings first, completed by its manifest last.

    Attributes:
        path: The directory.
        stage: Name of the stage; also the command that makes it, `icm <stage>`.
    """

    path: Path
    stage: str

    def claim(self, config: Mapping[str, Any]) -> Literal["fresh", "interrupted", "complete"]:
        """Take the directory for a run with these settings and say what is there already.

        Raises:
            RunDirectoryError: The directory belongs to a run with other settings, or its files are corrupt.
        """
        settings_path = self.path / SETTINGS
        settings = json.loads(json.dumps(config))
        if (self.path / MANIFEST).exists():
            found = self.read_manifest().config
        elif settings_path.exists():
            found = _load_json(settings_path)
        else:
            write_json(settings_path, settings)
            return "fresh"
        if found != settings:
            raise RunDirectoryError(
                f"{self.path} belongs to a run with other settings ({_first_difference(found, settings)}); "
                f"choose another out_dir, or delete this directory to start again"
            )
        return "complete" if (self.path / MANIFEST).exists() else "interrupted"

    def finish(self, manifest: Manifest, outputs: Iterable[str]) -> Manifest:
        """Complete the result: hash the outputs, then write the manifest. Return it as written."""
        complete = manifest.model_copy(
            update={
                "outputs": {name: sha256_of(self.path / name) for name in outputs},
                "versions": _versions(),
                "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )
        write_json(self.path / MANIFEST, complete.model_dump(mode="json"))
        (self.path / SETTINGS).unlink(missing_ok=True)
        return complete

    def read_manifest(self) -> Manifest:
        """Read the manifest of a finished stage.

        Raises:
            RunDirectoryError: There is none, or it is corrupt.
        """
        path = self.path / MANIFEST
        if not path.exists():
            raise RunDirectoryError(
                f"{self.path} has no {MANIFEST}, so it holds no result; run `icm {self.stage}` with the same settings"
            )
        try:
            return Manifest.model_validate(_load_json(path))
        except ValidationError as error:
            raise RunDirectoryError(
                f"{path}: {first_problem(error)}; delete {self.path} and run `icm {self.stage}` again"
            ) from None

    def verify(self, *names: str) -> Manifest:
        """Read the manifest and check that the outputs are the ones it describes.

        Args:
            names: The outputs to check, all if there are none; no other file is opened.

        Raises:
            RunDirectoryError: There is no manifest, or an output is missing or was altered.
        """
        manifest = self.read_manifest()
        for name in names or manifest.outputs:
            path = self.path / name
            if not path.exists() or sha256_of(path) != manifest.outputs.get(name):
                state = "altered" if path.exists() else "missing"
                raise RunDirectoryError(
                    f"{path} is {state} since `icm {self.stage}` wrote it; delete {self.path} and run it again"
                )
        return manifest


def _load_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunDirectoryError(f"{path} is corrupt ({error}); delete {path.parent} and run the stage again") from None


def _first_difference(found: Any, wanted: Any, where: str = "") -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted(found.keys() | wanted.keys()):
            if found.get(key) != wanted.get(key):
                return _first_difference(found.get(key), wanted.get(key), f"{where}.{key}".lstrip("."))
    return f"{where or 'settings'} was {found!r}, now {wanted!r}"


def _versions() -> dict[str, str]:
    libraries = {name: version(name) for name in _RECORDED_VERSIONS}
    return {"icm": icm.__version__, "python": platform.python_version(), **libraries}
