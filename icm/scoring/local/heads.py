"""Which rows of a model's output matrix are computed: all of them, or those of the labels alone. Knows no prompt.

The output matrix has a row for each word of the vocabulary. A large vocabulary makes it most of a small model: of the
268M parameters of Gemma 3 270M it holds 168M, so that reading one place costs as much as forwarding two tokens. Where
every label is one token, its row is enough to say how the labels share the probability among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from icm.scoring.trie import Tokens

LARGE_VOCABULARY: Final = 100_000
"""Words from which on the labels' rows alone are computed; below, all rows cost little beside the rest."""


class FullHead:
    """The model's own output matrix: log-probabilities are normalised over the vocabulary."""

    normalises_over_labels = False

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Leave the model as it is."""
        yield

    def columns(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the column of the logits for each of some tokens: (R,)."""
        return tokens

    def width(self, model: Any) -> int:
        """Return how many columns the logits have."""
        return model.config.get_text_config().vocab_size


class LabelHead:
    """The rows of the labels: log-probabilities are normalised over the labels, which must be single tokens.

    The rows take the place of the model's output matrix while it runs, so whatever the model does to logits afterwards
    (soft caps, scales) it does to these as well; all of that works on each logit by itself.
    """

    normalises_over_labels = True

    def __init__(self, model: Any, verbalizers: Sequence[Tokens]) -> None:
        """Copy the rows of the labels; weights that change afterwards are not seen.

        Args:
            model: A causal language model whose output embeddings are a linear layer.
            verbalizers: The token of each label.
        """
        self._model = model
        # Sorted, since `columns` finds a token by binary search.
        tokens = sorted({token for (token,) in verbalizers})
        self._tokens = np.array(tokens, dtype=np.int64)
        whole = model.get_output_embeddings()
        index = torch.tensor(tokens, device=whole.weight.device)
        # On the meta device: weights of its own would be allocated only to be replaced.
        self._rows = torch.nn.Linear(whole.in_features, len(tokens), bias=whole.bias is not None, device="meta")
        self._rows.weight = torch.nn.Parameter(whole.weight.detach()[index], requires_grad=False)
        if whole.bias is not None:
            self._rows.bias = torch.nn.Parameter(whole.bias.detach()[index], requires_grad=False)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the rows in the place of the output matrix, and the matrix back."""
        whole = self._model.get_output_embeddings()
        self._model.set_output_embeddings(self._rows)
        try:
            yield
        finally:
            # After an error as well: when memory runs out, the same model is asked again.
            self._model.set_output_embeddings(whole)

    def columns(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the column of the logits for each of some tokens: (R,)."""
        return np.searchsorted(self._tokens, tokens)

    def width(self, _model: Any) -> int:
        """Return how many columns the logits have."""
        return self._tokens.size


Head = FullHead | LabelHead


def head_for(model: Any, verbalizers: Sequence[Tokens], smallest: int = LARGE_VOCABULARY) -> Head:
    """Return which rows to compute for some labels.

    Verbalizers of several tokens need the whole vocabulary: the probability of their inner tokens is one among all
    words that could stand there.

    Args:
        model: A causal language model.
        verbalizers: Tokens of each label's verbalizer.
        smallest: Size of the vocabulary from which on the labels' rows alone are computed.
    """
    output = model.get_output_embeddings()
    # By exact type: layers of quantised models derive from it, and their rows are packed numbers.
    is_plain = type(output) is torch.nn.Linear
    if is_plain and output.out_features >= smallest and all(len(verbalizer) == 1 for verbalizer in verbalizers):
        return LabelHead(model, verbalizers)
    return FullHead()
