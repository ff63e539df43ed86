"""The pocket model's tokenizer: one entry per word or fixed phrase of the world. Knows no fact and no model."""

from __future__ import annotations

import re
from typing import Final

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from icm.errors import ScoringError
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
    longest_first = sorted(entries, key=len, reverse=True)
    pattern = "|".join([*(_whole(entry) for entry in longest_first), r" ?\w+", r"\s+", r"[^\w\s]"])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
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


def require_known(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    """Check that the pocket model knows every word of a text.

    Raises:
        ScoringError: A word lies outside the pocket world.
    """
    encoding = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    for token, (start, end) in zip(encoding["input_ids"], encoding["offset_mapping"], strict=True):
        if token == tokenizer.unk_token_id:
            raise ScoringError(
                f"the pocket model does not know {text[start:end].strip() or text[start:end]!r} in {text[:80]!r}: its "
                f"world has only the words in icm/pocket/words.py; use these, or a model that knows yours"
            )
