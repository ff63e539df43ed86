"""Each rule on claims small enough to label by eye."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from icm.claims import UNLABELLED, LabelSpace
from icm.evaluate.against_golden import baselines
from icm.statistics.scores import most_frequent
from icm.surface import answer_frequency, keywords, length
from tests.worlds import QUICK, answer_claim, comparison_claim, elicitation


def _says(rule: Any, claims: Any) -> Any:
    labels = rule(claims)
    assert not isinstance(labels, str), labels
    return labels.tolist()


def _not_applicable(labels: Any, words: Any) -> Any:
    return isinstance(labels, str) and words in labels


def test_answer_frequency_affirms_answers_that_stand_twice_in_their_own_group() -> None:
    claims = [
        answer_claim("q", "so it is 3", "3"),
        answer_claim("q", "hence 3", "3"),
        answer_claim("q", "it is 4", "4"),
        answer_claim("other", "it is 4", "4"),
        answer_claim("q", "I do not know"),
    ]
    assert _says(answer_frequency, claims) == [1, 1, 0, 0, UNLABELLED]


def test_answer_frequency_says_nothing_without_repeated_answers() -> None:
    assert _not_applicable(answer_frequency([answer_claim("q", "3")]), "no answer keys")
    assert _not_applicable(answer_frequency([answer_claim("q", "3", "3")]), "twice")


def test_length_affirms_answers_longer_than_their_groups_median() -> None:
    claims = [answer_claim("q", answer) for answer in ("a", "bb", "ccc", "dddd")]
    assert _says(length, claims) == [0, 0, 1, 1]
    assert _says(length, [*claims, answer_claim("alone", "a very long answer")]) == [0, 0, 1, 1, UNLABELLED]


def test_length_affirms_the_longer_response_in_either_order() -> None:
    claims = [comparison_claim("q", "short", "much longer"), comparison_claim("q", "much longer", "short")]
    assert _says(length, claims) == [0, 1]
    assert _says(length, [comparison_claim("q", "same", "size")]) == [0]


def test_length_says_nothing_about_answers_without_company() -> None:
    assert _not_applicable(length([answer_claim("q", "alone")]), "beside another")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Nothing happens.", 1),
        ("It doesn't bite.", 1),
        ("It doesn\u2019t bite.", 1),
        ("Some people think so.", 1),
        ("The sky is green.", 0),
        ("Notable knots annoy.", 0),
    ],
)
def test_keywords_affirm_negation_and_hedging(answer: str, expected: Any) -> None:
    claims = [answer_claim("q", answer), answer_claim("q", "never")]
    assert _says(keywords, claims) == [expected, 1]


def test_keywords_say_nothing_about_comparisons_or_without_any_word() -> None:
    assert _not_applicable(keywords([comparison_claim("q", "no", "never")]), "single answer")
    assert _not_applicable(keywords([answer_claim("q", "green")]), "negation")


def test_majority_is_as_right_as_its_label_is_frequent() -> None:
    of = elicitation()
    golden = [of.golden[claim.id] for claim in of.claims]
    majority = next(each for each in baselines(of, QUICK) if each.name == "majority")
    assert majority.claims is not None
    assert majority.claims.value == pytest.approx(max(golden.count(0), golden.count(1)) / len(golden))


def test_majority_takes_the_first_of_equally_frequent_labels_and_needs_one() -> None:
    assert most_frequent(np.array([2, UNLABELLED, 1, 1, 2], dtype=np.int8)) == 1
    with pytest.raises(ValueError, match="golden"):
        most_frequent(np.array([UNLABELLED], dtype=np.int8))


def test_rules_that_do_not_apply_are_reported_and_not_scored_as_zero() -> None:
    of = elicitation(space=LabelSpace(names=("a", "b", "c"), verbalizers=(" a", " b", " c")))
    by_name = {each.name: each for each in baselines(of, QUICK)}
    assert by_name["majority"].claims is not None
    for name in ("answer_frequency", "length", "keywords"):
        assert by_name[name].claims is None
        assert by_name[name].held_out is None
        assert by_name[name].not_applicable == "the rule speaks of true and false claims"


def test_each_rule_reports_searched_claims_held_out_claims_and_agreement() -> None:
    for result in baselines(elicitation(), QUICK):
        assert result.not_applicable is None
        assert result.claims is not None
        assert result.held_out is not None
        assert (result.claims.num_claims, result.held_out.num_claims) == (48, 48)
        assert result.agreement is not None
        assert 0.0 <= result.agreement <= 1.0
