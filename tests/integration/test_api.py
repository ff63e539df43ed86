"""The Python door: what may be handed over, what comes back, and that it is what the commands leave."""

from __future__ import annotations

import doctest
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest

import icm
from icm.api import labelling
from icm.claims import LabelSpace
from icm.errors import ConfigError, IcmError, RunDirectoryError, SchemaError
from icm.pocket.weights import pocket_model_dir
from icm.scoring.fake import HashScorer

SPACE = LabelSpace(names=("no", "yes"), verbalizers=(" no", " yes"))
TEXTS = [f"Number {n} is fine." for n in range(8)]
ROWS = [{"question": f"What is {q}?", "answer": f"It is {a}.", "right": a == q} for q in range(3) for a in range(3)]
TEMPLATE = "Question: {question}\nClaim: {answer}\nRight:"


def label(texts: Any, **given: Any) -> icm.Result:
    """Label with a model that answers at once."""
    settings = {"labels": SPACE.names, "model": HashScorer(SPACE), "overrides": ["search=sweeps"]} | given
    return icm.label(texts, **settings)


def test_importing_the_package_is_quick_and_loads_no_library() -> None:
    code = (
        "import time; began = time.perf_counter(); import icm, sys; took = time.perf_counter() - began;"
        "heavy = [each for each in ('torch', 'numpy', 'hydra', 'pydantic') if each in sys.modules];"
        "print(took, heavy, 'label' in dir(icm))"
    )
    took, rest = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split(
        " ", 1
    )
    assert float(took) < 0.3
    assert rest.strip() == "[] True"


def test_texts_come_back_with_a_label_each_in_their_order() -> None:
    result = label([*TEXTS, TEXTS[0]])
    assert len(result) == len(result.labels) == len(TEXTS) + 1
    assert set(result.labels) <= {"no", "yes"}
    # A repetition has the label of the row that it repeats.
    assert result.labels[-1] == result.labels[0]
    assert all(p is not None and 0 <= p <= 1 for p in result.probabilities)
    assert label(TEXTS).labels == label(TEXTS).labels == label(iter(TEXTS)).labels
    assert label(pd.Series(TEXTS)).labels == label(np.array(TEXTS)).labels == label(TEXTS).labels


@pytest.mark.parametrize("wrap", [list, pd.DataFrame, datasets.Dataset.from_list], ids=["rows", "pandas", "dataset"])
def test_tables_of_every_kind_are_the_same_table(wrap: Callable[[Any], Any]) -> None:
    result = label(wrap(ROWS), template=TEMPLATE, groups="question", relations=["different_answer"])
    assert [row["answer"] for row in result.rows] == [row["answer"] for row in ROWS]
    assert result.labels == label(ROWS, template=TEMPLATE, groups="question", relations=["different_answer"]).labels
    # At most one answer of a question is right.
    by_question = pd.DataFrame(ROWS).assign(label=result.labels).groupby("question")["label"]
    assert all((labels == "yes").sum() <= 1 for _, labels in by_question)
    frame = result.to_pandas()
    assert list(frame.columns) == ["question", "answer", "right", "label", "probability"]
    assert result.to_dataset().column_names == list(frame.columns)


def test_groups_may_be_given_row_by_row() -> None:
    groups = [row["question"] for row in ROWS]
    bare = [{"answer": f"{row['question']} {row['answer']}"} for row in ROWS]
    result = label(bare, groups=groups, relations=[{"kind": "different_answer"}])
    assert len(result.run.claims) == len(ROWS)
    assert len({claim.group for claim in result.run.claims}) == 3


def test_what_pandas_writes_for_no_value_is_none() -> None:
    frame = pd.DataFrame({"text": ["a", "b", "c"], "note": [np.nan, 1.0, pd.NA], "when": [pd.NaT] * 3})
    assert label(frame, template="{text}:").rows[0] == {"text": "a", "note": None, "when": None}


def test_anchors_pull_their_rows(tmp_path: Path) -> None:
    free = label(TEXTS)
    other = {0: "no" if free.labels[0] == "yes" else "yes"}
    # So sure that no answer of this model outweighs it.
    assert label(TEXTS, anchors={0: (other[0], 1 - 1e-12)}).labels[0] == other[0]


def test_a_mapping_of_labels_says_what_the_model_says() -> None:
    said = {"bad": " no", "good": " yes"}
    result = label(
        TEXTS, labels=said, model=HashScorer(LabelSpace(names=tuple(said), verbalizers=tuple(said.values())))
    )
    assert set(result.labels) <= {"bad", "good"}
    assert [{"bad": "no", "good": "yes"}[str(each)] for each in result.labels] == label(TEXTS).labels


def test_pairs_are_compared_in_the_order_of_their_rows() -> None:
    pairs = [(f"Question {n}?", f"First {n}", f"Second {n}") for n in range(4)]
    scorer = HashScorer(LabelSpace(names=("False", "True"), verbalizers=(" False", " True")))
    settings = {"model": scorer, "overrides": ["search=sweeps"]}
    result = icm.compare_pairs(pairs, **settings)
    assert len(result.run.claims) == 8
    assert len(result.labels) == 4
    swapped = icm.compare_pairs([(question, second, first) for question, first, second in pairs], **settings)
    # The same claims, so the same labels; each pair read the other way round.
    assert all(one != other for one, other in zip(result.labels, swapped.labels, strict=True))
    named = [dict(zip(("instruction", "response_1", "response_2"), pair, strict=True)) for pair in pairs]
    assert icm.compare_pairs(named, **settings).labels == result.labels


def test_a_result_is_saved_loaded_and_is_a_run_of_the_commands(tmp_path: Path) -> None:
    result = label(ROWS, template=TEMPLATE)
    saved = result.save(tmp_path / "kept")
    again = icm.load(saved)
    assert again.labels == result.labels
    assert again.rows == result.rows
    assert (saved / "elicit" / "manifest.json").exists()
    assert repr(again) == repr(result)
    with pytest.raises(RunDirectoryError, match="not empty"):
        result.save(saved)
    with pytest.raises(RunDirectoryError, match="no such run"):
        icm.load(tmp_path / "nowhere")


def test_the_same_call_in_the_same_directory_asks_nothing_again(tmp_path: Path) -> None:
    scorer = HashScorer(SPACE)
    one = label(TEXTS, model=scorer, out_dir=tmp_path / "run")
    asked = scorer.cost.prompts
    assert label(TEXTS, model=scorer, out_dir=tmp_path / "run").labels == one.labels
    assert scorer.cost.prompts == asked
    with pytest.raises(RunDirectoryError, match="a run on other rows"):
        label(TEXTS[1:], model=scorer, out_dir=tmp_path / "run")
    with pytest.raises(RunDirectoryError, match="other settings"):
        label(TEXTS, model=scorer, out_dir=tmp_path / "run", seed=1)
    assert icm.load(tmp_path / "run").labels == one.labels


def test_the_diagnosis_is_asked_for_once(tmp_path: Path) -> None:
    scorer = HashScorer(SPACE)
    result = label(TEXTS, model=scorer)
    assert "not diagnosed yet" in repr(result)
    first = result.diagnosis
    asked = scorer.cost.prompts
    assert result.diagnosis == first
    assert scorer.cost.prompts == asked
    assert first.verdict in ("trust", "caution", "reject")
    assert f"diagnosis: {first.verdict}" in repr(result)


def test_every_label_is_explained_with_what_stood_before_it() -> None:
    told = label(ROWS, template=TEMPLATE, groups="question", relations=["different_answer"]).explain(4)
    assert repr(told) == str(told)
    assert "Question: What is 1?\nClaim: It is 1." in told
    assert "different_answer" in told


def test_golden_labels_are_compared_and_change_nothing() -> None:
    result = label(ROWS, template=TEMPLATE)
    before = result.labels
    gold = [row["right"] for row in ROWS]
    one = icm.evaluate(result, gold)
    expected = np.mean([(each == "yes") == right for each, right in zip(before, gold, strict=True)])
    assert one.accuracy == pytest.approx(expected)
    assert one.interval is not None
    assert one.interval[0] <= expected <= one.interval[1]
    assert "Elicited labels" in repr(one)
    names = ["yes" if right else "no" for right in gold]
    for same in ("right", names, dict(enumerate(gold)), pd.Series(gold)):
        assert icm.evaluate(result, same).accuracy == one.accuracy
    assert icm.evaluate(result, [gold[0], *[None] * 8]).metrics.num_without_gold == 8
    assert result.labels == before


def test_a_notebook_shows_a_table_and_no_markup_of_the_texts() -> None:
    shown = label(["<script>alert(1)</script>", *TEXTS, *(f"{each}!" for each in TEXTS)])._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "7 more" in shown


def test_a_loaded_model_may_be_handed_over() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    directory = pocket_model_dir()
    model = AutoModelForCausalLM.from_pretrained(directory)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    texts = [f"Question: What color is the owl?\nClaim: {each}\nI think this claim is" for each in ("black", "gray")]
    settings: dict[str, Any] = {"template": "{text}", "overrides": ["search=zero_shot"]}
    given = icm.label(texts, model=(model, tokenizer), **settings)
    assert given.probabilities == icm.label(texts, **settings).probabilities


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"texts": []}, "no row"),
        ({"texts": "abc"}, "a list of texts is wanted, got the single str"),
        ({"texts": 3}, "got int"),
        ({"texts": ["a", 1]}, "item 1 must be a text or a mapping, got int 1"),
        ({"texts": ["a", {"text": "b"}]}, "item 1 is a dict, but item 0 is a str"),
        ({"labels": ["x"]}, "two or more different names"),
        ({"labels": ["x", "x"]}, "two or more different names"),
        ({"labels": "yes"}, "a list of names is wanted"),
        ({"labels": ["Ye", "Yes"]}, "prefix"),
        ({"template": "no column"}, "template names no column"),
        ({"template": "{other}:"}, "no column 'other'; the columns are text"),
        ({"template": "{text}: "}, "must not end in white space"),
        ({"groups": ["a"]}, "1 groups for 8 rows"),
        ({"groups": "topic"}, "there is no column 'topic'"),
        ({"relations": ["alike"]}, "relations"),
        ({"anchors": {99: "yes"}}, "row 99 (from 0, of 8) does not exist"),
        ({"anchors": {0: "maybe"}}, "label must be 'no', 'yes'"),
        ({"anchors": {0: ("yes", 1.5)}}, "must be a number from 0 to 1"),
        ({"model": 3}, "(model, tokenizer) or a scorer is wanted, got int"),
        ({"model": (1, 2, 3)}, "got a tuple of 3"),
        ({"model": "nowhere/at/all"}, "no such model directory"),
        ({"labels": ["a", "b", "c"]}, "the scorer was made for 2 labels, and there are 3"),
        ({"overrides": ["serch=sweeps"]}, "did you mean search"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_asked(given: dict[str, Any], said: str) -> None:
    with pytest.raises((IcmError, ValueError)) as caught:
        label(given.pop("texts", TEXTS), **given)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("gold", "error", "said"),
    [
        (["yes"], ConfigError, "1 labels for 8 rows"),
        ("right", ConfigError, "no column 'right'"),
        ([None] * 8, ConfigError, "nothing to compare"),
        (["maybe"] * 8, SchemaError, "label must be"),
        ({99: "yes"}, ConfigError, "nothing to compare"),
    ],
)
def test_golden_labels_that_do_not_fit_are_named(gold: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        icm.evaluate(label(TEXTS), gold)
    assert said in str(caught.value)


def test_a_row_without_a_label_cannot_be_explained() -> None:
    result = label([*TEXTS, ""])
    assert result.labels[-1] is None
    for row, said in ((8, "became no claim"), (9, "does not exist")):
        with pytest.raises(ConfigError, match=said):
            result.explain(row)


def test_the_examples_of_the_docstrings_are_true() -> None:
    tried = doctest.testmod(labelling, raise_on_error=False)
    assert tried.attempted > 0
    assert tried.failed == 0


def test_unknown_names_are_refused_as_of_any_module() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lable'"):
        _ = icm.lable  # pyright: ignore[reportAttributeAccessIssue]
