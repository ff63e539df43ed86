"""One prompt as the model reads it, with its label, for people to look at before they wait. Knows no file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MOST_LINES: Final = 24
LONGEST_LINE: Final = 400  # characters


def prompt_lines(claim: str, verbalizers: Sequence[str], unused: Sequence[str]) -> list[str]:
    """Return the lines that show a claim with a label behind it, and name the columns that nothing is made of.

    Args:
        claim: The text of a claim, up to its label.
        verbalizers: What the model says for each label.
        unused: Columns of the source.
    """
    lines = [_cut(line) for line in (claim + verbalizers[-1]).split("\n")]
    if len(lines) > MOST_LINES:
        # The end matters as much as the beginning: the label stands there.
        half = MOST_LINES // 2
        lines = [*lines[:half], f"… {len(lines) - 2 * half:,} lines …", *lines[-half:]]
    others = ", ".join(repr(each) for each in verbalizers[:-1])
    shown = ["one prompt, with a label (not its own) at the end:", "", *(f"  | {line}" for line in lines), ""]
    shown.append(f"at the end the model says {verbalizers[-1]!r} or {others}")
    return [*shown, f"columns not used: {', '.join(unused)}"] if unused else shown


def _cut(line: str) -> str:
    if len(line) <= LONGEST_LINE:
        return line
    half = LONGEST_LINE // 2
    return f"{line[:half]} … {len(line) - 2 * half:,} characters … {line[-half:]}"
