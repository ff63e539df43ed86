"""What `icm init` does: look at a file, guess or ask what is in it, show one prompt, write a task file."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.prompt import Prompt
from rich.text import Text

from icm.errors import ConfigError, SchemaError
from icm.files.records import write_text
from icm.files.tables import is_absent, read_table
from icm.init import guess as guessing
from icm.init.guess import Column, Guess
from icm.init.page import task_yaml
from icm.init.settings import InitSettings
from icm.models.catalogue import PACKAGED_MODELS
from icm.models.fetch import get_command, weights_of
from icm.prepare.settings import template_pieces
from icm.prepare.shown import prompt_lines

TASK_FILE: Final = "task.yaml"
_TRUTH: Final = ("False", "True")


def run(settings: InitSettings, console: Console, *, overwrite: bool = False) -> Path:
    """Write a task file for a table and return its path.

    Args:
        settings: The file, and what is known of it.
        console: Where the prompt, the columns and the next command are shown.
        overwrite: Whether an existing task file may be replaced.

    Raises:
        SchemaError: The file is missing, empty, or cannot be read.
        ConfigError: What was said of it does not fit, or the task file is there already.
    """
    out = settings.out or Path(TASK_FILE)
    # Before anything is asked: nobody should answer questions in vain.
    if out.exists() and not overwrite:
        raise ConfigError(f"{out} is there already; name another one with out=FILE, or add overwrite=true")
    rows = _rows(settings)
    columns = guessing.profile(rows)
    asking = settings.ask and sys.stdin.isatty() and console.is_terminal
    found = look_at(settings, columns, console if asking else None)
    page = task_yaml(found, settings, columns, os.path.relpath(settings.file.absolute(), out.absolute().parent))
    write_text(out, page)
    _show(found, rows, columns, console)
    if found.gold is None and settings.labels is None:
        told = f"no labels were named: {' and '.join(_TRUTH)} are a guess. Say which with labels=[negative,positive]"
        console.print(Text(told), soft_wrap=True)
    console.print(Text(f"wrote {out}; correct it where it is wrong. Next:\n\n    {_next(out)}\n"), soft_wrap=True)
    return out


def _next(out: Path) -> str:
    """Return the command that labels the file, with a model that can read it: the embedded one knows no such texts."""
    packaged = PACKAGED_MODELS[0]
    if weights_of(packaged) is not None:
        return (
            f"icm run task={out} model={packaged.group}     (or a larger model: model.path=DIR, FILE.gguf or a Hub id)"
        )
    return (
        f"icm run task={out} model.path=MODEL     (a directory, a GGUF file or a Hub id)\n\n"
        f"A small model to try it with: {get_command(packaged)}, and then model={packaged.group}"
    )


def look_at(settings: InitSettings, columns: Mapping[str, Column], console: Console | None) -> Guess:
    """Return what a table is taken for: what was said of it, and a guess, or an answer, where nothing was.

    Args:
        settings: What the user said.
        columns: The columns of the table.
        console: Where what is not known is asked; `None` for guessing alone.

    Raises:
        ConfigError: What was said does not fit the table.
    """
    _check_columns(settings, columns)
    gold = _gold(settings, columns)
    labels = _labels(settings, columns, gold)
    if console is not None:
        gold, labels = _ask_labels(console, columns, gold, labels)
    taken = tuple(filter(None, (gold, settings.group)))
    pair = guessing.guess_pair(columns) if settings.text is None and settings.template is None else None
    text = settings.text or _template_columns(settings) or _text(columns, taken, pair)
    if console is not None and settings.text is None and settings.template is None and pair is None:
        text = _ask_text(console, columns, text, taken)
    group = guessing.guess_group(columns, text, taken) if settings.group is None else settings.group or None
    names = [name for name, _ in labels]
    answer = text[1] if group == text[0] and len(text) == 2 and pair is None else None
    return Guess(
        text=text,
        gold=gold,
        group=group,
        answer=answer if settings.answer is None else settings.answer or None,
        labels=labels,
        template=(settings.template or guessing.guess_template(text, names, gold, pair)).replace("\\n", "\n"),
        pair=pair is not None,
    )


def _rows(settings: InitSettings) -> list[dict[str, Any]]:
    rows, _ = read_table(settings.file.expanduser(), delimiter=settings.delimiter, encoding=settings.encoding)
    if not rows:
        raise SchemaError(f"{settings.file}: the file has no row below its header; give one with at least one row")
    return rows


def _check_columns(settings: InitSettings, columns: Mapping[str, Column]) -> None:
    """Check that every column that was named is there.

    Raises:
        ConfigError: One is not.
    """
    for key in ("gold", "group", "answer", "text", "template"):
        said = _template_columns(settings) if key == "template" else getattr(settings, key)
        for name in (said,) if isinstance(said, str) else said or ():
            if name and name not in columns:
                near = difflib.get_close_matches(name, list(columns), n=2)
                hint = f"; did you mean {' or '.join(near)}?" if near else ""
                raise ConfigError(
                    f"{key}: {settings.file} has no column {name!r}{hint} Its columns are {', '.join(columns)}"
                )


def _template_columns(settings: InitSettings) -> tuple[str, ...]:
    if settings.template is None:
        return ()
    try:
        pieces = template_pieces(settings.template)
    except ValueError as error:
        raise ConfigError(f"template: {error}") from None
    return tuple(dict.fromkeys(column for _, column in pieces if column is not None))


def _gold(settings: InitSettings, columns: Mapping[str, Column]) -> str | None:
    if settings.gold is not None:
        return settings.gold or None
    labels = None if settings.labels is None else [str(label) for label in settings.labels]
    taken = (*(settings.text or _template_columns(settings)), *filter(None, (settings.group, settings.answer)))
    # A table of one column has nothing but text.
    return guessing.guess_gold(columns, labels, taken) if len(columns) > 1 else None


def _labels(
    settings: InitSettings, columns: Mapping[str, Column], gold: str | None
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    column = None if gold is None else columns[gold]
    if settings.labels is not None:
        return guessing.given_labels([str(label) for label in settings.labels], column)
    if column is None:
        return tuple((name, ()) for name in _TRUTH)
    labels = guessing.label_names(list(column.counts))
    # A column whose values hardly repeat holds texts or numbers, however few rows there are.
    few = 2 <= len(labels) <= guessing.MOST_LABELS and len(labels) <= max(2, len(column.values) // 2)
    if not few:
        raise ConfigError(
            f"gold: the column {gold!r} holds {len(labels)} different values, and labels are few; name another column "
            f"with gold=COLUMN, or the labels with labels=[a,b]"
        )
    return labels


def _text(columns: Mapping[str, Column], taken: Sequence[str], pair: tuple[str, str] | None) -> tuple[str, ...]:
    if pair is None:
        return guessing.guess_text(columns, taken)
    others = [name for name, column in columns.items() if name not in (*pair, *taken) and column.mean_length > 12]
    return (*others[:1], *pair)


# ------------------------------------------------------------------------------------------------ asking and showing


def _ask_labels(
    console: Console, columns: Mapping[str, Column], gold: str | None, labels: tuple[tuple[str, tuple[str, ...]], ...]
) -> tuple[str | None, tuple[tuple[str, tuple[str, ...]], ...]]:
    console.print(Text(f"columns: {', '.join(columns)}"), soft_wrap=True)
    answer = Prompt.ask("column of golden labels (for the evaluation alone; - for none)", default=gold or "-")
    if answer.strip() not in ("-", *columns):
        raise ConfigError(f"there is no column {answer!r}; the columns are {', '.join(columns)}")
    column = None if answer.strip() == "-" else columns[answer.strip()]
    if column is not None and column.name != gold:
        labels = guessing.label_names(list(column.counts))
    shown = Prompt.ask("labels, as the model should say them", default=", ".join(name for name, _ in labels))
    names = [name.strip() for name in shown.split(",") if name.strip()]
    if len(names) < 2:
        raise ConfigError(f"labels are two or more names with commas between them, got {shown!r}")
    if names == [name for name, _ in labels]:
        return (None if column is None else column.name), labels
    # Renamed one by one where their number is the same, so that the gold column is still understood.
    if column is not None and len(names) == len(labels):
        return column.name, tuple((name, values) for name, (_, values) in zip(names, labels, strict=True))
    return (None if column is None else column.name), guessing.given_labels(names, column)


def _ask_text(
    console: Console, columns: Mapping[str, Column], text: tuple[str, ...], taken: Sequence[str]
) -> tuple[str, ...]:
    shown = Prompt.ask("columns that the model is shown", default=", ".join(text), console=console)
    names = tuple(name.strip() for name in shown.split(",") if name.strip())
    if unknown := [name for name in names if name not in columns or name in taken]:
        raise ConfigError(f"{unknown[0]!r} is no column of texts; the columns are {', '.join(columns)}")
    return names or text


def _show(found: Guess, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Column], console: Console) -> None:
    """Show one whole prompt with its label, and the columns that are not used."""
    used = (*found.text, found.gold, found.group, found.answer)
    row = next((row for row in rows if all(not is_absent(row.get(name)) for name in found.text)), rows[0])
    claim = "".join(
        literal + ("" if column is None else str(row.get(column, "")).strip())
        for literal, column in template_pieces(found.template)
    )
    names = [name for name, _ in found.labels]
    for line in prompt_lines(claim, [f" {name}" for name in names], [name for name in columns if name not in used]):
        console.print(Text(line), soft_wrap=True)
    gold = "no golden labels" if found.gold is None else f"golden labels: {found.gold}"
    group = "each row by itself" if found.group is None else f"rows of equal {found.group} form a group"
    console.print(Text(f"labels: {', '.join(names)}; {gold}; {group}; {len(rows):,} rows"), soft_wrap=True)
