"""The console shows what comes from outside as it is, on any terminal, file or pipe."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.progress import Progress
from rich.table import Table

from icm.evaluate.against_golden import compare
from icm.evaluate.summary import summary_table
from icm.report.console import PlainConsole
from icm.report.streams import ASCII_FORMS, prepare_streams
from tests.worlds import QUICK, elicitation

HOSTILE = "a[/bold][b] :smile: [link=x]y[/link] \\[z]"


def printed(*objects: object, width: int = 80, **settings: object) -> str:
    console = PlainConsole(file=io.StringIO(), width=width)
    console.print(*objects, **settings)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@given(text=st.text(st.characters(codec="ascii", exclude_categories=["Cc"])))
def test_no_text_is_markup(text: str) -> None:
    assert printed(text, soft_wrap=True) == f"{text}\n"


def test_nor_is_a_cell_or_a_title_of_a_table() -> None:
    table = Table(HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE)
    assert printed(table).count(HOSTILE) == 3


def test_nor_is_anything_beside_a_progress_bar() -> None:
    console = PlainConsole(file=io.StringIO(), width=80, force_terminal=True)
    with Progress(console=console) as progress:
        progress.console.print(HOSTILE)
    assert isinstance(console.file, io.StringIO)
    assert HOSTILE in console.file.getvalue()


@pytest.mark.parametrize("width", [20, 40, 60, 80, 132])
def test_no_number_of_a_table_is_cut(width: int) -> None:
    of = elicitation(num_groups=3, num_wrong=1, num_unlabelled=0)
    metrics = compare(of, QUICK, num_bins=5, max_trace_points=5)
    numbers = re.compile(r"\d+\.\d")
    wide, narrow = (numbers.findall(printed(summary_table(metrics), width=columns)) for columns in (300, width))
    assert sorted(narrow) == sorted(wide)
    assert "…" not in printed(summary_table(metrics), width=width)


def test_a_closed_pipe_is_said_to_the_caller() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        console = PlainConsole(file=pipe)
        with pytest.raises(BrokenPipeError):
            console.print("x" * 100_000)
        # What was not written must not be written when the file is closed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_streams_of_few_signs_show_ours_in_their_own(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    prepare_streams()
    sys.stdout.write("1.0 – 2.0 × 3 · α σ … Ω")
    sys.stdout.flush()
    text = raw.getvalue().decode(encoding)
    assert text.startswith("1.0 ")
    assert text.endswith(" \\u03a9")


def test_the_signs_that_stand_for_ours_are_as_wide() -> None:
    assert all(len(form) == len(sign) == 1 and form.isascii() for sign, form in ASCII_FORMS.items())


def run_icm(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    script = "import sys; sys.argv = ['icm', *sys.argv[1:]]; from icm.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_whose_output_nobody_reads_ends_quietly(tmp_path: Path) -> None:
    script = "import sys; sys.argv = ['icm', '--help']; from icm.cli import main; main()"
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-c", script], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_ascii_output_of_a_whole_command(tmp_path: Path) -> None:
    ended = run_icm("models", PYTHONIOENCODING="ascii", COLUMNS="40", LC_ALL="C", ICM_CACHE_DIR=str(tmp_path / "[x]ü"))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.isascii()
    assert "[x]\\xfc" in ended.stdout
    assert "Traceback" not in ended.stderr
