"""Contexts: what they refuse, and the order on a small example."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from icm.claims import freeze
from icm.contexts import Contexts, ContextSettings, Fixed, KShot, Tree, draw_order

DEMOS = [["a0", "a1"], ["b0", "b1"], ["c0", "c1"], ["d0", "d1"]]
GROUPS = ["x", "x", "y", "y"]
LABELS = freeze(np.array([1, 0, 1, 1], dtype=np.int8))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Tree(), [["c1", "d1", "b0"], ["c1", "d1", "a1"], ["a1", "b0", "d1"], ["a1", "b0", "c1"]]),
        (Fixed(), [["b0", "c1", "d1"], ["a1", "c1", "d1"], ["a1", "b0", "d1"], ["a1", "b0", "c1"]]),
        (KShot(num_shots=2), [["d1", "b0"], ["d1", "a1"], ["b0", "d1"], ["b0", "c1"]]),
    ],
    ids=["tree", "fixed", "k_shot"],
)
def test_four_claims_in_two_groups(settings: Any, expected: Any) -> None:
    found = Contexts(settings, DEMOS, GROUPS, np.arange(4)).leave_one_out(LABELS)
    assert [[s for run in found[claim].runs() for s in run] for claim in range(4)] == expected


def test_torn_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="tears group 'x' apart"):
        Contexts(Tree(), DEMOS, GROUPS, np.array([0, 2, 1, 3]))


def test_orders_that_are_no_permutation_are_refused() -> None:
    with pytest.raises(ValueError, match="each of the 4 claims once"):
        Contexts(Tree(), DEMOS, GROUPS, np.array([0, 0, 2, 3]))


def test_labels_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 4 labels"):
        Contexts(Tree(), DEMOS, GROUPS, np.arange(4)).leave_one_out(LABELS[:3])


def test_draws_and_seeds_give_different_orders() -> None:
    groups = [str(claim) for claim in range(50)]
    orders = {tuple(draw_order(groups, seed, draw)) for seed in range(3) for draw in range(3)}
    assert len(orders) == 9


def test_settings_are_told_apart_by_kind() -> None:
    adapter = TypeAdapter(ContextSettings)
    assert adapter.validate_python({"kind": "k_shot", "num_shots": 3}) == KShot(num_shots=3)
    for bad in ({"kind": "k_shot", "num_shots": 0}, {"kind": "tree", "num_shots": 3}, {"kind": "forest"}):
        with pytest.raises(ValidationError):
            adapter.validate_python(bad)
