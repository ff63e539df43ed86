"""The report: whole in one file, escaped, and saying what could not be measured."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from consistency.binding import Tally
from icm.diagnose.checks import judge
from icm.diagnose.schema import CHECK_NAMES, CheckName
from icm.evaluate.against_golden import compare
from icm.evaluate.figures import draw_figures
from icm.evaluate.page import render_page
from icm.evaluate.schema import Metrics
from icm.evaluate.stage import run
from icm.evaluate.summary import summary_table
from icm.files.records import METRICS
from icm.files.stage_dir import read_result
from tests.worlds import QUICK, concept_scorer, elicitation, evaluate_settings, write_run

CONFIG = evaluate_settings(shots=(0, 4, 8, 99), draws=2, num_resamples=100)


class Reader(HTMLParser):
    """Keeps the text of a page and whatever its tags point to."""

    def __init__(self, html: Any) -> None:
        super().__init__()
        self.html = html
        self.text, self.targets, self.tags = [], [], []

    def handle_starttag(self, tag: Any, attrs: Any) -> None:
        self.tags.append(tag)
        self.targets += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Any:
    directory = tmp_path_factory.mktemp("run")
    of = elicitation()
    run(CONFIG, *write_run(of, directory), directory / "evaluate", concept_scorer(of))
    return directory / "evaluate"


@pytest.fixture
def page(evaluated: Any) -> Any:
    reader = Reader((evaluated / "report.html").read_text())
    reader.feed(reader.html)
    return reader


def test_the_report_needs_nothing_from_elsewhere(page: Any) -> None:
    assert all(target.startswith("data:image/svg+xml;base64,") for target in page.targets)
    assert len(page.targets) == 4
    assert not re.search(r"https?:|//[a-z]|@import|url\(", page.html.split("base64,")[0])
    assert not re.search(r"https?:", re.sub(r"base64,[A-Za-z0-9+/=]+", "", page.html))


def test_texts_of_the_data_set_and_settings_are_escaped(page: Any) -> None:
    assert "script" not in page.tags
    assert "It is 0 <b>&</b> more" in "".join(page.text)
    assert "<script>alert(1)</script>" in "".join(page.text)


def test_the_report_holds_the_headline_and_what_was_left_out(page: Any, evaluated: Any) -> None:
    metrics, text = read_result(evaluated, "evaluate", METRICS, Metrics), " ".join(" ".join(page.text).split())
    assert metrics.in_context is not None
    for estimate in (metrics.accuracy, metrics.in_context.elicited, metrics.in_context.golden):
        assert estimate is not None
        assert f"{100 * estimate.value:.1f} %" in text
    assert "99 shots not asked: only 44 claims have both" in text
    assert "48,210" in text


def _page_with(constraints: Any, tmp_path: Path) -> Any:
    """Return the text of a report that holds a diagnosis with these tallies."""
    of = elicitation(num_groups=2, num_wrong=0, num_unlabelled=0)
    metrics = compare(of, QUICK, num_bins=5, max_trace_points=5)
    nothing: dict[CheckName, float | str] = dict.fromkeys(CHECK_NAMES, "not measured")
    page = render_page(
        metrics,
        figures_dir=tmp_path,
        figures=[],
        costs={},
        settings={},
        disagreements=[],
        diagnosis=judge("numbers", nothing, {}, 0, constraints),
    )
    reader = Reader(page)
    reader.feed(page)
    return " ".join(" ".join(reader.text).split())


def test_the_report_says_which_constraints_bind(tmp_path: Path) -> None:
    tally = Tally(
        name="table: <b>dog</b>, mammal",
        num_constraints=1234,
        num_violated=5,
        num_opposed=67,
        num_binding=89,
        num_undecided=0,
    )
    text = _page_with([tally], tmp_path)
    assert "table: <b>dog</b>, mammal 1,234 5 89 67" in text
    assert "undecided" not in text
    assert "89 3 undecided 67" in _page_with([replace(tally, num_undecided=3)], tmp_path)
    assert "Which constraints bind" not in _page_with([], tmp_path)


def _console_text(metrics: Any) -> Any:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(summary_table(metrics))
    return " ".join(capture.get().split())


def test_the_summary_table_stands_on_its_own(evaluated: Any) -> None:
    text = _console_text(read_result(evaluated, "evaluate", METRICS, Metrics))
    for words in (
        "Elicited labels",
        "Zero-shot",
        "Golden labels",
        "majority",
        "labelled 44 of 48",
        "polarity: upright",
    ):
        assert words in text


def test_a_rule_that_speaks_of_some_claims_only_says_so(evaluated: Any) -> None:
    metrics = read_result(evaluated, "evaluate", METRICS, Metrics)
    majority, *others = metrics.baselines
    assert majority.claims is not None
    partial = majority.model_copy(update={"claims": majority.claims.model_copy(update={"num_claims": 5})})
    text = _console_text(metrics.model_copy(update={"baselines": (partial, *others)}))
    assert text.count("(speaks of 5 of 48)") == 1


def test_a_task_name_is_not_read_as_markup(evaluated: Any) -> None:
    metrics = read_result(evaluated, "evaluate", METRICS, Metrics).model_copy(update={"task": "facts[/bold]"})
    assert "facts[/bold]" in _console_text(metrics)


def test_metrics_survive_their_file(evaluated: Any) -> None:
    metrics = read_result(evaluated, "evaluate", METRICS, Metrics)
    assert Metrics.model_validate_json(metrics.model_dump_json()) == metrics


def test_figures_are_drawn_for_a_run_with_nothing_to_show(tmp_path: Path) -> None:
    of = elicitation(num_groups=1, num_wrong=0, num_unlabelled=4)
    run(CONFIG, *write_run(of, tmp_path), tmp_path / "evaluate", concept_scorer(of))
    metrics = read_result(tmp_path / "evaluate", "evaluate", METRICS, Metrics)
    assert metrics.accuracy is None
    assert [name for name, _, _ in draw_figures(metrics, tmp_path / "again")] == ["in_context", "trace", "confusion"]
    assert (tmp_path / "evaluate/report.html").read_text().count("<figure") == 3
