"""What a table is probably about: which columns are text, labels and groups. Looks at values; asks nobody.

A guess is only a proposal: `icm init` shows it with one rendered prompt, and writes it into a file to be corrected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from icm.errors import ConfigError
from icm.files.tables import is_absent
from icm.prepare.shapes import VERDICT as _VERDICT

MOST_LABELS: Final = 12
"""Distinct values of a column of labels that nobody named, at the most."""

_LONGEST_LABEL: Final = 40  # characters

# Names in lower case. In other languages too, because the files of the world have columns in them.
_GOLD_NAMES: Final = (
    *("label", "gold", "golden", "target", "class", "category", "sentiment", "verdict", "correct", "truth", "stance"),
    *("rating", "polarity", "preference", "preferred", "winner", "better", "etikett", "klasse", "stimmung"),
    *("etiqueta", "clase", "sentimiento", "étiquette", "classe", "метка", "класс", "标签", "类别", "ラベル"),
)
# Names that say nothing of what true and false are about, or that it is the claim itself.
_OF_CLAIMS: Final = ("label", "gold", "golden", "target", "class", "correct", "truth", "true", "verdict", "is_true")
_TEXT_NAMES: Final = ("text", "review", "sentence", "statement", "claim", "comment", "content", "body", "message")
_QUESTION_NAMES: Final = (
    "question",
    "prompt",
    "instruction",
    "query",
    "problem",
    "frage",
    "pregunta",
    "вопрос",
    "问题",
)
_ANSWER_NAMES: Final = ("answer", "response", "reply", "solution", "choice", "antwort", "respuesta", "réponse", "答案")
# Two columns of one pair, by how their names end.
_PAIR_ENDS: Final = (("_1", "_2"), ("_a", "_b"), ("1", "2"), ("a", "b"))
_AFFIRMING: Final = frozenset(
    {"true", "yes", "1", "1.0", "positive", "pos", "correct", "right", "good", "t", "y", "ja", "si", "sí", "oui", "да"}
    | {"gut", "positiv", "bueno", "positivo", "bon", "positif", "хорошо", "好", "正面", "是"}
)
_TRUTH_PAIRS: Final = ({"true", "false"}, {"0", "1"}, {"0.0", "1.0"}, {"yes", "no"}, {"t", "f"}, {"y", "n"})


@dataclass(frozen=True, slots=True)
class Column:
    """What the values of a column are like.

    Attributes:
        name: Its name.
        values: Its values as text, the absent ones left out.
        num_rows: Rows of the table.
        counts: How often each value stands there.
    """

    name: str
    values: tuple[str, ...]
    num_rows: int
    counts: Mapping[str, int]

    @property
    def mean_length(self) -> float:
        """Characters of a value, on average."""
        return sum(map(len, self.values)) / max(len(self.values), 1)

    @property
    def looks_like_labels(self) -> bool:
        """Whether a few short values stand in it again and again."""
        few = 2 <= len(self.counts) <= min(MOST_LABELS, max(2, len(self.values) // 2))
        return few and max(map(len, self.counts)) <= _LONGEST_LABEL

    @property
    def repeats(self) -> bool:
        """Whether most of its values stand in more than one row, and no value in most of the rows."""
        shared = sum(count for count in self.counts.values() if count > 1)
        return 2 * shared > self.num_rows and 2 * max(self.counts.values(), default=0) <= self.num_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What a table is taken for.

    Attributes:
        text: Columns shown to the model.
        gold: Column of golden labels.
        group: Column that makes groups.
        answer: Column of answers that relations compare.
        labels: Names of the labels, each with the values of the gold column that mean it.
        template: Text of a claim.
        pair: Whether a claim compares two responses.
    """

    text: tuple[str, ...]
    gold: str | None
    group: str | None
    answer: str | None
    labels: tuple[tuple[str, tuple[str, ...]], ...]
    template: str
    pair: bool = False


def profile(rows: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """Return what each column of a table is like, in the order of the columns; nested values count as none."""
    columns: dict[str, list[str]] = {}
    for row in rows:
        for name, value in row.items():
            values = columns.setdefault(name, [])
            if isinstance(value, str | int | float) and not is_absent(value):
                values.append(str(value).strip())
    return {name: Column(name, tuple(each), len(rows), Counter(each)) for name, each in columns.items()}


def guess_gold(columns: Mapping[str, Column], labels: Sequence[str] | None, taken: Sequence[str]) -> str | None:
    """Return the column of golden labels: one that holds the labels, is called so, or looks like it; `None` for none.

    Args:
        columns: The columns of the table.
        labels: Names of the labels, where they are known.
        taken: Columns that are something else.
    """
    free = [column for name, column in columns.items() if name not in taken]
    if labels is not None:
        wanted = {_plain(label) for label in labels}
        held = (column.name for column in free if column.counts and {_plain(each) for each in column.counts} <= wanted)
        if found := next(held, None):
            return found
    named = [column for column in free if _plain(column.name) in _GOLD_NAMES and column.looks_like_labels]
    # Without a known name the last such column: verdicts are written after what they are about.
    looks = named or [column for column in reversed(free) if column.looks_like_labels and column.num_rows >= 8]
    return looks[0].name if looks else None


def guess_pair(columns: Mapping[str, Column]) -> tuple[str, str] | None:
    """Return the two columns of responses that the rows compare, `None` if there are none."""
    for first in columns:
        for one, two in _PAIR_ENDS:
            stem = first.removesuffix(one)
            other = stem + two
            if first.endswith(one) and other in columns and min(columns[first].mean_length, 9) > 8:
                return first, other
    return None


def guess_text(columns: Mapping[str, Column], taken: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that a claim is made of: a question with its answer, or one text.

    Raises:
        ConfigError: No column is left that holds text.
    """
    free = [column for name, column in columns.items() if name not in taken and column.values]
    if not free:
        raise ConfigError(
            f"no column is left for the text of the claims; the columns are {', '.join(columns) or 'none'}. Name one "
            f"with text=[COLUMN]"
        )
    question = next((each.name for each in free if _plain(each.name) in _QUESTION_NAMES), None)
    answer = next((each.name for each in free if _plain(each.name) in _ANSWER_NAMES), None)
    if question and answer:
        return question, answer
    named = [column for column in free if _plain(column.name) in _TEXT_NAMES]
    # Names of columns may be in any language, but texts are long everywhere.
    return (max(named or free, key=lambda column: column.mean_length).name,)


def guess_group(columns: Mapping[str, Column], text: Sequence[str], taken: Sequence[str]) -> str | None:
    """Return the column whose equal values make groups: the question of answers, or another that repeats."""
    if len(text) > 1:
        return text[0] if columns[text[0]].repeats else None
    free = [column for name, column in columns.items() if name not in (*text, *taken) and column.repeats]
    return free[0].name if free else None


def label_names(values: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return labels for the values of a gold column, each with the spellings that mean it; the affirming one last."""
    spellings: dict[str, list[str]] = {}
    for value in values:
        spellings.setdefault(_plain(value), []).append(value)
    if any(spellings.keys() == pair for pair in _TRUTH_PAIRS):
        ordered = sorted(spellings, key=lambda plain: plain in _AFFIRMING)
        names = ("False", "True") if spellings.keys() != {"yes", "no"} else ("no", "yes")
        return tuple((name, tuple(spellings[plain])) for name, plain in zip(names, ordered, strict=True))
    # Of two labels the second affirms; of more none does.
    ordered = sorted(spellings, key=lambda plain: (len(spellings) == 2 and plain in _AFFIRMING, plain))
    return tuple((spellings[plain][0], tuple(spellings[plain])) for plain in ordered)


def given_labels(names: Sequence[str], column: Column | None) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return labels that the user named, each with the spellings of the gold column that mean it.

    Raises:
        ConfigError: Two of them have one name, or the gold column holds one never or something else.
    """
    plain = [_plain(name) for name in names]
    if len({*plain}) < len(plain):
        raise ConfigError(f"labels={list(names)}: two labels have one name; every label needs a name of its own")
    if column is None:
        return tuple((name, ()) for name in names)
    found: dict[str, list[str]] = {each: [] for each in plain}
    for value in column.counts:
        if _plain(value) not in found:
            raise ConfigError(
                f"the gold column {column.name!r} holds {value!r}, which is none of the labels {list(names)}; it holds "
                f"{_listed(column.counts)}. Name these with labels=[…], or another column with gold=COLUMN"
            )
        found[_plain(value)].append(value)
    for name, each in zip(names, plain, strict=True):
        if not found[each]:
            raise ConfigError(
                f"the label {name!r} never occurs in the gold column {column.name!r}, which holds "
                f"{_listed(column.counts)}; correct it, or leave it out of labels=[…]"
            )
    return tuple((name, tuple(found[each])) for name, each in zip(names, plain, strict=True))


def guess_template(text: Sequence[str], labels: Sequence[str], gold: str | None, pair: tuple[str, str] | None) -> str:
    """Return the text of a claim up to its label.

    Args:
        text: Columns shown, the question of a pair among them.
        labels: Names of the labels.
        gold: Column of golden labels; its name says what the labels are about.
        pair: The two columns that are compared, if any.
    """
    if pair is not None:
        question = "".join(f"{_title(name)}: {{{name}}}\n" for name in text if name not in pair)
        responses = "".join(f"Response {n}: {{{name}}}\n" for n, name in enumerate(pair, start=1))
        asked = f"Claim: Response 1 is better than Response 2.\n{_VERDICT}" if _is_truth(labels) else "Better:"
        return f"{question}{responses}{asked}"
    shown = "".join(f"{_title(name)}: {{{name}}}\n" for name in text)
    # True and false are said of a claim, or of what the column is called: `pleased`.
    if _is_truth(labels) and (gold is None or _plain(gold) in _OF_CLAIMS):
        return f"{shown}{_VERDICT}"
    return f"{shown}{_title(gold or 'label')}:"


def _is_truth(labels: Sequence[str]) -> bool:
    return {_plain(label) for label in labels} == {"false", "true"}


def _title(name: str) -> str:
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _plain(name: str) -> str:
    return name.strip().casefold()


def _listed(values: Mapping[str, int], most: int = 8) -> str:
    shown = ", ".join(repr(value[:_LONGEST_LABEL]) for value in list(values)[:most])
    return shown + (f" and {len(values) - most} more" if len(values) > most else "")
