"""`report.html` of a run: reads what its finished stages left and writes the page. Reads gold only after evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from pydantic import TypeAdapter, ValidationError

from icm.diagnose.schema import DIAGNOSIS, Diagnosis
from icm.diagnose.settings import Bounds
from icm.evaluate.against_golden import disagreements
from icm.evaluate.figures import STYLE, captions, trace_figure
from icm.evaluate.replay import replay
from icm.evaluate.schema import Metrics
from icm.evaluate.stage import read_elicitation, why_not_comparable
from icm.files.records import LABELS, MANIFEST, METRICS, TRACE, Manifest, TraceRow, read_rows, write_text
from icm.files.stage_dir import read_manifest, read_result
from icm.show.figures import as_svg, dark, data_url, sureness_figure
from icm.show.labelled import RUN, LabelledRun
from icm.show.page import Found, render_page

REPORT: Final = "report.html"
MAX_TRACE_POINTS: Final = 400
"""Steps that are drawn where no evaluation has thinned the trace."""

FULL_WIDTH: Final = ("in_context", "trace", "sureness")


def write_report(run: LabelledRun) -> Path:
    """Write `report.html` of a run, with whatever its finished stages found, and return its path.

    Raises:
        RunDirectoryError: A result was altered.
        SchemaError: A file is malformed.
    """
    path = run.directory / REPORT
    found = what_is_known(run)
    write_text(path, render_page(run, found, list(_figures(run, found))))
    return path


def what_is_known(run: LabelledRun) -> Found:
    """Return what the stages after the search found out about the labels of a run."""
    stages = _stages(run)
    diagnosed, evaluated = stages.get("diagnose"), stages.get("evaluate")
    prepare_dir, elicit_dir = run.directory / "prepare", run.directory / "elicit"
    elicitation = read_elicitation(prepare_dir, elicit_dir) if evaluated else None
    num_listed = evaluated.config.get("num_disagreements", 0) if evaluated else 0
    return Found(
        diagnosis=read_result(run.directory / "diagnose", "diagnose", DIAGNOSIS, Diagnosis) if diagnosed else None,
        bounds=_bounds(diagnosed),
        metrics=read_result(run.directory / "evaluate", "evaluate", METRICS, Metrics) if evaluated else None,
        why_no_metrics=_why_no_metrics(run),
        golden=elicitation.golden if elicitation else {},
        disagreements=disagreements(elicitation)[:num_listed] if elicitation else [],
        stages=stages,
        command=_command(run),
    )


def _stages(run: LabelledRun) -> dict[str, Manifest]:
    """Return the manifests of the finished stages; of those that judge labels, only where they judged these."""
    assert run.elicited is not None  # only labels of a search have a report
    stages = {"prepare": run.prepared, "elicit": run.elicited}
    for name in ("diagnose", "evaluate"):
        directory = run.directory / name
        if (directory / MANIFEST).exists():
            manifest = read_manifest(directory, name)
            # After a new elicitation, what lies here speaks of the old labels until its stage is run again.
            if manifest.inputs.get(LABELS) == run.elicited.outputs.get(LABELS):
                stages[name] = manifest
    return stages


def _bounds(diagnosed: Manifest | None) -> Mapping[str, Bounds]:
    if diagnosed is None:
        return {}
    try:
        return TypeAdapter(dict[str, Bounds]).validate_python(diagnosed.config.get("bounds", {}))
    except ValidationError:
        return {}


def _why_no_metrics(run: LabelledRun) -> str:
    if reason := why_not_comparable(run.directory / "prepare"):
        return f"{reason[0].upper()}{reason[1:]}."
    return "The labels have not been compared with the golden labels of the source yet: icm evaluate does it."


def _command(run: LabelledRun) -> str | None:
    path = run.directory / RUN
    remembered = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return (remembered.get("typed") or {}).get("elicit")


def _figures(run: LabelledRun, found: Found) -> Iterator[dict[str, Any]]:
    """Yield the figures: those of the evaluation where there is one, and how sure the model is."""
    if found.metrics is not None:
        for name, title, caption in captions(found.metrics):
            svg = (run.directory / "evaluate" / "figures" / f"{name}.svg").read_text(encoding="utf-8")
            yield _figure(name, title, caption, svg)
    with mpl.rc_context(STYLE):
        if found.metrics is None:
            caption = "Labelled share and U after each step of the search."
            yield _figure("trace", "Along the search", caption, as_svg(_trace(run)))
        caption = "How many labels have which probability in the context of the other labels."
        names = run.task.label_space.names
        figure = sureness_figure(run.task.name, run.rows, names)
        yield _figure("sureness", "How sure the model is", caption, as_svg(figure))


def _trace(run: LabelledRun) -> Any:
    rows = read_rows(run.directory / "elicit" / TRACE, TraceRow)
    final = {row.id: row.label for row in run.rows if row.label is not None}
    # Without golden labels nothing is right or wrong, and the accuracy is left out.
    points = replay(rows, {}, final, MAX_TRACE_POINTS).points
    return trace_figure(run.task.name, len(run.claims), points)


def _figure(name: str, title: str, caption: str, svg: str) -> dict[str, Any]:
    return {
        "title": title,
        "caption": caption,
        "light": data_url(svg),
        "dark": data_url(dark(svg)),
        "full": name in FULL_WIDTH,
    }
