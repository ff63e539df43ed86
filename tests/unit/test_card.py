"""The data card: whatever the user's words hold, its front matter and its headings stay what they are."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from icm.export.card import front_matter, render_card
from icm.files.records import Manifest

WORDS = [
    *("mine: yours", "two\nlines\n---\nevil: true", "# heading", "[a, b]", 'q"uote', "null", "{a: 1}", "- item"),
    *("CC BY 4.0 | x", "ü", "`code`", "<script>", "cc-by-4.0", "\u2028# x", "%x", "@y", "a\\b", "yes", "1.0"),
]
HEADINGS = ["# Labels of the task", "## Files", "## How the labels were made", "## How good they are", "## Licence"]


def card_of(words: str) -> tuple[dict[str, object], str]:
    """Return front matter and body of a card in which everything from outside is these words."""
    elicited = Manifest(
        stage="elicit",
        config={"seed": 0, "search": words},
        counts={"labelled": 1, "claims": 2, "utility": 0.5, "violations": 0},
        model={"path": words},
    )
    card = f"{front_matter(words, {'trl/sft.jsonl': '0' * 64})}\n\n" + render_card(
        task={"name": words, "kind": "custom", "path": words},
        licence=words,
        labels_file=words,
        corrections=(words, 2, 1),
        elicited=elicited,
        diagnosis=None,
        metrics=None,
        rows={"trl/sft.jsonl": 3},
        without_pairs=words,
    )
    _, front, body = card.split("---\n", 2)
    return yaml.safe_load(front), body


def check(words: str) -> None:
    keys, body = card_of(words)
    assert keys.keys() <= {"license", "license_name", "tags", "configs"}
    assert keys["tags"] == ["preference", "machine-labelled", "unsupervised"]
    assert isinstance(keys["license"], str)
    assert " ".join(words.split()) in (keys["license"], keys.get("license_name"))
    headings = [line for line in body.splitlines() if line.startswith("#")]
    assert len(headings) == len(HEADINGS)
    assert all(line.startswith(expected) for line, expected in zip(headings, HEADINGS, strict=True))


@pytest.mark.parametrize("words", WORDS)
def test_no_words_break_the_card(words: str) -> None:
    check(words)


@given(words=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda words: words.strip()))
def test_no_text_breaks_the_card(words: str) -> None:
    check(words)


def test_without_corrections_the_card_speaks_of_none() -> None:
    card = render_card(
        task={"name": "t", "kind": "pocket"},
        licence=None,
        labels_file="mine.csv",
        elicited=None,
        diagnosis=None,
        metrics=None,
        rows={},
        without_pairs=None,
    )
    assert "Corrected" not in card
