"""The standard streams of a command: they write any text anywhere, and end quietly where nobody reads on."""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import Final

ASCII_FORMS: Final = {
    "–": "-",
    "—": "-",
    "−": "-",
    "×": "x",
    "·": "-",
    "…": "~",
    "≥": ">",
    "≤": "<",
    "→": ">",
    "’": "'",
    "“": '"',
    "”": '"',
    "α": "a",
    "σ": "s",
    "√": "v",
    "±": "~",
    "\N{NO-BREAK SPACE}": " ",
}
"""Signs of ours by what stands for them where the output cannot hold them; each as wide as the sign."""

_HANDLER: Final = "icm"


def prepare_streams() -> None:
    """Make the standard streams of this process write any text, in signs of their own where they lack ours."""
    codecs.register_error(_HANDLER, _replaced)
    for stream in (sys.stdout, sys.stderr):
        # Whoever captures the streams may have put something else in their place.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def close_streams() -> None:
    """Let what is still to be written go nowhere, so that the end of the process says nothing of a closed pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(nowhere, stream.fileno())
        except (OSError, ValueError):
            continue


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(map(_ascii_form, signs)), error.end


def _ascii_form(sign: str) -> str:
    # Any other letter by its number, so that a path can still be told from another one.
    return ASCII_FORMS.get(sign, sign.encode("ascii", "backslashreplace").decode())
