"""What the stages of a run cost, in words. Knows their manifests alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from icm.files.records import Manifest

DOING = {"prepare": "Preparing", "elicit": "Eliciting", "diagnose": "Diagnosing", "evaluate": "Evaluating"}


def cost_sentences(stages: Mapping[str, Manifest]) -> list[str]:
    """Return a sentence for each stage: how long it took, what the model was asked, and what sharing spared it."""
    return [f"{DOING[name]} took {duration(stage.seconds)}{_asked(stage.cost)}." for name, stage in stages.items()]


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _asked(cost: Mapping[str, float]) -> str:
    return "".join(_clauses(cost)) if cost.get("prompts") else "; no model was asked"


def _clauses(cost: Mapping[str, float]) -> Iterator[str]:
    known = f", {cost['journal_hits']:,.0f} of them answered from the journal" if cost.get("journal_hits") else ""
    yield f"; the model was asked {cost['prompts']:,.0f} questions{known}"
    forwarded, naive = cost.get("forwarded_tokens", 0.0), cost.get("naive_tokens", 0.0)
    yield f", and read {forwarded:,.0f} tokens"
    if forwarded and naive > forwarded:
        yield f", {naive / forwarded:,.1f} times fewer than every question in full ({naive:,.0f})"
    if cost.get("model_seconds"):
        yield f"; {duration(cost['model_seconds'])} of the time was inside the model"
