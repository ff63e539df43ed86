"""Laws of the contexts and of making labellings consistent: what may not depend on names, order or draws."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consistency import compile_constraints, contradiction, exactly_one, reference
from consistency.constraints import Constraint
from icm.claims import UNLABELLED, Labels, freeze
from icm.contexts import Contexts, Fixed, KShot, Tree, draw_order
from icm.prompts import Context
from icm.searches.decoding import build_decoder
from icm.searches.starts import draw_screened
from search.randomness import step_generator

FEW = settings(max_examples=30)
NATS = st.integers(-40, 40).map(lambda eighths: eighths / 8)
POTENTIALS = st.lists(st.lists(NATS, min_size=2, max_size=2), min_size=2, max_size=7).map(np.array)
PENALTIES = st.sampled_from([0.0, 0.5, 3.0, np.inf])


def chain(num_claims: int) -> list[Constraint]:
    """Neighbours are not both true, and exactly one of the first two is."""
    constraints = [Constraint(scope=(i, i + 1), forbidden=contradiction()) for i in range(num_claims - 1)]
    return [*constraints, Constraint(scope=(0, 1), forbidden=exactly_one(2))]


@FEW
@given(POTENTIALS, PENALTIES)
def test_decoding_gives_the_best_labelling(potentials: np.ndarray, penalty: float) -> None:
    constraints = chain(len(potentials))
    decoder = build_decoder(compile_constraints(constraints, len(potentials), 2), penalty)
    labels = decoder(potentials)

    def worth(candidate: tuple[int, ...]) -> float:
        violated = reference.inconsistency(constraints, candidate, 2)
        return sum(row[label] for row, label in zip(potentials, candidate, strict=True)) - (
            penalty * violated if violated else 0.0
        )

    assert worth(tuple(labels.tolist())) == pytest.approx(max(map(worth, product((0, 1), repeat=len(potentials)))))


@FEW
@given(POTENTIALS, st.data())
def test_claims_left_out_are_unlabelled_and_bear_on_no_other(potentials: np.ndarray, data: st.DataObject) -> None:
    decoder = build_decoder(compile_constraints(chain(len(potentials)), len(potentials), 2), np.inf)
    labelled = np.array(data.draw(st.lists(st.booleans(), min_size=len(potentials), max_size=len(potentials))))
    restricted = decoder.restricted(labelled)
    labels = restricted(potentials)
    assert ((labels == UNLABELLED) == ~labelled).all()
    wild = np.where(labelled[:, None], potentials, 1e6 * np.arange(2))
    assert restricted(wild).tolist() == labels.tolist()


@FEW
@given(st.lists(st.integers(0, 1), min_size=2, max_size=7))
def test_the_nearest_consistent_labelling_changes_as_few_labels_as_can_be(values: list[int]) -> None:
    constraints = chain(len(values))
    decoder = build_decoder(compile_constraints(constraints, len(values), 2), np.inf)
    nearest = decoder.nearest(freeze(values)).tolist()
    consistent = [
        labels
        for labels in product((0, 1), repeat=len(values))
        if reference.count_violations(constraints, labels, 2) == 0
    ]
    assert tuple(nearest) in consistent
    changes = [sum(a != b for a, b in zip(labels, values, strict=True)) for labels in consistent]
    assert sum(a != b for a, b in zip(nearest, values, strict=True)) == min(changes)


@FEW
@given(POTENTIALS, st.integers(0, 99))
def test_a_draw_is_a_function_of_its_generator_and_consistent(potentials: np.ndarray, seed: int) -> None:
    constraints = chain(len(potentials))
    decoder = build_decoder(compile_constraints(constraints, len(potentials), 2), np.inf)
    one, other = (decoder.draw(step_generator(seed, 1), potentials, 1.5) for _ in range(2))
    assert one.tolist() == other.tolist()
    assert reference.count_violations(constraints, one.tolist(), 2) == 0
    assert decoder.draw(step_generator(seed, 1), potentials, 0.0).tolist() == decoder(potentials).tolist()


def test_draws_without_constraints_have_the_frequencies_of_their_potentials() -> None:
    decoder = build_decoder(compile_constraints([], 2000, 2), 0.0)
    potentials = np.tile(np.log([0.2, 0.8]), (2000, 1))
    share = decoder.draw(step_generator(0, 0), potentials, 1.0).mean()
    assert share == pytest.approx(0.8, abs=0.04)
    cold = decoder.draw(step_generator(0, 0), potentials, 0.25).mean()
    assert cold == pytest.approx(0.8**4 / (0.8**4 + 0.2**4), abs=0.02)


@FEW
@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.integers(0, 20), st.integers(0, 9))
def test_starts_are_compared_on_whole_groups(sizes: list[int], number: int, seed: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    screened = draw_screened(groups, number, seed)
    chosen = set(groups[screened].tolist())
    assert screened.tolist() == [group in chosen for group in groups.tolist()]
    assert screened.sum() >= min(number, groups.size)
    if chosen:
        # One group fewer would not have been enough.
        assert screened.sum() - max(sizes[group] for group in chosen) < number
    assert draw_screened(groups, None, seed).all()


# ----------------------------------------------------------------------------------------------------- contexts

ARRANGEMENTS = [Tree(), Fixed(), KShot(num_shots=3)]


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[str], Labels, int]:
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=8))
    groups = [f"g{group}" for group, size in enumerate(sizes) for _ in range(size)]
    labels = draw(st.lists(st.integers(-1, 1), min_size=len(groups), max_size=len(groups)))
    return groups, freeze(labels), draw(st.integers(0, 9))


def contexts_of(settings_: Tree | Fixed | KShot, groups: list[str], seed: int) -> Contexts:
    demos = [[f"{claim}={label}" for label in range(2)] for claim in range(len(groups))]
    return Contexts(settings_, demos, groups, draw_order(groups, seed))


def segments(context: Context) -> list[str]:
    return [segment for run in context.runs() for segment in run]


@pytest.mark.parametrize("arrangement", ARRANGEMENTS, ids=lambda each: each.kind)
@FEW
@given(case=cases())
def test_renaming_groups_in_the_same_order_moves_no_claim(
    arrangement: Tree | Fixed | KShot, case: tuple[list[str], Labels, int]
) -> None:
    groups, labels, seed = case
    one = contexts_of(arrangement, groups, seed).leave_one_out(labels)
    other = contexts_of(arrangement, [f"the group {group}" for group in groups], seed).leave_one_out(labels)
    assert {claim: segments(context) for claim, context in one.items()} == {
        claim: segments(context) for claim, context in other.items()
    }


@pytest.mark.parametrize("arrangement", ARRANGEMENTS, ids=lambda each: each.kind)
@FEW
@given(case=cases())
def test_exchanging_the_labels_exchanges_the_demos_and_nothing_else(
    arrangement: Tree | Fixed | KShot, case: tuple[list[str], Labels, int]
) -> None:
    groups, labels, seed = case
    turned = freeze(np.where(labels == UNLABELLED, UNLABELLED, 1 - labels))
    contexts = contexts_of(arrangement, groups, seed)
    one, other = contexts.leave_one_out(labels), contexts.leave_one_out(turned)
    assert list(one) == list(other)
    for claim, context in one.items():
        exchanged = [f"{name}={1 - int(label)}" for name, label in (s.split("=") for s in segments(context))]
        assert segments(other[claim]) == exchanged


@pytest.mark.parametrize("arrangement", ARRANGEMENTS, ids=lambda each: each.kind)
@FEW
@given(case=cases())
def test_no_claim_stands_in_its_own_context_or_twice(
    arrangement: Tree | Fixed | KShot, case: tuple[list[str], Labels, int]
) -> None:
    groups, labels, seed = case
    for claim, context in contexts_of(arrangement, groups, seed).leave_one_out(labels).items():
        counts = Counter(segment.split("=")[0] for segment in segments(context))
        assert str(claim) not in counts
        assert set(counts.values()) <= {1}
        assert all(f"{name}={labels[int(name)]}" in segments(context) for name in counts)


@FEW
@given(cases(), st.integers(1, 9))
def test_more_shots_show_what_fewer_shots_showed_nearest_the_query(
    case: tuple[list[str], Labels, int], num_shots: int
) -> None:
    groups, labels, seed = case
    few = contexts_of(KShot(num_shots=num_shots), groups, seed).leave_one_out(labels)
    more = contexts_of(KShot(num_shots=num_shots + 1), groups, seed).leave_one_out(labels)
    num_labelled = int((labels != UNLABELLED).sum())
    for claim, context in few.items():
        assert len(segments(context)) == min(num_shots, num_labelled - 1)
        assert set(segments(context)) <= set(segments(more[claim]))


@FEW
@given(cases())
def test_an_order_is_a_function_of_its_seed_and_draw(case: tuple[list[str], Labels, int]) -> None:
    groups, _, seed = case
    assert draw_order(groups, seed, 1).tolist() == draw_order(list(groups), seed, 1).tolist()
    assert sorted(draw_order(groups, seed, 1).tolist()) == list(range(len(groups)))
