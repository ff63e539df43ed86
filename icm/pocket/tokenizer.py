"""The pocket model's tokenizer: one entry per word or fixed phrase of the world. Knows no fact and no model."""

from __future__ import annotations

import re
from typing import Final

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from icm.pocket import words

PAD: Final = "<pad>"
UNKNOWN: Final = "<unk>"
MAX_LENGTH: Final = 4096


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer of the pocket world: the same for every seed.

    A text is cut at the longest fixed phrase that begins where the last one ended, so that a prompt has the same
    tokens whether it is cut as a whole or segment by segment.
    """
    entries = words.phrases()
    tokenizer = Tokenizer(models.WordLevel({entry: i for i, entry in enumerate((PAD, UNKNOWN, *entries))}, UNKNOWN))
    # A regular expression takes the first alternative that fits, so a phrase must stand before its own beginning.
    longest_first = sorted(entries, key=len, reverse=True)
    pattern = "|".join([*(_whole(entry) for entry in longest_first), r" ?\w+", r"\s+", r"[^\w\s]"])
    # Whatever no phrase covers is cut into words, spaces and signs, each unknown: no text is refused.
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    # Entries carry their own leading spaces, so a text is its tokens put end to end.
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        model_max_length=MAX_LENGTH,
        clean_up_tokenization_spaces=False,
    )


def _whole(entry: str) -> str:
    """Return the pattern of a phrase that does not end within a word."""
    return re.escape(entry) + (r"(?!\w)" if entry[-1].isalnum() else "")
