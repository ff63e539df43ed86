"""What hypothesis draws in several test files."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from icm.claims import AnswerKey, ComparisonKey, group_id
from tests.worlds.claims import make_claim

TEXT: Final = st.text(min_size=1, max_size=40)
KEYS: Final = st.one_of(st.none(), st.builds(AnswerKey, value=TEXT), st.builds(ComparisonKey, first=TEXT, second=TEXT))

CLAIMS: Final = st.builds(
    lambda question, answer, key: make_claim(
        group_id(question), answer, key, parts={"question": question, "answer": answer}
    ),
    TEXT,
    TEXT,
    KEYS,
)
"""Claims of any text, with and without keys."""
