"""Label files: elicited, golden, given by anyone, and anchors. One reader with one set of checks for all of them.

A row of any file that `icm.files.tables` reads (JSON Lines where the name does not say) holds:

- the claim: its `id`; or its `text`; or the parts that the text was made of, such as `question` and `answer`; or `row`,
  the number of its row in the source, from 0.
- `label`: the name of a label, or its index. Text that is both is the name. In a binary label space, true and false say
  whether the claim is affirmed. A null or empty label leaves the claim unlabelled.
- `probability` (or `reliability`, which is the same): how probable it is that the label is right, where that is known.

A column `icm_label` goes before `label`, and so for every other name: `labels.csv` holds the columns of the source,
which may have such names themselves.

Anchors are labels that a user can rely on to a known degree (a few checked labels, an easy subset, the verdicts of a
weak labeller). They enter U as log-likelihoods, so a search may still overrule an unreliable one.

Knows no search, and never opens `gold.jsonl` by itself.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from icm.claims import AFFIRMING, UNLABELLED, Claim, ClaimId, Labels, LabelSpace, freeze
from icm.errors import SchemaError
from icm.files.records import LabelRow, SourceRow, first_problem, read_rows
from icm.files.tables import is_absent, read_table, shown

ANCHOR_RELIABILITY: Final = 0.99
"""Reliability of an anchor that states none: high, but not certain, so that a slip can be outvoted."""

OURS: Final = "icm_"
"""Begins the name of a column of ours where the source has a column of that name."""

INERT: Final = "'"
"""Stands before a cell that a spreadsheet would take for a formula, and is no part of the text."""

FORMULA_MARKS: Final = ("=", "+", "-", "@", "\t", "\r")

SourceRows = Mapping[int, Sequence[ClaimId]]
"""The claims that each row of the source stands for, by the number of the row, from 0."""

_TRUTH_WORDS: Final[Mapping[str, bool]] = {"true": True, "false": False}
_PROBABILITY: Final = ("probability", "reliability")
_MEANT: Final = frozenset({"text", "row", *_PROBABILITY, *LabelRow.model_fields})
"""Columns that mean something here whatever the claims are made of."""
_KNOWN: Final = frozenset({*_PROBABILITY, *LabelRow.model_fields} - {"id"})
"""Columns that say something of a claim, and not which claim it is."""


def read_labels(
    path: Path,
    space: LabelSpace,
    claims: Sequence[Claim] | None = None,
    *,
    rows: SourceRows | None = None,
    unlabelled: bool = True,
    other_columns: bool = True,
) -> dict[ClaimId, LabelRow]:
    """Read a label file, by claim, in the order of the file; lines that repeat one another count once.

    Args:
        path: A file of rows, JSON Lines if its name says no other type.
        space: The alphabet.
        claims: The claims that may have a label; `None` for any id, and then claims can be named by id only.
        rows: Which claims the rows of the source stand for; `None` where claims cannot be named by row.
        unlabelled: Whether a label may be null or empty.
        other_columns: Whether columns that mean nothing here are ignored instead of refused.

    Raises:
        SchemaError: The file is missing or malformed, names another claim, or contradicts itself.
    """
    # Files that were joined repeat lines; only lines that differ are a mistake.
    found: dict[ClaimId, LabelRow] = {}
    find_claim = _claim_finder(claims, rows)
    for where, row in _read(path, space, find_claim, claims, unlabelled=unlabelled, other_columns=other_columns):
        if found.setdefault(row.id, row) != row:
            raise SchemaError(f"{where}: claim {row.id!r} stands twice, and the lines differ; leave one of them out")
    return found


def read_source_rows(path: Path) -> dict[int, list[ClaimId]]:
    """Read `rows.jsonl` of a prepare stage; none where an older version of this package did not write it.

    Raises:
        SchemaError: The file is malformed.
    """
    found: dict[int, list[ClaimId]] = {}
    for each in read_rows(path, SourceRow) if path.exists() else ():
        found.setdefault(each.row, []).append(each.id)
    return found


def overlay(rows: Sequence[LabelRow], corrections: Mapping[ClaimId, LabelRow]) -> list[LabelRow]:
    """Return label rows with corrections in their places; what is known of a label goes with it.

    A correction that only repeats the label leaves the row as it is, and one without a label takes the label away.
    """
    return [row if (corrected := corrections.get(row.id, row)).label == row.label else corrected for row in rows]


def read_elicited_labels(path: Path, space: LabelSpace, claims: Sequence[Claim]) -> list[LabelRow]:
    """Read `labels.jsonl` of an elicit stage: a row for each claim, in the order of the claims.

    Raises:
        SchemaError: The file is missing or malformed, or its claims are not these.
    """
    rows = read_labels(path, space, claims, other_columns=False)
    for claim in claims:
        if claim.id not in rows:
            raise SchemaError(f"{path}: has no line for claim {claim.id!r}; run `icm elicit` again")
    # The order of the claims, not of the file: positions are what all arrays share.
    return [rows[claim.id] for claim in claims]


def read_anchors(
    path: Path | None, claims: Sequence[Claim], space: LabelSpace, rows: SourceRows | None = None
) -> NDArray[np.float64]:
    """Return the evidence of an anchors file: (N, L) log-likelihoods in nats, zeros for claims without an anchor.

    Several lines that give a claim one label are independent witnesses: their log-likelihoods add up. Lines that give
    it different labels contradict one another, and what they leave of the evidence would be nobody's word.

    Raises:
        SchemaError: The file is missing, empty or malformed, names another claim, gives a claim two labels, or a
            reliability is at or below chance or 1.
    """
    evidence = np.zeros((len(claims), len(space)))
    if path is None:
        return evidence
    # Read line by line and not by claim, since here two lines about one claim are two witnesses, not a mistake.
    place = {claim.id: index for index, claim in enumerate(claims)}
    first: dict[ClaimId, tuple[str, int | None]] = {}
    find_claim = _claim_finder(claims, rows)
    for where, row in _read(path, space, find_claim, claims, unlabelled=False, other_columns=True):
        reliability = ANCHOR_RELIABILITY if row.probability is None else row.probability
        if not 1 / len(space) < reliability < 1:
            raise SchemaError(
                f"{where}: reliability must be above chance, {1 / len(space):.3g}, and below 1, got {reliability}; "
                f"name the label that is the likelier one"
            )
        earlier, label = first.setdefault(row.id, (where, row.label))
        if label != row.label:
            raise SchemaError(
                f"{where}: claim {row.id!r} is given the label {row.name!r} here and another one in {earlier}; an "
                f"anchor is a label that you vouch for, so leave one of them out"
            )
        # What is left of the probability is shared equally by the other labels.
        others = math.log((1 - reliability) / (len(space) - 1))
        evidence[place[row.id]] += others
        evidence[place[row.id], row.label] += math.log(reliability) - others
    if not first:
        raise SchemaError(f"{path}: holds no anchor; give it a line, or leave anchors= out")
    return evidence


def num_unlabelled(labels: Mapping[ClaimId, LabelRow], claims: Sequence[Claim]) -> int:
    """Return how many claims have no label."""
    return sum(claim.id not in labels or labels[claim.id].label is None for claim in claims)


def told_of_unlabelled(path: Path, without: int, total: int) -> str | None:
    """Return what a user should know of a label file that leaves claims without a label; `None` if it leaves none."""
    if not without:
        return None
    weight = "most claims have no label here: " if 2 * without > total else ""
    return f"{path}: {weight}{without:,} of {total:,} claims are without a label and take no part"


def label_vector(labels: Mapping[ClaimId, int | None], claims: Sequence[Claim]) -> Labels:
    """Return the labels of claims as a vector (N,), `UNLABELLED` where a claim has none."""
    known = (labels.get(claim.id) for claim in claims)
    return freeze([UNLABELLED if label is None else label for label in known])


def label_rows(labels: Labels, claims: Sequence[Claim], space: LabelSpace) -> list[LabelRow]:
    """Return the labelled ones among claims as rows, from a vector of labels (N,)."""
    return [
        LabelRow(id=claim.id, group=claim.group, label=label, name=space.names[label])
        for claim, label in zip(claims, labels.tolist(), strict=True)
        if label != UNLABELLED
    ]


# ---------------------------------------------------------------------------------------------------- one line


FindClaim = Callable[[str, Mapping[str, Any]], tuple[ClaimId, str | None]]
"""Returns the claim that a line is about, and its group; is told where the line stands, for messages."""


def _read(
    path: Path,
    space: LabelSpace,
    find_claim: FindClaim,
    claims: Sequence[Claim] | None,
    *,
    unlabelled: bool,
    other_columns: bool,
) -> Iterator[tuple[str, LabelRow]]:
    """Yield each line as `path:line` and a row, all checks made but those between lines."""
    if not path.is_file():
        raise SchemaError(f"{path}: no such file; name a file of labels, JSON Lines or CSV")
    # A file of another name is read as JSON Lines.
    rows, lines = read_table(path, untyped=".jsonl")
    # The columns of `labels.jsonl` itself, and every way to name a claim.
    known = {*_MEANT, *(part for claim in claims or () for part in claim.parts)}
    for number, given in enumerate(rows):
        where = f"{path}:{lines[number]}" if lines else f"{path}: row {number}"
        columns = _ours_first(given)
        if not other_columns and (unknown := sorted(columns.keys() - known)):
            raise SchemaError(
                f"{where}: there is no column {shown(unknown[0])} in such a file; remove it, or correct it"
            )
        # Ignored, it would leave every label as reliable as one that states nothing.
        if misspelt := _misspelt(columns.keys() - known):
            raise SchemaError(f"{where}: column {shown(misspelt[0])} is probably meant as {misspelt[1]!r}; rename it")
        if "label" not in columns:
            raise SchemaError(f"{where}: has no column 'label'; its columns are {', '.join(columns) or 'none'}")
        # An empty field of CSV is what null is in JSON. A word for NaN may be the text of a claim, and is no number.
        filled = {
            name: value
            for name, value in columns.items()
            if value not in (None, "") and not (name in _KNOWN and is_absent(value))
        }
        label = _label(where, filled.get("label"), space, unlabelled=unlabelled)
        try:
            claim, group = find_claim(where, filled)
        except SchemaError:
            # `labels.csv` lists every row of its source; one that is no claim has no label, and says nothing.
            if label is None and "id" not in filled:
                continue
            raise
        values = {name: filled[name] for name in ("margin", "last_changed", "stability") if name in filled}
        values |= {"name": None if label is None else space.names[label], "probability": _probability(where, filled)}
        try:
            row = LabelRow(id=claim, group=group, label=label, **values)
        except ValidationError as error:
            raise SchemaError(f"{where}: {first_problem(error)}; correct it, or leave it out") from None
        yield where, row


def _misspelt(unknown: Iterable[str]) -> tuple[str, str] | None:
    """Return a column that is called nearly as one of those that say how sure a label is, and the name of that one."""
    for column in sorted(unknown):
        for meant in difflib.get_close_matches(column.strip().lower(), _PROBABILITY, n=1, cutoff=0.8):
            return column, meant
    return None


def _ours_first(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a line in which `icm_label` has taken the place of `label`, and so on."""
    names = {name: name.removeprefix(OURS) for name in columns if name.startswith(OURS)}
    ours = {meant: columns[name] for name, meant in names.items() if meant in _MEANT}
    return {name: value for name, value in columns.items() if names.get(name) not in ours} | ours


def _label(where: str, value: Any, space: LabelSpace, *, unlabelled: bool) -> int | None:
    """Return the index that a name, an index, true or false, or nothing stands for."""
    if value is None and unlabelled:
        return None
    if isinstance(value, str):
        # As it stands first: a name may begin or end with a space.
        for name in (value, value.strip()):
            if name in space.names:
                return space.names.index(name)
        value = _TRUTH_WORDS.get(value.strip().lower(), value)
    if isinstance(value, bool):
        if len(space) == 2:
            return AFFIRMING if value else 1 - AFFIRMING
    elif (number := _number(value)) is not None and number.is_integer() and 0 <= number < len(space):
        # Spreadsheets and data frames write the index 1 as 1.0 where another row has none.
        return int(number)
    names = ", ".join(map(repr, space.names[:8])) + (", …" if len(space) > 8 else "")
    raise SchemaError(
        f"{where}: label must be {names}, or from 0 to {len(space) - 1}{' or null' if unlabelled else ''}, "
        f"got {shown(value)}"
    )


def _probability(where: str, filled: Mapping[str, Any]) -> float | None:
    given = {name: filled[name] for name in _PROBABILITY if name in filled}
    numbers = []
    for name, value in given.items():
        # `True` is 1.0 to Python, and a mistake in this column.
        number = None if isinstance(value, bool) else _number(value)
        if number is None or not 0 <= number <= 1:
            raise SchemaError(f"{where}: {name} must be a number from 0 to 1, got {shown(value)}")
        numbers.append(number)
    # Both columns may stand in a file, as long as they say the same.
    if len(set(numbers)) > 1:
        raise SchemaError(f"{where}: probability and reliability are one thing, got {numbers}; leave one of them out")
    return numbers[0] if numbers else None


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _claim_finder(claims: Sequence[Claim] | None, rows: SourceRows | None) -> FindClaim:
    """Return what finds the claim that a line is about, and its group; any id will do where claims are not given."""
    groups = {claim.id: claim.group for claim in claims or ()}
    # Spreadsheets drop or add spaces at the ends of a field, but two claims may differ in these alone.
    exactly, loosely = _by_name(claims or (), str), _by_name(claims or (), _plain)
    of_rows = {str(row): {*ids} & groups.keys() for row, ids in (rows or {}).items()}

    def find(where: str, filled: Mapping[str, Any]) -> tuple[ClaimId, str | None]:
        if claims is None and "id" in filled:
            return ClaimId(str(filled["id"])), None
        ways = [columns for columns in exactly if filled.keys() >= {*columns}]
        of_row = of_rows.get(_number_of_row(filled), set())
        # An id decides alone. A text that fits no claim may be a column of another meaning beside the parts.
        for columns in ways[:1] if "id" in filled else ways:
            values = tuple(str(filled[column]) for column in columns)
            found = exactly[columns].get(values) or loosely[columns].get(tuple(map(_plain, values)), set())
            # The same answer may be given to two questions; then the row, or only the id, tells such claims apart.
            found = found & of_row or found if len(found) > 1 else found
            if len(found) > 1:
                raise SchemaError(
                    f"{where}: {len(found)} claims have this {' and '.join(columns)}; give the id, from claims.jsonl"
                )
            for claim in found:
                return claim, groups[claim]
        if not ways and len(of_row) == 1:
            return next((claim, groups[claim]) for claim in of_row)
        if not ways and of_row:
            raise SchemaError(
                f"{where}: row {filled['row']} of the source stands for {len(of_row)} claims; give the id, from "
                f"claims.jsonl"
            )
        if not ways and rows and "row" in filled:
            raise SchemaError(f"{where}: row {filled['row']} (from 0) of the source is no claim of this task")
        if not ways:
            listed = ", or ".join(" and ".join(columns) for columns in exactly)
            raise SchemaError(f"{where}: does not say which claim it is about; give its {listed}")
        value = shown({column: filled[column] for column in ways[0]})
        raise SchemaError(f"{where}: there is no claim {value} in this task; the claims stand in claims.jsonl")

    return find


def _number_of_row(filled: Mapping[str, Any]) -> str:
    # Data frames write the number of a row as 3.0 where another row has none.
    number = _number(filled.get("row"))
    return str(int(number)) if number is not None and number.is_integer() else ""


def _by_name(
    claims: Sequence[Claim], spelt: Callable[[str], str]
) -> dict[tuple[str, ...], dict[tuple[str, ...], set[ClaimId]]]:
    """Return columns, and by their values the claims that these name: by id, by text and by parts."""
    named: dict[tuple[str, ...], dict[tuple[str, ...], set[ClaimId]]] = {("id",): {}, ("text",): {}}
    for claim in claims:
        for name in filter(None, ({"id": claim.id}, {"text": claim.text}, claim.parts)):
            columns = tuple(sorted(name))
            values = tuple(spelt(name[column]) for column in columns)
            named.setdefault(columns, {}).setdefault(values, set()).add(claim.id)
    return named


def _plain(text: str) -> str:
    """Return a text without what spreadsheets do to it: spaces at its ends, and what keeps a formula from being one."""
    text = text.strip()
    return text.removeprefix(INERT) if text[1:].startswith(FORMULA_MARKS) else text
