"""The report: whole in one file, escaped, there with and without gold, and saying what could not be measured."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from consistency.binding import Tally
from icm.diagnose.checks import judge
from icm.diagnose.schema import CHECK_NAMES
from icm.diagnose.settings import Bounds
from icm.evaluate.figures import draw_figures
from icm.evaluate.schema import Metrics
from icm.evaluate.stage import run
from icm.evaluate.summary import summary_table
from icm.files.records import METRICS
from icm.files.stage_dir import read_result
from icm.show.labelled import LabelledRun, read_run
from icm.show.page import Found, render_page
from icm.show.report import what_is_known, write_report
from tests.worlds import concept_scorer, elicitation, evaluate_settings, write_run

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
    write_report(read_run(directory))
    return directory / "evaluate"


@pytest.fixture
def page(evaluated: Any) -> Any:
    return read_page(evaluated.parent / "report.html")


def read_page(path: Path) -> Any:
    reader = Reader(path.read_text())
    reader.feed(reader.html)
    return reader


def test_the_report_needs_nothing_from_elsewhere(page: Any) -> None:
    assert all(target.startswith("data:image/svg+xml;base64,") for target in page.targets)
    # Every figure, for light and for dark pages.
    assert len(page.targets) == 2 * 5
    assert not re.search(r"https?:|@import|url\(", re.sub(r"base64,[A-Za-z0-9+/=]+", "", page.html))


def test_texts_of_the_data_set_and_settings_are_escaped(page: Any) -> None:
    # The table's data and its script; the one in the settings of this world is text.
    assert page.tags.count("script") == 2
    assert "It is 0 <b>&</b> more" in "".join(page.text)
    assert "<script>alert(1)</script>" in "".join(page.text)


def test_no_claim_can_end_the_script_that_holds_it(tmp_path: Path) -> None:
    of = elicitation(num_groups=2, num_wrong=0, num_unlabelled=0)
    evil = "</script><script>alert(2)</script><!-- \u2028 &amp;"
    hostile = replace(of, claims=[replace(of.claims[0], text=evil), *of.claims[1:]])
    write_run(hostile, tmp_path)
    write_report(read_run(tmp_path))
    page = read_page(tmp_path / "report.html")
    assert page.tags.count("script") == 2
    assert claims_in(page)["rows"][0][1] == evil


def claims_in(page: Any) -> Any:
    found = re.search(r'id="claims-data">(.*?)</script>', page.html, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_every_claim_stands_in_the_table(page: Any) -> None:
    table = claims_in(page)
    of = elicitation()
    golden = [column["name"] for column in table["columns"]].index("golden")
    assert [row[-1] for row in table["rows"]] == [claim.id for claim in of.claims]
    assert [row[3] for row in table["rows"]] == [row.probability for row in of.rows]
    names = of.task.label_space.names
    assert [row[golden] for row in table["rows"]] == [names[of.golden[claim.id]] for claim in of.claims]


def test_without_gold_and_without_diagnosis_there_is_a_report_all_the_same(tmp_path: Path) -> None:
    of = elicitation()
    write_run(of, tmp_path)
    write_report(read_run(tmp_path))
    page = read_page(tmp_path / "report.html")
    text = " ".join(" ".join(page.text).split())
    assert "Not diagnosed" in text
    assert "have not been compared with the golden labels of the source yet" in text
    assert "golden" not in [column["name"] for column in claims_in(page)["columns"]]
    assert len(page.targets) == 2 * 2
    (tmp_path / "prepare" / "gold.jsonl").unlink()
    write_report(read_run(tmp_path))
    text = " ".join(" ".join(read_page(tmp_path / "report.html").text).split())
    assert "The source has no golden labels" in text


def test_results_about_other_labels_are_left_out(tmp_path: Path) -> None:
    of = elicitation()
    prepare_dir, elicit_dir = write_run(of, tmp_path)
    run(CONFIG, prepare_dir, elicit_dir, tmp_path / "evaluate", concept_scorer(of))
    assert what_is_known(read_run(tmp_path)).metrics is not None
    write_run(elicitation(num_wrong=0), tmp_path)
    assert what_is_known(read_run(tmp_path)).metrics is None


def test_the_report_holds_the_headline_and_what_was_left_out(page: Any, evaluated: Any) -> None:
    metrics, text = read_result(evaluated, "evaluate", METRICS, Metrics), " ".join(" ".join(page.text).split())
    assert metrics.in_context is not None
    for estimate in (metrics.accuracy, metrics.in_context.elicited, metrics.in_context.golden):
        assert estimate is not None
        assert f"{100 * estimate.value:.1f} %" in text
    assert "99 shots not asked: only 44 claims have both" in text
    assert "48,210" in text


def _labelled(tmp_path: Path) -> LabelledRun:
    write_run(elicitation(num_groups=2, num_wrong=0, num_unlabelled=0), tmp_path)
    return read_run(tmp_path)


def _page_with(constraints: Any, tmp_path: Path, **measures: float) -> Any:
    """Return the text of a report that holds a diagnosis with these tallies and measures."""
    nothing: Any = dict.fromkeys(CHECK_NAMES, "no reason") | measures
    diagnosis = judge("numbers", nothing, BOUNDS, 0, constraints)
    page = render_page(_labelled(tmp_path), Found(diagnosis=diagnosis, bounds=BOUNDS, golden={}, stages={}), [])
    reader = Reader(page)
    reader.feed(page)
    return " ".join(" ".join(reader.text).split())


BOUNDS: Any = {"orders": Bounds(worse="below", caution=0.9, reject=0.6)}


def test_a_check_shows_its_bounds_and_one_without_bounds_does_not_say_trust(tmp_path: Path) -> None:
    text = _page_with([], tmp_path, orders=1.0, stability=0.5)
    assert "100 % at least 90 % / 60 % trust" in text
    assert "50 % – only reported" in text
    assert text.count("only reported") == 1 + text.count("is only reported")
    assert text.count("% trust ") == 1


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
    assert draw_figures(metrics, tmp_path / "again") == ["in_context", "trace", "confusion"]
    write_report(read_run(tmp_path))
    assert (tmp_path / "report.html").read_text().count("<figure") == 4
