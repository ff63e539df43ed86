"""What cannot work is said before a model is loaded, and what can work does: names of files, labels, seeds, gold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from icm.commands import stages
from icm.config import Config, load, load_command
from icm.errors import ConfigError
from icm.training.arms.settings import ArmsConfig
from icm.training.policy.settings import PolicyConfig
from icm.training.reward.settings import RewardConfig

Icm = Callable[..., tuple[int, str, str]]

PLAIN = ("task=custom", "model=fake", "search=random", "task.template='{text} so'", "task.group_columns=[]")
ALL = (*PLAIN, "task.num_held_out=0", "task.num_claims=null", "evaluate.shots=[0]", "evaluate.num_resamples=100")


def write_source(path: Path, rows: list[dict[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows(number: int, **values: object) -> list[dict[str, object]]:
    return [{"text": f"Statement {index} is", "label": index % 2, **values} for index in range(number)]


NAMES = [
    "a=b",
    "[x]",
    "[/bold]",
    "Übung äöü",
    "a b",
    "it's",
    "a,b",
    "$x",
    "{y}",
    "#z",
    "~q",
    "日本",
    "a\\b",
    "null",
    "'q'",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_path_may_have_any_name(tmp_path: Path, name: str) -> None:
    places, config = load_command(Config, "run", f"out_dir={tmp_path}/{name}/r", f"anchors={tmp_path}/{name}.jsonl")
    assert (places.out_dir, config.anchors) == (tmp_path / name / "r", tmp_path / f"{name}.jsonl")


def test_every_command_takes_a_directory_of_any_name(icm: Icm, tmp_path: Path) -> None:
    name = "[/bold] a=b Übung, it's {y} #z"
    source = write_source(tmp_path / name / "data.jsonl", rows(6))
    out_dir = tmp_path / name / "run"
    status, out, err = icm("run", *ALL, f"task.path={source}", f"out_dir={out_dir}")
    assert status == 0, err
    assert f"report: {out_dir / 'report.html'}" in out
    status, _, err = icm("show", str(out_dir))
    assert status == 0, err
    status, out, err = icm("diff", str(out_dir), str(out_dir))
    assert status == 0, err
    assert str(out_dir) in out
    status, out, err = icm("export", f"run_dir={out_dir}", "formats=[trl]")
    assert status == 0, err
    assert f"exported to {out_dir / 'export'}" in out


def test_a_path_may_begin_at_home(icm: Icm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_source(tmp_path / "data.jsonl", rows(6))
    prepared = [each for each in ALL if each.startswith(("task", "model"))]
    status, _, err = icm("prepare", *prepared, "task.path=~/data.jsonl", "out_dir=~/run")
    assert status == 0, err
    assert (tmp_path / "run" / "prepare" / "claims.jsonl").is_file()


@pytest.mark.parametrize("key", ["out_dir", "run_dir", "task.path", "anchors", "labels"])
def test_an_empty_path_is_refused(icm: Icm, tmp_path: Path, key: str) -> None:
    status, _, err = icm("diagnose" if key == "labels" else "run", f"{key}=", "model=fake")
    assert (status, f"{key}= is empty" in err) == (2, True), err
    assert not list(tmp_path.iterdir())


def test_a_group_too_large_for_a_relation_is_found_when_claims_are_prepared(icm: Icm, tmp_path: Path) -> None:
    source = write_source(tmp_path / "data.jsonl", [{**row, "q": "one", "answer": row["text"]} for row in rows(40)])
    prepared = [each for each in ALL if each.startswith(("task", "model")) and "group" not in each]
    status, _, err = icm(
        "prepare",
        *prepared,
        "task.group_columns=[q]",
        "task.answer_column=answer",
        "task.relations=[{kind: exactly_one}]",
        f"task.path={source}",
        f"out_dir={tmp_path / 'r'}",
    )
    assert status == 2
    assert "exactly_one" in err
    assert "40" in err
    assert not (tmp_path / "r").exists()


def test_more_labels_than_can_be_told_apart_are_refused(icm: Icm, tmp_path: Path) -> None:
    source = write_source(tmp_path / "data.jsonl", rows(6))
    labels = ",".join(f"intent{number:03}" for number in range(200))
    status, _, err = icm("run", *ALL, f"task.labels=[{labels}]", f"task.path={source}", f"out_dir={tmp_path / 'r'}")
    assert status == 2
    assert "at most 127 labels" in err
    assert not (tmp_path / "r").exists()


def test_golden_labels_of_held_out_claims_alone_do_not_stop_a_run(icm: Icm, tmp_path: Path) -> None:
    source = tmp_path / "data.jsonl"
    arguments = [*PLAIN, "task.num_held_out=4", "task.num_claims=null", "task.gold_column=label", f"task.path={source}"]
    arguments += ["task.labels=[{name: no, verbalizer: ' no', gold: [0]}, {name: yes, verbalizer: ' yes', gold: [1]}]"]
    everything = write_source(source, rows(12)).read_text()
    prepared = [each for each in arguments if each.startswith(("task", "model"))]
    assert icm("prepare", *prepared, f"out_dir={tmp_path / 'first'}")[0] == 0
    text = (tmp_path / "first/prepare/held_out.jsonl").read_text()
    held_out = {json.loads(line)["parts"]["text"] for line in text.splitlines()}
    # Which claims are held out follows from their content alone, so the other golden labels can be taken out.
    found = [json.loads(line) for line in everything.splitlines()]
    write_source(source, [row if row["text"] in held_out else {"text": row["text"]} for row in found])
    status, out, err = icm("run", *arguments, f"out_dir={tmp_path / 'r'}")
    assert status == 0, err
    assert "not evaluated: none of the searched claims has a golden label" in out
    assert "None of the searched claims has a golden label" in (tmp_path / "r" / "report.html").read_text()


HUGE = 10**30


@pytest.mark.parametrize(
    "typed", [f"{key}={HUGE}" for key in ("seed", "data_seed", "diagnose.seed", "evaluate.seed", "task.world_seed")]
)
def test_a_seed_that_no_generator_takes_is_refused(typed: str) -> None:
    with pytest.raises(ConfigError, match=r"seed: Input should be less than 18446744073709551616"):
        load(typed)


@pytest.mark.parametrize("kind", [RewardConfig, PolicyConfig, ArmsConfig])
@pytest.mark.parametrize("seed", [2**32, HUGE])
def test_a_seed_that_the_training_libraries_do_not_take_is_refused(kind: type, seed: int) -> None:
    command, key = {
        RewardConfig: ("reward", "model.seed"),
        PolicyConfig: ("policy", "seed"),
        ArmsConfig: ("arms", "seeds"),
    }[kind]
    typed = f"[{seed}]" if key == "seeds" else seed
    with pytest.raises(ConfigError, match=r"seeds?[.0-9]*: Input should be less than 4294967296"):
        load_command(kind, command, "run_dir=any", f"{key}={typed}")


@pytest.mark.parametrize(
    "line",
    [
        '{"text": "a", "n": ' + "9" * 5000 + "}",
        '{"text": "a", "n": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"text": "a", "n": ' + '{"a":' * 50_000 + "1" + "}" * 50_000 + "}",
        '{"text": ' + "9" * 400 + "}",
        '{"text": 1e400}',
        '{"text": [[["a"]]]}',
    ],
)
@pytest.mark.parametrize("role", ["task.path", "anchors", "other"])
def test_numbers_and_nesting_beyond_bounds_are_errors_with_their_place(
    icm: Icm, made: Path, tmp_path: Path, line: str, role: str
) -> None:
    hostile = tmp_path / "hostile.jsonl"
    hostile.write_text('{"text": "Statement 0 is so", "label": 1}\n' + line + "\n")
    prepared = [each for each in ALL if each.startswith(("task", "model"))]
    command = {
        "task.path": ("prepare", *prepared, f"task.path={hostile}", f"out_dir={tmp_path / 'p'}"),
        "anchors": ("elicit", f"run_dir={made}", f"anchors={hostile}", "overwrite=true"),
        "other": ("diff", str(made), str(hostile)),
    }
    status, _, err = icm(*command[role])
    # As a source, a number of 400 digits is a text like any other; all else names the file and the line.
    assert "Traceback" not in err
    assert status == 2 or role == "task.path", err
    if status == 2:
        assert "hostile.jsonl:2" in err
        assert len(err) < 2000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made")
    source = write_source(directory / "data.jsonl", rows(4))
    places, config = load_command(Config, "run", *ALL, f"task.path={source}", f"out_dir={directory / 'r'}")
    stages.prepare(places, config, Console(quiet=True))
    stages.elicit(places, config, Console(quiet=True))
    return directory / "r"
