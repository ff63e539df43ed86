"""What an installation may be like: read-only, with strangers beside it, on machines without a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from numba.core import caching

import icm
from consistency.compiled import compiled
from icm.commands.neighbours import NEIGHBOURS, check_neighbours
from icm.errors import ConfigError, ScoringError
from icm.files.conf_dir import conf_dir
from icm.scoring.local.loading import _device

HOME = Path(icm.__file__).parents[1]


def test_kernels_compile_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    # What Numba finds in a read-only installation for a user without a home: no place at all.
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])

    def double(number: int) -> int:
        return 2 * number

    with pytest.warns(UserWarning, match="set NUMBA_CACHE_DIR"):
        kernel = compiled()(double)
    assert kernel(21) == 42


def test_where_it_can_be_kept_nothing_is_said() -> None:
    def triple(number: int) -> int:
        return 3 * number

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled(nogil=True)(triple)(7) == 21


def test_the_packages_beside_ours_are_ours() -> None:
    check_neighbours()


def stranger(directory: Path, name: str, *, as_module: bool) -> Path:
    if as_module:
        path = directory / f"{name}.py"
    else:
        (directory / name).mkdir()
        path = directory / name / "__init__.py"
    path.write_text("VALUE = 1\n")
    return path


def started(directory: Path, code: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(directory), str(HOME)])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        # The directory that a command is started in comes first on the path.
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )


CLI = "import sys; sys.argv = ['icm', '--version']; from icm.cli import main; main()"


@pytest.mark.parametrize("name", NEIGHBOURS)
@pytest.mark.parametrize("as_module", [True, False])
def test_a_stranger_in_place_of_a_package_of_ours_is_named(tmp_path: Path, name: str, *, as_module: bool) -> None:
    path = stranger(tmp_path, name, as_module=as_module)
    ended = started(tmp_path, CLI)
    assert ended.returncode == 2, ended.stderr
    assert f"the package {name!r} of icm is hidden by {path}" in ended.stderr
    assert "Traceback" not in ended.stderr
    ended = started(tmp_path, "import icm; icm.label")
    assert f"the package {name!r} of icm is hidden by {path}" in ended.stderr


@pytest.mark.parametrize("name", ["conf", "benchmarks", "tests", "tools"])
def test_other_packages_of_the_user_are_no_matter(tmp_path: Path, name: str) -> None:
    stranger(tmp_path, name, as_module=False)
    ended = started(tmp_path, CLI.replace("'--version'", "'run', '--cfg', 'job'"))
    assert ended.returncode == 0, ended.stderr
    assert "task:" in ended.stdout


def test_the_settings_are_no_package_of_their_own() -> None:
    assert (conf_dir() / "command" / "run.yaml").is_file()
    assert not (conf_dir() / "__init__.py").exists()


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:99", "meta", "xla", "CPU:", "", "0", "cpu,cuda"])
def test_a_device_that_is_none_is_refused(device: str) -> None:
    with pytest.raises(ScoringError, match="device"):
        _device(device)


def test_a_missing_package_of_ours_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icm.commands.neighbours.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="install icm again"):
        check_neighbours()
