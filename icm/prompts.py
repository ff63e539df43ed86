"""Prompts as tuples of segments that share their beginnings. Knows no tokenizer and no model.

The leave-one-out prompts of N claims hold N*(N-1) labelled claims when written out. They are kept as paths through
a tree instead: a `Context` is a parent and a run of segments, so a batch of prompts costs what its distinct runs
cost, in memory and in hashing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from icm.claims import Claim, LabelSpace

SEPARATOR: Final = "\n\n"
"""What stands between two segments: a blank line, as in the authors' prompts."""

DIGEST_SIZE: Final = 16


def real_line_breaks(text: str) -> str:
    r"""Return a text of the settings as it stands, once it holds no `\n` or `\t` of two characters.

    A command line hands over a backslash and a letter where a line break was meant, and a model would read just that.

    Raises:
        ValueError: It holds one.
    """
    if found := re.search(r"\\[nrt]", text):
        raise ValueError(
            f"{text!r} holds a backslash and {found[0][1]!r}, two characters, and no line break or tab: write a real "
            f"one, in a YAML file between double quotes, or in bash as $'key=\"one\\nother\"'; a backslash that is "
            f"meant can stand in a column"
        )
    return text


# The same segments stand in thousands of prompts. Bounded, so that a process that lives long does not grow for ever.
@lru_cache(maxsize=1 << 20)
def _segment_digest(segment: str) -> bytes:
    return hashlib.blake2b(segment.encode(), digest_size=DIGEST_SIZE).digest()


class Context:
    """The labelled claims before a query: an immutable path of segments, sharing its beginning with its siblings.

    Attributes:
        parent: The context that this one continues, `None` at the root.
        run: The segments added to the parent.
        num_segments: Number of segments on the whole path.
    """

    # A labelling makes thousands of contexts, and slots save a dictionary in each.
    __slots__ = ("_hasher", "num_segments", "parent", "run")

    def __init__(self, parent: Context | None = None, run: tuple[str, ...] = ()) -> None:
        self.parent = parent
        self.run = run
        self.num_segments: int = len(run) + (parent.num_segments if parent else 0)
        # The state of the parent is copied, so a path of any length is hashed once and each child adds its run.
        self._hasher = parent._hasher.copy() if parent else hashlib.blake2b(digest_size=DIGEST_SIZE)
        # The digest of a path does not depend on where it is cut into runs: equal prompts have equal digests.
        self._hasher.update(b"".join(map(_segment_digest, run)))

    def extend(self, segments: Sequence[str]) -> Context:
        """Return this context continued by more segments."""
        # Nothing to add gives the same object, so equal paths stay one path.
        return Context(self, tuple(segments)) if segments else self

    def runs(self) -> list[tuple[str, ...]]:
        """Return the runs of the path, first to last."""
        path: list[tuple[str, ...]] = []
        node: Context | None = self
        while node is not None:
            path.append(node.run)
            node = node.parent
        return path[::-1]

    def digest_with(self, query: str) -> bytes:
        """Return the content hash of the segments of this path followed by a query."""
        hasher = self._hasher.copy()
        # The mark tells a query from a demo of the same text.
        hasher.update(b"?" + _segment_digest(query))
        return hasher.digest()


NO_CONTEXT: Final = Context()
"""The zero-shot context."""


class Prompt:
    """A context and the claim asked after it.

    Attributes:
        context: The labelled claims before the query.
        query: The text of the claim, up to its verdict.
        digest: Content hash of all segments, 16 bytes; equal for equal segments however they are cut into runs.
    """

    __slots__ = ("context", "digest", "query")

    def __init__(self, context: Context, query: str) -> None:
        self.context = context
        self.query = query
        self.digest = context.digest_with(query)

    @property
    def segments(self) -> tuple[str, ...]:
        """All segments, the query last."""
        return (*(segment for run in self.context.runs() for segment in run), self.query)

    @property
    def text(self) -> str:
        """The prompt as a model reads it."""
        return SEPARATOR.join(self.segments)


class Reading:
    """Claims read one after the other, each with its verdict; the model is asked what it expects at every verdict.

    It asks what n prompts would ask, of which each has the claims before its own as context, in one pass. The verdict
    of the last claim is asked and not shown.

    Attributes:
        queries: (n,) the texts of the claims, each up to its verdict.
        demos: (n - 1,) the claims but the last, with their verdicts.
        digest: Content hash of all of it, 16 bytes.
    """

    __slots__ = ("demos", "digest", "queries")

    def __init__(self, queries: Sequence[str], demos: Sequence[str]) -> None:
        if len(demos) != len(queries) - 1:
            raise ValueError(f"a reading shows all claims but the last: got {len(queries)} claims, {len(demos)} shown")
        self.queries = tuple(queries)
        self.demos = tuple(demos)
        # Named, so that a reading has no digest of a prompt. Nothing has to mark where the demos begin: n queries and
        # n - 1 demos make 2n - 1 digests, which give n.
        hasher = hashlib.blake2b(b"reading", digest_size=DIGEST_SIZE)
        hasher.update(b"".join(map(_segment_digest, (*self.queries, *self.demos))))
        self.digest = hasher.digest()

    def prompts(self) -> list[Prompt]:
        """Return the prompts that ask the same, one for each verdict."""
        context, prompts = NO_CONTEXT, [Prompt(NO_CONTEXT, self.queries[0])]
        for demo, query in zip(self.demos, self.queries[1:], strict=True):
            # Each context grows from the one before, so all prompts together hold every demo once.
            context = context.extend([demo])
            prompts.append(Prompt(context, query))
        return prompts


def render_demo(claim: Claim, label: int, space: LabelSpace) -> str:
    """Return the segment that shows a claim with its label."""
    return claim.text + space.verbalizers[label]


def render_demos(claims: Sequence[Claim], space: LabelSpace) -> list[list[str]]:
    """Return the segments that show each claim with each label: N times L."""
    return [[render_demo(claim, label, space) for label in range(len(space))] for claim in claims]
