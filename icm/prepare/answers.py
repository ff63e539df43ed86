"""Final answers of worked solutions: finds them and writes equal numbers equally. Knows no question and no gold.

What names no number, or several, has no answer: a guess would become a golden label. That is why the parsers of answers
that take the last number of a text (`18 million` as 18, `12:30` as 12) are not used here.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from fractions import Fraction
from math import prod
from typing import Final

from text_to_num import alpha2digit

_MAX_DIGITS: Final = 40  # a longer run of digits is a model that got stuck, not an answer

# Where a solution states its final answer: GSM8K's own mark, the authors' sentence, OpenAI's last line, TeX. What
# follows may begin on a later line.
_ANSWER_MARKS: Final = (
    re.compile(r"####[ \t]*(?=(.*))", re.DOTALL),
    re.compile(r"(?:the|final) answer(?: is)?[ \t]*:?[ \t]*(?=(.*))", re.IGNORECASE | re.DOTALL),
    re.compile(r"^[*_# \t]*(?:A|Answer)[*_]*:[ \t]*(?=(.*))", re.MULTILINE | re.DOTALL),
    re.compile(r"\\boxed(?=(\{.*))", re.DOTALL),
)
_FRACTION: Final = re.compile(r"(\d?)\s*\\[dt]?frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}")
# An asterisk is emphasis, but between two digits it multiplies: 3*4 must not become 34.
_MARKUP: Final = re.compile(r"\\(?:text\w*|mathrm|mathbf)?|[$€£]|(?<!\d)\*|\*(?!\d)|(?<![\w])_+|_+(?![\w])")
# A space that never begins a new word parts thousands; so does a comma that TeX sets thinly.
_THIN_SPACE: Final = re.compile(r"(?<=\d)(?:\\,|[\u00a0\u2009\u202f'’])(?=\d{3}(?!\d))")
# One decimal comma: before two digits that end the number, or behind thousands that are parted by points.
_DECIMAL_COMMA: Final = re.compile(r"(?<![\d.,])(\d+|\d{1,3}(?:\.\d{3})+),(\d{2})(?![\d.,]*\d)")
_SCIENTIFIC: Final = re.compile(r"(?<![\w.,])(\d+(?:\.\d+)?)[eE]([+-]?\d{1,2})(?![\w.])")
# A minus after a digit, letter or bracket subtracts; anywhere else it is a sign.
_SIGN: Final = r"(?<![\w.,)%])[-\u2212]?"
# A comma separates thousands only before exactly three digits: "1,2" names two numbers.
_DECIMAL: Final = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?![.,]?\d)"
_SCALES: Final = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SCALE: Final = re.compile(rf"\s+({'|'.join(_SCALES)})\b", re.IGNORECASE)
_NUMBER: Final = re.compile(rf"{_SIGN}{_DECIMAL}(?:\s*/\s*\d+|\s+\d+/\d+)?(?:{_SCALE.pattern})*", re.IGNORECASE)
_MIXED: Final = re.compile(r"([-\u2212]?)(\d+)\s+(\d+)/(\d+)")
# Letters glued to a digit (35x, 5pm), an operator between numbers, or a part in words (5 and a half): an expression, a
# code or more than the number, not one number.
_EXPRESSION: Final = re.compile(
    r"\d[^\W\d_]|[\d)]\s*[*+^×]\s*[\d(]|\d\s+[-\u2212]\s+\d|\d\s+(?:and\s+)?(?:a|one)[\s-]+(?:half|third|quarter)"
)
# In words "three quarters" is a fraction; in figures "3 quarters" are coins.
_PART_IN_WORDS: Final = re.compile(r"\b(?:half|halves|thirds?|quarters?|dozens?)\b", re.IGNORECASE)
_CALCULATOR: Final = re.compile(r"<<[^<>]*>>")


def strip_calculator_marks(solution: str) -> str:
    """Return a solution without the `<<3*25=75>>` marks that GSM8K writes for a calculator."""
    return _CALCULATOR.sub("", solution)


def final_answer(solution: str) -> str | None:
    """Return the number that a worked solution states as its final answer, normalised.

    Only a marked answer counts ("#### 70,000", "The answer is 600.", a last line "A: 3", a TeX box), on the line of its
    mark or the next one that is not blank: the last number of a solution that was cut short is not its answer.

    Returns:
        The number as `normalise_number` writes it, `None` where the solution states none or not exactly one.
    """
    for mark in _ANSWER_MARKS:
        stated = mark.findall(solution)
        if stated:
            # The last one counts: a solution may quote the mark of an example, or correct itself.
            return normalise_number(_in_braces(stated[-1]))
    return None


def _in_braces(text: str) -> str:
    """Return what the braces at the beginning of a text hold, braces inside of them included; other texts whole."""
    depth = 0
    for at, character in enumerate(text if text.startswith("{") else ""):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return text[1:at]
    return text


def normalise_number(text: str) -> str | None:
    r"""Return the one number that a short answer names, so that equal numbers are equal strings.

    Currency, percent signs, units, thousands separators and trailing zeros do not matter: `$3,000.00` is `3000`,
    `95.0` is `95`, `15%` is `15`, `3 1/3` and `3\frac{1}{3}` are `10/3`. `18 million` is `18000000`, `5e1` and `fifty`
    are `50`, `50,00` is `50`. Of an equation the right-hand side counts. An answer that goes on after its first
    sentence counts as far as that sentence.

    Returns:
        A decimal, or a fraction where no finite decimal exists; `None` where the text names no number, or several.
    """
    lines = _MARKUP.sub("", _written_plainly(text)).strip().splitlines()
    if not lines:
        return None
    # Of "3 + 4 = 7" the right-hand side; of "7. So she has seven." the first sentence; a note in brackets is no part.
    answer = re.split(r"(?<=\d)[.)]?\s*\(|(?<=\d)\.\s", lines[0].rsplit("=", 1)[-1])[0]
    values = _values_in(_in_figures(answer))
    if len(values) != 1:
        return None
    value = values.pop()
    return None if value is None else _canonical(value)


def _values_in(answer: str) -> set[Fraction | None]:
    """Return the numbers that an answer names, `None` among them for one that cannot be read; none of an expression."""
    answer = _DECIMAL_COMMA.sub(lambda found: f"{found[1].replace('.', '')}.{found[2]}", answer)
    answer = _SCIENTIFIC.sub(lambda found: f"{Decimal(found[0]):f}", answer)
    # An expression that was not worked out is no answer, even if it holds one number; nor are two numbers of which one
    # is in words. "one" and "two" are left out, which hardly ever are numbers beside others.
    if _EXPRESSION.search(answer) or _has_digit(alpha2digit(_NUMBER.sub("#", answer), "en")):
        return set()
    # A set: "5 pens, so 5" names one number twice, "5 or 6" names two.
    return {_value_of(found[0]) for found in _NUMBER.finditer(answer)}


def _written_plainly(text: str) -> str:
    """Write fractions of TeX and of Unicode with a slash, thousands without thin spaces, and nothing in braces."""
    text = _FRACTION.sub(lambda found: f"{found[1]} {found[2]}/{found[3]}", text)
    # Each of these characters stands for a space and a fraction: 3½ is 3 1/2.
    for character in {character for character in text if unicodedata.decomposition(character).startswith("<fraction>")}:
        fraction = unicodedata.normalize("NFKC", character).replace("\u2044", "/")
        text = text.replace(character, f" {fraction}")
    return re.sub(r"[{}]", " ", _THIN_SPACE.sub("", text.replace("{,}", ",")))


def _in_figures(answer: str) -> str:
    """Return an answer that begins with a number in words with figures for words; any other as it is."""
    if _has_digit(answer) or _PART_IN_WORDS.search(answer):
        return answer
    figures = alpha2digit(answer.strip(), "en", threshold=0)
    # Elsewhere than at its beginning a word such as "one" need not be the answer.
    return figures if figures[:1].isdigit() else answer


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)


def _value_of(number: str) -> Fraction | None:
    if len(number) > _MAX_DIGITS:
        return None
    scale = prod(_SCALES[name.lower()] for name in _SCALE.findall(number))
    plain = _SCALE.sub("", number).replace(",", "").replace("\u2212", "-")
    try:
        if mixed := _MIXED.fullmatch(plain):
            sign, whole, numerator, denominator = mixed.groups()
            magnitude = int(whole) + Fraction(int(numerator), int(denominator))
            return scale * (-magnitude if sign else magnitude)
        # Fractions, not floats: 0.1 and 1/10 must be the same answer.
        return scale * Fraction(re.sub(r"\s", "", plain))
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
