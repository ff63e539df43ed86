"""Dialogues as data sets write them: transcripts of "Human:" and "Assistant:", or lists of chat messages.

Knows no task, no verdict and no claim.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from icm.errors import SchemaError
from icm.files.tables import shown

Turn = tuple[str, str]
"""Who speaks (`Human`, `Assistant` or `System`), and the text with the space before it."""

HUMAN: Final = "Human"
ASSISTANT: Final = "Assistant"

_SPEAKERS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("user", "human", "prompter", "instruction"), HUMAN),
    **dict.fromkeys(("assistant", "gpt", "bot", "model", "chatgpt"), ASSISTANT),
    "system": "System",
}
_TURN: Final = re.compile(rf"\n\n({HUMAN}|{ASSISTANT}):")
# Lists of messages that a table of texts holds as text.
_WRITTEN_OUT: Final = re.compile(r"""\s*\[\s*\{\s*["'](?:role|content|from|value)["']\s*:""")


def is_messages(value: Any) -> bool:
    """Return whether a value is a list of chat messages, as a list or written out as JSON."""
    return (isinstance(value, list) and any(isinstance(item, dict) for item in value)) or (
        isinstance(value, str) and _WRITTEN_OUT.match(value) is not None
    )


def turns_of_messages(where: str, value: Any) -> list[Turn]:
    """Return the turns of a list of chat messages, `role` and `content` or `from` and `value`.

    Raises:
        SchemaError: A message has no text, or a speaker that is not known.
    """
    return [_turn(where, message) for message in _listed(where, value)]


def _listed(where: str, value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise SchemaError(f"{where}: messages written out as text must be JSON, got {shown(value)}") from None


def _turn(where: str, message: Any) -> Turn:
    fields = message if isinstance(message, dict) else {}
    speaker = _SPEAKERS.get(str(fields.get("role", fields.get("from"))).lower())
    text = fields.get("content", fields.get("value"))
    # Some writers part a content into pieces of several kinds; pictures are no text.
    if isinstance(text, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in text):
        text = "".join(part["text"] for part in text)
    if speaker is None or not isinstance(text, str):
        raise SchemaError(
            f"{where}: a message needs a role ({', '.join(sorted(_SPEAKERS))}) and text as its content, "
            f"got {shown(message)}"
        )
    return speaker, f" {text}"


def turns_of_transcript(where: str, column: str, text: str) -> list[Turn]:
    """Return the turns of a text such as "Human: … Assistant: …", each turn after a blank line.

    Raises:
        SchemaError: It does not begin with a human turn.
    """
    # The blank lines before the first turn are often missing.
    _, *pieces = _TURN.split(f"\n\n{text.strip()}")
    if not text.strip().startswith(f"{HUMAN}:"):
        raise SchemaError(
            f"{where}: column {column!r} must be a dialogue that begins with 'Human:', got {text.strip()[:40]!r}; "
            f"for single responses add a column 'prompt'"
        )
    # Splitting by a pattern with a group yields speaker and text in turn.
    return list(zip(pieces[::2], pieces[1::2], strict=True))


def written_out(turns: Sequence[Turn]) -> str:
    """Return turns as a transcript; what a human asks first stands without its mark."""
    return "".join(f"\n\n{speaker}:{text}" for speaker, text in turns).removeprefix(f"\n\n{HUMAN}:").strip()


def parted(one: Sequence[Turn], other: Sequence[Turn]) -> tuple[Sequence[Turn], str, str] | str:
    """Return what two dialogues share and their last replies, or why these are not two replies to one question."""
    # Equal dialogues part in their last turn: that their replies are equal is for the caller to find.
    last = min(len(one), len(other)) - 1
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), last)
    if at < last or len(one) != len(other):
        speaker = one[at][0].lower() if one and other else "human"
        return f"the dialogues part in turn {at + 1}, of the {speaker}, before their last reply"
    if not one or one[-1][0] != ASSISTANT or other[-1][0] != ASSISTANT:
        return "a dialogue does not end in a reply of the assistant"
    return one[:-1], one[-1][1], other[-1][1]


def reply_text(text: str) -> str:
    """Return a reply without blank lines around it, trailing white space and a space that parts it from its mark.

    Two spaces or more, or a tab, are the indentation of code and stay.
    """
    text = re.sub(r"^(?:[^\S\n]*\n)+", "", text).rstrip()
    return text if re.match(r"  |\t", text) else text.strip()
