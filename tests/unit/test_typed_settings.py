"""What is typed on a command line: paths and templates as they stand, task files by path, nearest names in errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from icm.config import jobs_of, load, load_command, load_task
from icm.config.settings import Config
from icm.errors import ConfigError
from icm.prepare.settings import CustomSettings

TASK = """\
template: "Review: {text}\\nSentiment:"
path: rows.csv
labels: [no, yes]
"""


def custom(*overrides: str) -> CustomSettings:
    task = load(*overrides).task
    assert isinstance(task, CustomSettings)
    return task


@pytest.fixture
def task_file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(TASK)
    return path


def test_a_path_works_as_a_task(task_file: Path, tmp_path: Path) -> None:
    task = custom(f"task={task_file}")
    assert task.name == "mine"
    assert task.path == tmp_path / "rows.csv"
    # `no` is a word here, and a name is enough for a label.
    assert task.label_space.names == ("no", "yes")
    assert task.label_space.verbalizers == (" no", " yes")
    assert task.group_columns == ()


def test_what_is_typed_wins_over_the_file(task_file: Path) -> None:
    assert custom(f"task={task_file}", "task.num_claims=7", "task.name=other").num_claims == 7
    assert custom("task.num_claims=7", f"task={task_file}").num_claims == 7


@pytest.mark.parametrize("text", ["costs ${price}: {text}", "{{x}} {text} 100% #1 'q' \"q\" \\d:", "{text}, [a, b]:"])
def test_no_character_of_a_task_file_or_a_template_means_anything(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(
        f"template: {text!r}\npath: a.csv\n" if "'" not in text else f"template: >-\n  {text}\npath: a.csv\n"
    )
    assert custom(f"task={path}").template == text
    # As a value, as the Python door hands it over.
    _, config = load_task({"kind": "custom", "template": text, "path": "a.csv"})
    assert isinstance(config.task, CustomSettings)
    assert config.task.template == text


@pytest.mark.parametrize(
    "template", ['Review: {text}\\nIt\'s "good", or [not]:', "{text}", "a, b: {text} =", "Frage: {text}?\\nAntwort:"]
)
def test_a_template_is_typed_without_quotes(template: str) -> None:
    assert custom("task=custom", "task.path=a.csv", f"task.template={template}").template == template.replace(
        "\\n", "\n"
    )


@pytest.mark.parametrize(
    "name", ["a b.csv", "[x].csv", "k=v.csv", "ä,ö.csv", "it's.csv", 'q".csv', "{a}.csv", "a\\b.csv"]
)
def test_a_path_is_taken_as_it_stands(name: str) -> None:
    assert custom("task=custom", f"task.path=dir/{name}").path == Path("dir") / name


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["search=multistrt"], "did you mean multistart"),
        (["search.alpa=1"], "did you mean objective.alpha"),
        (["num_claims=5"], "did you mean task.num_claims"),
        (["serch=sweeps"], "did you mean search?"),
        (["task.template=x"], "task=ag_news|custom"),
        (["task.nmae=x"], "did you mean task.name"),
        (["search=annealing", "search.screening_rounds=1"], "of search=annealing"),
        (["colour=red"], "--help` lists them"),
        (["seed=[1"], "cannot read the value [1"),
        (["seed"], "a setting is written as key=value"),
        (["out_dir="], "out_dir= is empty"),
        (["task=rows.csv"], "icm init rows.csv"),
        (["task=nowhere.yaml"], "nowhere.yaml: No such file"),
    ],
)
def test_a_mistake_is_answered_in_our_words_with_the_nearest_name(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(*overrides)
    assert said in str(caught.value)
    for word in ("struct", "hydra", "Hydra", "config group", "mismatched input"):
        assert word not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "must hold settings"),
        ("- a", "must hold settings"),
        ("a: [", "not valid YAML"),
        ("templat: x", "templat: there is no such setting; did you mean template"),
        ("kind: other", "there is no kind 'other' of task"),
        ("template: '{a}:'\nlabels: [x, x]\npath: a.csv", "label names must differ"),
        ("template: '{a}:'\nlabels: [x]\npath: a.csv", "at least two labels"),
        ("template: 'no column'\npath: a.csv", "template names no column"),
        ("template: '{a}:'\nlabels: 3\npath: a.csv", "task.labels"),
        ("template: '{a}:'\nnum_claims: many\npath: a.csv", "task.num_claims"),
    ],
)
def test_a_task_file_that_does_not_fit_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        load(f"task={path}")
    assert said in str(caught.value)


def test_a_sweep_parts_values_and_paths(task_file: Path) -> None:
    jobs = jobs_of([f"task={task_file},sst2", "seed=0,1", "task.num_claims=4"])
    assert jobs == [
        [f"task={task}", f"seed={seed}", "task.num_claims=4"] for task in (task_file, "sst2") for seed in (0, 1)
    ]


def test_a_key_of_the_settings_is_no_place() -> None:
    from icm.init.settings import InitSettings

    places, settings = load_command(InitSettings, "init", "file=a.csv", "labels=[a,b]")
    assert (places.labels, settings.labels) == (None, ("a", "b"))
    assert load_command(Config, "run")[0].labels is None
