"""What every search offers to the session that runs it. Knows no search, no file and no golden label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from icm.claims import Labels
from icm.objective import Evaluation
from search.annealing import StepInfo


class State(Protocol):
    """Where a search stands."""

    # Properties and not attributes: a frozen state has nothing that could be set.
    @property
    def step(self) -> int:
        """Steps taken."""
        ...

    @property
    def labels(self) -> Labels:
        """(N,) the labelling that the trace shows."""
        ...

    @property
    def evaluation(self) -> Evaluation | None:
        """Its evaluation; `None` for a search that does not need U."""
        ...


@dataclass(frozen=True, slots=True)
class Alternative:
    """A labelling that a search came to, the returned one among them.

    Attributes:
        labels: (N,) the labelling.
        utility: Its U.
        origins: The starts that ended there.
    """

    labels: Labels
    utility: float
    origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What a search returns.

    Attributes:
        labels: (N,) the labelling.
        stability: (N,) share of the starts, scans or rounds that agree with each label; `None` for one labelling alone.
        alternatives: The distinct labellings found, by falling U; empty where only one was followed.
    """

    labels: Labels
    stability: NDArray[np.float64] | None = None
    alternatives: Sequence[Alternative] = ()


S = TypeVar("S", bound=State)


class Search(Protocol[S]):
    """A search over the labellings of one problem: steps from a start, each a function of seed and state alone."""

    @property
    def num_steps(self) -> int:
        """The most steps it takes."""
        ...

    @property
    def num_evaluations(self) -> int | None:
        """The most whole evaluations of U that it may cost; `None` for a chain of single proposals."""
        ...

    @property
    def period(self) -> int:
        """Steps between two places where it can be stopped: there the scorer forgets what it keeps between calls.

        Kept keys and values move the last digits of an answer, so a search is the same wherever it was stopped only if
        it always forgets at the same places.
        """
        ...

    def start(self) -> S:
        """Return the state before the first step."""
        ...

    def walk(self, state: S) -> Iterator[tuple[S, StepInfo]]:
        """Take the remaining steps one by one, yielding where each led and what it did."""
        ...

    def is_done(self, state: S) -> bool:
        """Say whether no step is left."""
        ...

    def result(self, state: S) -> Result:
        """Return what was found."""
        ...

    def save(self, state: S) -> Mapping[str, Any]:
        """Return a state as plain JSON."""
        ...

    def restore(self, saved: Mapping[str, Any]) -> S:
        """Return a saved state; its evaluations are asked anew, which the journal answers."""
        ...
