"""`LocalScorer`: label log-probabilities from a causal language model in this process."""

from __future__ import annotations

import hashlib
import inspect
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from icm.claims import LabelSpace
from icm.errors import ScoringError
from icm.prompts import NO_CONTEXT, Prompt, Reading
from icm.scoring.local.heads import LARGE_VOCABULARY, head_for
from icm.scoring.local.loading import Dtype, load_model
from icm.scoring.local.packed import PackedForward
from icm.scoring.local.padded import PaddedForward, TokenReading
from icm.scoring.local.reading import Scored
from icm.scoring.local.segments import SegmentTokenizer
from icm.scoring.local.windows import Attention, attention_of
from icm.scoring.protocol import ScoringCost
from icm.scoring.trie import Encode, Tokens, Trie, build_trie

METHOD: Final = "continuation-1"
"""Version of how log-probabilities are asked; it changes when the same model would give other numbers."""

LABELS_METHOD: Final = "labels-1"
"""The same where only the labels' rows of the output matrix are computed: those numbers are normalised over the labels,
so a journal of the one kind is not continued with the other."""

DECIMALS: Final = 5
"""Digits kept of a log-probability. How prompts are packed moves the digits after them."""

PACK_TOKENS: Final = {"cpu": 1024, "cuda": 8192}
"""Tokens per forward pass where the caller names no number: enough to keep the device busy, little enough that the
attention inside a stretch, which grows with its square, stays small beside the rest."""

PADDED_TOKENS: Final = 8192
"""Tokens per forward pass where prefixes cannot be shared."""

READING_STRETCH: Final = 512
"""Fewest tokens of a reading that are forwarded at once in a model with sliding windows: with fewer, a forward pass is
too small to keep the device busy."""

PROBE_TOKENS: Final = 320
"""Length of the prompts that are asked both ways before prefixes are shared: local attention that no cache layer
tells of has windows of 256 tokens or fewer in the known models."""

PROBE_BEYOND_WINDOW: Final = 64
"""Tokens by which those prompts are longer than a window that is known."""

EXACT_TOLERANCE: Final = 1e-4
HALF_TOLERANCE: Final = 0.25
"""Largest difference, in nats, between prompts packed and in full that rounding explains, in float32 and below. A
wrong mask or position costs about a nat in a trained model."""


class LocalScorer:
    """A causal language model bound to a label space.

    A batch of prompts is laid out as a token trie and every token is forwarded once, sliding windows or not. Models
    with recurrent layers, or whose attention works in chunks, get every prompt in full, after a warning that says why.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        space: LabelSpace,
        *,
        identity: str,
        description: Mapping[str, str | None] | None = None,
        max_pack_tokens: int | None = None,
        cache_tokens: int = 0,
        share_prefixes: bool = True,
        large_vocabulary: int = LARGE_VOCABULARY,
    ) -> None:
        """Bind a loaded model. `LocalScorer.load` is the usual way.

        Args:
            model: A causal language model of the transformers library, in evaluation mode.
            tokenizer: Its tokenizer.
            space: The labels.
            identity: Names model, tokenizer, dtype and library version; the fingerprint is made from it.
            description: Names the model for people and files.
            max_pack_tokens: Most tokens per forward pass; chosen by device if `None`.
            cache_tokens: Most tokens whose keys and values are kept for the calls to come, until `forget`.
            share_prefixes: `False` forwards every prompt in full: the yardstick in tests and benchmarks.
            large_vocabulary: Words from which on log-probabilities are normalised over the labels, if each is a token.

        Raises:
            ScoringError: The tokenizer cannot express the verbalizers, or merges across the seams of a prompt.
        """
        self._segments = SegmentTokenizer(tokenizer, space)
        self._context_length = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self._cost = ScoringCost()
        self._seams_checked = False
        self.description: Mapping[str, str | None] = description or {"kind": "local"}
        self._head = head_for(model, self._segments.verbalizers, large_vocabulary)
        method = LABELS_METHOD if self._head.normalises_over_labels else METHOD
        # Without pack size and cache: a journal may be continued with other settings of speed.
        content = repr((identity, method, space.verbalizers)).encode()
        self._fingerprint = "local-" + hashlib.blake2b(content, digest_size=16).hexdigest()
        self._padded = PaddedForward(model, self._head, max_pack_tokens or PADDED_TOKENS)
        self._packed: PackedForward | None = None
        # In stretches only where the probe has shown that windows are what the cache takes them for.
        self._stretch: int | None = None
        if share_prefixes:
            num_tokens = max_pack_tokens or PACK_TOKENS.get(model.device.type, PACK_TOKENS["cpu"])
            sharing = self._sharing(model, num_tokens, cache_tokens)
            if isinstance(sharing, PackedForward):
                self._packed = sharing
                self._stretch = sharing.window and max(sharing.window, READING_STRETCH)
            else:
                warnings.warn(f"prompts are forwarded in full, without sharing prefixes: {sharing}", stacklevel=2)

    @classmethod
    def load(
        cls,
        path: str | Path,
        space: LabelSpace,
        *,
        revision: str | None = None,
        dtype: Dtype = "auto",
        device: str = "auto",
        max_pack_tokens: int | None = None,
        cache_tokens: int = 0,
        name: str | None = None,
    ) -> LocalScorer:
        """Load a model directory or a Hub id and bind it to a label space.

        Args:
            path: Model directory, or Hub id.
            space: The labels.
            revision: Branch, tag or commit of a Hub id.
            dtype: "auto" takes bfloat16 on a GPU that has it, and for weights in bfloat16 on a CPU that has units for
                it; float32 elsewhere.
            device: "auto", "cpu", "cuda", "cuda:1" …
            max_pack_tokens: Most tokens per forward pass; chosen by device if `None`.
            cache_tokens: Most tokens whose keys and values are kept for the calls to come, until `forget`.
            name: What files call the model; its path if left out.

        Raises:
            ScoringError: There is no such model, it is incomplete, or it cannot express the verbalizers.
        """
        model, tokenizer, identity = load_model(path, revision=revision, dtype=dtype, device=device)
        return cls(
            model,
            tokenizer,
            space,
            identity=identity,
            description={
                "kind": "local",
                "path": name or str(path),
                "revision": revision,
                "dtype": str(model.dtype).removeprefix("torch."),
                "device": str(model.device),
            },
            max_pack_tokens=max_pack_tokens,
            cache_tokens=cache_tokens,
        )

    @property
    def fingerprint(self) -> str:
        """Identity of what is asked: weights, tokenizer, dtype, method, library version, verbalizers."""
        return self._fingerprint

    @property
    def num_labels(self) -> int:
        """L, the size of the label space."""
        return len(self._segments.verbalizers)

    @property
    def context_length(self) -> int | None:
        """Longest prompt with its verbalizer, in tokens."""
        return self._context_length

    @property
    def cost(self) -> ScoringCost:
        """What this scorer has spent since it was made."""
        return self._cost

    @property
    def shares_prefixes(self) -> bool:
        """Whether prompts are laid out as a trie, or each forwarded in full."""
        return self._packed is not None

    @property
    def max_pack_tokens(self) -> int:
        """Most tokens per forward pass, as halved by memory that ran out."""
        return (self._packed or self._padded).max_tokens

    @property
    def num_kept(self) -> int:
        """Tokens whose keys and values are kept for the calls to come."""
        return self._packed.num_kept if self._packed else 0

    def forget(self) -> None:
        """Drop the keys and values of earlier calls: what is forwarded next follows from what is asked next alone."""
        if self._packed is not None:
            self._packed.forget()

    def count_tokens(self, segments: Sequence[str]) -> NDArray[np.int64]:
        """Return the tokens of each segment as it stands inside a prompt, its separator included: (S,)."""
        return np.array([len(self._segments.encode(segment, False)) for segment in segments], dtype=np.int64)

    def label_logprobs(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        """Return log p(verbalizer | prompt), rounded to `DECIMALS`: (B, L), nats, in input order.

        Of a model with a large vocabulary, whose labels are one token each, it is log p(verbalizer | prompt, one of the
        verbalizers): normalised over the labels, which is all that the objective asks for.

        Raises:
            ScoringError: A prompt is longer than the model's context or holds a word that the tokenizer lacks, the
                tokenizer merges across its seams, the model returned NaN, or memory does not suffice for the smallest
                forward pass.
        """
        if not prompts:
            return np.zeros((0, self.num_labels))
        started = time.perf_counter()
        # Once, on the first real claims, as the check of the tokenizer itself knows only made-up ones.
        if not self._seams_checked:
            # Four segments hold every kind of seam; a long prompt would take long to tokenise twice.
            self._segments.check_seams(prompts[0].segments[-4:])
            self._seams_checked = True
        self._segments.check_queries(dict.fromkeys(prompt.query for prompt in prompts))
        # Also where prefixes are not shared: it counts the tokens of every prompt.
        trie = build_trie(prompts, self._segments.encode, self._segments.verbalizers)
        self._check_lengths(trie.lengths)
        logprobs, spent = self._forward(prompts, trie)
        spent = replace(spent, prompts=len(prompts), naive_tokens=self._naive_tokens(trie.lengths))
        seconds = time.perf_counter() - started
        self._cost += replace(spent, other_seconds=seconds - spent.model_seconds)
        return np.round(logprobs, DECIMALS)

    def verdict_logprobs(self, readings: Sequence[Reading]) -> list[NDArray[np.float64]]:
        """Return log p(verbalizer | all before it) at every verdict, rounded to `DECIMALS`: (n, L) of each, nats.

        Where the words of the labels part before their last token, a reading is asked as so many prompts.

        Raises:
            ScoringError: As `label_logprobs`.
        """
        if not readings:
            return []
        self._segments.check_queries(dict.fromkeys(query for reading in readings for query in reading.queries))
        verbalizers = self._segments.verbalizers
        if len({verbalizer[:-1] for verbalizer in verbalizers}) > 1:
            return [self.label_logprobs(reading.prompts()) for reading in readings]
        started = time.perf_counter()
        rows = [self._in_tokens(reading) for reading in readings]
        self._check_lengths(np.array([len(tokens) for tokens, _ in rows]))
        logprobs, spent = self._padded.score_readings(rows, verbalizers, self._stretch)
        sizes = [len(reading.queries) for reading in readings]
        spent = replace(spent, prompts=sum(sizes), naive_tokens=spent.forwarded_tokens)
        self._cost += replace(spent, other_seconds=time.perf_counter() - started - spent.model_seconds)
        return np.split(np.round(logprobs, DECIMALS), np.cumsum(sizes)[:-1])

    def _in_tokens(self, reading: Reading) -> TokenReading:
        """Return the tokens of a reading and where its claims end.

        Raises:
            ScoringError: The tokenizer merges the end of a claim with its verdict.
        """
        tokens: list[int] = []
        ends: list[int] = []
        for query, demo in zip(reading.queries, (*reading.demos, None), strict=True):
            claim = self._segments.encode(query, not ends)
            # After the last claim only what all verbalizers share is forwarded; their last tokens are read.
            shown = (*claim, *self._segments.verbalizers[0][:-1])
            if demo is not None:
                shown = self._segments.encode(demo, not ends)
                if shown[: len(claim)] != claim:
                    raise ScoringError(
                        f"the tokenizer merges the end of {query[-40:]!r} with the verdict after it; end claims in a "
                        f"letter or a mark that it keeps apart, or choose other verbalizers"
                    )
            ends.append(len(tokens) + len(claim))
            tokens += shown
        return tuple(tokens), ends

    def _forward(self, prompts: Sequence[Prompt], trie: Trie) -> Scored:
        if self._packed is not None:
            return self._packed.score(trie, self.num_labels)
        return self._padded.score(_in_full(prompts, self._segments.encode), self._segments.verbalizers)

    def _check_lengths(self, lengths: NDArray[np.int64]) -> None:
        # The whole verbalizer counts, though its last token is only read: a limit that is easily stated.
        longest = int(lengths.max()) + max(map(len, self._segments.verbalizers))
        if self._context_length is not None and longest > self._context_length:
            raise ScoringError(
                f"prompt {int(lengths.argmax())} of {len(lengths)} has {longest} tokens with its verbalizer, but the "
                f"model's context holds {self._context_length}; use fewer claims, contexts=k_shot, or smaller blocks"
            )

    def _naive_tokens(self, lengths: NDArray[np.int64]) -> int:
        """Return what prompts in full would cost: a row for each verbalizer that differs before its last token."""
        beginnings = {verbalizer[:-1] for verbalizer in self._segments.verbalizers}
        return sum(int(lengths.sum()) + len(lengths) * len(beginning) for beginning in beginnings)

    def _sharing(self, model: Any, max_tokens: int, cache_tokens: int) -> PackedForward | str:
        """Return a forward pass that shares prefixes, or why there can be none for this model."""
        attention = _attention_for_sharing(model)
        if isinstance(attention, str):
            return attention
        packed = PackedForward(model, self._head, attention, max_tokens, cache_tokens)
        return self._disagreement(packed, attention.window) or packed

    def _disagreement(self, packed: PackedForward, window: int | None) -> str | None:
        """Ask a few prompts both ways; return how the answers differ, `None` if they do not."""
        verbalizers = self._segments.verbalizers
        prompts = self._probes(window)
        shared, _ = packed.score(build_trie(prompts, self._spell, verbalizers), self.num_labels)
        in_full, _ = self._padded.score(_in_full(prompts, self._spell), verbalizers)
        # Nobody asks the probes again; kept, they would only take room.
        packed.forget()
        gap = float(np.abs(shared - in_full).max())
        if gap <= (EXACT_TOLERANCE if packed.is_exact else HALF_TOLERANCE):
            return None
        return f"its attention gives other answers for packed prompts (they differ by {gap:.2g} nats)"

    def _probes(self, window: int | None) -> list[Prompt]:
        """Return prompts that branch, in digits to `_spell`.

        The longest goes beyond the window, where there is one and the context allows it; else it has `PROBE_TOKENS`, or
        half the context.
        """
        context_length = self._context_length or PROBE_TOKENS * 2
        limit = min(PROBE_TOKENS, context_length // 2)
        if window is not None:
            limit = max(limit, min(window + PROBE_BEYOND_WINDOW, context_length - PROBE_BEYOND_WINDOW))
        demos: list[str] = []
        num_tokens = 0
        while num_tokens < limit:
            # Numbers in binary: no two are equal, and two verbalizers suffice to spell them.
            demos.append(f"{len(demos):b}")
            num_tokens += len(self._spell(demos[-1], not demos[1:]))
        half = NO_CONTEXT.extend(demos[: len(demos) // 2])
        # Branches off one path, early and late: where a wrong mask or position would show.
        branches = [half.extend(demos[len(demos) // 2 :]), half.extend(["00"]), half.extend(["01"]), NO_CONTEXT]
        return [Prompt(branch, "0110") for branch in branches]

    def _spell(self, digits: str, _first: bool) -> Tokens:
        """Return the tokens of a probe: the verbalizers are the only words that every model is sure to know."""
        return tuple(token for digit in digits for token in self._segments.verbalizers[int(digit)])


def _in_full(prompts: Sequence[Prompt], encode: Encode) -> list[Tokens]:
    return [
        tuple(token for i, segment in enumerate(prompt.segments) for token in encode(segment, i == 0))
        for prompt in prompts
    ]


def _attention_for_sharing(model: Any) -> Attention | str:
    """Return how a model attends, or why its prompts cannot share prefixes."""
    accepted = inspect.signature(model.forward).parameters
    missing = [name for name in ("past_key_values", "position_ids", "logits_to_keep") if name not in accepted]
    if missing:
        return f"{type(model).__name__} does not take {', '.join(missing)}"
    attention = attention_of(model.config)
    return f"{type(model).__name__} has {attention}" if isinstance(attention, str) else attention
