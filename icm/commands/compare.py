"""What `icm compare` does: it hands places and settings over."""

from __future__ import annotations

from rich.console import Console

from icm.compare import stage
from icm.compare.settings import CompareSettings
from icm.config import Places


def run(places: Places, settings: CompareSettings, console: Console) -> None:
    """Label the same claims under different settings, and show what differs."""
    stage.run(settings, places.out_dir, console)
