"""How many commands and seconds lie between a newcomer and labels beside their texts, in an empty environment.

    python -m benchmarks.usability [--quick] [--model smollm2] [--outcomes FILE]

Clones this repository, builds the wheel, installs it into an empty environment, and does there what the README says:
the demo, its Python, five lines as in a notebook, and `icm init` and `icm run` on eight files (every format, three
languages, one without golden labels, one of three labels, one of pairs, one with groups, one of Excel). A file counts
as labelled when the command has shown labels beside their texts and `labels.csv` has a label for every claim. The model
has to be there before (`icm models get smollm2-135m`); with `--quick` nothing is installed, and the model is one that
answers at once. Prints a table and, last, one JSON object:

    files          files that were tried
    labelled       files that came out with labels beside their texts
    commands_max   most commands that a file took
    seconds_max    most seconds from a file to the first labels beside their texts
    snippets       the demo and snippets of Python that ran, of `snippets_tried`
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from benchmarks.harness import Row, append_row, conditions, option_parser, results_path

ROOT: Final = Path(__file__).parents[1]

_REVIEWS: Final = (
    ("A fine, warm film that I would see again", "positive"),
    ("Dull, long and badly lit", "negative"),
    ("I loved every minute of it", "positive"),
    ("An awful mess", "negative"),
    ("Great fun for the whole family", "positive"),
    ("Boring from start to end", "negative"),
    ("The acting is superb", "positive"),
    ("A waste of two hours", "negative"),
    ("One of the best this year", "positive"),
    ("I left before the end", "negative"),
    ("Charming and clever", "positive"),
    ("The plot makes no sense", "negative"),
)
_GERMAN: Final = (
    ("Ein schöner, warmer Film", "gut"),
    ("Langweilig und zäh", "schlecht"),
    ("Ich habe ihn geliebt", "gut"),
    ("Einfach furchtbar", "schlecht"),
    ("Ein großer Spaß", "gut"),
    ("Reine Zeitverschwendung", "schlecht"),
    ("Sehr gut gespielt", "gut"),
    ("Die Handlung ist öde", "schlecht"),
)
_CHINESE: Final = (
    ("这部电影很好看", "好"),
    ("太无聊了", "坏"),
    ("我非常喜欢", "好"),
    ("浪费时间", "坏"),
    ("演员很棒", "好"),
    ("剧情糟糕", "坏"),
    ("值得一看", "好"),
    ("我不推荐", "坏"),
)
_NEUTRAL: Final = ("It runs for ninety minutes", "It opened in May", "There are subtitles", "It was shot in Spain")
_PAIRS: Final = (
    ("How do I boil an egg?", "Put it into boiling water for eight minutes.", "I do not know.", 1),
    ("What is two plus two?", "Five, I believe.", "It is four.", 0),
    ("What is the capital of France?", "Paris.", "It is London, as everybody knows.", 1),
    ("How do I say hello in Spanish?", "Go away.", "You say hola.", 0),
    ("Which animal barks?", "The dog does.", "The fish does.", 1),
    ("What colour is snow?", "Snow is black.", "Snow is white.", 0),
)


def write_files(directory: Path) -> list[Path]:
    """Write the eight files and return them."""
    reviews = pd.DataFrame(_REVIEWS, columns=["review", "sentiment"])
    sums = [
        (f"What is {a} + {b}?", str(a + b + error), "no" if error else "yes")
        for a, b in ((1, 2), (3, 4), (2, 6), (5, 1))
        for error in (0, 1, 3)
    ]
    three = [*_REVIEWS[:8], *((text, "neutral") for text in _NEUTRAL)]
    writers: Mapping[str, Callable[[Path], Any]] = {
        "english.csv": lambda path: reviews.to_csv(path, index=False),
        "german.tsv": lambda path: pd.DataFrame(_GERMAN, columns=["Kritik", "Bewertung"]).to_csv(
            path, index=False, sep="\t"
        ),
        "chinese.jsonl": lambda path: _as_lines(path, pd.DataFrame(_CHINESE, columns=["评论", "标签"])),
        "no_gold.json": lambda path: reviews[["review"]].to_json(path, orient="records"),
        "three_labels.parquet": lambda path: pd.DataFrame(three, columns=["text", "sentiment"]).to_parquet(path),
        "pairs.jsonl": lambda path: _as_lines(
            path, pd.DataFrame(_PAIRS, columns=["prompt", "response_1", "response_2", "label"])
        ),
        "groups.csv": lambda path: pd.DataFrame(sums, columns=["question", "answer", "correct"]).to_csv(
            path, index=False, sep=";"
        ),
        "excel.xlsx": lambda path: reviews.to_excel(path, index=False),
    }
    for name, write in writers.items():
        write(directory / name)
    return [directory / name for name in writers]


def _as_lines(path: Path, table: pd.DataFrame) -> None:
    table.to_json(path, orient="records", lines=True, force_ascii=False)


# --------------------------------------------------------------------------------------------------- environments


def empty_environment(directory: Path) -> Path:
    """Clone the repository, build and install its wheel in a new environment, and return its directory of programs."""
    clone, venv = directory / "clone", directory / "venv"
    _run(["git", "clone", "--quiet", str(ROOT), str(clone)], directory)
    _run([sys.executable, "-m", "build", "--wheel", "--outdir", str(directory / "dist"), str(clone)], directory)
    (wheel,) = (directory / "dist").glob("icm_elicitation-*.whl")
    uv = [sys.executable, "-m", "uv"]
    _run([*uv, "venv", "--quiet", "--python", sys.executable, str(venv)], directory)
    links = ["--find-links", os.environ["PIP_FIND_LINKS"]] if os.environ.get("PIP_FIND_LINKS") else []
    install = [*uv, "pip", "install", "--quiet", "--python", str(venv / "bin" / "python"), *links]
    _run([*install, "-c", str(clone / "constraints.txt"), f"{wheel}[gguf,excel]"], directory)
    return venv / "bin"


def _run(command: Sequence[str], directory: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a command and return what it printed.

    Raises:
        RuntimeError: It failed.
    """
    # The commands are those of this file.
    done = subprocess.run(  # noqa: S603
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        told = (done.stdout + done.stderr).strip()[-2000:]
        raise RuntimeError(f"{' '.join(command)} ended with status {done.returncode}:\n{told}")
    return done.stdout


def _environment() -> dict[str, str]:
    # Without what points at this checkout: the installed package is to be tried.
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


# --------------------------------------------------------------------------------------------------------- trials


def try_file(programs: Path, file: Path, model: str) -> Row:
    """Take a file to labels with the commands that the README names, and say what came of it."""
    directory = file.parent / file.name.replace(".", "_")
    directory.mkdir()
    icm = str(programs / "icm")
    commands = [[icm, "init", str(file)], [icm, "run", "task=task.yaml", f"model={model}", "out_dir=run"]]
    began = time.perf_counter()
    row: Row = {"what": file.name, "commands": len(commands), "labelled": False, "problem": None}
    try:
        printed = [_run(command, directory, _environment()) for command in commands][-1]
        row["labelled"] = shows_labels(printed, directory / "run")
    except RuntimeError as error:
        row["problem"] = str(error)
    return row | {"seconds": round(time.perf_counter() - began, 1)}


def shows_labels(printed: str, run_dir: Path) -> bool:
    """Say whether a run has shown labels beside texts, and left one for every claim in `labels.csv`."""
    claims = [json.loads(line) for line in (run_dir / "prepare" / "claims.jsonl").read_text("utf-8").splitlines()]
    with (run_dir / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        labels = {row["id"]: row["icm_label" if "icm_label" in row else "label"] for row in csv.DictReader(file)}
    # The beginning of a text, since a line of the console may be cut.
    first_words = " ".join(claims[0]["text"].split())[:12]
    return first_words in " ".join(printed.split()) and all(labels.get(claim["id"]) for claim in claims)


def try_snippet(programs: Path, directory: Path, name: str, code: str) -> Row:
    """Run a piece of Python and say what came of it."""
    place = directory / name.replace(" ", "_")
    place.mkdir()
    began = time.perf_counter()
    row: Row = {"what": name, "commands": 1, "labelled": False, "problem": None}
    try:
        row["labelled"] = "labels of" in _run([str(programs / "python"), "-c", code], place, _environment())
    except RuntimeError as error:
        row["problem"] = str(error)
    return row | {"seconds": round(time.perf_counter() - began, 1)}


def try_demo(programs: Path, directory: Path) -> Row:
    """Run the demo and say what came of it."""
    began = time.perf_counter()
    row: Row = {"what": "the demo", "commands": 1, "labelled": False, "problem": None}
    try:
        printed = _run([str(programs / "icm"), "run", "out_dir=demo"], directory, _environment())
        row["labelled"] = shows_labels(printed, directory / "demo")
    except RuntimeError as error:
        row["problem"] = str(error)
    return row | {"seconds": round(time.perf_counter() - began, 1)}


def snippets() -> dict[str, str]:
    """Return the pieces of Python by name: those of the README, and five lines as in a notebook."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    five = (
        "import icm\n"
        "colours = ['black', 'brown', 'green', 'white']\n"
        "texts = [f'Question: What color is the owl?\\nClaim: {each}\\nI think this claim is' for each in colours]\n"
        "result = icm.label(texts, labels=['False', 'True'], template='{text}')\n"
        "print(result)"
    )
    return {**{f"readme {number}": code for number, code in enumerate(found, start=1)}, "five lines": five}


def summary(rows: Sequence[Row], num_files: int) -> dict[str, Any]:
    """Return the figures of the JSON line; the files come first among the rows."""
    files, others = rows[:num_files], rows[num_files:]
    return {
        "files": len(files),
        "labelled": sum(row["labelled"] for row in files),
        "commands_max": max(row["commands"] for row in files),
        "seconds_max": max(row["seconds"] for row in files),
        "snippets": sum(row["labelled"] for row in others),
        "snippets_tried": len(others),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Try everything and print what came of it."""
    parser = option_parser(__doc__, "this environment and a model that answers at once; nothing is installed")
    parser.add_argument("--model", default="smollm2", help="group of settings of the model for the files")
    options = parser.parse_args(arguments)
    path = results_path(options, "usability")
    with tempfile.TemporaryDirectory(prefix="icm-usability-") as place:
        directory = Path(place)
        rows = list(_trials(options, directory, path))
    print(f"{'what':<24}{'commands':>10}{'seconds':>10}  labels beside texts")
    for row in rows:
        told = "yes" if row["labelled"] else f"NO: {(row['problem'] or 'no label beside its text').splitlines()[-1]}"
        print(f"{row['what']:<24}{row['commands']:>10}{row['seconds']:>10.1f}  {told}")
    print(json.dumps(summary(rows, 8)))


def _trials(options: argparse.Namespace, directory: Path, path: Path | None) -> Sequence[Row]:
    programs = Path(sys.executable).parent if options.quick else empty_environment(directory)
    model = "fake" if options.quick else options.model
    trials: list[Callable[[], Row]] = [
        *(lambda file=file: try_file(programs, file, model) for file in write_files(directory)),
        lambda: try_demo(programs, directory),
        *(
            lambda name=name, code=code: try_snippet(programs, directory, name, code)
            for name, code in snippets().items()
        ),
    ]
    rows = []
    for trial in trials:
        row = trial()
        print(f"{row['what']}: {'labelled' if row['labelled'] else row['problem']}", file=sys.stderr, flush=True)
        append_row(path, {**conditions(), "model": model, **row})
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
