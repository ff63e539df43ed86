"""Every file in `conf/` composes to settings that are valid, and errors name keys as a user writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from icm.compare.settings import CompareSettings
from icm.config import Config, load, load_command
from icm.errors import ConfigError
from icm.export.settings import ExportConfig
from icm.files.conf_dir import conf_dir

CONF = conf_dir()


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


@pytest.mark.parametrize("group", ["search", "objective", "contexts", "model", "diagnose", "evaluate"])
def test_every_file_of_a_group_composes(group: str) -> None:
    for name in names(group):
        config = load(f"{group}={name}")
        assert isinstance(config, Config)


@pytest.mark.parametrize("name", names("task"))
def test_every_task_composes_with_the_source_it_needs(name: str) -> None:
    if name.startswith("pocket_"):
        config = load(f"task={name}")
        assert config.task.kind == "pocket"
    elif name == "custom":
        config = load("task=custom", "task.path=rows.csv", "task.template='{question}:'")
        assert config.task.kind == "custom"
    else:
        config = load(f"task={name}", "task.path=rows.csv")
        # A preset is a custom task with a name of its own.
        assert config.task.name == name
        assert config.task.kind in (name, "custom")


def test_equal_settings_are_equal_and_frozen() -> None:
    one, other = load("seed=3"), load("seed=3")
    assert one == other != load("seed=4")
    with pytest.raises(ValueError, match="frozen"):
        setattr(one, "seed", 5)  # noqa: B010 - as a user without a type checker would


def test_the_stages_are_told_their_own_seeds() -> None:
    config = load("seed=3", "data_seed=7")
    assert config.for_prepare().seed == 7
    assert config.for_elicit().seed == 3


@pytest.mark.parametrize("overrides", [(), ("seed=1", "search=annealing"), ("task=pocket_seasons", "contexts=fixed")])
def test_settings_survive_their_own_dump(overrides: tuple[str, ...]) -> None:
    config = load(*overrides)
    assert Config.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["task.num_claims=-2"], r"^task\.num_claims: Input should be greater than or equal to 1, got -2"),
        (["search=annealing", "search.schedule.initial=hot"], r"^search\.schedule\.initial: Input should be a valid"),
        (["contexts=k_shot", "contexts.num_shots=0"], r"^contexts\.num_shots: Input should be greater than 0, got 0"),
        (["+task.relations=[{kind: nearly}]"], r"task\.relations"),
        (["model=local", "model.dtype=int3"], r"^model\.dtype: Input should be 'auto', 'float32'"),
        (["out_dir=null"], r"^out_dir: Input is not a valid path"),
        (["stages=???"], "stages"),
        (["seed=${nothing}"], "nothing"),
        (["nonsense"], "nonsense"),
        (["search=none_such"], "none_such"),
    ],
)
def test_an_error_begins_with_the_key_that_the_user_wrote(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(*overrides)


def test_every_problem_is_listed_on_its_own_line() -> None:
    with pytest.raises(ConfigError) as caught:
        load("seed=-1", "data_seed=-2", "task.num_claims=0")
    lines = str(caught.value).splitlines()
    keys = [line.split(":")[0] for line in lines]
    assert keys[:3] == ["seed", "data_seed", "task.num_claims"]
    assert len(set(keys)) == len(keys)


def test_other_commands_compose_the_same_way() -> None:
    places, settings = load_command(ExportConfig, "export", "run_dir=somewhere")
    assert places.run == Path("somewhere")
    assert settings.licence is None
    _, comparison = load_command(
        CompareSettings, "compare", "searches=[gibbs]", "columns={mine: 'seed=1 contexts=fixed'}"
    )
    assert comparison.all_columns == {"gibbs": ("search=gibbs",), "mine": ("seed=1", "contexts=fixed")}
    with pytest.raises(ConfigError, match="run_dir"):
        load_command(ExportConfig, "export")


@pytest.mark.parametrize("values", [[1, 2], [0.5], [True], ["paper", "lift"]])
def test_what_is_varied_becomes_a_column_for_each_value(values: list[object]) -> None:
    written = ",".join(str(value) for value in values)
    _, comparison = load_command(CompareSettings, "compare", "searches=[]", f"vary={{objective.alpha: [{written}]}}")
    assert list(comparison.all_columns.values()) == [(f"objective.alpha={value}",) for value in values]
