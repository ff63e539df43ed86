"""What `icm pocket train` does: make a pocket world and the model that knows it."""

from __future__ import annotations

from rich.console import Console

from icm.config import Places
from icm.pocket.recipe import PocketTraining
from icm.pocket.train import train


def run(places: Places, settings: PocketTraining, console: Console) -> None:
    """Train the model and say how to use it."""
    train(settings, places.out_dir)
    console.print(f"trained: model.path={places.out_dir}", soft_wrap=True)
