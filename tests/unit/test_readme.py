"""Every command that README and guide show can be typed, and their Python says what it says."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from icm import cli
from icm.commands.arguments import read_arguments
from icm.commands.memory import require_read
from icm.config import compose_command, jobs_of
from icm.config.typed import nearest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/guide.md", "docs/measured.md")
TASK = "template: '{text}:'\npath: rows.csv\n"


def commands_of(page: str) -> list[str]:
    """Return the `icm` commands of the indented blocks, continued lines joined, comments left out."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^    (icm [^\n]*)$", text, flags=re.MULTILINE)
    return [" ".join(shlex.split(block, comments=True)) and block for block in blocks]


COMMANDS = [(page, command) for page in PAGES for command in commands_of(page)]


def test_there_are_commands_to_try() -> None:
    assert len(COMMANDS) > 15


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[command for _, command in COMMANDS])
def test_a_command_of_the_docs_can_be_typed(
    page: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("task.yaml").write_text(TASK)
    typed = shlex.split(command, comments=True)[1:]
    arguments = read_arguments(typed, {each.words: each.positional for each in cli.COMMANDS}, cli.commands())
    if arguments.help or arguments.version:
        return
    assert arguments.command is not None
    require_read(arguments.command, arguments.overrides)
    for overrides in jobs_of(arguments.overrides) if arguments.sweep else [arguments.overrides]:
        compose_command(cli.commands()[arguments.command], overrides)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    assert "12 labels of 12 rows" in printed.getvalue()
    assert Path("report.html").stat().st_size > 10_000
    assert Path("runs/owl-and-cat/elicit/labels.jsonl").exists()


def test_hints_name_what_is_near() -> None:
    assert nearest("sweps", ["sweeps", "gibbs"]) == "; did you mean sweeps?"
    assert nearest("x", ["sweeps"]) == ""
