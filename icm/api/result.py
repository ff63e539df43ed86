"""What labelling came to: a run directory, opened. Labels by row of what was handed over, and everything known of them.

A result holds nothing that does not lie in its directory, so `load` opens what any command left.
"""

from __future__ import annotations

import html
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from icm.claims import Claim, ClaimId
from icm.commands import stages
from icm.commands.memory import remembered_run
from icm.config import Config, Places
from icm.diagnose.schema import DIAGNOSIS, Diagnosis
from icm.errors import ConfigError, RunDirectoryError
from icm.evaluate.summary import percent
from icm.files.records import MANIFEST, LabelRow
from icm.files.stage_dir import read_result
from icm.files.tables import read_table
from icm.report.console import PlainConsole
from icm.scoring.protocol import LabelScorer
from icm.show.explain import explain
from icm.show.labelled import LabelledRun, read_run
from icm.show.text import explanation_text, one_line

if TYPE_CHECKING:
    import datasets
    import pandas as pd

SOURCE: Final = "source.jsonl"
SHOWN_ROWS: Final = 10
TEXT_WIDTH: Final = 60  # characters


class Page(str):
    """A text that shows itself as it stands, where a plain one would show its quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Result:
    """Labels of a run, with what is known of them.

    Attributes:
        run_dir: Where its files lie; the commands go on with them: `icm show RUN_DIR`.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        config: Config | None = None,
        scorer: LabelScorer | None = None,
    ) -> None:
        """Open a run; `label` and `load` are the usual ways.

        Args:
            run_dir: Directory of the run.
            config: Its settings, read from it if left out.
            scorer: The model that was asked, where it is still loaded.
        """
        self.run_dir = run_dir
        self._config = config
        self._scorer = scorer
        self.run: LabelledRun = read_run(run_dir)

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of the labels."""
        return self.run.task.label_space.names

    @property
    def labels(self) -> list[str | None]:
        """The label of each row, in the order of the rows; `None` for a row that was held out or became no claim."""
        return [None if row is None else row.name for row in self._by_row]

    @property
    def probabilities(self) -> list[float | None]:
        """How probable the model finds the label of each row, from 0 to 1; `None` where there is no label."""
        return [None if row is None else row.probability for row in self._by_row]

    @property
    def bits(self) -> float | None:
        """The bits per label that the texts save; `None` for searches that do not count them."""
        return None if self.run.elicited is None else self.run.elicited.counts.get("bits_per_label")

    @property
    def diagnosis(self) -> Diagnosis:
        """Whether the labels are to be trusted, with the reasons against them; asks the model the first time.

        Raises:
            IcmError: The model of the run is not at hand.
        """
        out_dir = self.run_dir / "diagnose"
        if not (out_dir / MANIFEST).exists():
            self._run_stage(stages.diagnose)
        return read_result(out_dir, "diagnose", DIAGNOSIS, Diagnosis)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The rows that were labelled, as they were handed over; of a source that is gone, what the claims kept."""
        return _source_rows(self.run)

    def explain(self, row: int) -> Page:
        """Return everything that is known of the label of a row: what stood before it, its constraints, its rival.

        Args:
            row: Number of the row, from 0.

        Raises:
            ConfigError: There is no such row, or it has no label.
        """
        claim = self.claims_by_row.get(row)
        positions = {each.id: position for position, each in enumerate(self.run.claims)}
        if claim is None:
            held = "was held out, or became no claim" if 0 <= row < len(self.rows) else "does not exist"
            raise ConfigError(f"row {row} (from 0, of {len(self.rows):,}) {held}, so there is nothing to explain")
        console = PlainConsole(file=StringIO(), width=100, force_terminal=False)
        console.print(explanation_text(self.run, explain(self.run, positions[claim]), SHOWN_ROWS), soft_wrap=True)
        assert isinstance(console.file, StringIO)
        return Page(console.file.getvalue().rstrip())

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows with columns `label` and `probability` beside their own."""
        import pandas as pd

        return pd.DataFrame(self._labelled_rows())

    def to_dataset(self) -> datasets.Dataset:
        """Return the same as a data set of the `datasets` library."""
        import datasets

        return datasets.Dataset.from_list(self._labelled_rows())

    def report(self, path: str | Path) -> Path:
        """Write the report, one HTML page, and return where it is.

        Raises:
            OSError: It cannot be written there.
        """
        found = stages.report(Places(out_dir=self.run_dir))
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found, target)
        return target

    def save(self, directory: str | Path) -> Path:
        """Keep the run in a directory, which `load` and the commands open, and return it.

        Raises:
            RunDirectoryError: There is something in it already.
        """
        target = Path(directory)
        if target.exists() and any(target.iterdir()):
            raise RunDirectoryError(f"{target} is not empty; name another directory, or delete it first")
        shutil.copytree(self.run_dir, target, dirs_exist_ok=True)
        self.run_dir = target
        self.run = read_run(target)
        return target

    def __len__(self) -> int:
        return len(self._by_row)

    def __repr__(self) -> str:
        shown = [f"{row['label'] or '–':<16}  {percent(row['probability']):>7}  {text}" for row, text in self._shown()]
        return "\n".join([self._headline(), *shown, *self._more()])

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><td>{html.escape(row['label'] or '–')}</td><td style='text-align:right'>"
            f"{percent(row['probability']):>7}</td><td style='text-align:left'>{html.escape(text)}</td></tr>"
            for row, text in self._shown()
        )
        head = "<tr><th>label</th><th>probability</th><th style='text-align:left'>text</th></tr>"
        more = "".join(f"<p>{html.escape(line)}</p>" for line in self._more())
        return f"<p><b>{html.escape(self._headline())}</b></p><table>{head}{cells}</table>{more}"

    def _headline(self) -> str:
        counts = Counter(name for name in self.labels if name is not None)
        share = ", ".join(f"{counts[name]:,} {name}" for name in self.label_names)
        told = "not diagnosed yet, see .diagnosis"
        if (self.run_dir / "diagnose" / MANIFEST).exists():
            told = f"diagnosis: {self.diagnosis.verdict}"
        bits = "" if self.bits is None else f", {self.bits:.2f} bits per label"
        return f"{sum(counts.values()):,} labels of {len(self):,} rows ({share}){bits}; {told}"

    def _shown(self) -> list[tuple[dict[str, Any], str]]:
        """Return the first rows with the texts of their claims, cut to a line."""
        claims = {claim.id: claim for claim in self.run.claims}
        labelled = zip(range(SHOWN_ROWS), self._by_row, strict=False)
        return [
            ({"label": row.name, "probability": row.probability}, _cut(one_line(claims[row.id].text)))
            for _, row in labelled
            if row is not None
        ]

    def _more(self) -> list[str]:
        left = len(self) - SHOWN_ROWS
        return [f"… {left:,} more; .to_pandas() has all"] if left > 0 else []

    def _labelled_rows(self) -> list[dict[str, Any]]:
        # Under other names where the rows have such columns themselves.
        own = {name for row in self.rows for name in row}
        names = {name: f"icm_{name}" if name in own else name for name in ("label", "probability")}
        return [
            {**values, names["label"]: label, names["probability"]: probability}
            for values, label, probability in zip(self.rows, self.labels, self.probabilities, strict=True)
        ]

    @cached_property
    def claims_by_row(self) -> dict[int, ClaimId]:
        """The claim that each row stands for, by number of the row."""
        return claims_of_rows(self.rows, self.run.source_rows, self.run.claims)

    @cached_property
    def _by_row(self) -> list[LabelRow | None]:
        """The label of each row of the source, `None` for rows without a claim in the search."""
        labels = {row.id: row for row in self.run.rows}
        places = self.claims_by_row
        return [labels.get(places[number]) if number in places else None for number in range(len(self.rows))]

    def _run_stage(self, stage: Any) -> None:
        from icm.api.labelling import quiet_console

        places, config = remembered_run(self.run_dir) if self._config is None else (None, self._config)
        places = (places or Places()).model_copy(update={"out_dir": self.run_dir})
        stage(places, config, quiet_console(), self._scorer)


def load(run_dir: str | Path) -> Result:
    """Open what `icm run`, `icm elicit` or `Result.save` left in a directory.

    Raises:
        RunDirectoryError: There is no run, or it has no labels yet.
    """
    return Result(Path(run_dir))


def claims_of_rows(
    rows: Sequence[Mapping[str, Any]], source_rows: Mapping[int, Sequence[ClaimId]], claims: Sequence[Claim]
) -> dict[int, ClaimId]:
    """Return the claim that each row of a source stands for; of several the one that reads as the row does.

    A pair of responses is a claim in either order, of which only one is the order of its row.
    """
    known = {claim.id: claim for claim in claims}
    found = {}
    for number, ids in source_rows.items():
        chosen = [known[each] for each in ids if each in known]
        row = rows[number] if number < len(rows) else {}
        if chosen:
            found[number] = next((claim for claim in chosen if _reads_as(claim, row)), chosen[0]).id
    return found


def _reads_as(claim: Claim, row: Mapping[str, Any]) -> bool:
    return all(str(row[name]).strip() == part.strip() for name, part in claim.parts.items() if name in row)


def _source_rows(run: LabelledRun) -> list[dict[str, Any]]:
    source = run.directory / SOURCE
    if source.exists():
        return read_table(source)[0]
    told = run.prepared.config.get("task", {})
    path = told.get("path")
    if path and Path(path).is_file():
        return read_table(Path(path), delimiter=told.get("delimiter"), encoding=told.get("encoding"))[0]
    # The source is gone, or was none: the claims still have the parts that they were made of.
    parts = {claim.id: dict(claim.parts) for claim in run.claims}
    last = max(run.source_rows, default=-1)
    return [
        next((parts[each] for each in run.source_rows.get(row, ()) if each in parts), {}) for row in range(last + 1)
    ]


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_WIDTH else f"{text[: TEXT_WIDTH - 1]}…"
