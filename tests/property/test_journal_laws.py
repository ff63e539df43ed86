"""The journal of a process that is killed at any byte: what stands in it is data, what was torn off is asked again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from icm.claims import TRUE_FALSE, LabelSpace
from icm.errors import RunDirectoryError, SchemaError
from icm.prompts import NO_CONTEXT, Prompt
from icm.scoring.fake import HashScorer
from icm.scoring.journal import DECIMALS, JournalScorer
from icm.scoring.protocol import ScoringCost, count_prompt_tokens
from tests.worlds.scorers import ConceptScorer

FEW = settings(max_examples=25)
PROMPTS = [Prompt(NO_CONTEXT.extend([f"shown {i}"] * (i % 3)), f"asked {i}") for i in range(8)]
BATCHES = st.lists(st.lists(st.integers(0, 7), max_size=4), min_size=1, max_size=5)
THREE = LabelSpace(names=("a", "b", "c"), verbalizers=(" a", " b", " c"))


class Counting(HashScorer):
    """Counts how often each prompt was asked."""

    def __init__(self, space: LabelSpace = TRUE_FALSE) -> None:
        super().__init__(space)
        self.asked: list[bytes] = []

    def label_logprobs(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        self.asked += [prompt.digest for prompt in prompts]
        return super().label_logprobs(prompts)


def content(path: Path) -> bytes:
    """Return what a journal holds; one that was asked nothing is not written."""
    return path.read_bytes() if path.exists() else b""


def ask(scorer: JournalScorer, batches: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
    return [scorer.label_logprobs([PROMPTS[at] for at in batch]) for batch in batches]


@FEW
@given(BATCHES)
def test_nothing_is_asked_twice_and_answers_are_the_inner_ones_rounded(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]]
) -> None:
    inner = Counting()
    scorer = JournalScorer(inner, tmp_path_factory.mktemp("journal") / "journal.jsonl")
    answers = ask(scorer, batches)
    assert len(inner.asked) == len(set(inner.asked)) == len({at for batch in batches for at in batch})
    for batch, answer in zip(batches, answers, strict=True):
        assert answer.shape == (len(batch), 2)
        expected = HashScorer(TRUE_FALSE).label_logprobs([PROMPTS[at] for at in batch])
        assert answer.tolist() == np.round(expected, DECIMALS).tolist()
    num_asked = sum(map(len, batches))
    assert scorer.cost.prompts == num_asked
    assert scorer.cost.journal_hits == num_asked - len(inner.asked)


@FEW
@given(BATCHES)
def test_a_replay_asks_nothing_writes_nothing_and_answers_the_same(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    first = ask(JournalScorer(HashScorer(TRUE_FALSE), path), batches)
    written = content(path)
    inner = Counting()
    again = ask(JournalScorer(inner, path), batches)
    assert inner.asked == []
    assert content(path) == written
    assert [answer.tolist() for answer in again] == [answer.tolist() for answer in first]


@FEW
@given(BATCHES, st.data())
def test_killed_at_any_byte_the_journal_is_made_whole_again(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    ask(JournalScorer(HashScorer(TRUE_FALSE), path), batches)
    whole = content(path)
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    ask(JournalScorer(HashScorer(TRUE_FALSE), path), batches)
    assert content(path) == whole


@FEW
@given(BATCHES, BATCHES)
def test_what_came_after_a_checkpoint_is_cut_off(
    tmp_path_factory: pytest.TempPathFactory, before: list[list[int]], after: list[list[int]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    scorer = JournalScorer(HashScorer(TRUE_FALSE), path)
    ask(scorer, before)
    position = scorer.position()
    at_checkpoint = content(path)
    assert position == len(at_checkpoint)
    ask(scorer, after)
    JournalScorer(HashScorer(TRUE_FALSE), path, at=position)
    assert content(path) == at_checkpoint


@FEW
@given(BATCHES)
def test_a_line_is_a_prompt_and_its_label_log_probabilities(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    ask(JournalScorer(HashScorer(THREE), path), batches)
    header, *lines = map(json.loads, content(path).splitlines() or [b'{"kind": "journal", "num_labels": 3}'])
    assert (header["kind"], header["num_labels"]) == ("journal", 3)
    order = list(dict.fromkeys(at for batch in batches for at in batch))
    assert [line["prompt"] for line in lines] == [PROMPTS[at].digest.hex() for at in order]
    assert all(len(line["logprobs"]) == 3 for line in lines)


COUNTED = ("prompts", "journal_hits", "naive_tokens", "forwarded_tokens", "calls")


@FEW
@given(BATCHES, st.data())
def test_work_done_again_costs_what_it_cost_and_asks_nothing_again(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    first = JournalScorer(HashScorer(TRUE_FALSE), path)
    ask(first, batches)
    whole = content(path)
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    inner = Counting()
    again = JournalScorer(inner, path)
    stood = path.read_bytes().count(b'"prompt"')
    ask(again, batches)
    assert [getattr(again.cost, name) for name in COUNTED] == [getattr(first.cost, name) for name in COUNTED]
    assert len(inner.asked) == whole.count(b'"prompt"') - stood
    free = JournalScorer(HashScorer(TRUE_FALSE), path, replays=False)
    ask(free, batches)
    assert free.cost.forwarded_tokens == 0
    assert free.cost.journal_hits == free.cost.prompts


def damaged(whole: bytes, data: st.DataObject) -> bytes:
    """Return other bytes than a journal's: altered, lost, put in or out of order."""
    at = data.draw(st.integers(0, len(whole) - 1))
    lines = whole.splitlines(keepends=True)
    line = data.draw(st.integers(0, len(lines) - 1))
    match data.draw(st.sampled_from(["byte", "cut", "line", "twice", "swapped", "extra", "zeros"])):
        case "byte":
            return whole[:at] + data.draw(st.binary(min_size=1, max_size=1)) + whole[at + 1 :]
        case "cut":
            return whole[:at]
        case "line":
            return b"".join(lines[:line] + lines[line + 1 :])
        case "twice":
            return b"".join(lines[: line + 1] + lines[line:])
        case "swapped":
            return b"".join(lines[:line] + lines[line:][::-1])
        case "zeros":
            return whole + bytes(20)
        case _:
            return whole[:at] + data.draw(st.binary(max_size=30)) + whole[at:]


@settings(max_examples=150)
@given(BATCHES.filter(any), st.data())
def test_a_damaged_journal_ends_in_the_same_bytes_or_is_refused_at_once(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    answers = ask(JournalScorer(HashScorer(TRUE_FALSE), path), batches)
    whole = content(path)
    path.write_bytes(damaged(whole, data))
    try:
        again = JournalScorer(HashScorer(TRUE_FALSE), path)
    except (SchemaError, RunDirectoryError) as error:
        assert str(path) in str(error)  # noqa: PT017 - it need not be raised
        return
    assert [answer.tolist() for answer in ask(again, batches)] == [answer.tolist() for answer in answers]
    assert content(path) == whole


def test_a_journal_of_an_older_version_names_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"kind": "journal", "schema": 1, "fingerprint": "fake", "num_labels": 2}\n')
    with pytest.raises(SchemaError, match=r"a journal of schema 1, which another version .* overwrite=true"):
        JournalScorer(HashScorer(TRUE_FALSE), path)


@pytest.mark.parametrize(
    "line",
    ["nonsense", "[]", '{"prompt": "zz", "logprobs": [0, 0]}', '{"prompt": "00"}', '{"logprobs": [0, 0]}', "null"],
)
def test_a_broken_line_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "journal.jsonl"
    ask(JournalScorer(HashScorer(TRUE_FALSE), path), [[0, 1]])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(SchemaError, match=r"journal\.jsonl:4: not a line of a journal"):
        JournalScorer(HashScorer(TRUE_FALSE), path)


@pytest.mark.parametrize("logprobs", [[], [0.5], [0.1, 0.2, 0.3]])
def test_a_line_for_another_alphabet_is_named_by_its_number(tmp_path: Path, logprobs: list[float]) -> None:
    path = tmp_path / "journal.jsonl"
    ask(JournalScorer(HashScorer(TRUE_FALSE), path), [[0]])
    path.write_text(path.read_text() + json.dumps({"prompt": "00", "logprobs": logprobs}) + "\n")
    with pytest.raises(SchemaError, match=r"journal\.jsonl:3: not a line of a journal"):
        JournalScorer(HashScorer(TRUE_FALSE), path)


@pytest.mark.parametrize("inner", [HashScorer(TRUE_FALSE, seed=1), HashScorer(THREE), ConceptScorer({}, TRUE_FALSE)])
def test_the_journal_of_another_model_is_refused(tmp_path: Path, inner: HashScorer) -> None:
    path = tmp_path / "journal.jsonl"
    ask(JournalScorer(HashScorer(TRUE_FALSE), path), [[0]])
    with pytest.raises(RunDirectoryError, match="use another output directory or the model of that run"):
        JournalScorer(inner, path)


@pytest.mark.parametrize(
    "content", ["a story\n", '{"kind": "claims"}\n', '{"kind": "journal", "schema": 99}\n', "[1]\n"]
)
def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(content)
    with pytest.raises(SchemaError, match=r"not a journal of schema 2|a journal of schema 99, which another version"):
        JournalScorer(HashScorer(TRUE_FALSE), path)
    assert path.read_text() == content


def test_a_journal_shorter_than_its_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    ask(JournalScorer(HashScorer(TRUE_FALSE), path), [[0]])
    size = path.stat().st_size
    with pytest.raises(RunDirectoryError, match=f"holds {size} bytes, fewer than the {size + 1}"):
        JournalScorer(HashScorer(TRUE_FALSE), path, at=size + 1)
    path.unlink()
    with pytest.raises(RunDirectoryError, match="the journal is empty but byte 7 of it is asked for"):
        JournalScorer(HashScorer(TRUE_FALSE), path, at=7)


def test_what_the_inner_scorer_says_of_itself_passes_through(tmp_path: Path) -> None:
    inner = HashScorer(THREE)
    scorer = JournalScorer(inner, tmp_path / "journal.jsonl")
    assert (scorer.fingerprint, scorer.num_labels, scorer.context_length) == (inner.fingerprint, 3, None)
    assert scorer.count_tokens(["a", "b"]).tolist() == [1, 1]
    scorer.forget()
    assert scorer.cost == ScoringCost()


# ------------------------------------------------------------------------------------------------- cost and fakes

COSTS = st.builds(
    ScoringCost,
    prompts=st.integers(0, 9),
    journal_hits=st.integers(0, 9),
    naive_tokens=st.integers(0, 9),
    forwarded_tokens=st.integers(0, 9),
    calls=st.integers(0, 9),
)


@FEW
@given(COSTS, COSTS, COSTS)
def test_costs_add_up_and_spans_are_differences(one: ScoringCost, other: ScoringCost, third: ScoringCost) -> None:
    assert one + other == other + one
    assert (one + other) + third == one + (other + third)
    assert (one + other) - other == one
    assert one + ScoringCost() == one


@FEW
@given(st.lists(st.integers(0, 7), max_size=6))
def test_tokens_of_prompts_are_counted_as_written_out(chosen: list[int]) -> None:
    prompts = [PROMPTS[at] for at in chosen]
    assert count_prompt_tokens(HashScorer(TRUE_FALSE), prompts) == sum(len(prompt.segments) for prompt in prompts)


@FEW
@given(st.integers(0, 50), st.permutations(range(8)))
def test_a_fake_answers_by_content_whatever_is_asked_beside_it(seed: int, order: list[int]) -> None:
    scorer = HashScorer(THREE, seed=seed)
    together = scorer.label_logprobs([PROMPTS[at] for at in order])
    for row, at in enumerate(order):
        assert scorer.label_logprobs([PROMPTS[at]])[0].tolist() == pytest.approx(together[row].tolist())
    assert np.exp(together).sum(axis=1) == pytest.approx(0.9)  # a tenth goes to other words


@FEW
@given(st.integers(0, 50), st.integers(1, 6))
def test_demos_that_agree_make_the_concept_surer(seed: int, num_demos: int) -> None:
    truth = {f"claim {i}": i % 2 for i in range(8)}
    scorer = ConceptScorer(truth, TRUE_FALSE, noise=0.0, seed=seed)

    def lead(flip: int) -> float:
        shown = [f"claim {i}" + TRUE_FALSE.verbalizers[(truth[f"claim {i}"] + flip) % 2] for i in range(num_demos)]
        false, true = scorer.label_logprobs([Prompt(NO_CONTEXT.extend(shown), "claim 7")])[0]
        return true - false

    alone = scorer.label_logprobs([Prompt(NO_CONTEXT, "claim 7")])[0]
    assert lead(0) == pytest.approx(0.5 + 6 * num_demos / (num_demos + 4))
    assert lead(1) == pytest.approx(0.5 - 6 * num_demos / (num_demos + 4))
    assert lead(1) < alone[1] - alone[0] < lead(0)
