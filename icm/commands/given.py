"""Labels of a file, or corrected ones, set up as a run of their own, so that every stage judges them as any others."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Final

from icm.claims import Claim
from icm.config import Config, Places
from icm.errors import ConfigError
from icm.files.records import LABELS, LabelRow, dump_row, write_text
from icm.searches.settings import GivenSettings
from icm.show.labelled import LabelledRun, read_run

GIVEN: Final = "given"


def on_given_labels(places: Places, config: Config) -> tuple[Places, Config] | None:
    """Return places and settings of a run that has the labels given with `labels=` and `corrections=`.

    It lies in the directory of its run, named after the file and the content of its labels, with a copy of the claims.

    Returns:
        `None` if no labels were given.

    Raises:
        ConfigError: No run is named, or none of its claims gets a label.
        SchemaError: A file cannot be read, or names a claim that the run does not have.
    """
    given = places.labels or places.corrections
    if given is None:
        return None
    if places.run_dir is None:
        raise ConfigError(f"{given}: labels of a file are judged on the claims of a run; name it with run_dir=DIR")
    run = read_run(places.run, places.labels, places.corrections)
    directory = _set_up(run, given)
    search = GivenSettings(kind="given", name=run.origin, labels=directory / LABELS)
    told = places.model_copy(update={"out_dir": directory, "labels": None, "corrections": None})
    return told, config.model_copy(update={"search": search})


def _set_up(run: LabelledRun, given: Path) -> Path:
    """Write the labels and a copy of the claims into a directory of their own, and return it."""
    labelled = [(claim, row) for claim, row in zip(run.claims, run.rows, strict=True) if row.label is not None]
    if not labelled:
        raise ConfigError(
            f"{given}: gives none of the {len(run.claims):,} claims a label, so there is nothing to judge"
        )
    text = "".join(dump_row(_plain(claim, row)) for claim, row in labelled)
    directory = run.directory / GIVEN / f"{given.stem}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    if not (directory / "prepare").exists():
        # Under another name until it is whole: a copy that was interrupted must not be taken for the claims.
        partial = directory / "prepare.partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(run.directory / "prepare", partial)
        partial.rename(directory / "prepare")
    write_text(directory / LABELS, text)
    return directory


def _plain(claim: Claim, row: LabelRow) -> LabelRow:
    # Only the label: what the file says of its probability is not what the model of this run says of it.
    return LabelRow(id=claim.id, group=claim.group, label=row.label, name=row.name)
