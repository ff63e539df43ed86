"""The comforts of the command line: JSON for programs, no colour where none is wanted, what is complete, leftovers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from icm.commands import stages
from icm.commands.clean import STILL_SECONDS
from icm.files.records import Manifest

Icm = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).parents[2]
SMALL = ["model=fake", "search=zero_shot", "task.num_claims=12", "task.num_held_out=6"]
QUICK = [*SMALL, "evaluate.shots=[0]", "evaluate.draws=1", "evaluate.num_resamples=200"]


def test_json_is_the_only_output_and_people_read_beside_it(icm: Icm, tmp_path: Path) -> None:
    status, out, err = icm("run", "--json", *QUICK, f"out_dir={tmp_path / 'run'}")
    assert status == 0
    told = json.loads(out)
    assert told["command"] == "run"
    assert told["out_dir"] == str(tmp_path / "run")
    assert set(told["stages"]) == {"prepare", "elicit", "diagnose", "evaluate"}
    assert told["stages"]["elicit"]["counts"]["labelled"] == 12
    assert told["stages"]["diagnose"]["verdict"] in ("trust", "caution", "reject")
    assert 0 <= told["stages"]["evaluate"]["accuracy"]["value"] <= 1
    assert "elicited 12 labels" in err
    assert json.loads(icm("diagnose", f"run_dir={tmp_path / 'run'}", "--json")[1])["stages"] == told["stages"]


def test_what_is_complete_says_since_when(icm: Icm, tmp_path: Path) -> None:
    first = icm("run", *QUICK, f"out_dir={tmp_path / 'run'}")[1]
    assert "already complete" not in first
    again = icm("prepare", f"run_dir={tmp_path / 'run'}")[1]
    assert re.search(r"already complete, from (\S+ )?\d\d:\d\d\)", again)
    # As if it had been made on another day: a manifest on disk knows when its date was changed.
    before = Manifest(stage="prepare", config={}, counts={}, created_at="2025-03-04T09:26:00+00:00")
    assert stages._since(before, datetime.now(UTC)).startswith(" (already complete, from 2025-03-0")


def test_no_colour_is_written_where_none_is_wanted(icm: Icm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    status, out, _ = icm("run", *QUICK, f"out_dir={tmp_path / 'run'}")
    assert status == 0
    # Bold is no colour; codes of colour begin with 3 or 4.
    assert not any(f"\x1b[{code}m" in out for code in range(30, 50))


def test_clean_lists_what_stopped_runs_left_and_deletes_only_what_it_is_told(icm: Icm, tmp_path: Path) -> None:
    assert icm("run", *QUICK, f"out_dir={tmp_path / 'runs' / 'whole'}")[0] == 0
    half = tmp_path / "runs" / "half" / "elicit"
    half.mkdir(parents=True)
    (half / "settings.json").write_text("{}")
    (tmp_path / "runs" / "labels.jsonl.partial").write_text("x")
    doomed = tmp_path / "runs" / ".elicit.overwritten"
    shutil.copytree(tmp_path / "runs" / "whole" / "elicit", doomed)
    before = sorted((tmp_path / "runs").rglob("*"))
    # What was written to just now may belong to a run that is going on.
    assert "nothing to clean" in icm("clean")[1]
    for path in [tmp_path / "runs", *before]:
        long_ago = time.time() - 2 * STILL_SECONDS
        os.utime(path, (long_ago, long_ago))
    out = icm("clean")[1]
    assert "labels.jsonl.partial" in out
    assert ".elicit.overwritten" in out
    assert str(half) not in out
    assert sorted((tmp_path / "runs").rglob("*")) == before
    assert "half" in icm("clean", "unfinished=true")[1]
    assert "deleted 3" in icm("clean", "runs", "--unfinished", "--delete")[1]
    assert not doomed.exists()
    assert not half.exists()
    assert (tmp_path / "runs" / "whole" / "elicit" / "labels.jsonl").exists()
    assert icm("clean", "nowhere")[0] == 2


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("icm pre", ["prepare"]),
        ("icm run search=m", ["majority", "multistart"]),
        ("icm run model.dt", ["model.dtype="]),
        ("icm run out_dir=here", []),
    ],
)
def test_bash_completes_what_is_typed(tmp_path: Path, line: str, expected: list[str]) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    program = f"{sys.executable} -c 'from icm.cli import main; main()'"
    script = f"""
    icm() {{ {program} "$@"; }}
    eval "$(icm completion bash)"
    compopt() {{ :; }}
    COMP_LINE={line!r} COMP_POINT={len(line)}
    _icm_complete
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [bash, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == expected
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_script_is_read_by_its_shell(icm: Icm, tmp_path: Path, shell: str) -> None:
    status, out, _ = icm("completion", shell)
    assert status == 0
    assert "icm completion --words" in out
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} on this machine")
    (tmp_path / "script").write_text(out)
    subprocess.run([program, "-n", str(tmp_path / "script")], check=True)


def test_an_unknown_shell_is_named(icm: Icm) -> None:
    status, out, err = icm("completion", "tcsh")
    assert status == 2
    assert "bash" in out + err


def test_the_wheel_holds_everything_that_a_run_reads(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("icm_elicitation-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for needed in ("pocket/weights/model.safetensors", "command/run.yaml", "page.html.jinja", "icm/py.typed"):
        assert any(name.endswith(needed) for name in names), needed
    # What a user may have of that name himself.
    assert not any(name.startswith(("tests/", "benchmarks/", "docs/")) for name in names)
