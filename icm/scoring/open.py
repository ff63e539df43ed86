"""Which model answers: one choice on the settings. Loads a backend only when it is asked for."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from icm.claims import LabelSpace
from icm.files.records import Record
from icm.models.identity import digest_of_tokenizer
from icm.models.names import local_directory
from icm.scoring.protocol import LabelScorer


class LocalModel(Record):
    """A causal language model on this machine.

    Attributes:
        path: Directory or Hub id; `None` for the embedded pocket model.
        revision: Revision of the Hub id.
        dtype: Number format of the weights; `auto` is what the device is good at.
        device: Where it runs.
        cache_tokens: Most tokens whose keys and values are kept from one batch of prompts to the next.
    """

    kind: Literal["local"]
    path: str | None = None
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    cache_tokens: int = Field(default=0, ge=0)


class FakeModel(Record):
    """A deterministic stand-in that answers at once."""

    kind: Literal["fake"]


EMBEDDED: Final = "the embedded pocket model"

ModelSettings = Annotated[LocalModel | FakeModel, Field(discriminator="kind")]


def open_scorer(settings: LocalModel | FakeModel, space: LabelSpace) -> LabelScorer:
    """Load a model and bind it to a label space.

    Raises:
        ScoringError: The model cannot be loaded, or cannot say the labels.
    """
    match settings:
        case FakeModel():
            from icm.scoring.fake import HashScorer

            return HashScorer(space)
        case LocalModel():
            # Imported here: it loads torch, which takes seconds that other commands should not pay.
            from icm.scoring.local import LocalScorer

            return LocalScorer.load(
                _location(settings),
                space,
                revision=settings.revision,
                dtype=settings.dtype,
                device=settings.device,
                cache_tokens=settings.cache_tokens,
                # The directory of the embedded model differs from machine to machine, so it is not named in files.
                name=settings.path or EMBEDDED,
            )


def identity_of_tokenizer(settings: LocalModel | FakeModel) -> str:
    """Return what identifies what a model cuts texts into tokens by, without loading the model.

    Raises:
        ScoringError: There is no such model.
    """
    match settings:
        case FakeModel():
            return "fake"
        case LocalModel():
            name = _location(settings)
            directory = local_directory(name)
            # What a Hub id stands for is known only once it has been fetched.
            return f"{name}@{settings.revision}" if directory is None else digest_of_tokenizer(directory)


def open_counter(settings: LocalModel | FakeModel, space: LabelSpace) -> LabelScorer:
    """Return what counts tokens as the scorer of a model does, without loading its weights; it answers nothing.

    Raises:
        ScoringError: There is no such model, or it cannot say the labels.
    """
    if isinstance(settings, FakeModel):
        return open_scorer(settings, space)
    from icm.scoring.local.counting import TokenCounter

    return TokenCounter(_location(settings), space, settings.revision)


def _location(settings: LocalModel) -> str:
    if settings.path is not None:
        return settings.path
    from icm.pocket.weights import pocket_model_dir

    return str(pocket_model_dir())
