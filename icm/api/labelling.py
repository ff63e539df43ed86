"""`icm.label` and `icm.compare_pairs`: rows in, a result out, through the stages of the command line."""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from icm.api.models import Model, model_overrides, scorer_of
from icm.api.result import SOURCE, Result, claims_of_rows
from icm.api.rows import Row, rows_of, with_groups, write_source
from icm.claims import LabelSpace
from icm.commands import stages
from icm.config import load_task
from icm.errors import ConfigError
from icm.files.labels import read_source_rows
from icm.files.records import CLAIMS, ROWS, read_claims, write_rows
from icm.init.guess import guess_template, guess_text, profile
from icm.prepare.settings import template_pieces
from icm.report.console import PlainConsole

ANCHORS: Final = "anchors.jsonl"


def label(
    texts: Any,
    labels: Sequence[str] | Mapping[str, str] = ("False", "True"),
    template: str | None = None,
    *,
    model: Model = None,
    groups: str | Sequence[Any] | None = None,
    relations: Sequence[str | Mapping[str, Any]] | None = None,
    anchors: Mapping[int, Any] | None = None,
    seed: int = 0,
    out_dir: str | Path | None = None,
    overrides: Sequence[str] = (),
) -> Result:
    r"""Label texts, without a labelled example.

    Args:
        texts: Texts, a pandas data frame, a `datasets.Dataset`, or mappings of columns to values.
        labels: What the model says for each label; in a mapping, what it says by the name of the label. Of two labels
            the second affirms.
        template: Text of a claim up to its label, columns in braces; the column of plain texts is `text`. Made from
            the columns if left out.
        model: Directory, GGUF file, Hub id or its address, a name that `icm models` lists, (model, tokenizer), or a
            scorer; the embedded model, which knows a small world of its own, if left out.
        groups: Column whose equal values make a group of claims about one thing, or a group for each row.
        relations: What claims of a group say about one another: names such as "same_answer", or mappings as in
            `conf/task/custom.yaml`. They compare the column `answer`, or the last one of the template.
        anchors: Labels that you vouch for, by row, or pairs of a label and its reliability.
        seed: Of everything random.
        out_dir: Directory of the run; one that lives as long as the result if left out.
        overrides: Any other settings, as on the command line: `["search=sweeps", "model.device=cuda"]`.

    Raises:
        IcmError: Something does not fit; the message says what, and the way out.

    >>> import icm
    >>> colours = ["black", "brown", "green", "white", "red", "gray"]
    >>> texts = [f"Question: What color is the owl?\nClaim: {each}\nI think this claim is" for each in colours]
    >>> result = icm.label(texts, labels=["False", "True"], template="{text}", seed=0)
    >>> len(result.labels), set(result.labels) <= {"False", "True"}
    (6, True)
    """
    rows, group = with_groups(rows_of(texts), groups)
    verbalizers = _verbalizers(labels)
    task = {
        "kind": "custom",
        "name": "labels",
        "template": _template(rows, list(verbalizers), template, group),
        "labels": [{"name": name, "verbalizer": said} for name, said in verbalizers.items()],
        "group_columns": [] if group is None else [group],
        "relations": [{"kind": each} if isinstance(each, str) else dict(each) for each in relations or ()],
        "num_claims": None,
        "num_held_out": 0,
    }
    task["answer_column"] = _answer_column(rows, task["template"]) if relations else None
    return _run(rows, task, model, seed, out_dir, overrides, anchors)


def compare_pairs(
    pairs: Any,
    quality: str = "more helpful",
    *,
    model: Model = None,
    anchors: Mapping[int, Any] | None = None,
    seed: int = 0,
    out_dir: str | Path | None = None,
    overrides: Sequence[str] = (),
) -> Result:
    """Say of pairs of responses whether the first is the better one.

    Every pair becomes two claims, one for each order, which contradict one another by their meaning.

    Args:
        pairs: (question, first response, second response) each; or a table or mappings with the columns `instruction`,
            `response_1` and `response_2`.
        quality: What the better one is.
        model: As for `label`.
        anchors: As for `label`; "True" says that the first is the better one.
        seed: As for `label`.
        out_dir: As for `label`.
        overrides: As for `label`.

    Raises:
        IcmError: Something does not fit; the message says what, and the way out.
    """
    items = pairs if hasattr(pairs, "columns") or hasattr(pairs, "to_list") else list(pairs)
    if isinstance(items, list):
        items = [_pair(number, each) for number, each in enumerate(items)]
    task = {
        "kind": "alpaca",
        "name": "pairs",
        "format": "pairs",
        "quality": quality,
        "num_claims": None,
        "num_held_out": 0,
    }
    return _run(rows_of(items), task, model, seed, out_dir, overrides, anchors)


def _run(
    rows: Sequence[Row],
    task: Mapping[str, Any],
    model: Model,
    seed: int,
    out_dir: str | Path | None,
    overrides: Sequence[str],
    anchors: Mapping[int, Any] | None,
) -> Result:
    """Label in a directory of the caller's, or in one that goes when the result goes."""
    if out_dir is not None:
        return _in(Path(out_dir), rows, task, model, seed, overrides, anchors)
    run_dir = Path(tempfile.mkdtemp(prefix="icm-"))
    try:
        result = _in(run_dir, rows, task, model, seed, overrides, anchors)
    except BaseException:
        shutil.rmtree(run_dir, ignore_errors=True)
        raise
    weakref.finalize(result, shutil.rmtree, run_dir, ignore_errors=True)
    return result


def _in(
    run_dir: Path,
    rows: Sequence[Row],
    task: Mapping[str, Any],
    model: Model,
    seed: int,
    overrides: Sequence[str],
    anchors: Mapping[int, Any] | None,
) -> Result:
    """Prepare and elicit, as the commands do, and open what they left."""
    anchored = [f"anchors={json.dumps(str(run_dir / ANCHORS))}"] if anchors else []
    # Settings first: what does not fit leaves no file.
    places, config = load_task(
        {**task, "path": str(run_dir / SOURCE)},
        f"seed={seed}",
        f"out_dir={json.dumps(str(run_dir))}",
        *model_overrides(model),
        *anchored,
        *overrides,
    )
    write_source(run_dir / SOURCE, rows, overwrite=places.overwrite)
    console = quiet_console()
    stages.prepare(places, config, console)
    if anchors:
        _write_anchors(run_dir, anchors, rows)
    scorer = scorer_of(model, stages.label_space(places)) or stages.scorer_of(places, config)
    stages.elicit(places, config, console, scorer)
    return Result(run_dir, config=config, scorer=scorer)


def quiet_console() -> Console:
    """Return a console that shows progress where somebody looks, at a terminal or in a notebook, and else nothing."""
    console = PlainConsole(stderr=True)
    console.quiet = not (console.is_terminal or console.is_jupyter)
    return console


def _verbalizers(labels: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Return what the model says for each label, with the space before it.

    Raises:
        ConfigError: There are fewer than two labels, or two of one name.
    """
    if isinstance(labels, str):
        raise ConfigError(f"labels: a list of names is wanted, got the text {labels!r}")
    names = [str(name) for name in labels]
    if len(names) < 2 or len({*names}) < len(names):
        raise ConfigError(f"labels: two or more different names are wanted, got {names}")
    if isinstance(labels, Mapping):
        return {str(name): said for name, said in labels.items()}
    LabelSpace(names=tuple(names), verbalizers=tuple(f" {name}" for name in names))
    return {name: f" {name}" for name in names}


def _template(rows: Sequence[Row], labels: Sequence[str], template: str | None, group: str | None) -> str:
    if template is not None:
        return template
    text = guess_text(profile(rows), [group] if group else [])
    return guess_template(text, labels, None, None)


def _answer_column(rows: Sequence[Row], template: str) -> str:
    """Return the column that relations compare."""
    columns = [column for _, column in template_pieces(template) if column is not None]
    return "answer" if any("answer" in row for row in rows) or not columns else columns[-1]


def _pair(number: int, pair: Any) -> Mapping[str, Any]:
    if isinstance(pair, Mapping):
        return pair
    if isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 3:
        return dict(zip(("instruction", "response_1", "response_2"), pair, strict=True))
    raise ConfigError(f"pairs: item {number} must be (question, first response, second response), got {pair!r:.80}")


def _write_anchors(run_dir: Path, anchors: Mapping[int, Any], rows: Sequence[Row]) -> None:
    """Write the anchors of rows as those of their claims.

    Raises:
        ConfigError: A row does not exist, or became no claim.
    """
    prepare_dir = run_dir / "prepare"
    claims = claims_of_rows(rows, read_source_rows(prepare_dir / ROWS), read_claims(prepare_dir / CLAIMS))
    lines = {}
    for row, given in anchors.items():
        if row not in claims:
            why = "became no claim; prepare/rejected.jsonl says why" if 0 <= row < len(rows) else "does not exist"
            raise ConfigError(f"anchors: row {row} (from 0, of {len(rows):,}) {why}")
        named, *reliability = given if isinstance(given, tuple) else (given,)
        line = {"id": claims[row], "label": named}
        lines[claims[row]] = line | ({"reliability": reliability[0]} if reliability else {})
    write_rows(run_dir / ANCHORS, lines.values())
