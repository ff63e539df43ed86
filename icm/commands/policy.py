"""What `icm policy` does: train a policy in the directory of a run and show what became of it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from icm.config import Places
from icm.files.records import METRICS, Manifest
from icm.training.loop import MODEL
from icm.training.policy import stage as policy
from icm.training.policy.samples import PolicyMetrics, SampleMeasures
from icm.training.policy.settings import PolicyConfig


def run(places: Places, settings: PolicyConfig, console: Console) -> None:
    """Train a policy and show what became of it."""
    manifest = policy.run(
        settings, places.run / "prepare", places.reward_dir, places.out_dir, console, overwrite=places.overwrite
    )
    # From the file, since a stage that was complete already has measured nothing in this process.
    metrics = PolicyMetrics.model_validate_json((places.out_dir / METRICS).read_text(encoding="utf-8"))
    console.print(_summary_line(places, settings, manifest, metrics), soft_wrap=True)
    console.print(results_table(metrics))


def _summary_line(places: Places, settings: PolicyConfig, manifest: Manifest, metrics: PolicyMetrics) -> str:
    counts = manifest.counts
    over_context = ", ".join(f"{count:,} {kind}s" for kind, count in counts["over_context"].items()) or "nothing"
    done = f"policy trained by {settings.method.kind} for" if metrics.policy else "nothing trained:"
    ending = " (its KL budget was spent)" if metrics.kl_budget_spent else ""
    # Best-of-n alone writes no model to point at.
    where = places.out_dir / MODEL if metrics.policy else places.out_dir
    return (
        f"{done} {metrics.steps:,} steps{ending} on {counts['prompts']:,} prompts in {manifest.seconds:,.1f} s; "
        f"too long for the context: {over_context}; in {where}"
    )


def results_table(metrics: PolicyMetrics) -> Table:
    """Return a table of base, policy and best-of-n: reward, divergence, length."""
    table = Table(box=None, header_style="")
    for name in ("", "reward", "95 % interval", "KL, nats", "tokens", "ended"):
        table.add_column(name, justify="left" if not name else "right")
    table.add_row(*_row("base", metrics.base))
    if metrics.policy is not None:
        table.add_row(*_row("policy", metrics.policy))
    # The divergence of best-of-n is a bound that follows from n alone; it has no interval because nothing is measured.
    for best in metrics.best_of_n:
        # The best of one is the base, which has a row already.
        if best.n > 1:
            table.add_row(
                f"best of {best.n}, no training", f"{best.reward:.3f}", "", f"≤ {best.kl:.2f}", f"{best.tokens:.1f}", ""
            )
    return table


def _row(name: str, measures: SampleMeasures) -> list[str]:
    reward = measures.reward
    return [
        name,
        "none" if reward is None else f"{reward.value:.3f}",
        "" if reward is None else f"{reward.low:.3f} – {reward.high:.3f}",
        f"{measures.kl.value:.2f}",
        f"{measures.tokens:.1f}",
        f"{measures.ended:.1%}",
    ]
