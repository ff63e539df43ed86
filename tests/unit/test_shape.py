"""The script that measures the shape of the code, on a small planted tree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import shape

PLANTED: dict[str, str] = {
    "icm/__init__.py": '"""Package."""\n',
    "icm/__main__.py": "",
    "icm/one.py": '''"""Module."""

# A reason.
import os  # noqa: F401
# noqa: E402
# type: ignore
# pyright: basic
TEXT = """
# not a comment, though its line begins like one
"""


class One:
    """A class."""

    class Inner:
        """A class in a class."""

    def method(self, first, /, second, *rest, third, **others):
        """Say something

        in three lines of docstring.
        """
        # Why.
        return first

    @classmethod
    def make(cls, only):
        return cls


def short():
    return 1
''',
    "icm/wing/two.py": "async def later(a, b):\n    def inner():\n        pass\n    return inner\n",
    "search/__init__.py": "",
    "tests/test_one.py": "def test():\n    assert True\n",
    "tests/deep/test_two.py": "\n\n\n",
    "other/ignored.py": "class Ignored: ...\n",
}


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    for name, text in PLANTED.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "tree"


def test_the_whole_of_a_planted_tree(planted: Path) -> None:
    whole = shape.shape_of(planted)
    loc = sum(text.count("\n") for name, text in PLANTED.items() if name.startswith(("icm", "search")))
    assert (whole["files"], whole["loc"]) == (5, loc)
    assert whole["classes_per_kloc"] == round(2000 / loc, 2)
    assert whole["comment_share"] == round(2 / loc, 4)  # "A reason." and "Why.": the others speak to tools
    assert whole["test_to_code"] == round(5 / loc, 3)
    assert whole["modules_in_root"] == 1


def test_functions_count_without_docstring_decorator_self_and_cls(planted: Path) -> None:
    whole = shape.shape_of(planted)
    # method 3 (7 less 4 of docstring), make 2, short 2, later 4, inner 2: the median is 2.
    assert whole["function_p50"] == 2
    assert whole["function_p90"] == pytest.approx(3.6)
    assert whole["params_max"] == 5  # first, second, *rest, third, **others


def test_every_package_of_the_tree_is_listed_and_an_empty_one_counts_nothing(planted: Path) -> None:
    packages = shape.shape_of(planted)["packages"]
    assert list(packages) == ["icm", "search"]
    assert packages["search"] == {
        "files": 1,
        "loc": 0,
        "classes_per_kloc": 0.0,
        "function_p50": 0.0,
        "function_p90": 0.0,
        "params_max": 0,
        "comment_share": 0.0,
    }
    assert packages["icm"]["params_max"] == 5


def test_the_last_line_is_one_json_object_with_the_other_checkout_in_it(
    planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    (other / "icm").mkdir(parents=True)
    (other / "icm" / "only.py").write_text("X = 1\n")
    shape.main(["--tree", str(planted), "--against", str(other)])
    printed = capsys.readouterr().out
    result = json.loads(printed.splitlines()[-1])
    assert result == {**shape.shape_of(planted), "against": shape.shape_of(other)}
    assert "icm before" in printed
    assert "all after" in printed


def test_without_a_second_checkout_nothing_is_compared(planted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shape.main(["--tree", str(planted)])
    printed = capsys.readouterr().out
    assert "before" not in printed
    assert json.loads(printed.splitlines()[-1]) == shape.shape_of(planted)


def test_a_directory_that_is_no_checkout_is_an_error_that_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="name a checkout with --tree"):
        shape.shape_of(tmp_path)


def test_this_checkout_can_be_measured(capsys: pytest.CaptureFixture[str]) -> None:
    shape.main([])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"icm", "search", "consistency", "benchmarks"} == set(result["packages"])
    assert result["loc"] == sum(package["loc"] for package in result["packages"].values())
    assert result["files"] == sum(package["files"] for package in result["packages"].values())
