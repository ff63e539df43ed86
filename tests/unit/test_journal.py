"""The journal: what is written, what is asked, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from icm.claims import TRUE_FALSE
from icm.errors import RunDirectoryError, SchemaError
from icm.prompts import NO_CONTEXT, Prompt
from icm.scoring.fake import HashScorer
from icm.scoring.journal import JournalScorer

PROMPTS = [Prompt(NO_CONTEXT.extend([f"demo {i} True"]), f"claim {i}") for i in range(6)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "journal.jsonl"


def test_a_prompt_is_asked_once_however_often_it_comes(path: Path) -> None:
    inner = HashScorer(TRUE_FALSE)
    journal = JournalScorer(inner, path)
    first = journal.label_logprobs([PROMPTS[0], PROMPTS[1], PROMPTS[0]])
    again = journal.label_logprobs([PROMPTS[1], PROMPTS[0]])
    np.testing.assert_array_equal(first[[1, 0]], again)
    assert inner.cost.prompts == 2
    assert (journal.cost.prompts, journal.cost.journal_hits) == (5, 3)
    assert journal.cost.naive_tokens == 5 * 2
    assert journal.cost.forwarded_tokens == 2 * 2


def test_a_reopened_journal_gives_the_same_bits_without_asking(path: Path) -> None:
    expected = JournalScorer(HashScorer(TRUE_FALSE), path).label_logprobs(PROMPTS)
    inner = HashScorer(TRUE_FALSE)
    np.testing.assert_array_equal(JournalScorer(inner, path).label_logprobs(PROMPTS), expected)
    assert inner.cost.prompts == 0
    np.testing.assert_array_equal(expected, np.round(HashScorer(TRUE_FALSE).label_logprobs(PROMPTS), 5))


def test_entries_are_in_the_file_before_the_call_returns(path: Path) -> None:
    journal = JournalScorer(HashScorer(TRUE_FALSE), path)
    journal.label_logprobs(PROMPTS[:2])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["prompt"] for row in rows[1:]] == [prompt.digest.hex() for prompt in PROMPTS[:2]]
    assert journal.position() == path.stat().st_size


def test_opening_at_a_position_forgets_what_came_later(path: Path) -> None:
    journal = JournalScorer(HashScorer(TRUE_FALSE), path)
    journal.label_logprobs(PROMPTS[:3])
    position = journal.position()
    kept = path.read_bytes()
    journal.label_logprobs(PROMPTS[3:])
    whole = path.read_bytes()
    inner = HashScorer(TRUE_FALSE)
    resumed = JournalScorer(inner, path, at=position)
    assert path.read_bytes() == kept
    resumed.label_logprobs(PROMPTS)
    assert inner.cost.prompts == 3
    assert path.read_bytes() == whole


def test_a_torn_last_line_is_dropped(path: Path) -> None:
    JournalScorer(HashScorer(TRUE_FALSE), path).label_logprobs(PROMPTS)
    whole = path.read_bytes()
    for size in range(len(whole) - 40, len(whole)):
        path.write_bytes(whole[:size])
        JournalScorer(HashScorer(TRUE_FALSE), path).label_logprobs(PROMPTS)
        assert path.read_bytes() == whole


def test_a_torn_header_starts_the_journal_afresh(path: Path) -> None:
    JournalScorer(HashScorer(TRUE_FALSE), path).label_logprobs(PROMPTS)
    whole = path.read_bytes()
    path.write_bytes(whole[:10])
    JournalScorer(HashScorer(TRUE_FALSE), path).label_logprobs(PROMPTS)
    assert path.read_bytes() == whole


def test_a_new_journal_is_not_written_before_the_first_answer(path: Path) -> None:
    claims: list[str] = []
    journal = JournalScorer(HashScorer(TRUE_FALSE), path, before_first_write=lambda: claims.append("claimed"))
    assert journal.position() == 0
    assert not path.parent.exists()
    assert claims == []
    for prompt in PROMPTS:
        journal.label_logprobs([prompt])
    assert claims == ["claimed"]
    assert journal.position() == path.stat().st_size
    JournalScorer(HashScorer(TRUE_FALSE), path, before_first_write=lambda: claims.append("again"))
    assert claims == ["claimed"]


def test_a_fresh_journal_reads_nothing_of_the_one_before(path: Path) -> None:
    JournalScorer(HashScorer(TRUE_FALSE), path).label_logprobs(PROMPTS)
    inner = HashScorer(TRUE_FALSE)
    JournalScorer(inner, path, fresh=True, before_first_write=path.unlink).label_logprobs(PROMPTS)
    assert inner.cost.prompts == len(PROMPTS)


def test_a_journal_of_another_model_is_refused_and_kept(path: Path) -> None:
    JournalScorer(HashScorer(TRUE_FALSE), path).label_logprobs(PROMPTS)
    whole = path.read_bytes()
    with pytest.raises(RunDirectoryError, match="holds scores of"):
        JournalScorer(HashScorer(TRUE_FALSE, seed=1), path)
    assert path.read_bytes() == whole


def test_a_journal_shorter_than_the_checkpoint_is_refused(path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="empty but byte 10"):
        JournalScorer(HashScorer(TRUE_FALSE), path, at=10)
    JournalScorer(HashScorer(TRUE_FALSE), path).label_logprobs(PROMPTS)
    with pytest.raises(RunDirectoryError, match="fewer than the 9999"):
        JournalScorer(HashScorer(TRUE_FALSE), path, at=9999)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{broken\n", r"journal\.jsonl:2: not a line of a journal"),
        (b'{"prompt": "xyz", "logprobs": [-1, -2]}\n', "not a line of a journal"),
        (b'{"prompt": "00"}\n', "not a line of a journal"),
        (b'{"prompt": "00", "logprobs": [-1]}\n', "not a line of a journal"),
    ],
)
def test_broken_lines_are_named_by_place(path: Path, line: bytes, message: str) -> None:
    JournalScorer(HashScorer(TRUE_FALSE), path).label_logprobs(PROMPTS[:1])
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\n") + 1] + line)
    with pytest.raises(SchemaError, match=message):
        JournalScorer(HashScorer(TRUE_FALSE), path)


@pytest.mark.parametrize("content", ['{"id": "claim"}\n', '{"id": "claim"}', "[1, 2]\n"])
def test_a_file_that_is_no_journal_is_refused_and_kept(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(SchemaError, match=r"journal\.jsonl:1: not a "):
        JournalScorer(HashScorer(TRUE_FALSE), path)
    assert path.read_text() == content


def test_a_journal_that_cannot_grow_says_so_and_keeps_what_it_holds(path: Path) -> None:
    journal = JournalScorer(HashScorer(TRUE_FALSE), path)
    journal.label_logprobs(PROMPTS[:2])
    kept = path.rename(path.with_name("kept.jsonl"))
    path.mkdir()
    with pytest.raises(RunDirectoryError, match="cannot append to the journal"):
        journal.label_logprobs(PROMPTS)
    assert len(kept.read_text().splitlines()) == 3
