"""The report of a run: one HTML page that needs nothing else. Shows what it is given and computes no metric."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from icm.claims import Claim, ClaimId
from icm.diagnose.schema import Check, Diagnosis
from icm.diagnose.settings import Bounds
from icm.evaluate.schema import Metrics
from icm.evaluate.summary import ARM_NAMES, VERDICT_TEXTS, interval, percent, summary_rows
from icm.files.records import AlternativeRow, LabelRow, Manifest
from icm.show.costs import cost_sentences
from icm.show.explain import rival_label
from icm.show.labelled import LabelledRun

MOST_LETTERS: Final = 2000
"""Letters of a claim on the page; `labels.csv` has all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What later stages found out about the labels of a run.

    Attributes:
        diagnosis: `None` if the labels were not diagnosed.
        bounds: By check, those that it was judged by.
        metrics: `None` if they were not compared with golden labels; `why_no_metrics` says why, in a sentence.
        golden: Golden label by claim, where the labels were compared with them.
        disagreements: What to list of what `against_golden.disagreements` returns.
        stages: The manifests of the finished stages.
        command: What was typed; `None` if no command line was.
    """

    diagnosis: Diagnosis | None = None
    bounds: Mapping[str, Bounds]
    metrics: Metrics | None = None
    why_no_metrics: str = ""
    golden: Mapping[ClaimId, int]
    disagreements: Sequence[tuple[Claim, LabelRow, str]] = ()
    stages: Mapping[str, Manifest]
    command: str | None = None


def render_page(run: LabelledRun, found: Found, figures: Sequence[Mapping[str, Any]]) -> str:
    """Return the page as HTML; every text from a data set is escaped, and nothing is loaded from elsewhere.

    Args:
        run: The labels.
        found: What is known of them.
        figures: Of each figure `title`, `caption`, `light` and `dark` as addresses, and whether it is `full` width.
    """
    # Escaped by default, since claims come from anywhere; a name that is missing is an error, not an empty cell.
    environment = Environment(
        loader=PackageLoader("icm.show", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "interval": interval, "number": _number, "cut": _cut}
    claims = claims_data(run, found.golden if found.metrics else None)
    return environment.get_template("page.html.jinja").render(
        task=run.task.name,
        label_names=run.task.label_space.names,
        diagnosis=found.diagnosis,
        verdict_texts=VERDICT_TEXTS,
        head=list(_head(run, found)),
        cards=list(_cards(run)),
        metrics=found.metrics,
        summary=list(summary_rows(found.metrics)) if found.metrics else [],
        why_no_metrics=found.why_no_metrics,
        arm_names=ARM_NAMES,
        claims=claims,
        claims_json=_for_script(claims),
        claims_note=_claims_note(run),
        alternatives=[_alternative(run, each) for each in run.alternatives],
        why_no_alternatives=_why_no_alternatives(run),
        checks=[_check(each, found.bounds.get(each.name)) for each in found.diagnosis.checks]
        if found.diagnosis
        else [],
        figures=figures,
        disagreements=found.disagreements,
        costs=cost_sentences(found.stages),
        settings={name: json.dumps(stage.config, indent=2, sort_keys=True) for name, stage in found.stages.items()},
    )


def claims_data(run: LabelledRun, golden: Mapping[ClaimId, int] | None) -> dict[str, Any]:
    """Return the table of all claims: its columns, and a row of plain values for each claim.

    Args:
        run: The labels.
        golden: Golden label by claim; `None` for no such column.
    """
    columns: list[dict[str, Any]] = [
        {"name": "row", "title": "row", "find": True, "class": "right"},
        {"name": "claim", "title": "claim", "find": True, "class": "text"},
        {"name": "label", "title": "label"},
        {"name": "probability", "title": "probability", "percent": True, "class": "right"},
        {"name": "margin", "title": "margin, nats", "digits": 2, "class": "right"},
        {"name": "stability", "title": "stability", "percent": True, "class": "right"},
        {"name": "rival", "title": "rival label"},
        *([{"name": "golden", "title": "golden"}] if golden is not None else []),
        {"name": "id", "title": "id", "find": True, "class": "note"},
    ]
    # The first row of each claim, since repetitions of it come later.
    first_row: dict[ClaimId, int] = {}
    for number in sorted(run.source_rows):
        for claim_id in run.source_rows[number]:
            first_row.setdefault(claim_id, number)
    names = run.task.label_space.names
    rows = [
        [
            first_row.get(claim.id),
            _cut(claim.text),
            row.name,
            row.probability,
            row.margin,
            row.stability,
            rival_label(run, claim),
            *([None if claim.id not in golden else names[golden[claim.id]]] if golden is not None else []),
            claim.id,
        ]
        for claim, row in zip(run.claims, run.rows, strict=True)
    ]
    return {"columns": [{"class": "", **column} for column in columns], "rows": rows}


def _head(run: LabelledRun, found: Found) -> Iterator[tuple[str, str]]:
    """Yield what a reader has to know of how the labels came about."""
    elicited = run.elicited
    if elicited is None:
        yield "labels", run.origin
        return
    config, model = elicited.config, elicited.model or {}
    known = [str(model[name]) for name in ("path", "revision", "dtype", "device") if model.get(name)]
    yield "model", ", ".join(known) or str(model.get("kind", "–"))
    yield "search", f"{config.get('search', {}).get('name', '–')}, seed {config.get('seed', '–')}"
    objective = config.get("objective", {})
    yield "objective", str(objective.get("predictability") or objective.get("kind") or "–")
    yield (
        "made",
        f"{elicited.created_at.replace('T', ' ').replace('+00:00', ' UTC')}, icm {elicited.versions.get('icm', '')}",
    )
    if found.command:
        yield "command", found.command
    yield "lies in", str(run.directory)


def _cards(run: LabelledRun) -> Iterator[tuple[str, str, str]]:
    """Yield what is known of the labels without golden ones: name, value, note."""
    labelled = [row for row in run.rows if row.label is not None]
    yield "labelled", percent(len(labelled) / len(run.claims)), f"{len(labelled):,} of {len(run.claims):,} claims"
    counts = run.elicited.counts if run.elicited else {}
    if (bits := counts.get("bits_per_label")) is not None:
        yield "bits per label", f"{bits:.2f}", "what the claims explain of each label"
    if counts.get("constraints"):
        yield "constraints violated", f"{counts['violations']:,}", f"of {counts['constraints']:,}"
    for index, name in enumerate(run.task.label_space.names[:4]):
        share = sum(row.label == index for row in labelled)
        yield f"labelled {name}", percent(share / len(labelled) if labelled else None), f"{share:,} claims"


def _alternative(run: LabelledRun, row: AlternativeRow) -> dict[str, Any]:
    labels = [label for label in row.labels.values() if label is not None and label >= 0]
    counts = np.bincount(labels, minlength=len(run.task.label_space)) if labels else np.zeros(len(run.task.label_space))
    which = "the labels themselves" if row.agreement == 1 else "the rival labelling" if row is run.rival else ""
    return {
        "origins": ", ".join(f"{origin} × {n}" if n > 1 else origin for origin, n in Counter(row.origins).items()),
        "utility": row.utility,
        "agreement": row.agreement,
        "shares": (counts / max(len(labels), 1)).tolist(),
        "which": which,
    }


def _why_no_alternatives(run: LabelledRun) -> str:
    if run.elicited is None:
        return "These labels come from a file, so no search found others beside them."
    name = run.elicited.config.get("search", {}).get("name", "")
    return f"The search {name} followed a single labelling; search=multistart follows several and keeps them."


def _claims_note(run: LabelledRun) -> str:
    note = (
        "Probability, margin and stability are those of the label; row is the number of the row in the source, from 0."
    )
    cut = sum(len(claim.text) > MOST_LETTERS for claim in run.claims)
    return f"{note} {cut:,} long claims are cut here; labels.csv has them whole." if cut else note


def _check(check: Check, bounds: Bounds | None) -> dict[str, Any]:
    """Return a check as the page shows it: one that nothing is judged by says so, and not that it trusts."""
    judged = bounds is not None and (bounds.caution, bounds.reject) != (None, None)
    says = "not measured" if check.value is None else check.verdict if judged else "only reported"
    return {
        "name": check.name.replace("_", " "),
        "measure": check.measure,
        "missing": check.missing,
        "shown": check.shown,
        "bounds": _bounds(check, bounds) if judged else "–",
        "says": says,
        "class": says if says in VERDICT_TEXTS else "",
    }


def _bounds(check: Check, bounds: Bounds | None) -> str:
    assert bounds is not None  # the caller has looked
    # A share is shown in percent, and so are its bounds.
    scale, unit = (100, " %") if check.shown.endswith("%") else (1, "")
    expected = "at most" if bounds.worse == "above" else "at least"
    both = [bound for bound in (bounds.caution, bounds.reject) if bound is not None]
    return f"{expected} {' / '.join(f'{scale * bound:g}{unit}' for bound in both)}"


def _for_script(value: Any) -> Markup:
    """Return a value as JSON that may stand inside a script element: no text in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return Markup(text)  # noqa: S704 - escaped above, for JSON and not for HTML


def _cut(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else text[:MOST_LETTERS] + "…"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3f}"
