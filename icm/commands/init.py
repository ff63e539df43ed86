"""What `icm init` does: a task file for a table. Computes nothing."""

from __future__ import annotations

from rich.console import Console

from icm.config import Places
from icm.init import stage
from icm.init.settings import InitSettings


def run(places: Places, settings: InitSettings, console: Console) -> None:
    """Write a task file for a file of the user's."""
    stage.run(settings, console, overwrite=places.overwrite)
