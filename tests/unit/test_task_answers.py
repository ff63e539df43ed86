"""Final answers: found where a solution states them, and equal numbers written equally."""

import pytest

from icm.prepare.answers import final_answer, normalise_number, strip_calculator_marks


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3000", "3000"),
        ("$3,000.00", "3000"),
        ("276,000", "276000"),
        ("2,936,000", "2936000"),
        ("3,387.1", "3387.1"),
        ("15%", "15"),
        ("95.0", "95"),
        ("600.", "600"),
        ("880$", "880"),
        ("€177", "177"),
        ("-13.75", "-13.75"),
        ("-$5", "-5"),
        ("$-5.00", "-5"),
        ("\u22124", "-4"),
        (".50", "0.5"),
        ("0.05", "0.05"),
        ("-0", "0"),
        ("1/2", "0.5"),
        ("1/7", "1/7"),
        ("3 1/3", "10/3"),
        ("-2 1/2", "-2.5"),
        ("44 hours", "44"),
        ("7 cents for each sibling", "7"),
        ("44 (rounded down)", "44"),
        ("5 + 2 + 10 = 17", "17"),
        ("75/55 = 1.4 hours", "1.4"),
        ("4. (Vanilla sold more than fruity by 4.)", "4"),
        ("341. Sam has 341 more popsicles than Betty", "341"),
        ("18.\n\nQ: How many of the 20 are left?", "18"),
        ("She paid at least $39 each", "39"),
        ("60 socks and 60 dishes", "60"),
        ("**72**", "72"),
        ("__72__", "72"),
        ("18 million", "18000000"),
        ("$1.5 million dollars", "1500000"),
        ("3 hundred thousand", "300000"),
        ("5e1", "50"),
        ("2.5E-1", "0.25"),
        ("50,00", "50"),
        ("1.234,50", "1234.5"),
        ("1\u202f234", "1234"),
        ("fifty", "50"),
        ("Twenty-five dollars", "25"),
        ("one hundred and five", "105"),
        ("18\\%", "18"),
        ("\\frac{3}{4}", "0.75"),
        ("3\\dfrac{1}{3}", "10/3"),
        ("3\u00bd", "3.5"),
        ("1{,}234", "1234"),
        ("\\text{about } 50", "50"),
        ("12 quarters", "12"),
    ],
)
def test_equal_numbers_are_written_equally(text: str, number: str) -> None:
    assert normalise_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "indeterminate",
        "35x - 90",
        "240 - 4y/6",
        "1 hour and 35 minutes",
        "10-12",
        "1, 2, 3",
        "1,2,3",
        "1/0",
        "1.5.2",
        "12,3456",
        "12:30",
        "2 hours and thirty minutes",
        "three quarters",
        "half of them",
        "one of the two",
        "none of them",
        "5 and a half",
        "18M",
        "6'2",
        "3" * 200,
    ],
)
def test_what_is_not_one_number_has_no_answer(text: str) -> None:
    assert normalise_number(text) is None


@pytest.mark.parametrize(
    ("solution", "number"),
    [
        ("3 x 25 = 75. 75 x 8 = 600. The answer is 600.", "600"),
        ("He has 9.\nA: 3", "3"),
        ("It grew to 80,000.\n#### 70,000", "70000"),
        ("Thus the final answer is \\boxed{1\\,234}.", "1234"),
        ("So we get \\boxed{12}", "12"),
        ("Answer: $4.50", "4.5"),
        ("First the answer is 36 - 26 = 10. No: the answer is 0.", "0"),
        ("The answer is 5. #### 6", "6"),
        ("####\n18", "18"),
        ("The answer is:\n\n  18 apples\n", "18"),
        ("**Answer:** 50", "50"),
        ("**Final Answer**: 50 dollars", "50"),
        ("So \\boxed{\\frac{1}{2}}.", "0.5"),
        ("Hence \\boxed{\\text{fifty}}", "50"),
        ("The answer is fifty.", "50"),
        ("She works. The answer is 18 million", "18000000"),
    ],
)
def test_a_stated_answer_is_found(solution: str, number: str) -> None:
    assert final_answer(solution) == number


@pytest.mark.parametrize("solution", ["", "The answer is", "She buys 3 and pays 5 * 1", "It is 33333333333"])
def test_a_solution_that_was_cut_short_states_no_answer(solution: str) -> None:
    assert final_answer(solution) is None


def test_calculator_marks_are_removed() -> None:
    assert strip_calculator_marks("3*25=$<<3*25=75>>75 and <<1+1=2>>2") == "3*25=$75 and 2"
