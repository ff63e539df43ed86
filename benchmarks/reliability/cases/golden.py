"""F: golden labels by the final answers of worked solutions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from benchmarks.reliability.case import Case
from benchmarks.reliability.cases.build import every, gold_is, jsonl, prepare, rejected

TASK: Final = ("task=gsm8k",)
ANSWERS: Final = {
    # stated in a solution, correct answer, golden label
    "millions against units": ("The answer is 18 million", "#### 18", 0),
    "millions": ("The answer is $18 million.", "#### 18,000,000", 1),
    "half a million": ("The answer is 0.5 million", "#### 500000", 1),
    "the next line": ("The answer is:\n50", "#### 50", 1),
    "the next line but one": ("#### \n\n50", "#### 50", 1),
    "words": ("The answer is fifty.", "#### 50", 1),
    "compound words": ("The answer is twenty-five dollars", "#### 25", 1),
    "scientific": ("#### 5e1", "#### 50", 1),
    "two decimals by a comma": ("A: 50,00", "#### 50", 1),
    "decimal comma and points": ("A: 1.234,50", "#### 1234.5", 1),
    "thousands": ("A: $70,000.00", "#### 70000", 1),
    "thousands by thin spaces": ("A: 70\u202f000", "#### 70,000", 1),
    "percent": ("A: 15%", "#### 15", 1),
    "a fraction": ("A: 1/2", "#### 0.5", 1),
    "a mixed number": ("A: 3 1/2 hours", "#### 3.5", 1),
    "a fraction in one character": ("A: 3\u00bd", "#### 3.5", 1),
    "boxed": ("So \\boxed{50}.", "#### 50", 1),
    "a boxed fraction": ("So $\\boxed{\\frac{1}{2}}$.", "#### 0.5", 1),
    "emphasis": ("**Answer:** **50**", "#### 50", 1),
    "units": ("The answer is 50 apples", "#### 50", 1),
    "an equation": ("The answer is 20 + 30 = 50", "#### 50", 1),
    "negative": ("The answer is -$5", "#### -5", 1),
    "a wrong answer": ("The answer is 51", "#### 50", 0),
    "coins": ("A: 12 quarters", "#### 12", 1),
}
UNREADABLE: Final = {
    "a time": ("A: 12:30", "#### 12"),
    "two units": ("The answer is 2 hours and 30 minutes", "#### 30"),
    "two numbers": ("The answer is 5 or 6", "#### 6"),
    "an expression": ("The answer is 3*4", "#### 12"),
    "a part in words": ("The answer is 5 and a half", "#### 5"),
    "quarters in words": ("The answer is three quarters", "#### 3"),
    "cut short": ("She has 3 and buys", "#### 50"),
    "no answer": ("The answer is", "#### 50"),
    "a correct answer in prose": ("#### 50", "It is a matter of taste"),
    "a run of digits": ("#### " + "3" * 200, "#### 3"),
}


def _cases() -> Iterator[Case]:
    for name, (solution, answer, label) in ANSWERS.items():
        row = {"question": "How many dollars?", "solution": solution, "answer": answer}
        check = every(gold_is(*([0, 1] if label else [1, 0])), rejected())
        yield Case("F", name, prepare("rows.jsonl", task=TASK), {"rows.jsonl": jsonl([row])}, check=check)
    for name, (solution, answer) in UNREADABLE.items():
        row = {"question": "How many dollars?", "solution": solution, "answer": answer}
        check, told = every(gold_is(0, 0), rejected(unreadable_gold=1)), ("1 unreadable_gold",)
        yield Case("F", name, prepare("rows.jsonl", task=TASK), {"rows.jsonl": jsonl([row])}, told=told, check=check)
    twice = [
        {"question": "q", "cot": f"The answer is {n}.", "answer": str(n), "ref_answer": ref}
        for n, ref in ((5, "5"), (6, "6"), (7, ""))
    ]
    check = every(gold_is(0, 2), rejected(unreadable_gold=1))
    yield Case("F", "two correct answers", prepare("rows.jsonl", task=TASK), {"rows.jsonl": jsonl(twice)}, check=check)


CASES: Final = list(_cases())
