"""The console of every command: shows what comes from outside as it is, and cuts no number."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table


class PlainConsole(Console):
    """A console that takes nothing for markup, cuts no number, and does not go on writing to a closed pipe."""

    def __init__(self, **settings: Any) -> None:
        """Make a console; `settings` are those of Rich."""
        # Names, paths and claims come from anywhere, and Rich would read [x] as a style and :x: as a picture.
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **settings})

    def print(self, *objects: Any, **settings: Any) -> None:
        """Print; a table for which the console is too narrow is printed as wide as its numbers need."""
        tables = [each for each in objects if isinstance(each, Table)]
        if tables and settings.get("width") is None:
            unbounded = self.options.update(max_width=10_000)
            needed = max(Measurement.get(self, unbounded, table).minimum for table in tables)
            # The terminal breaks longer lines, which is ugly; cut digits would be wrong.
            settings = {**settings, "width": max(self.width, needed), "crop": False}
        super().print(*objects, **settings)

    def on_broken_pipe(self) -> None:
        """Say to the caller that nobody reads on, instead of ending the process."""
        raise BrokenPipeError
