"""What every source of label log-probabilities offers. Knows no backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from icm.prompts import Context, Prompt, Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringCost:
    """What scoring has cost so far; costs add up with `+` and a span of work is measured with `-`.

    Attributes:
        prompts: Prompts that a caller asked for; a reading counts as one for each of its verdicts.
        journal_hits: Prompts among them that were answered from the journal.
        naive_tokens: Tokens that a backend without prefix sharing would forward for the asked prompts.
        forwarded_tokens: Tokens that went through the model.
        calls: Forward passes (local) or requests (served).
        model_seconds: Time inside the model.
        other_seconds: Time in the scorer outside the model (tokenising, packing, journal).
    """

    prompts: int = 0
    journal_hits: int = 0
    naive_tokens: int = 0
    forwarded_tokens: int = 0
    calls: int = 0
    model_seconds: float = 0.0
    other_seconds: float = 0.0

    def __add__(self, other: ScoringCost) -> ScoringCost:
        return ScoringCost(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def __sub__(self, other: ScoringCost) -> ScoringCost:
        return ScoringCost(**{f.name: getattr(self, f.name) - getattr(other, f.name) for f in fields(self)})


class LabelScorer(Protocol):
    """A model bound to a label space: prompts in, label log-probabilities out."""

    @property
    def fingerprint(self) -> str:
        """Identity of what is asked: weights, tokenizer, dtype, method, library version, verbalizers."""
        ...

    @property
    def description(self) -> Mapping[str, str | None]:
        """Names the model for people and files: `kind`, `path` or Hub id, `revision`, `dtype`, `device`."""
        ...

    @property
    def num_labels(self) -> int:
        """L, the size of the label space."""
        ...

    @property
    def context_length(self) -> int | None:
        """Longest prompt with its verbalizer, in tokens; `None` where there is no limit."""
        ...

    @property
    def cost(self) -> ScoringCost:
        """What this scorer has spent since it was made."""
        ...

    def count_tokens(self, segments: Sequence[str]) -> NDArray[np.int64]:
        """Return the tokens of each segment as it stands inside a prompt, its separator included: (S,)."""
        ...

    def label_logprobs(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        """Return log p(verbalizer | prompt) for every label: (B, L), nats, in input order.

        Rows need not be normalised over the labels: what they lack to one is what the model gives to other words, where
        the backend computed that; the difference between two labels means the same everywhere.

        Raises:
            ScoringError: A prompt is longer than the model's context, or the model returned NaN.
        """
        ...

    def verdict_logprobs(self, readings: Sequence[Reading]) -> list[NDArray[np.float64]]:
        """Return log p(verbalizer | all before it) for every label at every verdict: (n, L) of each reading, nats.

        The rows are those that `label_logprobs` returns for `Reading.prompts()`, up to rounding, for the price of one
        pass over each reading.

        Raises:
            ScoringError: A reading is longer than the model's context, or the model returned NaN.
        """
        ...

    def forget(self) -> None:
        """Drop what earlier calls left behind to make later ones cheaper.

        Answers never depend on it beyond the last digits. But how prompts are packed moves those, so whoever wants
        the very same digits again (a chain that is stopped and continued) calls this at the same places both times.
        """
        ...


def describe_model(scorer: LabelScorer) -> dict[str, str | None]:
    """Return what a manifest says of the model that was asked."""
    return {**scorer.description, "fingerprint": scorer.fingerprint}


def count_prompt_tokens(scorer: LabelScorer, prompts: Sequence[Prompt]) -> int:
    """Return the tokens of the prompts written out in full, counting each stretch that they share once.

    Args:
        scorer: Counts the tokens of a segment.
        prompts: The prompts.
    """
    # Keyed by identity: prompts share their contexts as objects, and all of them live as long as this call.
    lengths: dict[int, int] = {}
    path: list[Context] = []
    for prompt in prompts:
        node: Context | None = prompt.context
        while node is not None and id(node) not in lengths:
            path.append(node)
            node = node.parent
        length = lengths[id(node)] if node is not None else 0
        # From the back: the context nearest to the root comes first, so the length above each is known by then.
        while path:
            node = path.pop()
            length += int(scorer.count_tokens(node.run).sum())
            lengths[id(node)] = length
    queries = int(scorer.count_tokens([prompt.query for prompt in prompts]).sum())
    return queries + sum(lengths[id(prompt.context)] for prompt in prompts)


def count_reading_tokens(scorer: LabelScorer, readings: Sequence[Reading]) -> int:
    """Return the tokens of readings, each forwarded once."""
    # A demo begins with its query, so only the last query, which no label follows, is not counted with a demo.
    segments = [segment for reading in readings for segment in (*reading.demos, reading.queries[-1])]
    return int(scorer.count_tokens(segments).sum())
