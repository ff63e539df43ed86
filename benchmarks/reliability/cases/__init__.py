"""Cases of faulty input, a file for each kind. A kind of your own: a module with `CASES`, and its name in `MODULES`."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from benchmarks.reliability.case import Case

MODULES: Final = ("ambiguous", "labels", "texts", "golden", "leaks", "formats")


def all_cases() -> list[Case]:
    """Return the cases of all kinds.

    Raises:
        ValueError: Two cases of one kind and stage have the same name.
    """
    cases = [case for name in MODULES for case in import_module(f"{__name__}.{name}").CASES]
    keys = [(case.kind, case.stage, case.name) for case in cases]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise ValueError(f"two cases are called {twice[0]}")
    return cases
