"""What a caller may give as the model: a name, a loaded pair of model and tokenizer, or a scorer."""

from __future__ import annotations

import json
from os import PathLike
from typing import Any

from icm.claims import LabelSpace
from icm.errors import ConfigError
from icm.scoring.protocol import LabelScorer

Model = str | PathLike[str] | tuple[Any, Any] | LabelScorer | None
"""Directory, GGUF file, Hub id or its address, name of `icm models`; (model, tokenizer); a scorer; `None` for the
embedded model."""


def model_overrides(model: Model) -> list[str]:
    """Return the settings that name a model; none where it is handed over as an object."""
    if model is None or not isinstance(model, str | PathLike):
        return []
    # An address of the Hub names the model by its last two parts.
    name = str(model)
    if name.startswith(("http://", "https://")):
        name = "/".join(name.rstrip("/").split("/")[3:5])
        if not name:
            raise ConfigError(f"model={model}: not the address of a model; give a directory, a file or a Hub id")
    return [f"model.path={json.dumps(name)}"]


def scorer_of(model: Model, space: LabelSpace) -> LabelScorer | None:
    """Return the scorer of a model that was handed over as an object; `None` for one that the settings name.

    Raises:
        ConfigError: It is none, or a scorer for another number of labels.
    """
    if model is None or isinstance(model, str | PathLike):
        return None
    if isinstance(model, tuple):
        if len(model) != 2:
            raise ConfigError(f"model: a pair of model and tokenizer is wanted, got a tuple of {len(model)}")
        # Loaded here, since it loads torch.
        from icm.scoring.local.given import scorer_of_pair

        return scorer_of_pair(*model, space)
    if not hasattr(model, "label_logprobs"):
        raise ConfigError(
            f"model: a path, a Hub id, (model, tokenizer) or a scorer is wanted, got {type(model).__name__}"
        )
    if model.num_labels != len(space):
        raise ConfigError(
            f"model: the scorer was made for {model.num_labels} labels, and there are {len(space)}: "
            f"{', '.join(space.names)}"
        )
    return model
