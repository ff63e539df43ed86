"""Laws of finding final answers: what stands around a number, and how it is written, does not make it another one."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icm.prepare.answers import final_answer, normalise_number, strip_calculator_marks

FEW = settings(max_examples=60)
NUMBERS = st.one_of(
    st.integers(-(10**9), 10**9).map(str),
    st.decimals(-10000, 10000, places=3).map(str),
    st.integers(1000, 10**9).map(lambda number: f"{number:,}"),
)
MARKS = st.sampled_from(["#### {}", "The answer is {}.", "Final answer: {}", "A: {}", "\\boxed{{{}}}"])
WORKING = st.sampled_from(["", "First 3 + 4 = 7.\n", "She has 12 pens and gives 5 away.\n\n", "It costs $9.99 each.\n"])


@FEW
@given(NUMBERS)
def test_a_number_is_written_as_the_shortest_decimal_of_its_value(number: str) -> None:
    written = normalise_number(number)
    assert written is not None
    assert Fraction(written) == Fraction(number.replace(",", ""))
    assert not written.startswith("+")
    assert "." not in written or not written.endswith("0")
    assert normalise_number(written) == written


@FEW
@given(NUMBERS, st.sampled_from(["${}", "€{}", "£ {}", "{}%", "{} dollars", "{} (that is all)", "*{}*", " {} ", "{}."]))
def test_what_stands_around_a_number_does_not_matter(number: str, around: str) -> None:
    if number.startswith("-") and around[0] in "$€£*":
        return  # a sign behind a currency is one of several spellings; the table of spellings in the unit tests has it
    assert normalise_number(around.format(number)) == normalise_number(number)


@FEW
@given(NUMBERS, NUMBERS)
def test_of_an_equation_the_right_hand_side_counts(left: str, right: str) -> None:
    assert normalise_number(f"{left} = {right}") == normalise_number(right)


@FEW
@given(NUMBERS, NUMBERS)
def test_two_numbers_are_no_answer_unless_they_are_one(one: str, other: str) -> None:
    both = normalise_number(f"{one} or {other}")
    assert both == (
        normalise_number(one) if Fraction(one.replace(",", "")) == Fraction(other.replace(",", "")) else None
    )


@FEW
@given(WORKING, MARKS, NUMBERS)
def test_a_stated_answer_is_found_behind_any_working(working: str, mark: str, number: str) -> None:
    assert final_answer(working + mark.format(number)) == normalise_number(number)


@FEW
@given(WORKING, NUMBERS, NUMBERS)
def test_the_last_statement_of_a_kind_counts(working: str, first: str, second: str) -> None:
    assert final_answer(f"#### {first}\n{working}#### {second}") == normalise_number(second)


@FEW
@given(WORKING, NUMBERS)
def test_without_a_mark_there_is_no_answer(working: str, number: str) -> None:
    assert final_answer(f"{working}so that makes {number}") is None


@FEW
@given(WORKING, st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=4))
def test_calculator_marks_leave_no_trace(working: str, sums: list[tuple[int, int]]) -> None:
    marked = working + "".join(f"{a} + {b} = <<{a}+{b}={a + b}>>{a + b}\n" for a, b in sums)
    plain = working + "".join(f"{a} + {b} = {a + b}\n" for a, b in sums)
    assert strip_calculator_marks(marked) == plain
    assert strip_calculator_marks(plain) == plain


@pytest.mark.parametrize("text", ["", " ", "none", "x", "12a", "1e500", "v2", "3*4", "3 - 2", "1/0", "9" * 41, "5pm"])
def test_what_is_no_number_is_none(text: str) -> None:
    assert normalise_number(text) is None


@FEW
@given(st.integers(-50, 50), st.integers(1, 30))
def test_a_fraction_has_a_decimal_exactly_where_it_ends(numerator: int, denominator: int) -> None:
    written = normalise_number(f"{numerator}/{denominator}")
    assert written is not None
    reduced = Fraction(numerator, denominator)
    rest = reduced.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    assert ("/" in written) == (rest != 1)
    assert Fraction(written) == reduced
