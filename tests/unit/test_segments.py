"""Segments: the text of a claim is read as text, and every seam of a prompt is checked, not one of them."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from icm.claims import TRUE_FALSE, LabelSpace
from icm.errors import ScoringError
from icm.scoring.local.segments import SegmentTokenizer, control_tokens

CHARACTERS = [*map(chr, range(32, 127)), "\n"]


def by_characters(*merged: str) -> Any:
    """Return a tokenizer with a token for each character, for " True" and " False", and for what it merges."""
    words = ["<unk>", "</s>", " True", " False", *merged, *CHARACTERS]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>"))
    longest_first = "|".join(word.replace("?", r"\?").replace(")", r"\)") for word in (*merged, " True", " False"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(rf"{longest_first}|[\s\S]"), behavior="isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>")


def test_a_control_token_in_a_claim_is_read_as_text_and_told_once() -> None:
    tokenizer = by_characters()
    assert "</s>" in control_tokens(tokenizer)
    segments = SegmentTokenizer(tokenizer, TRUE_FALSE)
    with pytest.warns(UserWarning, match="claims hold '</s>', a control token of the model: it is read as text"):
        tokens = segments.encode("is </s> so", True)
    assert tokenizer.eos_token_id not in tokens
    assert tokenizer.decode(list(tokens)).replace(" ", "") == "is</s>so"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        segments.encode("</s> again", False)


def test_a_tokenizer_that_cannot_read_a_control_token_as_text_refuses_it() -> None:
    class Deaf:
        """A tokenizer that takes no notice of how control tokens are to be read."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __call__(self, text: str, *, split_special_tokens: bool = False, **options: Any) -> Any:
            return self._inner(text, **options)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

    segments = SegmentTokenizer(Deaf(by_characters()), TRUE_FALSE)
    with pytest.raises(ScoringError, match=r"'</s>' in 'is </s> so' is a control token .* cannot read it as plain"):
        segments.encode("is </s> so", True)


@pytest.mark.parametrize("last", ["good?", "bad)"])
def test_a_claim_whose_end_merges_with_its_verdict_is_named_though_others_do_not(last: str) -> None:
    segments = SegmentTokenizer(by_characters("good? True", "bad) False"), TRUE_FALSE)
    segments.check_queries(["this is fine", "so is this"])
    with pytest.raises(ScoringError, match=r"merges the end of the claim '.*(good\?|bad\))' with"):
        segments.check_queries(["this is fine", f"but this is {last}"])


def test_a_claim_whose_beginning_merges_with_a_verdict_is_named() -> None:
    space = LabelSpace(names=("no", "yes"), verbalizers=(" False", " True"))
    segments = SegmentTokenizer(by_characters(" True\n\nzz"), space)
    segments.check_queries(["this is fine"])
    with pytest.raises(ScoringError, match="merges ' True' with the beginning of the claim 'zz top is a band'"):
        segments.check_queries(["this is fine", "zz top is a band"])


def test_claims_that_begin_and_end_alike_are_tokenised_once() -> None:
    class Counting(SegmentTokenizer):
        calls = 0

        def _plain(self, text: str) -> tuple[int, ...]:
            self.calls += 1
            return super()._plain(text)

    segments = Counting(by_characters(), TRUE_FALSE)
    frame = "q" * 64
    segments.check_queries([f"{frame} first {frame}"])
    calls = segments.calls
    segments.check_queries([f"{frame} number {n} {frame}" for n in range(100)])
    assert segments.calls == calls
