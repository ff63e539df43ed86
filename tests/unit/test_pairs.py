"""Labels become pairs: what counts, what is left out, and what is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from icm.claims import TRUE_FALSE, LabelSpace
from icm.errors import SchemaError
from icm.training.pairs import build_answers, build_pairs
from tests.worlds import comparison_claim as comparison
from tests.worlds import given, pair_settings
from tests.worlds import keyed_answer as answer

SETTINGS = pair_settings()
AB, BA = comparison("q?", "a", "b"), comparison("q?", "b", "a")


def test_both_orders_of_a_comparison_are_averaged() -> None:
    pairs, counts = build_pairs([AB, BA], given([(AB, (1, 0.9)), (BA, (0, 0.7))]), TRUE_FALSE, SETTINGS)
    (pair,) = pairs
    assert (pair.prompt, pair.chosen, pair.rejected) == ("Human: q?\nAssistant:", " a", " b")
    assert pair.probability == pytest.approx(0.8)
    assert (counts["both_orders"], counts["one_sided"]) == (1, 0)


def test_orders_that_cancel_out_make_no_pair_and_are_counted() -> None:
    other = comparison("other?", "c", "d")
    pairs, counts = build_pairs([AB, BA, other], given([(AB, 1), (BA, 1), (other, 1)]), TRUE_FALSE, SETTINGS)
    assert [pair.chosen for pair in pairs] == [" c"]
    assert (counts["undecided"], counts["contradicting"], counts["one_sided"]) == (1, 1, 1)


def test_orders_that_disagree_are_counted() -> None:
    pairs, counts = build_pairs([AB, BA], given([(AB, (1, 0.9)), (BA, (1, 0.6))]), TRUE_FALSE, SETTINGS)
    assert counts["contradicting"] == 1
    assert pairs[0].probability == pytest.approx(0.65)


def test_one_sided_comparisons_are_kept_or_dropped_as_the_settings_say() -> None:
    labels = given([(AB, 0)])
    assert build_pairs([AB, BA], labels, TRUE_FALSE, SETTINGS)[0][0].chosen == " b"
    with pytest.raises(SchemaError, match="1 one sided"):
        build_pairs([AB, BA], labels, TRUE_FALSE, SETTINGS.model_copy(update={"one_sided": "drop"}))


def test_answers_are_paired_where_one_is_true_and_one_is_not() -> None:
    right, wrong, also_wrong = (answer("2 + 2?", text) for text in ("4", "5", "6"))
    elsewhere = answer("3 + 3?", "6")
    claims = [right, wrong, also_wrong, elsewhere]
    pairs, counts = build_pairs(claims, given(zip(claims, (1, 0, 0, 1), strict=True)), TRUE_FALSE, SETTINGS)
    assert {(pair.chosen, pair.rejected) for pair in pairs} == {(" 4", " 5"), (" 4", " 6")}
    assert (counts["same_label"], counts["groups_without_pairs"]) == (1, 1)
    assert all(pair.prompt == "Question: 2 + 2?\nClaim:" for pair in pairs)


def test_the_target_of_two_answers_is_the_difference_of_their_log_odds() -> None:
    one, two = answer("q?", "a"), answer("q?", "b")
    (pair,) = build_pairs([one, two], given([(one, (1, 0.8)), (two, (0, 0.6))]), TRUE_FALSE, SETTINGS)[0]
    odds = (0.8 / 0.2) / (0.4 / 0.6)
    assert pair.probability == pytest.approx(odds / (1 + odds))


def test_an_answer_that_its_probability_speaks_against_is_counted_as_overruled() -> None:
    one, two = answer("q?", "a"), answer("q?", "b")
    pairs, counts = build_pairs([one, two], given([(one, (1, 0.1)), (two, (0, 0.6))]), TRUE_FALSE, SETTINGS)
    assert (counts["overruled"], pairs[0].chosen) == (1, " b")
    hard_pairs, hard_counts = build_pairs(
        [one, two], given([(one, (1, 0.1)), (two, (0, 0.6))]), TRUE_FALSE, pair_settings(targets="hard")
    )
    assert (hard_counts["overruled"], hard_pairs[0].chosen) == (0, " a")


def test_labels_without_preference_structure_are_refused_with_what_was_counted() -> None:
    claims = [answer("q?", "a"), answer("q?", "b"), answer("r?", "c")]
    with pytest.raises(SchemaError, match=r"no preference structure.*3 labelled claims.*1 same label"):
        build_pairs(claims, given((claim, 1) for claim in claims), TRUE_FALSE, SETTINGS)
    with pytest.raises(SchemaError, match="none of the 3 claims has a label"):
        build_pairs(claims, {}, TRUE_FALSE, SETTINGS)


def test_labels_that_neither_affirm_nor_deny_are_refused() -> None:
    space = LabelSpace(names=("x", "y", "z"), verbalizers=(" x", " y", " z"))
    with pytest.raises(SchemaError, match="affirm or deny"):
        build_pairs([AB], given([(AB, 1)]), space, SETTINGS)


def test_a_prompt_that_names_a_missing_part_is_refused() -> None:
    with pytest.raises(SchemaError, match="no part 'topic'"):
        build_pairs([AB], given([(AB, 1)]), TRUE_FALSE, pair_settings(comparison_prompt="{topic}:"))
    with pytest.raises(ValidationError, match="white space"):
        pair_settings(comparison_prompt="Human: {question}\nAssistant: ")


def test_answers_of_comparisons_or_with_one_label_cannot_be_judged_one_at_a_time() -> None:
    claims = [answer("q?", "a"), answer("q?", "b")]
    with pytest.raises(SchemaError, match="use kind=pairs"):
        build_answers([AB], given([(AB, 1)]), TRUE_FALSE, SETTINGS)
    with pytest.raises(SchemaError, match="the same label"):
        build_answers(claims, given((claim, 0) for claim in claims), TRUE_FALSE, SETTINGS)
