"""Labels as the console shows them: a line for each claim, or everything about one. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.console import Group, RenderableType
from rich.text import Text

from icm.evaluate.summary import percent
from icm.files.records import LabelRow
from icm.show.explain import Explanation
from icm.show.labelled import LabelledRun

LABEL_WIDTH: Final = 16
"""Most cells of the name of a label in a list."""

ID_LENGTH: Final = 8
"""Digits of an id in a list; `--claim` takes the beginning of one."""


def claims_list(run: LabelledRun, positions: Sequence[int], width: int, others: Sequence[str] | None = None) -> Text:
    """Return a line for each claim: its label, how probable it is, its text.

    Args:
        run: The labels.
        positions: Of the claims.
        width: Cells of a line; only the text gives way, so that numbers are never cut, however narrow the console is.
        others: What other labels say of these claims; `None` for no such column.
    """
    head = ("claim", "label", *(["other"] if others is not None else []), "  prob.")
    lines = [head] + [
        (
            run.claims[position].id[:ID_LENGTH],
            name_of(run.rows[position]),
            *([others[number]] if others is not None else []),
            f"{percent(run.rows[position].probability):>7}",
        )
        for number, position in enumerate(positions)
    ]
    widths = [min(max(cell_len(line[column]) for line in lines), LABEL_WIDTH) for column in range(len(head))]
    texts = ["text", *(one_line(run.claims[position].text) for position in positions)]
    room = max(width - sum(widths) - len(widths), 1)
    shown = [
        " ".join((*map(set_cell_size, line, widths), _cut(text, room))) for line, text in zip(lines, texts, strict=True)
    ]
    return Text("\n").join([Text(shown[0], style="bold"), *map(Text, shown[1:])])


def explanation_text(run: LabelledRun, told: Explanation, limit: int) -> RenderableType:
    """Return everything about one label; of the claims before it the last `limit`."""
    rows = ", ".join(map(str, told.source_rows))
    title = f"claim {told.claim.id}" + (f", row {rows} of the source (from 0)" if rows else "")
    lines = [
        Text(title, style="bold"),
        Text(told.claim.text),
        Text(),
        Text.assemble("label: ", (name_of(told.row), "bold"), _certainty(told.row), f" ({run.origin})"),
        *_rival_lines(run, told),
        *_bond_lines(run, told),
        *_context_lines(told, limit),
    ]
    return Group(*lines)


def name_of(row: LabelRow) -> str:
    """Return the name of a label, a dash for none."""
    return "–" if row.name is None else row.name


def one_line(text: str) -> str:
    """Return a text with its lines joined."""
    return " ".join(text.split())


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def _certainty(row: LabelRow) -> str:
    facts = [
        "" if row.probability is None else f"probability {100 * row.probability:.1f} %",
        "" if row.margin is None else f"margin {row.margin:+.2f} nats",
        "" if row.stability is None else f"the same from {100 * row.stability:.0f} % of the starts",
    ]
    known = ", ".join(filter(None, facts))
    return f", {known}" if known else ""


def _rival_lines(run: LabelledRun, told: Explanation) -> Iterable[Text]:
    if run.rival is None:
        yield Text("rival labelling: the search followed a single one" if run.elicited else "rival labelling: none")
        return
    agreement = f"{100 * run.rival.agreement:.0f} %"
    yield Text(
        f"rival labelling (U {run.rival.utility:.2f}, the same on {agreement} of the claims): {told.rival or '–'}"
    )


def _bond_lines(run: LabelledRun, told: Explanation) -> Iterable[Text]:
    yield Text("constraints:" if told.bonds else "constraints: none bear on it")
    for bond in told.bonds:
        state = "VIOLATED" if bond.is_violated else "kept"
        yield Text(f"  {bond.relation}, {state}")
        for other in bond.others:
            yield Text(f"    {name_of(run.rows[other])}: {one_line(run.claims[other].text)}", overflow="ellipsis")


def _context_lines(told: Explanation, limit: int) -> Iterable[Text]:
    if told.no_contexts is not None:
        yield Text(f"what stood before it is not known: {told.no_contexts}")
    for number, segments in enumerate(told.contexts, start=1):
        order = f" in order {number} of {len(told.contexts)}" if len(told.contexts) > 1 else ""
        left_out = f", the last {limit}" if len(segments) > limit else ""
        yield Text(f"before it when it was decided{order}: {len(segments)} labelled claims{left_out}")
        for segment in segments[-limit:]:
            yield Text(f"    {one_line(segment)}", style="dim")
