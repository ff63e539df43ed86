"""Documents about a pocket world as token arrays: labelled claims under one concept, and plain text. Knows no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from icm.pocket.families import Concept, Family, labelled_families
from icm.pocket.plain import conversation, facts_document
from icm.pocket.statements import TRUTH
from icm.pocket.world import World
from icm.prompts import SEPARATOR

Tokens = NDArray[np.int64]

YES_RATES: Final = (0.5, 0.5, 0.65, 0.8, 0.9)
"""How often a careless labeller, who looks at nothing, says the label that affirms."""

CONSTANT_SHARE: Final = 0.4
"""Share of the documents without a concept that give one label throughout; the others are by careless labellers."""

NOISY_SHARE: Final = 0.5
NOISE_RANGE: Final = (0.05, 0.15)

MIXTURE: Final = {
    "facts": 0.24,
    "arithmetic": 0.32,
    "preference": 0.18,
    "seasons": 0.02,
    "surface": 0.05,
    "flipped": 0.05,
    "unanswerable": 0.02,
    "principle": 0.05,
    "plain_facts": 0.04,
    "conversation": 0.03,
}
"""Share of the documents of each kind."""

# What a token of plain text counts beside a verdict: more of it keeps the model from learning to verify.
PLAIN_WEIGHT: Final = 0.1


Batch = tuple[Tokens, NDArray[np.float32]]
"""Documents cut to one length: (B, T) token ids, and (B, T) how much predicting each token counts.

The first token of a document counts nothing.
"""


class LabelledDocuments:
    """Writes documents of labelled claims of one family.

    A document is labelled by one concept or its opposite, or by a labeller who looks at nothing; half of the
    documents carry label noise. True and false claims of one group stand in it side by side or claims are drawn alone.
    """

    def __init__(self, family: Family, tokenizer: PreTrainedTokenizerFast) -> None:
        self.family = family
        # Every verdict is one token, so a document's answers lie at known places.
        self._verdicts = np.array([_single(tokenizer, f" {label}") for label in family.labels])
        texts = [statement.text for statement in family.statements]
        self._first = _padded(tokenizer, texts)
        # The first segment of a document has no blank line before it, and a phrase with it is another token.
        self._later = _padded(tokenizer, [SEPARATOR + text for text in texts])
        self._labels = {
            name: np.array([statement.concepts[name] for statement in family.statements])
            for name in {TRUTH, *family.concepts}
        }
        # Groups by number, in the order of their first statement.
        groups: dict[str, int] = {}
        self._group = np.array([groups.setdefault(s.group, len(groups)) for s in family.statements])
        self._by_truth = _members(self._group, self._labels[TRUTH])

    def write(self, rng: np.random.Generator, length: int, *, lesson: bool = False) -> tuple[Tokens, Tokens]:
        """Return the tokens of a document cut to a length and the places of its verdicts.

        A lesson is labelled by what the truth mostly means in this family, without noise.
        """
        count = length // 5 + 2
        chosen = self._draw_statements(rng, count)
        # A family without a truth has nothing to teach: its lessons are ordinary documents.
        labels = self._teach(chosen) if lesson and TRUTH in self.family.concepts else self._draw_labels(rng, chosen)
        rows = self._later[chosen]
        # `_later[chosen]` is a copy, so the first row can be replaced; both tables have one width.
        rows[0] = self._first[chosen[0]]
        rows = np.concatenate([rows, self._verdicts[labels][:, None]], axis=1)
        # Texts are padded with -1 to one width; the mask flattens the rows to one document without the padding.
        real = rows >= 0
        # The verdict is the last token of each row, so it stands where the row ends in the document.
        places = np.cumsum(real.sum(axis=1)) - 1
        return rows[real][:length], places[places < length]

    def _draw_statements(self, rng: np.random.Generator, count: int) -> Tokens:
        # Mostly balanced documents, some of them lopsided: a context of true claims alone must not be unheard of.
        rate = rng.uniform(0.3, 0.7) if rng.random() < 0.85 else rng.random()
        # Four-way families and those of lone claims cannot be balanced by truth: their statements are drawn as they
        # come.
        if len(self._by_truth) != 2:
            return rng.integers(len(self._group), size=count)
        wanted = rng.random(count) < rate
        num_groups = len(self._by_truth[0][1])
        if rng.random() < 0.5:
            groups = rng.integers(num_groups, size=count)
        else:
            # Every group twice, so that a document shows statements that contradict one another.
            num_drawn = (count + 1) // 2
            groups = np.repeat(rng.integers(num_groups, size=num_drawn), 2)[:count]
            # Shuffled, so that the two statements of a group do not always stand side by side.
            groups = groups[rng.permutation(count)]
        chosen = np.empty(count, dtype=np.int64)
        for truth, (indices, starts, sizes) in enumerate(self._by_truth):
            mine = wanted == truth
            # A float in [0, 1) times the size, cut to an integer, is a place within the group.
            offsets = (rng.random(int(mine.sum())) * sizes[groups[mine]]).astype(np.int64)
            chosen[mine] = indices[starts[groups[mine]] + offsets]
        return chosen

    def _teach(self, chosen: Tokens) -> Tokens:
        labels = self._labels[TRUTH][chosen]
        return labels if self.family.concepts[TRUTH].upright > 0.5 else 1 - labels

    def _draw_labels(self, rng: np.random.Generator, chosen: Tokens) -> Tokens:
        num_labels = len(self.family.labels)
        names = list(self.family.concepts)
        shares = np.array([self.family.concepts[name].share for name in names])
        # What the shares leave of one lies beyond the last: a labeller who looks at nothing.
        pick = int(np.searchsorted(np.cumsum(shares), rng.random(), side="right"))
        if pick < len(names):
            labels = _follow(rng, self.family.concepts[names[pick]], self._labels[names[pick]][chosen], num_labels)
        else:
            labels = _careless(rng, len(chosen), num_labels)
        # In some documents alone, so that a model meets clean ones and learns how much to trust a context.
        if rng.random() < NOISY_SHARE:
            noisy = rng.random(len(chosen)) < rng.uniform(*NOISE_RANGE)
            labels = np.where(noisy, rng.integers(num_labels, size=len(chosen)), labels)
        return labels


def _members(group: Tokens, truth: Tokens) -> list[tuple[Tokens, Tokens, Tokens]]:
    """Return the statements of every group by truth value, or nothing where a group lacks one of the values.

    Returns:
        For each truth value the indices of its statements, sorted by group, then where each group begins in them and
        how many it has there: group g owns `indices[starts[g] : starts[g] + sizes[g]]`.
    """
    members = []
    for value in range(int(truth.max()) + 1):
        indices = np.flatnonzero(truth == value)
        indices = indices[np.argsort(group[indices], kind="stable")]
        sizes = np.bincount(group[indices], minlength=int(group.max()) + 1)
        if (sizes == 0).any():
            return []
        members.append((indices, np.cumsum(sizes) - sizes, sizes))
    return members


def _follow(rng: np.random.Generator, concept: Concept, labels: Tokens, num_labels: int) -> Tokens:
    if rng.random() < concept.upright:
        return labels
    # With two labels the opposite; with more a rotation, the same for all claims of the document.
    return (labels + rng.integers(1, num_labels)) % num_labels


def _careless(rng: np.random.Generator, count: int, num_labels: int) -> Tokens:
    favourite = num_labels - 1
    if rng.random() < CONSTANT_SHARE:
        return np.full(count, favourite if rng.random() < 0.85 else 0)
    # The affirming label is the last, so the others are the numbers below it.
    others = rng.integers(num_labels - 1, size=count)
    return np.where(rng.random(count) < rng.choice(YES_RATES), favourite, others)


def _single(tokenizer: PreTrainedTokenizerFast, text: str) -> int:
    (token,) = tokenizer.encode(text, add_special_tokens=False)
    return token


def _padded(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> Tokens:
    """Return the token ids of texts as rows, filled up with -1."""
    encoded = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    rows = np.full((len(encoded), max(map(len, encoded))), -1, dtype=np.int64)
    for row, tokens in zip(rows, encoded, strict=True):
        row[: len(tokens)] = tokens
    return rows


class Corpus:
    """The training text of a world: batches of labelled and plain documents, each a function of seed and step."""

    def __init__(self, world: World, tokenizer: PreTrainedTokenizerFast, truth_share: float) -> None:
        self._world = world
        self._tokenizer = tokenizer
        families = labelled_families(world, truth_share)
        self.writers = {name: LabelledDocuments(family, tokenizer) for name, family in families.items()}
        self._kinds = list(MIXTURE)
        self._shares = np.array([MIXTURE[kind] for kind in self._kinds])

    def batch(
        self, rng: np.random.Generator, num_documents: int, length: int, lesson_shares: Mapping[str, float]
    ) -> Batch:
        """Return documents of one length; by family, a share of the labelled ones is lessons: every label is true."""
        # No padding: every document is cut to the same length, so no token of a batch is wasted.
        tokens = np.zeros((num_documents, length), dtype=np.int64)
        weights = np.zeros((num_documents, length), dtype=np.float32)
        for row, pick in enumerate(rng.choice(len(self._kinds), size=num_documents, p=self._shares)):
            kind = self._kinds[pick]
            if kind in self.writers:
                lesson = rng.random() < lesson_shares[kind]
                tokens[row], verdicts = self.writers[kind].write(rng, length, lesson=lesson)
                # Only the verdicts count in a labelled document: its statements are drawn at random and cannot be
                # predicted.
                weights[row, verdicts] = 1.0
            else:
                text = self._plain(rng, kind, length)
                tokens[row] = text
                # The first token is predicted from nothing.
                weights[row, 1:] = PLAIN_WEIGHT
        return tokens, weights

    def _plain(self, rng: np.random.Generator, kind: str, length: int) -> Tokens:
        """Return plain documents, one after the other, cut to a length."""
        write = facts_document if kind == "plain_facts" else conversation
        tokens: list[int] = []
        while len(tokens) < length:
            text = write(rng, self._world)
            tokens += self._tokenizer.encode(SEPARATOR + text if tokens else text, add_special_tokens=False)
        return np.array(tokens[:length])
