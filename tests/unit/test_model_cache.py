"""A cached directory is whole or absent, whoever is killed and however many want it at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from icm.models.cache import cache_dir, made_once

SLOW_MAKER = """
import sys, time
from pathlib import Path
from icm.models.cache import made_once

def make(directory):
    (directory / "first").write_text("begun")
    Path(sys.argv[2]).open("a").write("made\\n")
    time.sleep(float(sys.argv[3]))
    (directory / "second").write_text("done")

made_once(Path(sys.argv[1]), make)
"""


def _maker(directory: Path, log: Path, seconds: float) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen([sys.executable, "-c", SLOW_MAKER, str(directory), str(log), str(seconds)], env=environment)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never appeared"
        time.sleep(0.01)


def test_a_killed_maker_leaves_nothing_and_the_next_one_makes_it(tmp_path: Path) -> None:
    directory, log = tmp_path / "cache/model", tmp_path / "log"
    maker = _maker(directory, log, seconds=600)
    _wait_for(log)
    assert not directory.exists()
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    assert not directory.exists()

    def make(unfinished: Path) -> None:
        assert not any(unfinished.iterdir()), "what the killed one began is gone"
        (unfinished / "second").write_text("done")

    assert made_once(directory, make) == directory
    assert [path.name for path in directory.iterdir()] == ["second"]
    assert not list(directory.parent.glob("*.unfinished"))


def test_of_two_at_once_one_makes_and_the_other_waits(tmp_path: Path) -> None:
    directory, log = tmp_path / "model", tmp_path / "log"
    makers = [_maker(directory, log, seconds=1) for _ in range(2)]
    assert [maker.wait(60) for maker in makers] == [0, 0]
    assert log.read_text() == "made\n"
    assert sorted(path.name for path in directory.iterdir()) == ["first", "second"]


def test_a_maker_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(unfinished: Path) -> None:
        (unfinished / "half").write_text("")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        made_once(tmp_path / "model", fail)
    assert not (tmp_path / "model").exists()
    assert not list(tmp_path.glob("*.unfinished"))


def test_the_environment_moves_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICM_CACHE_DIR", str(tmp_path / "mine"))
    assert cache_dir() == tmp_path / "mine"
    monkeypatch.delenv("ICM_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert cache_dir() == tmp_path / "user/icm"
