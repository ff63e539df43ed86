"""GGUF files: reads what stands at their beginning, checks them, and converts them once. Reading needs no library.

A GGUF file is: magic, version, number of tensors, number of metadata pairs; the pairs; for each tensor its name, shape,
type and offset; then the data of the tensors, from the next multiple of the alignment on. Numbers are little-endian.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

from icm.errors import ScoringError
from icm.models.cache import cache_dir, made_once

CONVERSION: Final = 1
"""Version of the conversion; it changes when the same file would become another model directory."""

LIBRARIES: Final = ("gguf", "sentencepiece", "accelerate")
"""What the conversion needs beside the transformers library: the extra `gguf`."""

# Version 1 counts in 32 bits, so its header would be misread; version 3 only adds big-endian files to version 2.
_VERSIONS: Final = (2, 3)
_STRING, _ARRAY = 8, 9
_FORMATS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Value types of fixed size, as `struct` calls them."""

_DEFAULT_ALIGNMENT: Final = 32
# ggml has tensors of at most 4 dimensions; a much larger number is a sign of damage, and would take long to read.
_MOST_DIMENSIONS: Final = 8


class Tensor(NamedTuple):
    """One entry of the tensor table.

    Attributes:
        name: Its name in the words of llama.cpp.
        num_values: Numbers in it.
        type: How they are stored, as a number of the ggml library.
        offset: Where its data begins, in bytes from the beginning of the data.
    """

    name: str
    num_values: int
    type: int
    offset: int


class GgufHeader(NamedTuple):
    """What stands before the data of a GGUF file.

    Attributes:
        metadata: The metadata but for arrays, of which only the length is kept.
        tensors: The tensor table.
        data_start: Where the data begins, in bytes.
    """

    metadata: dict[str, Any]
    tensors: tuple[Tensor, ...]
    data_start: int

    @property
    def architecture(self) -> str:
        """The family of the model, in the words of llama.cpp; empty where the file does not say."""
        return str(self.metadata.get("general.architecture", ""))


def converted(path: Path) -> Path:
    """Return the model directory that a GGUF file becomes; the first time it is made, which takes up to minutes.

    The directory lies in the cache under the hash of the file's content, so a file that moves is found again and one
    that changes is not mistaken.

    Args:
        path: The GGUF file.

    Raises:
        ScoringError: It is no whole GGUF file, its architecture is not known, or a library is missing.
    """
    check(path)
    # The whole file is read each time: size and date do not tell apart two files that were put in the same place.
    content = sha256_of(path)
    directory = cache_dir() / "converted" / f"{content[:32]}-{CONVERSION}"
    if not directory.is_dir():  # what is converted already needs none of the libraries
        require_libraries(str(path))

    def make(unfinished: Path) -> None:
        from icm.models.convert import convert

        convert(path, unfinished)
        about = {"sha256": content, "architecture": read_header(path).architecture, "conversion": CONVERSION}
        # For people who look into the cache; no code reads it.
        (unfinished / "conversion.json").write_text(json.dumps(about, indent=2) + "\n")

    return made_once(directory, make)


def check(path: Path) -> None:
    """Make sure that a file is a whole GGUF file of a known architecture, reading its beginning alone.

    Raises:
        ScoringError: It is not.
    """
    header = read_header(path)
    # Before the architecture is looked at, which only the first part of a split file names.
    parts = header.metadata.get("split.count", 1)
    if parts > 1:
        raise ScoringError(
            f"{path}: one of {parts} parts of a split GGUF file; join them first: llama-gguf-split --merge"
        )
    size, needed = path.stat().st_size, _least_size(header)
    if size < needed:
        raise ScoringError(f"{path}: truncated: holds {size:,} bytes of at least {needed:,}; download it again")
    if not _is_known(header.architecture):
        raise ScoringError(
            f"{path}: the transformers library cannot read GGUF files of architecture {header.architecture!r}; give "
            f"the same model as a directory of safetensors or a Hub id"
        )


def read_header(path: Path) -> GgufHeader:
    """Read what stands before the data of a GGUF file.

    Raises:
        ScoringError: The file is no GGUF file, is of an unknown version, or ends before its data begins.
    """
    with path.open("rb") as file:
        magic = file.read(4)
        if magic != b"GGUF":
            raise ScoringError(f"{path}: no GGUF file: it begins with {magic!r}, not with b'GGUF'")
        # Mapped, since only reading a header tells how long it is. An empty file, which cannot be mapped, has no magic.
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                return _parse(path, content)
            # A `ValueError` is a number that no sound file holds, or text that is no UTF-8.
            except (struct.error, ValueError) as error:
                raise ScoringError(
                    f"{path}: truncated or damaged: its tensor table cannot be read ({error}); download it again"
                ) from None


def require_libraries(name: str) -> None:
    """Make sure that the libraries of the conversion are installed.

    Args:
        name: What is to be converted, for the message.

    Raises:
        ScoringError: One is missing.
    """
    missing = [library for library in LIBRARIES if find_spec(library) is None]
    if missing:
        raise ScoringError(
            f"{name}: converting a GGUF file needs {', '.join(missing)}: pip install 'icm-elicitation[gguf]'; or give "
            f"the same model as a directory of safetensors"
        )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parse(path: Path, content: mmap.mmap) -> GgufHeader:
    reader = _Reader(content, at=4)
    version = reader.number("I")
    if version not in _VERSIONS:
        raise ScoringError(f"{path}: GGUF version {version} is not known; versions 2 and 3 are")
    num_tensors, num_pairs = reader.number("Q"), reader.number("Q")
    metadata: dict[str, Any] = {}
    for _ in range(num_pairs):
        key = reader.text()
        metadata[key] = reader.value(reader.number("I"))
    tensors = tuple(_read_tensor(reader) for _ in range(num_tensors))
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    return GgufHeader(metadata, tensors, -(-reader.at // alignment) * alignment)


def _read_tensor(reader: _Reader) -> Tensor:
    name = reader.text()
    num_dimensions = reader.number("I")
    if num_dimensions > _MOST_DIMENSIONS:
        raise ValueError(f"tensor {name!r} has {num_dimensions} dimensions")
    # A tensor without dimensions holds one number, as the empty product says.
    num_values = math.prod(reader.number("Q") for _ in range(num_dimensions))
    # Arguments are evaluated from left to right, so type and offset are read in the order of the file.
    return Tensor(name, num_values, reader.number("I"), reader.number("Q"))


class _Reader:
    """Reads one value after the other.

    Attributes:
        at: Bytes read so far.
    """

    def __init__(self, content: mmap.mmap, at: int) -> None:
        self._content = content
        self.at = at

    def number(self, form: str) -> Any:
        (value,) = struct.unpack_from(f"<{form}", self._content, self.at)
        self.at += struct.calcsize(f"<{form}")
        return value

    def text(self) -> str:
        size = self.number("Q")
        begin = self._skip(size)
        return self._content[begin : self.at].decode()

    def value(self, kind: int) -> Any:
        """Return a value of the metadata; of an array only its length."""
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self._array()
        if kind not in _FORMATS:
            raise ValueError(f"a value of type {kind}")
        return self.number(_FORMATS[kind])

    def _array(self) -> int:
        # Skipped unread: most arrays are vocabularies of tens of thousands of texts, and nothing here needs them.
        kind, length = self.number("I"), self.number("Q")
        if kind in _FORMATS:
            self._skip(length * struct.calcsize(f"<{_FORMATS[kind]}"))
        elif kind == _STRING:
            for _ in range(length):
                self._skip(self.number("Q"))
        else:
            raise ValueError(f"an array of type {kind}")
        return length

    def _skip(self, size: int) -> int:
        """Go on by some bytes; return where they begin."""
        begin = self.at
        self.at += size
        # The size comes from the file, and a damaged file may name more bytes than it has.
        if self.at > len(self._content):
            raise ValueError(f"{size:,} bytes from byte {begin:,} on, in a file of {len(self._content):,}")
        return begin


def _least_size(header: GgufHeader) -> int:
    """Return how many bytes a file with this header holds at least.

    How many bytes a block of numbers takes is known to the `gguf` library alone; without it the last tensor counts as
    one byte.
    """
    sizes: dict[int, tuple[int, int]] = {}
    if find_spec("gguf"):
        from gguf.constants import GGML_QUANT_SIZES

        sizes = {int(kind): size for kind, size in GGML_QUANT_SIZES.items()}
    ends = [header.data_start]
    for tensor in header.tensors:
        # `max`, since a tensor without numbers would make blocks of none, and divide by zero below.
        per_block, block_bytes = sizes.get(tensor.type, (max(1, tensor.num_values), 1))
        ends.append(header.data_start + tensor.offset + tensor.num_values // per_block * block_bytes)
    return max(ends)


def _is_known(architecture: str) -> bool:
    """Return whether the transformers library can read GGUF files of an architecture."""
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    # The library spells some families in its own way before it looks them up: gpt-oss is gpt_oss there.
    plain = architecture.replace("-", "").replace("_", "")
    return plain in {known.replace("-", "").replace("_", "") for known in GGUF_SUPPORTED_ARCHITECTURES}
