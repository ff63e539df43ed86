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
        needed = max((self._needed(each) for each in objects if isinstance(each, Table)), default=0)
        if needed <= self.width:
            super().print(*objects, **settings)
            return
        # The terminal breaks longer lines, which is ugly; cut digits would be wrong. Rich takes no larger width for one
        # print, and `None` in this attribute means to ask the terminal, which the public one cannot be set back to.
        width, self._width = self._width, needed
        try:
            super().print(*objects, **settings, crop=False)
        finally:
            self._width = width

    def _needed(self, table: Table) -> int:
        """Return the least width of a table at which no word is broken, nor a column that is not to be wrapped."""
        options = self.options.update(max_width=10_000)
        widths = []
        for column in table.columns:
            cells = [Measurement.get(self, options, cell) for cell in (column.header, *column.cells)]
            widths.append(max(cell.maximum if column.no_wrap else cell.minimum for cell in cells))
        _, right, _, left = table.padding
        # A line between any two columns and at both ends, with the padding of each column.
        return sum(widths) + (left + right + 1) * len(widths) + 1

    def on_broken_pipe(self) -> None:
        """Say to the caller that nobody reads on, instead of ending the process."""
        raise BrokenPipeError
