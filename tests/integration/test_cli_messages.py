"""What the command line says when something is wrong: problem, value, way out, status; never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from icm import cli
from icm.commands import stages
from icm.errors import IcmError, Interrupted, SchemaError
from tests.worlds import read_by

Command = Callable[..., tuple[int, str, str]]
"""Arguments of `icm` to its status, what it printed and what it said on standard error."""

ROWS = [
    {"question": f"What is {number}?", "answer": f"It is {answer}.", "label": answer == number % 3}
    for number in range(8)
    for answer in range(3)
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture
def settings(source: Path, tmp_path: Path) -> list[str]:
    """A small run of the fake model."""
    return [
        "task=truthfulqa",
        f"task.path={source}",
        "task.num_claims=12",
        "task.num_held_out=6",
        "model=fake",
        "search=zero_shot",
        "evaluate.shots=[0]",
        "evaluate.draws=1",
        f"out_dir={tmp_path / 'run'}",
    ]


def check(result: tuple[int, str, str], *said: str, status: int = 2) -> None:
    code, out, err = result
    # A narrow console may break lines anywhere.
    printed = " ".join((out + err).split())
    assert code == status
    assert "Traceback" not in printed
    for part in said:
        assert part in printed


def test_no_command_is_answered_with_the_usage(icm: Command) -> None:
    assert icm() == (2, "", cli.usage())


@pytest.mark.parametrize("arguments", [["label"], ["pocket"], ["pocket", "test"], ["Run"], ["--quiet"], ["seed=1"]])
def test_an_unknown_command_is_named(icm: Command, arguments: list[str]) -> None:
    check(icm(*arguments), arguments[0].partition("=")[0] if arguments != ["seed=1"] else "no command was given")


def test_help_is_no_mistake(icm: Command) -> None:
    assert icm("--help") == icm("-h") == (0, cli.usage(), "")


@pytest.mark.parametrize("command", ["prepare", "elicit", "diagnose", "evaluate", "run", "compare", "export"])
def test_every_command_lists_its_settings(icm: Command, command: str) -> None:
    status, out, _ = icm(command, "--help")
    assert status == 0
    assert "out_dir" in out


@pytest.mark.parametrize("command", ["reward", "arms", "policy", "export"])
def test_commands_that_follow_a_run_ask_for_its_directory(icm: Command, command: str) -> None:
    check(icm(command), "run_dir")


@pytest.mark.parametrize(
    ("command", "needed"), [("elicit", "prepare"), ("diagnose", "prepare"), ("evaluate", "prepare")]
)
def test_a_stage_out_of_turn_names_the_one_before_it(
    icm: Command, settings: list[str], command: str, needed: str
) -> None:
    check(icm(command, *read_by(command, settings)), f"run `icm {needed}`")


def test_the_stages_after_the_search_ask_for_labels(icm: Command, settings: list[str]) -> None:
    assert icm("prepare", *read_by("prepare", settings))[0] == 0
    for command in ("diagnose", "evaluate"):
        check(icm(command, *read_by(command, settings)), "`icm elicit`")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("task.num_claims=0", "task.num_claims: Input should be greater than or equal to 1, got 0"),
        ("task.num_held_out=-1", "task.num_held_out: Input should be greater than or equal to 0, got -1"),
        ("task.num_claims=1000", "need 1006 claims, the source holds 24 in 8 groups"),
        ("task.num_claims=2", "leaves room for no whole group: the smallest of 8 groups has 3 claims"),
        ("task.format=authors", "no column 'choice'; the columns are question, answer, label"),
        ("task.format=xml", "task.format"),
        ("task.path=[]", "task.path"),
        ("contexts=spiral", "contexts"),
        ("model=oracle", "model"),
        ("objective.alpha=0", "objective.alpha: Input should be greater than 0, got 0"),
        ("evaluate.shots=[-1]", "evaluate.shots"),
        ("stages=some", "stages: Input should be 'labels' or 'all', got 'some'"),
        ("colour=red", "colour"),
        ("seed=many", "seed"),
        ("anchors=nowhere.jsonl", "nowhere.jsonl: "),
    ],
)
def test_a_setting_that_does_not_fit_is_named_with_its_value(
    icm: Command, settings: list[str], change: str, said: str
) -> None:
    check(icm("run", *settings, change), said)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"question": "a"', "source.jsonl:25: not valid JSON"),
        ('{"question": "a"}', "source.jsonl:25: the row has no column 'answer'"),
        ('{"question": "a", "answer": ["b"]}', "source.jsonl:25: column 'answer' must be text, got ['b']"),
        ('{"question": "a", "answer": "b", "label": "maybe"}', "source.jsonl:25: label must be true or false"),
    ],
)
def test_a_bad_row_of_the_source_is_named_by_its_line(
    icm: Command, settings: list[str], source: Path, tmp_path: Path, row: str, said: str
) -> None:
    source.write_text(source.read_text() + row + "\n")
    check(icm("run", *settings), said)
    assert not (tmp_path / "run" / "prepare" / "manifest.json").exists()


def test_a_prepared_file_that_was_altered_is_noticed_by_whoever_reads_it(
    icm: Command, settings: list[str], tmp_path: Path
) -> None:
    assert icm("prepare", *read_by("prepare", settings))[0] == 0
    claims = tmp_path / "run" / "prepare" / "claims.jsonl"
    whole = claims.read_text()
    claims.write_text(whole.replace("It is 1", "It is 7"))
    check(icm("elicit", *read_by("elicit", settings)), "claims.jsonl is altered since `icm prepare` wrote it")
    claims.unlink()
    check(icm("elicit", *read_by("elicit", settings)), "claims.jsonl is missing since `icm prepare` wrote it")
    claims.write_text(whole)
    assert icm("elicit", *read_by("elicit", settings))[0] == 0


@pytest.mark.parametrize("content", ["", "{", "[]", '{"stage": "prepare"}', "\xff"])
def test_a_corrupt_manifest_says_what_to_delete(
    icm: Command, settings: list[str], tmp_path: Path, content: str
) -> None:
    assert icm("prepare", *read_by("prepare", settings))[0] == 0
    (tmp_path / "run" / "prepare" / "manifest.json").write_bytes(content.encode("latin-1"))
    check(icm("prepare", *read_by("prepare", settings)), "manifest.json", "overwrite=true")


def test_a_run_with_other_settings_names_the_first_one_that_differs(icm: Command, settings: list[str]) -> None:
    assert icm("run", *settings)[0] == 0
    check(
        icm("prepare", *read_by("prepare", settings), "data_seed=7"),
        "belongs to a run with other settings",
        "seed was 0, now 7",
    )
    check(
        icm("elicit", *read_by("elicit", settings), "seed=5"),
        "belongs to a run with other settings",
        "seed was 0, now 5",
    )


def test_a_run_typed_again_changes_no_byte(icm: Command, settings: list[str], tmp_path: Path) -> None:
    assert icm("run", *settings)[0] == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert icm("run", *settings)[0] == 0
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["searches=[]"], "there is nothing to compare: name searches, columns, or settings to vary"),
        (["columns={a/b: 'seed=1'}"], "a column names a directory, so it must not hold a slash"),
        (["columns={.hidden: 'seed=1'}"], "or begin with a dot: '.hidden'"),
        (["seeds=[]"], "seeds"),
        (["seeds=[-1]"], "seeds.0: Input should be greater than or equal to 0, got -1"),
        (["confidence_level=1"], "confidence_level: Input should be less than 1, got 1"),
        (["num_resamples=5"], "num_resamples: Input should be greater than or equal to 100, got 5"),
    ],
)
def test_mistakes_in_a_comparison_are_named_before_anything_runs(
    icm: Command, tmp_path: Path, arguments: list[str], said: str
) -> None:
    check(icm("compare", *arguments, f"out_dir={tmp_path / 'compare'}"), said)
    assert not (tmp_path / "compare").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["formats=[word]"], "formats.0"),
        (["formats=[]"], "formats"),
        (["hub_id=nobody"], "hub_id"),
        (["licence=''"], "licence"),
    ],
)
def test_mistakes_in_an_export_are_named(icm: Command, tmp_path: Path, arguments: list[str], said: str) -> None:
    check(icm("export", f"run_dir={tmp_path}", *arguments), said)


def test_an_export_of_no_labels_names_the_ways_to_get_some(icm: Command, settings: list[str], tmp_path: Path) -> None:
    assert icm("prepare", *read_by("prepare", settings))[0] == 0
    run_dir = f"run_dir={tmp_path / 'run'}"
    check(icm("export", run_dir), "run `icm elicit`")
    check(icm("export", run_dir, "labels=nowhere.jsonl"), "there is no such file of labels", "labels=FILE")


@pytest.mark.parametrize(
    ("settings_of_training", "said"),
    [
        (["width=33"], "width: Input should be a multiple of 32, got 33"),
        (["phases=quick"], "named phases are full, shift, relearn"),
        (["base=nowhere"], "nowhere"),
        (["speed=2"], "speed"),
    ],
)
def test_mistakes_in_a_pocket_training_are_named(
    icm: Command, tmp_path: Path, settings_of_training: list[str], said: str
) -> None:
    check(icm("pocket", "train", *settings_of_training, f"out_dir={tmp_path / 'model'}"), said)


# ----------------------------------------------------------------------------------- what any command may run into


def raising(error: BaseException) -> Callable[..., Any]:
    def command(*_: object) -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (SchemaError("claims.jsonl:3: bad"), 2, "icm: claims.jsonl:3: bad"),
        (Interrupted("stopped after step 3"), 130, "icm: stopped after step 3"),
        (KeyboardInterrupt(), 130, "icm: stopped at once; run the same command again"),
        (OSError(28, "No space left on device", "labels.jsonl"), 2, "icm: labels.jsonl: No space left on device."),
        (PermissionError(13, "Permission denied", "runs"), 2, "icm: runs: Permission denied."),
        (OSError("odd"), 2, "icm: a file: odd. What was written before is kept"),
        (
            ModuleNotFoundError("no trl", name="trl"),
            2,
            "this command trains, which needs trl: pip install 'icm-elicitation[train]'",
        ),
        (ModuleNotFoundError("no peft", name="peft.tuners"), 2, "needs peft"),
    ],
)
def test_whatever_a_user_can_do_something_about_is_one_message(
    icm: Command, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, said: str
) -> None:
    monkeypatch.setattr(stages, "prepare", raising(error))
    check(icm("prepare"), said, status=status)


def test_a_message_with_brackets_is_printed_as_it_stands(icm: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "prepare", raising(SchemaError("[bold]x[/bold] [0, 1] :smile:")))
    assert icm("prepare")[2] == "icm: [bold]x[/bold] [0, 1] :smile:\n"


@pytest.mark.parametrize("error", [IcmError("mine"), KeyboardInterrupt(), OSError("odd")])
def test_the_traceback_is_shown_when_it_is_asked_for(
    icm: Command, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def command() -> None:
        raise error

    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(type(error)):
        cli._guarded(command)


def test_a_missing_library_of_another_kind_is_a_fault_of_ours_and_shows_itself() -> None:
    def command() -> None:
        raise ModuleNotFoundError("no numpy", name="numpy")

    with pytest.raises(ModuleNotFoundError):
        cli._guarded(command)
