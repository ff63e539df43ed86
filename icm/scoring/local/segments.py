"""Turns segments into tokens one by one, as they would stand in the whole prompt. Knows no model.

Prompts share prefixes only if a segment always becomes the same tokens. That holds where the tokenizer never merges
across the blank line between segments or across the space before a verbalizer; both are checked, not assumed, for every
beginning and every end that segments have.

The text of a claim is text: what a tokenizer would take for one of its control tokens ("</s>") is read letter by
letter.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Final

from icm.claims import LabelSpace
from icm.errors import ScoringError
from icm.prompts import SEPARATOR
from icm.scoring.trie import Tokens


def control_tokens(tokenizer: Any) -> tuple[str, ...]:
    """Return how the control tokens of a tokenizer are written; inside a text they would be commands, not words."""
    added = (str(token) for token in tokenizer.added_tokens_decoder.values() if token.special)
    return tuple(dict.fromkeys((*tokenizer.all_special_tokens, *added)))


SEAM_CHARACTERS: Final = 64
"""What of a segment's end or beginning decides how it merges with what stands next to it: longer than any token of
the known tokenizers, and longer than the end that a template gives all claims."""


class SegmentTokenizer:
    """The tokens of first segments, later segments and verbalizers."""

    def __init__(self, tokenizer: Any, space: LabelSpace) -> None:
        """Bind a tokenizer of the transformers library to a label space.

        Raises:
            ScoringError: A verbalizer becomes no token, an unknown one, or the beginning of another; or the
                tokenizer merges tokens across the seams of a prompt.
        """
        self._tokenizer = tokenizer
        self._space = space
        # What precedes a later segment is a demo, so it ends in a verbalizer. Some tokenizers mark the beginning of
        # every text; what is tokenised after an anchor does not carry that mark.
        self._anchor = space.verbalizers[0]
        self._anchor_tokens = self._plain(self._anchor)
        self._start = self._start_tokens()
        self._cache: dict[tuple[str, bool], Tokens] = {}
        self._known_seams: set[tuple[str, bool]] = set()
        self._controls = control_tokens(tokenizer)
        self._controls_told: set[str] = set()
        self.verbalizers = tuple(self._after_anchor(verbalizer) for verbalizer in space.verbalizers)
        self._check_verbalizers()
        self.check_seams([f"Is this right?{verbalizer}" for verbalizer in space.verbalizers] + ["Is this right?"])

    def encode(self, segment: str, first: bool) -> Tokens:
        """Return the tokens of a segment, with what precedes it: the beginning of the text or the separator.

        Raises:
            ScoringError: The tokenizer lacks a word of the segment, or makes no token of it.
        """
        found = self._cache.get((segment, first))
        if found is None:
            found = self._tokens(segment, first)
            if not found:
                raise ScoringError(f"the tokenizer makes no token of {segment!r}, so nothing can be read after it")
            self._check_known(segment, first, found)
            self._check_controls(segment, found[len(self._start) if first else 0 :])
            self._cache[segment, first] = found
        return found

    def check_queries(self, queries: Iterable[str]) -> None:
        """Make sure that claims become the same tokens alone and with what stands before and after them.

        Claims that end alike are checked once, and so are claims that begin alike.

        Raises:
            ScoringError: One does not; the message names it.
        """
        for query in queries:
            end, beginning = query[-SEAM_CHARACTERS:], query[:SEAM_CHARACTERS]
            if (end, True) not in self._known_seams:
                self._check_end(query)
                self._known_seams.add((end, True))
            if (beginning, False) not in self._known_seams:
                self._check_beginning(query, beginning)
                self._known_seams.add((beginning, False))

    def _check_end(self, query: str) -> None:
        alone = self._tokens(query, first=False)
        for verbalizer, tokens in zip(self._space.verbalizers, self.verbalizers, strict=True):
            if self._tokens(query + verbalizer, first=False) != (*alone, *tokens):
                raise ScoringError(
                    f"the tokenizer merges the end of the claim {query[-40:]!r} with {verbalizer!r}: alone it would "
                    f"not become the same tokens as with its verdict; end claims in a letter or a mark that the "
                    f"tokenizer keeps apart, or choose other verbalizers"
                )

    def _check_beginning(self, query: str, beginning: str) -> None:
        for verbalizer in self._space.verbalizers:
            alone = self._plain(verbalizer)
            if self._plain(verbalizer + SEPARATOR + beginning)[: len(alone)] != alone:
                raise ScoringError(
                    f"the tokenizer merges {verbalizer!r} with the beginning of the claim {query[:40]!r}; begin claims "
                    f"with a letter, or choose verbalizers that end in a letter"
                )

    def check_seams(self, segments: Sequence[str]) -> None:
        """Make sure that a prompt, its query last, becomes the same tokens as a whole and segment by segment.

        Raises:
            ScoringError: They differ.
        """
        pieces = [token for i, segment in enumerate(segments) for token in self._tokens(segment, i == 0)]
        for verbalizer, tokens in zip(self._space.verbalizers, self.verbalizers, strict=True):
            text = SEPARATOR.join(segments) + verbalizer
            whole = self._start + self._plain(text)
            if whole != (*pieces, *tokens):
                # The first token that differs; 0 where one text is the beginning of the other.
                seam = next(
                    (i for i, pair in enumerate(zip(whole, (*pieces, *tokens), strict=False)) if len({*pair}) > 1), 0
                )
                near = self._tokenizer.decode(list(whole[max(0, seam - 3) : seam + 4]))
                raise ScoringError(
                    f"the tokenizer merges across the seams of a prompt, near {near!r}: segments would not become the "
                    f"same tokens alone as in the whole; end claims in a letter or a mark that it keeps apart from "
                    f"{verbalizer!r}, or choose other verbalizers than {list(self._space.verbalizers)}"
                )

    def _tokens(self, segment: str, first: bool) -> Tokens:
        return self._start + self._plain(segment) if first else self._after_anchor(SEPARATOR + segment)

    def _check_known(self, segment: str, first: bool, tokens: Tokens) -> None:
        """Refuse a segment with a word that the tokenizer has no token for; the model would not see that word."""
        unknown = self._tokenizer.unk_token_id
        # In some tokenizers the token that begins a text is the one for unknown words as well.
        if unknown is None or unknown not in tokens[len(self._start) if first else 0 :]:
            return
        text = segment if first else self._anchor + SEPARATOR + segment
        # Tokenised once more, with offsets, which only this message needs.
        cut = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
        start, end = cut["offset_mapping"][cut["input_ids"].index(unknown)]
        raise ScoringError(
            f"the model's tokenizer does not know {text[start:end].strip() or text[start:end]!r} in {segment[:200]!r}; "
            f"put it in words that the model knows, or set model.path to a model that knows this one (the embedded "
            f"model knows only a small world of its own)"
        )

    def _check_controls(self, segment: str, tokens: Tokens) -> None:
        """Tell of control tokens in the text of a segment, and refuse them where they cannot be read as text."""
        for control in self._controls:
            if control not in segment or control in self._controls_told:
                continue
            if self._tokenizer.convert_tokens_to_ids(control) in tokens:
                raise ScoringError(
                    f"{control!r} in {segment[:200]!r} is a control token of the model, and its tokenizer cannot read "
                    f"it as plain text; write it otherwise in the claims"
                )
            self._controls_told.add(control)
            warnings.warn(f"claims hold {control!r}, a control token of the model: it is read as text", stacklevel=2)

    def _plain(self, text: str) -> Tokens:
        # Split, since a control token inside a claim would end the text or begin another speaker's turn.
        made = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
        return tuple(made.input_ids)

    def _after_anchor(self, text: str) -> Tokens:
        tokens = self._plain(self._anchor + text)
        # Cutting by count is right only if the anchor kept its tokens, so that is checked first.
        size = len(self._anchor_tokens)
        if tokens[:size] != self._anchor_tokens:
            raise ScoringError(
                f"the tokenizer merges the end of {self._anchor!r} with {text[:20]!r}, so prompts cannot share "
                f"beginnings; choose verbalizers that end in a letter, such as ' True'"
            )
        return tokens[size:]

    def _start_tokens(self) -> Tokens:
        """Return the special tokens that the tokenizer puts before a text."""
        # Whatever stands before the anchor's own tokens is the mark; a tokenizer may add one at the end as well.
        marked = tuple(self._tokenizer(self._anchor).input_ids)
        for start in range(len(marked)):
            if marked[start : start + len(self._anchor_tokens)] == self._anchor_tokens:
                return marked[:start]
        return ()

    def _check_verbalizers(self) -> None:
        unknown = self._tokenizer.unk_token_id
        named = list(zip(self._space.verbalizers, self.verbalizers, strict=True))
        for verbalizer, tokens in named:
            if not tokens or (unknown is not None and unknown in tokens):
                what = "unknown tokens" if tokens else "nothing"
                raise ScoringError(f"verbalizer {verbalizer!r} becomes {what} in this tokenizer; choose another word")
            # A verbalizer that begins another would get the probability of both.
            for other, other_tokens in named:
                if other != verbalizer and other_tokens[: len(tokens)] == tokens:
                    raise ScoringError(
                        f"verbalizer {verbalizer!r} becomes tokens {list(tokens)}, which begin those of {other!r} "
                        f"{list(other_tokens)}, so their probabilities overlap; choose words that differ earlier"
                    )
