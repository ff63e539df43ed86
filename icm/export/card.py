"""The data card of an export: how the labels were made, what is known of their quality, whose licence holds.

Knows the manifests of the stages, no label and no claim.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from icm.diagnose.schema import Diagnosis, Verdict
from icm.evaluate.schema import Metrics
from icm.files.records import Manifest

IDENTIFIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
"""What may stand in front matter as it is: an SPDX name."""

MARKS: Final = ("#", "-", "*", "+", ">", "|", "`", "=", "~", "<")
"""Begin something in Markdown where they begin a line."""

LIBRARY_NOTES: Final = {
    "trl/preference.jsonl": "TRL `RewardTrainer`, `DPOTrainer`; OpenRLHF with the prompt key `prompt` and no chat "
    "template. `probability` is the soft target that `chosen` is the better one.",
    "trl/kto.jsonl": "TRL `KTOTrainer`: single responses, desirable or not",
    "trl/sft.jsonl": "TRL `SFTTrainer` with `completion_only_loss`: a claim and its verdict",
    "axolotl/preference.jsonl": "axolotl: `rl: dpo` (or another on pairs) with `axolotl/datasets.yaml`",
    "openrlhf/preference.jsonl": "OpenRLHF: prompt, chosen and rejected as messages, with the chat template applied",
    "openrlhf/prompts.jsonl": "OpenRLHF: prompts for reinforcement learning, input key `prompt`, chat template applied",
    "verl/prompts.parquet": "verl: prompts for reinforcement learning; the reward is to come from a model",
    "datasets/preference": "`datasets.load_from_disk`",
    "datasets/kto": "`datasets.load_from_disk`",
    "datasets/sft": "`datasets.load_from_disk`",
}

VERDICT_NOTES: Final[dict[Verdict, str]] = {
    "trust": "nothing that can be measured without golden labels speaks against them",
    "caution": "something speaks against them; look at a sample before you train on them",
    "reject": "they are probably not what was asked for; do not train on them",
}


def render_card(
    *,
    task: Mapping[str, Any],
    licence: str | None,
    labels_file: str,
    corrections: tuple[str, int, int] | None = None,
    elicited: Manifest | None,
    diagnosis: Diagnosis | None,
    metrics: Metrics | None,
    rows: Mapping[str, int],
    without_pairs: str | None,
) -> str:
    """Return the card as Markdown, to stand below its front matter.

    Args:
        task: The settings of the task.
        licence: SPDX name or words; `None` if it is not known.
        labels_file: Its name, without the path.
        corrections: Name of a file of labels that went over those, how many it has, and how many of them it changed.
        elicited: Manifest of the stage that made the labels; `None` if no elicitation made them.
        diagnosis: `None` if the labels were not diagnosed.
        metrics: `None` if the labels were not evaluated.
        rows: Number of rows by file.
        without_pairs: Why there are no pairs; `None` if there are.
    """
    parts = [
        f"# Labels of the task {_line(task['name'])}",
        "## Files\n\n" + _files(rows, without_pairs),
        "## How the labels were made\n\n" + _provenance(task, labels_file, elicited) + _corrected(corrections),
        "## How good they are\n\n" + _quality(diagnosis, metrics),
        f"## Licence\n\n{_line(licence)}. The licence of the source of the claims holds for them as well."
        if licence
        else "## Licence\n\nNot stated. The licence of the source of the claims holds for them; find it out before you "
        "pass this on.",
    ]
    return "\n\n".join(parts) + "\n"


def front_matter(licence: str | None, hashes: Mapping[str, str]) -> str:
    """Return what the Hub and the datasets library read at the top of a card, given the SHA-256 of each file."""
    # A configuration for each file, as the Hub would take files of different columns for one table. The datasets
    # library knows a local folder by its name and by what is said here, so without a word on the content it would
    # answer from its cache with the rows of another export.
    configs = [
        f"- config_name: {name}\n  data_files: trl/{name}.jsonl\n  description: SHA-256 {hashes[f'trl/{name}.jsonl']}"
        for name in ("preference", "kto", "sft")
        if f"trl/{name}.jsonl" in hashes
    ]
    lines = ["---", *_licence_keys(licence), "tags: [preference, machine-labelled, unsupervised]"]
    return "\n".join([*lines, *(["configs:", *configs] if configs else []), "---"])


def _licence_keys(licence: str | None) -> list[str]:
    """Return the licence as the Hub reads it: an identifier as it stands, other words as the name of another one."""
    if licence is None or IDENTIFIER.fullmatch(licence):
        # In quotes, since YAML takes `yes` and `1.0` for something else than text.
        return [f'license: "{licence or "unknown"}"']
    # A JSON string is a YAML string, whatever the words hold.
    words = json.dumps(" ".join(licence.split()), ensure_ascii=False)
    return ["license: other", f"license_name: {words}"]


def _files(rows: Mapping[str, int], without_pairs: str | None) -> str:
    lines = [f"| `{name}` | {count:,} | {LIBRARY_NOTES[name]} |" for name, count in rows.items()]
    table = "\n".join(["| file | rows | read by |", "|---|---|---|", *lines])
    return table if without_pairs is None else f"{table}\n\nThere are no preference pairs: {_line(without_pairs)}."


def _corrected(corrections: tuple[str, int, int] | None) -> str:
    if corrections is None:
        return ""
    name, given, changed = corrections
    return (
        f"\n\nCorrected afterwards by {_code(name)}: {given:,} labels, of which {changed:,} changed what was there. "
        f"The file of the labels before is kept as it was."
    )


def _provenance(task: Mapping[str, Any], labels_file: str, elicited: Manifest | None) -> str:
    # The card is passed on with the data, so it gives the name of a file, never its path.
    path = task.get("path")
    source = Path(path).name if path else task.get("hub_id") or "the embedded pocket world"
    lines = [f"The claims come from {_line(source)} (task kind `{task['kind']}`)."]
    # Nothing may be claimed of the making of a file that somebody else wrote.
    if elicited is None:
        lines.append(
            f"The labels come from the file {_code(labels_file)}, which no elicitation of this package made; how they "
            f"were made is for its authors to say."
        )
        return "\n".join(lines)
    config, counts = elicited.config, elicited.counts
    given = "Some labels were given beforehand (anchors); the" if config.get("anchors") else "No label was given: the"
    lines += [
        f"{given} labels are those of a language model, found by Internal Coherence Maximization (Wen et al.,",
        "arXiv 2506.10139).",
        "",
        "| | |",
        "|---|---|",
        f"| labelled claims | {counts['labelled']:,} of {counts['claims']:,} |",
        f"| utility U, violated constraints | {counts['utility']:.3f}, {counts['violations']:,} |",
        *(f"| model: {name} | {_cell(value)} |" for name, value in (elicited.model or {}).items() if value),
        *(f"| {name} | {_cell(config[name])} |" for name in ("seed", "search", "objective") if name in config),
        *(f"| {name} | {number} |" for name, number in sorted(elicited.versions.items())),
    ]
    return "\n".join(lines)


def _quality(diagnosis: Diagnosis | None, metrics: Metrics | None) -> str:
    if diagnosis is None:
        verdict = "**Not diagnosed**: `icm diagnose` was not run on these labels."
    else:
        verdict = f"Diagnosed without golden labels: **{diagnosis.verdict}**: {VERDICT_NOTES[diagnosis.verdict]}."
    if diagnosis is not None and diagnosis.reasons:
        reasons = "\n".join(f"- {_line(reason)}" for reason in diagnosis.reasons)
        verdict += f" What speaks against them:\n\n{reasons}"
    # Said of every export, since neither a diagnosis nor a good accuracy rules it out for single labels.
    caution = (
        "Coherent labels are not always right: the search may have settled on another concept than the one that was "
        "meant. Look at a sample before you train on them."
    )
    return "\n\n".join([verdict, _comparison(metrics), caution])


def _comparison(metrics: Metrics | None) -> str:
    """Return how the labels compare with golden ones."""
    if metrics is None or metrics.accuracy is None:
        return "**Not verified**: the labels were not compared with golden ones."
    accuracy = metrics.accuracy
    text = (
        f"Compared with golden labels after the fact: accuracy {accuracy.value:.1%} "
        f"({metrics.confidence_level:.0%} interval {accuracy.low:.1%} – {accuracy.high:.1%}, {accuracy.num_claims:,} "
        f"claims in {accuracy.num_groups:,} groups), polarity: {metrics.polarity or 'not defined'}."
    )
    calibration = metrics.calibration
    if calibration is None:
        return text
    return (
        f"{text}\nTheir probabilities: expected calibration error {calibration.expected_calibration_error:.3f}, Brier "
        f"score {calibration.brier:.3f}."
    )


def _line(text: Any) -> str:
    """Return a text of the user as one line that neither begins a heading or a list nor ends the front matter."""
    line = " ".join(str(text).split())
    return f"\\{line}" if line[:1] in MARKS else line


def _code(text: Any) -> str:
    """Return a text as code, whatever it holds: between one backtick more than it has in a row."""
    line = " ".join(str(text).split())
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    space = " " if len(fence) > 1 else ""
    return f"{fence}{space}{line}{space}{fence}"


def _cell(value: Any) -> str:
    """Return a value as code in a cell of a table, of which a bar would begin the next one."""
    return _code(value).replace("|", "\\|")
