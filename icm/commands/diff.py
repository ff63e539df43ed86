"""What `icm diff` does: say how far two labellings agree, and list the claims on which they differ."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from icm.config import Places
from icm.diff.settings import DiffSettings
from icm.diff.stage import compare
from icm.show.labelled import read_run
from icm.show.text import claims_list, name_of


def run(places: Places, settings: DiffSettings, console: Console) -> None:
    """Compare the labels of a run with those of another one, or of a file.

    Raises:
        RunDirectoryError: There is no such run, or it has no labels.
        SchemaError: A file of labels cannot be read, or the two speak of other claims or labels.
    """
    labelled = read_run(places.run, places.labels, places.corrections)
    found = compare(labelled, settings.other)
    agreement = "–" if found.agreement is None else f"{100 * found.agreement:.1f} %"
    beyond_chance = "–" if found.kappa is None else f"{found.kappa:.2f}"
    # As `Text`: a path may hold square brackets, which are markup.
    console.print(
        Text(
            f"{places.run} and {settings.other}: {found.num_both:,} claims labelled by both, agreement {agreement}, "
            f"kappa {beyond_chance}; {len(found.differing):,} differ, {found.num_only_one:,} labelled by one alone"
        ),
        soft_wrap=True,
    )
    shown = found.differing[: settings.limit]
    if shown:
        console.print(
            claims_list(labelled, shown, console.width, [name_of(found.others[position]) for position in shown])
        )
    if len(shown) < len(found.differing):
        console.print(Text(f"{len(shown):,} of {len(found.differing):,} listed, see limit="))
