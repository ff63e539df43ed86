"""Tables of the documentation: they follow from the rows, and the committed ones are fresh."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.harness import append_row
from benchmarks.render import DOCS_DIR, render

ROWS = (
    {"search": "b", "seed": 0, "accuracy": 0.5, "tokens": 1000},
    {"search": "a", "seed": 0, "accuracy": 1.0, "tokens": 3000, "note": "all"},
    {"search": "a", "seed": 1, "accuracy": 0.5, "tokens": 2000},
    {"search": "a", "seed": 2, "accuracy": 0.75, "tokens": 1000},
)


def table(told: str, tmp_path: Path) -> list[str]:
    """Return the lines of a table below its heading."""
    path = tmp_path / "results" / "rows.jsonl"
    path.unlink(missing_ok=True)
    for row in ROWS:
        append_row(path, row)
    page = f"before\n<!-- table: results/rows.jsonl\n{told}\n-->\nold\n<!-- end -->\nafter\n"
    fresh = render(page, tmp_path)
    assert render(fresh, tmp_path) == fresh
    assert fresh.startswith("before\n<!-- table: ")
    assert fresh.endswith("<!-- end -->\nafter\n")
    return fresh.split("-->\n")[1].splitlines()[2:-1]


def test_rows_are_kept_sorted_and_shown_with_empty_cells(tmp_path: Path) -> None:
    told = """order = ["search", "-tokens"]
where = {seed = [0, 1]}
columns = {search = "{search}", tokens = "{tokens:,}", note = "{note}"}"""
    assert table(told, tmp_path) == ["| a | 3,000 | all |", "| a | 2,000 |  |", "| b | 1,000 |  |"]


def test_rows_of_a_group_are_counted_and_averaged_with_an_interval(tmp_path: Path) -> None:
    told = """by = ["search"]
columns = {search = "{search}", runs = "{rows}", right = "{accuracy:.1%}", tokens = "{tokens.median:,.0f}"}"""
    # Half the width: t(0.975, 2) = 4.3027 times 0.25 / sqrt(3).
    assert table(told, tmp_path) == ["| b | 1 | 50.0% | 1,000 |", "| a | 3 | 75.0% ± 62.1% | 2,000 |"]


def test_lists_of_objects_are_rows_and_objects_are_keys(tmp_path: Path) -> None:
    append_row(tmp_path / "arms.jsonl", {"seed": 0, "arms": [{"arm": "golden", "reward": {"value": 0.9}}]})
    told = 'each = "arms"\ncolumns = {arm = "{arm}", reward = "{reward_value:.1f}"}'
    page = render(f"<!-- table: arms.jsonl\n{told}\n-->\n<!-- end -->", tmp_path)
    assert "| golden | 0.9 |" in page


def test_a_table_without_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no row is left"):
        table('where = {search = "c"}\ncolumns = {search = "{search}"}', tmp_path)


@pytest.mark.parametrize("path", sorted(DOCS_DIR.rglob("*.md")), ids=lambda path: path.name)
def test_committed_pages_are_fresh(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert render(page, DOCS_DIR) == page, "run python -m benchmarks.render"


@pytest.mark.parametrize("path", sorted((DOCS_DIR / "log").glob("*.md")), ids=lambda path: path.name)
def test_a_page_of_the_log_says_what_was_asked_and_whether_it_stands(path: Path) -> None:
    if path.name == "README.md":
        return
    page = path.read_text(encoding="utf-8")
    for field in ("Date", "Command", "Answer", "Decision", "Status"):
        assert f"- **{field}:**" in page
    assert f"({path.name})" in (path.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "path", sorted([*DOCS_DIR.rglob("*.md"), *DOCS_DIR.parent.glob("*.md")]), ids=lambda path: path.name
)
def test_links_to_files_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)\)", path.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (path.parent / target).exists()]
    assert missing == []
