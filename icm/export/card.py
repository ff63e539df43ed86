"""The data card of an export: how the labels were made, what is known of their quality, whose licence holds.

Knows the manifests of the stages, no label and no claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from icm.diagnose.schema import Diagnosis, Verdict
from icm.evaluate.schema import Metrics
from icm.files.records import Manifest

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a card states.

    Attributes:
        task: The settings of the task.
        licence: SPDX name or words; `None` if nobody said.
        labels_file: Name of the labels file, for labels that no stage made.
        elicited: Manifest of the stage that made the labels, `None` if none did.
        diagnosis: What speaks against the labels, golden ones apart; `None` if nobody looked.
        metrics: The labels against golden ones, `None` if they were not compared.
        rows: Rows of every file written.
        without_pairs: Why there are no pairs, `None` if there are.
    """

    task: Mapping[str, Any]
    licence: str | None
    labels_file: str
    elicited: Manifest | None
    diagnosis: Diagnosis | None
    metrics: Metrics | None
    rows: Mapping[str, int]
    without_pairs: str | None


def render_card(facts: CardFacts) -> str:
    """Return the card as Markdown with the front matter that the Hub reads."""
    parts = [
        _front_matter(facts),
        f"# Labels of the task {facts.task['name']}",
        "## Files\n\n" + _files(facts),
        "## How the labels were made\n\n" + _provenance(facts),
        "## How good they are\n\n" + _quality(facts),
        "## Licence\n\n" + _licence(facts),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(facts: CardFacts) -> str:
    configs = [
        f"- config_name: {name}\n  data_files: trl/{name}.jsonl"
        for name in ("preference", "kto", "sft")
        if f"trl/{name}.jsonl" in facts.rows
    ]
    lines = ["---", f"license: {facts.licence or 'unknown'}", "tags: [preference, machine-labelled, unsupervised]"]
    return "\n".join([*lines, *(["configs:", *configs] if configs else []), "---"])


def _files(facts: CardFacts) -> str:
    rows = [f"| `{name}` | {count:,} | {LIBRARY_NOTES[name]} |" for name, count in facts.rows.items()]
    table = "\n".join(["| file | rows | read by |", "|---|---|---|", *rows])
    return table if facts.without_pairs is None else f"{table}\n\nThere are no preference pairs: {facts.without_pairs}."


def _provenance(facts: CardFacts) -> str:
    # The name of a file, not its path: where it lay is nobody's business.
    path = facts.task.get("path")
    source = Path(path).name if path else facts.task.get("hub_id") or "the embedded pocket world"
    lines = [f"The claims come from {source} (task kind `{facts.task['kind']}`)."]
    if facts.elicited is None:
        lines.append(
            f"The labels come from the file `{facts.labels_file}`, which no elicitation of this package made; whoever "
            f"made it can say how."
        )
        return "\n".join(lines)
    config, counts = facts.elicited.config, facts.elicited.counts
    given = "Some labels were given beforehand (anchors); the" if config.get("anchors") else "No label was given: the"
    lines += [
        f"{given} labels are those of a language model, found by Internal Coherence Maximization (Wen et al.,",
        "arXiv 2506.10139).",
        "",
        "| | |",
        "|---|---|",
        f"| labelled claims | {counts['labelled']:,} of {counts['claims']:,} |",
        f"| utility U, violated constraints | {counts['utility']:.3f}, {counts['violations']:,} |",
        *(f"| model: {name} | `{value}` |" for name, value in (facts.elicited.model or {}).items() if value),
        *(f"| {name} | `{config[name]}` |" for name in ("seed", "search", "objective") if name in config),
        *(f"| {name} | {number} |" for name, number in sorted(facts.elicited.versions.items())),
    ]
    return "\n".join(lines)


def _quality(facts: CardFacts) -> str:
    caution = (
        "Coherent labels are not always right: the search may have settled on another concept than the one that was "
        "meant. Look at a sample before you train on them."
    )
    return "\n\n".join([_diagnosis(facts.diagnosis), _comparison(facts.metrics), caution])


def _diagnosis(diagnosis: Diagnosis | None) -> str:
    """Return the verdict that needs no golden label, with its reasons."""
    if diagnosis is None:
        return "**Not diagnosed**: `icm diagnose` was not run on these labels."
    verdict = f"Diagnosed without golden labels: **{diagnosis.verdict}**: {VERDICT_NOTES[diagnosis.verdict]}."
    reasons = "\n".join(f"- {reason}" for reason in diagnosis.reasons)
    return f"{verdict} What speaks against them:\n\n{reasons}" if reasons else verdict


def _comparison(metrics: Metrics | None) -> str:
    """Return how the labels compare with golden ones."""
    if metrics is None or metrics.accuracy is None:
        return "**Not verified**: the labels were not compared with golden ones."
    accuracy = metrics.accuracy
    told = (
        f"Compared with golden labels after the fact: accuracy {accuracy.value:.1%} "
        f"({metrics.confidence_level:.0%} interval {accuracy.low:.1%} – {accuracy.high:.1%}, {accuracy.num_claims:,} "
        f"claims in {accuracy.num_groups:,} groups), polarity: {metrics.polarity or 'not defined'}."
    )
    calibration = metrics.calibration
    if calibration is None:
        return told
    return (
        f"{told}\nTheir probabilities: expected calibration error {calibration.expected_calibration_error:.3f}, Brier "
        f"score {calibration.brier:.3f}."
    )


def _licence(facts: CardFacts) -> str:
    if facts.licence is None:
        return (
            "Not stated. The licence of the source of the claims holds for them; find it out before you pass this on."
        )
    return f"{facts.licence}. The licence of the source of the claims holds for them as well."
