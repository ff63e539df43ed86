"""Chooses the claims of a run from all that a source holds, and keeps their golden labels apart from them.

Golden labels decide nothing here: which claims exist, which are searched and which are held out follows from the
claims' content and a seed alone.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icm.claims import Claim, ClaimId, composed
from icm.errors import ConfigError, SchemaError
from icm.files.records import RejectedRow, SourceRow
from icm.prepare.items import TaskItem, TaskItems
from icm.prepare.settings import CommonSettings
from icm.relations import check_groups, check_size

TokenCounter = Callable[[Sequence[str]], NDArray[np.int64]]
"""Returns the tokens of each segment, as `LabelScorer.count_tokens` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedTask:
    """What a run works on.

    Attributes:
        claims: The claims to search, sorted by id; so are those held out, which are of other groups.
        golden: The golden labels of both, where the source has them.
        rejected: The rows that became no claim, and what was noted of claims that stay, by row.
        rows: Which rows of the source the chosen claims stand in, repetitions too, by row.
        available: Number of claims that the source holds in all.
    """

    claims: list[Claim]
    held_out: list[Claim]
    golden: Mapping[ClaimId, int]
    rejected: list[RejectedRow]
    rows: list[SourceRow]
    available: int


def assemble(
    items: TaskItems, settings: CommonSettings, seed: int, count_tokens: TokenCounter | None = None
) -> PreparedTask:
    """Choose whole groups of claims by seed and content hash.

    Raises:
        SchemaError: No row of the source became a claim.
        ConfigError: The source holds fewer claims than asked for, a token limit stands without a tokenizer, or a
            relation would make too many constraints of the chosen claims.
    """
    # Rejected claims leave no gap: the groups are ranked after every rejection, so a bad row of one group never
    # moves the choice of another.
    same = _by_text(items.items)
    claims, duplicates = _distinct(same)
    claims, too_long = _within_context(claims, settings.max_claim_tokens, count_tokens)
    # All items, repetitions too: a claim that is dropped as a duplicate may carry the golden label of its twin.
    labels, conflicting = _golden_labels(same)
    rejected = sorted(
        [*items.rejected, *duplicates, *too_long, *conflicting, *_near_duplicates(claims)],
        key=lambda r: (r.row, r.reason, r.detail),
    )
    groups = _ranked_groups((item.claim for item in claims), seed)
    num_held_out = settings.held_out_of(len(claims))
    _check_supply(settings, groups, num_held_out, rejected)
    # From the far end, so that searching more claims never takes one that was held out before.
    held_out = _take(groups[::-1], num_held_out)
    held_out_groups = {claim.group for claim in held_out}
    rest = [group for group in groups if group[0].group not in held_out_groups]
    searched = _take(rest, settings.num_claims)
    _check_choice(settings, groups, searched, held_out)
    check_size(settings.relations, searched)
    check_groups(settings.relations, searched)
    chosen = {claim.id for claim in (*searched, *held_out)}
    return PreparedTask(
        claims=searched,
        held_out=held_out,
        # Only labels of chosen claims: the file must not tell how the rest of the source is labelled.
        golden={claim: label for claim, label in labels.items() if claim in chosen},
        rejected=rejected,
        rows=_rows_of(same, chosen),
        available=len(claims),
    )


def _by_text(items: Iterable[TaskItem]) -> list[list[TaskItem]]:
    """Return the items that a reader could not tell apart, whatever their groups, the one that is kept first.

    A model would find the verdict on one of them in the context of the other.
    """
    by_text: dict[str, list[TaskItem]] = defaultdict(list)
    for item in items:
        by_text[composed(item.claim.text.replace("\r\n", "\n"))].append(item)
    # By content before row number: equal claims may differ in their parts, and the order of the source must not decide
    # between them.
    return [sorted(same, key=lambda item: (repr(item.claim), item.row)) for same in by_text.values()]


def _distinct(same: Iterable[Sequence[TaskItem]]) -> tuple[list[TaskItem], list[RejectedRow]]:
    """Keep one item per text, and with it one group; which one does not depend on the order of the rows."""
    kept: list[TaskItem] = []
    rejected: list[RejectedRow] = []
    for first, *rest in same:
        kept.append(first)
        for item in rest:
            where = "" if item.claim.group == first.claim.group else ", in another group"
            detail = f"claim {first.claim.id} stands in row {first.row} already{where}"
            rejected.append(RejectedRow(row=item.row, reason="duplicate", detail=detail))
    return kept, rejected


def _near_duplicates(items: Iterable[TaskItem]) -> list[RejectedRow]:
    """List the claims that are another one but for case, spacing and the last mark of a part; they stay."""
    alike: dict[tuple[str, ...], list[TaskItem]] = defaultdict(list)
    for item in items:
        # By parts: the text around them is the template's, and ends alike in all claims.
        parts = item.claim.parts or {"": item.claim.text}
        alike[tuple(_roughly(part) for _, part in sorted(parts.items()))].append(item)
    return [
        RejectedRow(
            row=item.row,
            reason="near_duplicate",
            detail=f"claim {item.claim.id} stays: in row {first.row} it stands but for case, spacing or its last mark",
        )
        for first, *rest in (sorted(near, key=lambda item: item.claim.id) for near in alike.values())
        for item in rest
    ]


def _roughly(text: str) -> str:
    # NFKC also makes typographic forms of letters, digits and spaces one.
    return " ".join(unicodedata.normalize("NFKC", text.casefold()).split()).rstrip(".!?… ")


def _within_context(
    items: list[TaskItem], max_tokens: int | None, count_tokens: TokenCounter | None
) -> tuple[list[TaskItem], list[RejectedRow]]:
    """Reject the claims that have too many tokens."""
    if max_tokens is None:
        return items, []
    if count_tokens is None:
        raise ConfigError(
            f"task.max_claim_tokens={max_tokens} needs a tokenizer to count with; name a model, or set it to null"
        )
    kept: list[TaskItem] = []
    rejected: list[RejectedRow] = []
    for item, tokens in zip(items, count_tokens([item.claim.text for item in items]), strict=True):
        if tokens <= max_tokens:
            kept.append(item)
        else:
            detail = f"claim {item.claim.id} has {tokens} tokens, at most {max_tokens} are allowed"
            rejected.append(RejectedRow(row=item.row, reason="over_context", detail=detail))
    return kept, rejected


def _golden_labels(same: Iterable[Sequence[TaskItem]]) -> tuple[dict[ClaimId, int], list[RejectedRow]]:
    """Return the golden label of each claim; one that the source labels in two ways has none, and is listed."""
    labels: dict[ClaimId, int] = {}
    conflicting: list[RejectedRow] = []
    for items in same:
        claim = items[0].claim.id
        # The first row for each label, for the message about a conflict.
        rows = {item.golden_label: item.row for item in reversed(items) if item.golden_label is not None}
        if len(rows) == 1:
            labels[claim] = next(iter(rows))
        elif rows:
            said = ", ".join(f"row {row} says {label}" for label, row in sorted(rows.items()))
            detail = f"claim {claim} stays, without a golden label: {said}"
            conflicting.append(RejectedRow(row=max(rows.values()), reason="conflicting_gold", detail=detail))
    return labels, conflicting


def _rows_of(same: Iterable[Sequence[TaskItem]], chosen: Set[ClaimId]) -> list[SourceRow]:
    """Return the rows in which claims stand, repetitions under the claim that was kept, by row and claim."""
    pairs = {(item.row, items[0].claim.id) for items in same for item in items if items[0].claim.id in chosen}
    return [SourceRow(row=row, id=claim) for row, claim in sorted(pairs)]


def _ranked_groups(claims: Iterable[Claim], seed: int) -> list[list[Claim]]:
    """Return the claims by group, groups in an order drawn from the seed and their names."""
    groups: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        groups[claim.group].append(claim)
    # Sorted by a hash, not shuffled: adding a group to the source leaves the order of all others as it was.
    return [groups[name] for name in sorted(groups, key=lambda name: _rank(seed, name))]


def _rank(seed: int, group: str) -> bytes:
    # Not Python's `hash`, which differs from process to process.
    return hashlib.blake2b(f"{seed}/{group}".encode(), digest_size=16).digest()


def _take(groups: Iterable[list[Claim]], limit: int | None) -> list[Claim]:
    """Take groups in order, leaving out those that would go over the limit; sort their claims by id."""
    taken: list[Claim] = []
    for group in groups:
        # A group that goes over is passed over and later ones may still fit: groups differ in size.
        if limit is None or len(taken) + len(group) <= limit:
            taken += group
    return sorted(taken, key=lambda claim: claim.id)


def _check_supply(
    settings: CommonSettings, groups: list[list[Claim]], num_held_out: int, rejected: list[RejectedRow]
) -> None:
    available = sum(map(len, groups))
    if not available:
        first = f"; the first: row {rejected[0].row}: {rejected[0].detail}" if rejected else ""
        raise SchemaError(f"no row of the source became a claim, {len(rejected)} were rejected{first}")
    # `None` searches all the rest, of which there must be at least one.
    wanted = (settings.num_claims or 1) + num_held_out
    if wanted > available:
        raise ConfigError(
            f"task.num_claims={_shown(settings.num_claims)} and task.num_held_out={num_held_out} need "
            f"{wanted} claims, the source holds {available} in {len(groups)} groups ({reasons_of(rejected)}); "
            f"ask for fewer, or set task.num_claims=null for all that are not held out"
        )


def _check_choice(
    settings: CommonSettings, groups: list[list[Claim]], searched: list[Claim], held_out: list[Claim]
) -> None:
    smallest = min(map(len, groups))
    for key, wanted, got in (
        # Where no number was asked for, none is what a source of few large groups can spare.
        ("num_held_out", settings.num_held_out or 0, held_out),
        ("num_claims", settings.num_claims, searched),
    ):
        if wanted != 0 and not got:
            raise ConfigError(
                f"task.{key}={_shown(wanted)} leaves room for no whole group: the smallest of {len(groups)} groups "
                f"has {smallest} claims; groups are never split, so change task.num_claims or task.num_held_out"
            )


def reasons_of(rejected: Sequence[RejectedRow]) -> str:
    """Return how many rows were rejected or noted for which reason, for a person to read."""
    counts = Counter(row.reason for row in rejected)
    return "rejected: " + (", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items())) or "none")


def _shown(number: int | None) -> str:
    return "null" if number is None else str(number)
