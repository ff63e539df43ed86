"""Finds packages of others that stand before ours on Python's path. Imports none of them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

import icm
from icm.errors import ConfigError

NEIGHBOURS: Final = ("search", "consistency")
"""Packages that are installed beside `icm`, under names that others may have given to something of their own."""


def check_neighbours() -> None:
    """Make sure that the packages beside ours are ours.

    Raises:
        ConfigError: Another one of the name is found first, or there is none.
    """
    home = Path(icm.__file__).resolve().parents[1]
    for name in NEIGHBOURS:
        spec = find_spec(name)
        if spec is None:
            raise ConfigError(f"the package {name!r}, a part of icm, is missing in {home}: install icm again")
        # A folder without __init__.py has no file of its own, and stands wherever it was found.
        place = spec.origin or next(iter(spec.submodule_search_locations or ()), "")
        if Path(place).resolve().parents[1 if spec.origin and spec.submodule_search_locations else 0] != home:
            raise ConfigError(
                f"the package {name!r} of icm is hidden by {place}, which stands before it on Python's path; rename "
                f"that, or run from another directory or without it in PYTHONPATH"
            )
