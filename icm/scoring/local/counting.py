"""Counts the tokens of a model as its scorer does, from its tokenizer alone. Loads no weights and answers nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import AutoConfig, AutoTokenizer

from icm.claims import LabelSpace
from icm.errors import ScoringError
from icm.models.identity import base_of_adapters
from icm.models.names import local_directory
from icm.scoring.fake import FakeScorer
from icm.scoring.local.segments import SegmentTokenizer


class TokenCounter(FakeScorer):
    """Stands where a scorer is asked for numbers of tokens alone; asked for an answer, it has none."""

    def __init__(self, name: str, space: LabelSpace, revision: str | None = None) -> None:
        """Load the tokenizer of a model and the length of its context.

        Raises:
            ScoringError: There is no such model, or its tokenizer cannot express the verbalizers.
        """
        super().__init__("counter", space, name)
        directory = local_directory(name)
        if directory is not None:
            # Adapters cut texts into tokens as their base does.
            directory = base_of_adapters(directory) or directory
        source: dict[str, Any] = {"trust_remote_code": False}
        source |= {"local_files_only": True} if directory else {"revision": revision}
        target = str(directory or name)
        try:
            config = AutoConfig.from_pretrained(target, **source)
            tokenizer = AutoTokenizer.from_pretrained(target, **source)
        except (OSError, ValueError, ImportError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ScoringError(f"cannot load the tokenizer of {target!r}: {reason}") from error
        self._segments = SegmentTokenizer(tokenizer, space)
        self.context_length = getattr(config.get_text_config(), "max_position_embeddings", None)

    def count_tokens(self, segments: Sequence[str]) -> NDArray[np.int64]:
        """Return the tokens of each segment as it stands inside a prompt, its separator included: (S,)."""
        return np.array([len(self._segments.encode(segment, False)) for segment in segments], dtype=np.int64)
