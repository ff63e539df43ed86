"""What `icm show` does: the labels of a run beside their texts, or everything about one of them."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from icm.config import Places
from icm.show.explain import explain
from icm.show.labelled import LabelledRun, labels_of, read_run
from icm.show.settings import ShowSettings
from icm.show.stage import select
from icm.show.text import claims_list, explanation_text, name_of


def run(places: Places, settings: ShowSettings, console: Console) -> None:
    """Show labels.

    Raises:
        RunDirectoryError: There is no such run, or it has no labels.
        SchemaError: A file of labels cannot be read.
        ConfigError: A claim or a row is not in the run.
    """
    labelled = read_run(places.run, places.labels, places.corrections)
    chosen = select(labelled, settings)
    if settings.claim is not None or settings.row is not None:
        for position in chosen:
            console.print(explanation_text(labelled, explain(labelled, position), settings.limit), soft_wrap=True)
        return
    _say(console, _headline(labelled))
    shown = chosen[: settings.limit]
    if shown:
        console.print(claims_list(labelled, shown, console.width, _others(labelled, shown, settings)))
    _say(console, f"{len(shown):,} of {len(chosen):,} claims" + (", see limit=" if len(shown) < len(chosen) else ""))


def _headline(labelled: LabelledRun) -> str:
    num_labelled = sum(row.label is not None for row in labelled.rows)
    return f"{labelled.task.name}: {num_labelled:,} labels of {len(labelled.claims):,} claims ({labelled.origin})"


def _others(labelled: LabelledRun, shown: list[int], settings: ShowSettings) -> list[str] | None:
    if settings.disagrees is None:
        return None
    others = labels_of(settings.disagrees, labelled)
    return [name_of(others[labelled.claims[position].id]) for position in shown]


def _say(console: Console, line: str) -> None:
    # As `Text`: a path or a name may hold square brackets, which are markup.
    console.print(Text(line), soft_wrap=True)
