"""Laws of the leave-one-out contexts."""

from __future__ import annotations

from collections import Counter
from math import ceil, log2
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icm.claims import UNLABELLED, Labels, freeze
from icm.contexts import Contexts, Fixed, KShot, Tree, draw_order
from icm.prompts import NO_CONTEXT, Context

ARRANGEMENTS = [Tree(), Fixed(), KShot(num_shots=1), KShot(num_shots=5)]


@st.composite
def labelled_groups(draw: st.DrawFn, num_labels: int = 2) -> tuple[list[str], Labels, int]:
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=12))
    groups = [f"g{group}" for group, size in enumerate(sizes) for _ in range(size)]
    claims = st.lists(st.integers(UNLABELLED, num_labels - 1), min_size=len(groups), max_size=len(groups))
    return groups, freeze(draw(claims)), draw(st.integers(0, 5))


def _demos(groups: list[str]) -> list[list[str]]:
    return [[f"{group}/{claim}={label}" for label in range(2)] for claim, group in enumerate(groups)]


def _contexts(settings: Tree | Fixed | KShot, groups: list[str], seed: int) -> Contexts:
    return Contexts(settings, _demos(groups), groups, draw_order(groups, seed))


def _segments(context: Context) -> list[str]:
    return [segment for run in context.runs() for segment in run]


def _claim(segment: str) -> int:
    return int(segment.split("/")[1].split("=")[0])


@given(labelled_groups())
@pytest.mark.parametrize("settings", [Tree(), Fixed()], ids=lambda settings: settings.kind)
def test_each_context_holds_exactly_the_other_labelled_claims(settings: Any, case: Any) -> None:
    groups, labels, seed = case
    demos = _demos(groups)
    everyone = Counter(demos[claim][label] for claim, label in enumerate(labels) if label != UNLABELLED)
    found = _contexts(settings, groups, seed).leave_one_out(labels)
    assert sorted(found) == np.flatnonzero(labels != UNLABELLED).tolist()
    for claim, context in found.items():
        assert Counter(_segments(context)) == everyone - Counter([demos[claim][labels[claim]]])


@given(labelled_groups())
@pytest.mark.parametrize("settings", ARRANGEMENTS, ids=repr)
def test_context_of_is_the_leave_one_out_context_once_labelled(settings: Any, case: Any) -> None:
    groups, labels, seed = case
    contexts = _contexts(settings, groups, seed)
    for claim in range(len(groups)):
        asked = contexts.context_of(labels, claim)
        for label in range(2):
            changed = labels.copy()
            changed[claim] = label
            expected = contexts.leave_one_out(freeze(changed))[claim]
            assert asked.digest_with("?") == expected.digest_with("?")
            assert asked.num_segments == expected.num_segments


@given(labelled_groups())
@pytest.mark.parametrize("settings", ARRANGEMENTS, ids=repr)
def test_a_flipped_label_moves_no_claim(settings: Any, case: Any) -> None:
    groups, labels, seed = case
    contexts = _contexts(settings, groups, seed)
    flipped = freeze(np.where(labels == UNLABELLED, UNLABELLED, 1 - labels).astype(np.int8))
    before, after = contexts.leave_one_out(labels), contexts.leave_one_out(flipped)
    for claim, context in before.items():
        assert [_claim(segment) for segment in _segments(context)] == [
            _claim(segment) for segment in _segments(after[claim])
        ]


@given(labelled_groups())
@pytest.mark.parametrize("settings", [Tree(), KShot(num_shots=5)], ids=repr)
def test_siblings_stand_right_before_the_query(settings: Any, case: Any) -> None:
    groups, labels, seed = case
    for claim, context in _contexts(settings, groups, seed).leave_one_out(labels).items():
        is_sibling = [groups[_claim(segment)] == groups[claim] for segment in _segments(context)]
        assert is_sibling == sorted(is_sibling)


def _distinct_demos(found: dict[int, Context]) -> int:
    """Count the edges of the segment trie of all contexts."""
    return len(
        {tuple(_segments(context)[:size]) for context in found.values() for size in range(1, context.num_segments + 1)}
    )


@given(st.integers(1, 130), st.integers(0, 3))
def test_the_tree_costs_n_log_n_demos(num_claims: int, seed: int) -> None:
    groups = [str(claim) for claim in range(num_claims)]
    labels = freeze(np.zeros(num_claims, dtype=np.int8))
    found = _contexts(Tree(), groups, seed).leave_one_out(labels)
    assert _distinct_demos(found) <= num_claims * ceil(log2(num_claims))


@given(labelled_groups())
def test_groups_cost_the_tree_at_most_two_more_demos_per_claim(case: Any) -> None:
    groups, labels, seed = case
    everyone = freeze(np.zeros(len(labels), dtype=np.int8))
    found = _contexts(Tree(), groups, seed).leave_one_out(everyone)
    assert _distinct_demos(found) <= len(groups) * (log2(len(groups)) + 2)


@given(labelled_groups(), st.integers(1, 8))
def test_k_shot_contexts_hold_up_to_k_other_claims(case: Any, num_shots: int) -> None:
    groups, labels, seed = case
    num_labelled = int((labels != UNLABELLED).sum())
    for claim, context in _contexts(KShot(num_shots=num_shots), groups, seed).leave_one_out(labels).items():
        shown = [_claim(segment) for segment in _segments(context)]
        assert len(shown) == len(set(shown)) == min(num_shots, num_labelled - 1)
        assert claim not in shown


@given(st.lists(st.sampled_from("abcdef"), max_size=30), st.integers(0, 2**63), st.integers(0, 3))
def test_orders_are_permutations_that_keep_groups_together(groups: Any, seed: int, draw: Any) -> None:
    order = draw_order(groups, seed, draw)
    assert sorted(order.tolist()) == list(range(len(groups)))
    Contexts(Tree(), [["no", "yes"]] * len(groups), groups, order)  # refuses groups that are torn apart
    np.testing.assert_array_equal(order, draw_order(groups, seed, draw))


def test_one_claim_has_no_context() -> None:
    found = _contexts(Tree(), ["g"], 0).leave_one_out(freeze(np.zeros(1, dtype=np.int8)))
    assert found == {0: NO_CONTEXT}


@given(case=labelled_groups(), room=st.integers(0, 12), data=st.data())
def test_k_shot_contexts_are_the_nearest_demos_that_fit(case: Any, room: Any, data: st.DataObject) -> None:
    groups, labels, seed = case
    settings, demos = KShot(num_shots=5), _demos(groups)
    tokens = {demo: data.draw(st.integers(1, 5)) for labelled in demos for demo in labelled}
    limit = (tokens, [room] * len(groups))
    order = draw_order(groups, seed)
    unlimited = Contexts(settings, demos, groups, order).leave_one_out(labels)
    for claim, context in Contexts(settings, demos, groups, order, limit).leave_one_out(labels).items():
        all_shown, shown = _segments(unlimited[claim]), _segments(context)
        assert shown == all_shown[len(all_shown) - len(shown) :]
        assert sum(tokens[demo] for demo in shown) <= room
        if len(shown) < len(all_shown):
            assert tokens[all_shown[-len(shown) - 1]] + sum(tokens[demo] for demo in shown) > room
