"""Final answers of worked solutions: finds them and writes equal numbers equally. Knows no question and no gold."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

_MAX_DIGITS: Final = 40  # a longer run of digits is a model that got stuck, not an answer

# Where a solution states its final answer: GSM8K's own mark, the authors' sentence, OpenAI's last line, TeX.
_ANSWER_MARKS: Final = (
    re.compile(r"####[ \t]*([^\n]*)"),
    re.compile(r"(?:the|final) answer(?: is)?[ \t]*:?[ \t]*(?=([^\n]*))", re.IGNORECASE),
    re.compile(r"^(?:A|Answer):[ \t]*([^\n]*)", re.MULTILINE),
    re.compile(r"\\boxed\{([^{}\n]*)\}"),
)
# An asterisk is emphasis, but between two digits it multiplies: 3*4 must not become 34.
_MARKUP: Final = re.compile(r"[$€£\\]|\\text|(?<!\d)\*|\*(?!\d)")
# A minus after a digit, letter or bracket subtracts; anywhere else it is a sign.
_SIGN: Final = r"(?<![\w.,)%])[-\u2212]?"
# A comma separates thousands only before exactly three digits: "1,2" names two numbers.
_DECIMAL: Final = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?![.,]?\d)"
_NUMBER: Final = re.compile(rf"{_SIGN}{_DECIMAL}(?:\s*/\s*\d+|\s+\d+/\d+)?")
_MIXED: Final = re.compile(r"([-\u2212]?)(\d+)\s+(\d+)/(\d+)")
# Letters glued to a digit (35x, 5pm) or an operator between numbers: an expression or a code, not one number.
_EXPRESSION: Final = re.compile(r"\d[^\W\d_]|[\d)]\s*[*+^×]\s*[\d(]|\d\s+[-\u2212]\s+\d")
_CALCULATOR: Final = re.compile(r"<<[^<>]*>>")


def strip_calculator_marks(solution: str) -> str:
    """Return a solution without the `<<3*25=75>>` marks that GSM8K writes for a calculator."""
    return _CALCULATOR.sub("", solution)


def final_answer(solution: str) -> str | None:
    """Return the number that a worked solution states as its final answer, normalised.

    Only a marked answer counts ("#### 70,000", "The answer is 600.", a last line "A: 3", a TeX box): the last number
    of a solution that was cut short is not its answer.

    Returns:
        The number as `normalise_number` writes it, `None` where the solution states none or not exactly one.
    """
    for mark in _ANSWER_MARKS:
        stated = mark.findall(solution)
        if stated:
            # The last one counts: a solution may quote the mark of an example, or correct itself.
            return normalise_number(stated[-1])
    return None


def normalise_number(text: str) -> str | None:
    """Return the one number that a short answer names, so that equal numbers are equal strings.

    Currency, percent signs, units, thousands separators and trailing zeros do not matter: `$3,000.00` is `3000`,
    `95.0` is `95`, `15%` is `15`, `3 1/3` is `10/3`. Of an equation the right-hand side counts. An answer that goes on
    after its first sentence counts as far as that sentence.

    Returns:
        A decimal, or a fraction where no finite decimal exists; `None` where the text names no number, or several.
    """
    lines = _MARKUP.sub("", text).strip().splitlines()
    if not lines:
        return None
    # Of "3 + 4 = 7" the right-hand side; of "7. So she has seven." the first sentence; a note in brackets is no part.
    answer = re.split(r"(?<=\d)[.)]?\s*\(|(?<=\d)\.\s", lines[0].rsplit("=", 1)[-1])[0]
    # An expression that was not worked out is no answer, even if it holds one number.
    if _EXPRESSION.search(answer):
        return None
    # A set: "5 pens, so 5" names one number twice, "5 or 6" names two.
    values = {_value_of(number) for number in _NUMBER.findall(answer)}
    if len(values) != 1:
        return None
    value = values.pop()
    return None if value is None else _canonical(value)


def _value_of(number: str) -> Fraction | None:
    if len(number) > _MAX_DIGITS:
        return None
    plain = number.replace(",", "").replace("\u2212", "-")
    try:
        if mixed := _MIXED.fullmatch(plain):
            sign, whole, numerator, denominator = mixed.groups()
            magnitude = int(whole) + Fraction(int(numerator), int(denominator))
            return -magnitude if sign else magnitude
        # Fractions, not floats: 0.1 and 1/10 must be the same answer.
        return Fraction(re.sub(r"\s", "", plain))
    except (ValueError, ZeroDivisionError):
        return None


def _canonical(value: Fraction) -> str:
    """Write a fraction as a decimal if it has a finite one: the denominator then divides a power of ten."""
    for places in range(_MAX_DIGITS):
        # The first power of ten that clears the denominator gives the shortest decimal.
        scaled = value * 10**places
        if scaled.denominator == 1:
            # Padded so that 0.05 keeps the zero before its point.
            digits = str(abs(scaled.numerator)).rjust(places + 1, "0")
            decimal = f"{digits[:-places]}.{digits[-places:]}" if places else digits
            return f"-{decimal}" if value < 0 else decimal
    return str(value)
