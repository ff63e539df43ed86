"""Random streams: a function of seed, name and index, none of which shares a draw with another."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import icm
from icm.statistics.streams import Stream, generator

seeds = st.integers(0, 2**63 - 1)
indices = st.integers(0, 10_000)


@given(seeds, st.sampled_from(Stream), indices)
def test_a_stream_is_a_function_of_seed_name_and_index(seed: int, stream: Stream, index: int) -> None:
    assert np.array_equal(generator(seed, stream, index).random(8), generator(seed, stream, index).random(8))


@given(seeds, indices)
def test_no_two_streams_of_a_seed_share_a_draw(seed: int, index: int) -> None:
    draws = [set(generator(seed, stream, index).integers(2**62, size=64).tolist()) for stream in Stream]
    assert all(one.isdisjoint(other) for one, other in combinations(draws, 2))


@given(seeds, st.sampled_from(Stream), indices)
def test_neighbouring_indices_and_seeds_share_no_draw(seed: int, stream: Stream, index: int) -> None:
    here = set(generator(seed, stream, index).integers(2**62, size=256).tolist())
    assert here.isdisjoint(generator(seed, stream, index + 1).integers(2**62, size=256).tolist())
    assert here.isdisjoint(generator(seed + 1, stream, index).integers(2**62, size=256).tolist())


def test_numbers_are_given_once() -> None:
    assert len({int(stream) for stream in Stream}) == len(Stream.__members__)


def test_nobody_makes_a_generator_but_the_table() -> None:
    package = Path(icm.__file__).parent
    makers = [path for path in package.rglob("*.py") if re.search(r"Philox|RandomState", path.read_text())]
    assert makers == []
