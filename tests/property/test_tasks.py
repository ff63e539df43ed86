"""Laws of the task builders: how numbers are written, and how groups are chosen."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from icm.prepare.answers import normalise_number
from icm.prepare.assemble import assemble
from icm.prepare.items import TaskItem, TaskItems
from icm.prepare.shapes import answer_claim
from tests.worlds.tasks import task_settings

integers = st.integers(-(10**12), 10**12)
decimals = st.decimals(-(10**6), 10**6, places=3)


@given(integers)
def test_commas_currency_zeros_and_full_stops_do_not_change_a_number(number: int) -> None:
    forms = [f"{number}", f"{number:,}", f"${number:,}.00", f"{number}.", f"{number}%", f"x = {number} apples"]
    assert {normalise_number(form) for form in forms} == {str(number)}


@given(decimals)
def test_a_normalised_number_is_a_fixed_point_of_the_same_value(number: Decimal) -> None:
    written = normalise_number(f"{number:f}")
    assert written is not None
    assert Fraction(written) == Fraction(number)
    assert normalise_number(written) == written


@given(integers, st.integers(1, 10**6))
def test_fractions_keep_their_value(numerator: int, denominator: int) -> None:
    written = normalise_number(f"{numerator}/{denominator}")
    assert written is not None
    assert Fraction(written) == Fraction(numerator, denominator)


@given(integers, integers)
def test_different_numbers_are_written_differently(one: int, other: int) -> None:
    assert (normalise_number(f"{one:,}") == normalise_number(f"{other}.0")) == (one == other)


group_sizes = st.lists(st.integers(1, 5), min_size=4, max_size=12)


def items_of(sizes: list[int]) -> TaskItems:
    items = [
        TaskItem(claim=answer_claim(f"question {q}", f"answer {a}", None), golden_label=a % 2, row=q)
        for q, size in enumerate(sizes)
        for a in range(size)
    ]
    return TaskItems(items, [])


@given(group_sizes, st.integers(5, 8), st.integers(0, 2**32))
def test_groups_are_whole_disjoint_and_within_the_limits(sizes: list[int], limit: int, seed: int) -> None:
    items = items_of([*sizes, 5, 5, 5])
    prepared = assemble(items, task_settings("pocket_facts", num_claims=limit, num_held_out=5), seed)
    assert 0 < len(prepared.claims) <= limit
    assert 0 < len(prepared.held_out) <= 5
    searched, held_out = ({claim.group for claim in claims} for claims in (prepared.claims, prepared.held_out))
    assert not searched & held_out
    chosen = {claim.id for claim in (*prepared.claims, *prepared.held_out)}
    whole = {item.claim.id for item in items.items if item.claim.group in searched | held_out}
    assert chosen == whole == set(prepared.golden)
    assert prepared.claims == sorted(prepared.claims, key=lambda claim: claim.id)


@given(group_sizes, st.integers(1, 6), st.integers(0, 2**32))
def test_held_out_claims_do_not_depend_on_how_many_are_searched(sizes: list[int], more: int, seed: int) -> None:
    items = items_of([*sizes, 5, 5, 5])
    few, many, rest = (
        assemble(items, task_settings("pocket_facts", num_claims=number, num_held_out=5), seed)
        for number in (5, 5 + more, None)
    )
    assert few.held_out == many.held_out == rest.held_out
    assert len(rest.claims) + len(rest.held_out) == rest.available


@given(st.integers(2, 20), st.integers(1, 10), st.integers(0, 2**32))
def test_with_groups_of_one_size_a_smaller_choice_is_part_of_a_larger(groups: int, few: int, seed: int) -> None:
    items = items_of([2] * (groups + 10))
    small, large = (
        assemble(items, task_settings("pocket_facts", num_claims=2 * number, num_held_out=0), seed)
        for number in (few, few + 1)
    )
    assert {claim.id for claim in small.claims} < {claim.id for claim in large.claims}
