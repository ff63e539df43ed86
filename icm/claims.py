"""Claims, label spaces and label vectors: the domain's values. Does no I/O and knows no model and no golden label."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NewType

import numpy as np
from numpy.typing import ArrayLike, NDArray

ClaimId = NewType("ClaimId", str)
"""Content hash of a claim: sorting by it reveals nothing about where the claim stood in its source."""

Labels = NDArray[np.int8]
"""(N,) index into the label space per claim, `UNLABELLED` where the claim carries no label."""

MOST_LABELS: Final = 127
"""Label vectors hold indices as 8-bit numbers, and -1."""

UNLABELLED: Final = -1
AFFIRMING: Final = 1
"""Of the two labels of a binary space, the one that affirms the claim; the other one, 0, denies it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerKey:
    """What a claim answers, normalised: within a group, equal values mean the same answer."""

    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonKey:
    """What a claim compares: it says that response `first` is better than response `second` (content hashes)."""

    first: str
    second: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One statement to label. Nothing in it derives from a golden label.

    Attributes:
        id: Content hash of group and text, see `claim_id`.
        group: Content hash shared by the claims about one question or pair, see `group_id`.
        text: The statement up to, not including, the verdict and the space before it.
        parts: The named pieces that the text was rendered from: `question` and `answer` of a pointwise claim,
            `question`, `response_1` and `response_2` of a comparison.
        key: What `icm.relations` may reason about, `None` where nothing follows from the meaning.
    """

    id: ClaimId
    group: str
    text: str
    parts: Mapping[str, str]
    key: AnswerKey | ComparisonKey | None = None


ABSENT_WORDS: Final = frozenset({"", "nan", "NaN", "<NA>"})
"""What programs write in a table where there is no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSpace:
    """A finite alphabet of two or more labels and the strings a model says for them.

    Attributes:
        names: How files and reports call the labels, in the order of their indices. In a binary space index
            `AFFIRMING` affirms the claim.
        verbalizers: What follows the text of a claim, with the leading space (" True"), one for each label.

    Raises:
        ValueError: There are fewer than two labels or more than `MOST_LABELS`, a name or verbalizer is blank or
            repeated, a name is a word that stands for no value (`ABSENT_WORDS`), or one verbalizer begins another, so
            that the model could not tell which of the two it is about to say.
    """

    names: tuple[str, ...]
    verbalizers: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            raise ValueError(f"a label space needs at least two labels, got {list(self.names)}")
        if len(self.names) > MOST_LABELS:
            raise ValueError(
                f"a label space holds at most {MOST_LABELS} labels, got {len(self.names)}; merge some of them"
            )
        if len(self.names) != len(self.verbalizers):
            raise ValueError(
                f"each label needs one verbalizer: got {len(self.names)} names {list(self.names)} "
                f"and {len(self.verbalizers)} verbalizers {list(self.verbalizers)}"
            )
        _require_told_apart("name", self.names)
        _require_told_apart("verbalizer", self.verbalizers)
        if absent := [name for name in self.names if name.strip() in ABSENT_WORDS]:
            raise ValueError(f"{absent[0]!r} stands for no value in a file, so no label can be called so; rename it")
        # A model that is about to say " Yes" is also about to say " Ye": the two probabilities would overlap.
        for one in self.verbalizers:
            for other in self.verbalizers:
                if one != other and other.startswith(one):
                    raise ValueError(
                        f"verbalizer {one!r} is a prefix of verbalizer {other!r}, so their probabilities "
                        f"overlap; choose strings of which none begins another"
                    )

    def __len__(self) -> int:
        return len(self.names)


def _require_told_apart(what: str, values: tuple[str, ...]) -> None:
    if any(not value.strip() for value in values):
        raise ValueError(f"a label {what} must not be blank, got {list(values)}")
    # Two labels of one name could not be told apart in a label file, nor two verbalizers by the model.
    if len(set(values)) < len(values):
        raise ValueError(f"label {what}s must differ from one another, got {list(values)}")


TRUE_FALSE: Final = LabelSpace(names=("False", "True"), verbalizers=(" False", " True"))
"""The verdicts of all binary tasks."""


def group_id(*parts: str) -> str:
    """Return the content hash that names a group, from what its claims are about (the question, say).

    An accented letter is the same letter however a file composes it.
    """
    # Each hash begins with its kind, so that a group, a response and a claim of one text have three ids.
    return _content_hash("group", *map(composed, parts))


def response_id(text: str) -> str:
    """Return the content hash that stands for a response in a `ComparisonKey`."""
    return _content_hash("response", composed(text))


def composed(text: str) -> str:
    """Return a text as keys are compared: accented letters as one character each (NFC).

    Texts themselves are never changed: a model reads what the file holds.
    """
    return unicodedata.normalize("NFC", text)


def claim_id(group: str, text: str) -> ClaimId:
    """Return the content hash that names a claim."""
    return ClaimId(_content_hash("claim", group, text))


def freeze(labels: ArrayLike) -> Labels:
    """Return the labels as a read-only int8 array; what was handed in is copied if it was writable."""
    # Read-only, because states of a search share label vectors and nobody may change them in passing.
    frozen = np.array(labels, dtype=np.int8)
    frozen.setflags(write=False)
    return frozen


def _content_hash(*parts: str) -> str:
    # The length before each part keeps ("ab", "c") and ("a", "bc") apart.
    # 64 bits keep files short; among a million claims the chance of two equal ids is below one in ten million.
    hasher = hashlib.blake2b(digest_size=8)
    for part in parts:
        encoded = part.encode()
        hasher.update(len(encoded).to_bytes(8, "little"))
        hasher.update(encoded)
    return hasher.hexdigest()
