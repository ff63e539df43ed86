"""What a user may call a model: a directory, a GGUF file, a name of the catalogue, a Hub id. Loads no model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from icm.errors import ScoringError
from icm.models.catalogue import PACKAGED_MODELS, PackagedModel, packaged_model
from icm.models.fetch import get_command, weights_of
from icm.models.gguf import converted


def local_directory(name: str | Path) -> Path | None:
    """Return the model directory that a name stands for, after converting a GGUF file; `None` for a Hub id.

    Args:
        name: A directory of safetensors, a GGUF file, a directory that holds a single one, a name that `icm models`
            lists, or a Hub id.

    Raises:
        ScoringError: There is no such model, it has not been fetched, or its GGUF file cannot be converted.
    """
    # A shell leaves the ~ of `model.path=~/x` as it is, because it does not begin the word.
    path = Path(name).expanduser()
    # What lies on the disk comes before the names of the catalogue: it is what the user sees.
    if path.is_file():
        return converted(path)
    if path.is_dir():
        weights = _gguf_in(path)
        return path if weights is None else converted(weights)
    model = packaged_model(str(name))
    if model is not None:
        return converted(_fetched(model))
    if isinstance(name, str) and _looks_like_hub_id(name):
        return None
    raise ScoringError(
        f"{path}: there is no such model directory; give a directory, a GGUF file or a Hub id (owner/name)"
    )


def misplaced_model(overrides: Sequence[str]) -> str | None:
    """Return what to say where `model=` is given a model instead of the name of a group of settings, else `None`.

    Args:
        overrides: Settings as on a command line, key=value.
    """
    for override in overrides:
        key, _, value = override.partition("=")
        # Hydra takes values in quotes, and here the quotes are still around them.
        value = value.strip("'\"")
        if key == "model" and ("/" in value or value.endswith(".gguf") or packaged_model(value)):
            groups = ", ".join(("local", "fake", *(model.group for model in PACKAGED_MODELS)))
            return (
                f"model={value}: model= names a group of settings ({groups}); a model itself goes to model.path=: a "
                f"directory, a GGUF file or a Hub id, as in model.path={_hub_id(value)}"
            )
    return None


def _fetched(model: PackagedModel) -> Path:
    weights = weights_of(model)
    if weights is None:
        raise ScoringError(f"{model.name} has not been fetched yet; fetch it once with: {get_command(model)}")
    return weights


def _gguf_in(directory: Path) -> Path | None:
    """Return the only GGUF file of a directory that has no safetensors, `None` if there is none."""
    # Some publishers put both formats into one directory; safetensors need no conversion.
    if any(directory.glob("*.safetensors")):
        return None
    found = sorted(directory.glob("*.gguf"))
    if len(found) > 1:
        raise ScoringError(f"{directory}: holds {len(found)} GGUF files; name one of them, as in model.path={found[0]}")
    return found[0] if found else None


def _looks_like_hub_id(name: str) -> bool:
    return not name.startswith((".", "/", "~")) and name.count("/") <= 1 and not name.endswith(".gguf")


def _hub_id(value: str) -> str:
    """Return the last two parts of the address of a model's page, which are its Hub id."""
    return "/".join(value.rstrip("/").rsplit("/", 2)[-2:]) if "://" in value else value
