"""The one loop that drives a search. Knows neither what it searches nor who watches."""

from __future__ import annotations

from collections.abc import Iterator

from icm.scoring.protocol import LabelScorer
from icm.searches.protocol import S, Search
from search.annealing import StepInfo


def drive(search: Search[S], scorer: LabelScorer, state: S | None = None) -> Iterator[tuple[S, StepInfo]]:
    """Take a search from its start, or from a state that it was stopped at, to its end.

    Args:
        search: What is driven.
        scorer: What the search asks. It forgets what it keeps between calls before the first question and after every
            `search.period` steps: the last digits of an answer depend on what is kept, and a search that was stopped
            there and goes on with an empty scorer must see the same digits.
        state: Where to go on, a multiple of `search.period` steps from the start; `None` to begin.

    Yields:
        Each state and what the step to it did; at the beginning the start, to which no step led.
    """
    scorer.forget()
    if state is None:
        state = search.start()
        yield state, StepInfo()
    for after, info in search.walk(state):
        if after.step % search.period == 0:
            # Before the state is handed out: whoever stops here goes on later with an empty scorer.
            scorer.forget()
        yield after, info
