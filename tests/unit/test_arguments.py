"""Commands, flags and settings in any order; help from the commented files; what the shell completes."""

from __future__ import annotations

import pytest

from icm import cli
from icm.commands.arguments import Arguments, read_arguments
from icm.commands.completion import words_for
from icm.commands.help import help_text
from icm.errors import ConfigError

POSITIONAL = {each.words: each.positional for each in cli.COMMANDS}


def read(*typed: str) -> Arguments:
    return read_arguments(typed, POSITIONAL, cli.commands())


@pytest.mark.parametrize(
    "typed",
    [
        ["run", "seed=1", "--json", "-m"],
        ["--json", "-m", "seed=1", "run"],
        ["-m", "run", "--json", "seed=1"],
        ["run", "--seed", "1", "-m", "--json"],
        ["run", "--seed=1", "--json", "--multirun"],
    ],
)
def test_flags_and_settings_stand_anywhere(typed: list[str]) -> None:
    assert read(*typed) == Arguments("run", ["seed=1"], json=True, sweep=True)


def test_bare_words_are_settings_of_their_command() -> None:
    assert read("init", "a b.csv").overrides == ["file=a b.csv"]
    assert read("models", "get", "x") == Arguments("models get", ["get=x"])
    assert read("models") == Arguments("models", [])
    assert read("pocket", "train", "seed=1") == Arguments("pocket train", ["seed=1"])
    assert read("show", "runs/a=b", "--row", "3", "--uncertain").overrides == [
        "run_dir=runs/a=b",
        "row=3",
        "uncertain=true",
    ]
    assert read("diff", "a", "b").overrides == ["run_dir=a", "other=b"]
    assert read("run", "--overwrite").overrides == ["overwrite=true"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["rnu"], "did you mean icm run"),
        (["Run"], "did you mean icm run"),
        (["pocket"], "did you mean icm pocket train"),
        (["label"], "no such command"),
        (["run", "--jsn"], "did you mean --json"),
        (["run", "--sed", "1"], "did you mean --seed"),
        (["run", "more"], "'more' is one word too many"),
        (["show", "--row"], "--row needs a value"),
        (["--quiet"], "no such flag"),
        (["seed=1"], "no command was given"),
    ],
)
def test_what_is_not_understood_is_named(typed: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(*typed)
    assert said in str(caught.value)


def test_help_shows_the_comments_of_the_groups_that_a_command_reads() -> None:
    shown = help_text("elicit", "run", "claims -> labels", ["search=sweeps"])
    assert "# One start, and all its labels drawn anew at once" in shown
    assert "search=sweeps" in shown
    assert "task.…" not in shown
    assert "data_seed" not in shown
    prepared = help_text("prepare", "run", "", ["task=custom"])
    assert "# The text of a claim up to its verdict" in prepared
    assert "search.…" not in prepared
    assert "hydra" not in shown + prepared


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda each: each.words)
def test_every_command_has_help(command: cli.Command) -> None:
    shown = help_text(command.words, command.config_name, command.told, [])
    assert f"icm {command.words.split()[0]}" in shown
    assert "Settings" in shown


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["pre"], ["prepare"]),
        (["pocket", ""], ["train"]),
        (["run", "search=m"], ["search=majority", "search=multistart"]),
        (["run", "sear"], ["search=", "search."]),
        (["run", "model.dt"], ["model.dtype="]),
        (["run", "model.dtype=b"], ["model.dtype=bfloat16"]),
        (["run", "overwrite="], ["overwrite=true", "overwrite=false"]),
        (["policy", "method=r"], ["method=rloo"]),
        (["run", "contexts=k_shot", "contexts.num_s"], ["contexts.num_shots="]),
        (["run", "--js"], ["--json"]),
        (["completion", "shell="], ["shell=bash", "shell=zsh", "shell=fish"]),
    ],
)
def test_the_shell_completes_commands_keys_and_values(typed: list[str], expected: list[str]) -> None:
    assert words_for(typed, cli.commands()) == expected
