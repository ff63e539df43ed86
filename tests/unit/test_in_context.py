"""Accuracy in context, with scorers that know the truth or remember what they were asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from icm import golden as gold
from icm.claims import TRUE_FALSE, UNLABELLED, Labels, LabelSpace
from icm.evaluate.in_context import FEWEST_QUERIES, affordable, demonstrations, draw_shots, in_context_accuracy
from icm.evaluate.schema import ARMS_WITH_SHOTS, Arm
from icm.scoring.fake import HashScorer
from icm.statistics.estimates import Resampling
from tests.worlds import concept_scorer, elicitation
from tests.worlds.scorers import ConceptScorer

QUICK = Resampling(seed=5, num_resamples=200, confidence_level=0.95)


class WordScorer(HashScorer):
    """Counts words as tokens, and keeps what it was asked."""

    def __init__(self, context_length: Any = None) -> None:
        super().__init__(TRUE_FALSE)
        self.context_length = context_length
        self.prompts = []

    def count_tokens(self, segments: Any) -> Any:
        return np.array([len(segment.split()) for segment in segments], dtype=np.int64)

    def label_logprobs(self, prompts: Any) -> Any:
        self.prompts += prompts
        return super().label_logprobs(prompts)


def _ask(
    of: Any, scorer: Any, shots: Any = (0, 4, 16), draws: Any = 3, elicited: Any = None, most_tokens: Any = None
) -> Any:  # what is asked of the parts that may be None is what is tested
    golden = gold.as_labels(of.golden, of.claims)
    return in_context_accuracy(
        scorer,
        of.task.label_space,
        of.claims,
        {"elicited": golden if elicited is None else elicited, "golden": golden},
        of.held_out,
        gold.as_labels(of.golden, of.held_out),
        shots=shots,
        draws=draws,
        resampling=QUICK,
        most_tokens=most_tokens,
    )


def test_a_model_that_learns_in_context_ranks_the_arms() -> None:
    of = elicitation(num_groups=40)
    golden = gold.as_labels(of.golden, of.claims)
    elicited = np.where(np.arange(len(golden)) % 5 == 0, 1 - golden, golden).astype(np.int8)
    result = _ask(of, concept_scorer(of), shots=(0, 8, 32), draws=5, elicited=elicited)
    assert result.random.value < result.elicited.value <= result.golden.value
    assert result.zero_shot.value < result.golden.value
    assert result.golden.value > 0.95
    assert result.elicited_minus["random"].low > 0
    assert result.headline_shots == 32


def test_equal_labels_give_equal_arms() -> None:
    result = _ask(elicitation(), WordScorer())
    assert result.elicited == result.golden
    assert result.elicited_minus["golden"].value == 0.0
    assert result.elicited_minus["golden"].high == 0.0


def test_arms_show_the_same_shots_and_differ_in_labels_only() -> None:
    of = elicitation()
    golden = gold.as_labels(of.golden, of.claims)
    labels: dict[Arm, Labels] = {"elicited": (1 - golden).astype(np.int8), "golden": golden}
    draw = draw_shots(len(of.claims), 10, 2, seed=0, index=4)
    arms = {arm: demonstrations(TRUE_FALSE, of.claims, labels, draw, arm) for arm in ARMS_WITH_SHOTS}
    unlabelled = {
        arm: [demo.removesuffix(" True").removesuffix(" False") for demo in demos] for arm, demos in arms.items()
    }
    assert unlabelled["random"] == unlabelled["elicited"] == unlabelled["golden"]
    assert len(set(unlabelled["golden"])) == 10
    assert all(one != other for one, other in zip(arms["elicited"], arms["golden"], strict=True))


def test_more_shots_begin_with_the_fewer_ones_and_share_their_context() -> None:
    scorer = WordScorer()
    of = elicitation()
    _ask(of, scorer, shots=(4, 16), draws=1)
    first_query = of.held_out[0].text
    asked = [prompt for prompt in scorer.prompts if prompt.query == first_query and len(prompt.segments) > 1]
    assert [len(prompt.segments) for prompt in asked] == [5, 17] * 3
    for few, many in zip(asked[::2], asked[1::2], strict=True):
        assert many.segments[:4] == few.segments[:4]
        assert many.context.parent is few.context


def test_one_number_of_shots_asks_each_query_once_per_draw_and_arm() -> None:
    scorer = WordScorer()
    of = elicitation()
    result = _ask(of, scorer, shots=(0, 4, 16), draws=3)
    assert len(scorer.prompts) == len(of.held_out) * (1 + 3 * 3 * 2)
    assert [(each.arm, each.num_shots) for each in result.results] == [
        ("zero_shot", 0),
        *[(arm, count) for arm in ("random", "elicited", "golden") for count in (4, 16)],
    ]


def test_shots_that_do_not_fit_the_context_are_reported_and_not_asked() -> None:
    scorer = WordScorer(context_length=200)
    result = _ask(elicitation(), scorer, shots=(2, 4, 32))
    assert [each.num_shots for each in result.skipped] == [32]
    assert "the model's context is 200" in result.skipped[0].reason
    assert max(scorer.count_tokens(prompt.segments).sum() for prompt in scorer.prompts) <= 200
    assert result.headline_shots == 4


def test_more_shots_than_candidates_are_reported() -> None:
    result = _ask(elicitation(num_groups=2), WordScorer(), shots=(4, 9))
    assert [each.num_shots for each in result.skipped] == [9]
    assert "only 8 claims" in result.skipped[0].reason


def test_held_out_claims_over_the_context_are_counted_and_left_out() -> None:
    of = elicitation()
    longest = max(len(claim.text.split()) for claim in of.held_out)
    result = _ask(of, WordScorer(context_length=longest), shots=(8,))
    assert result.num_over_context > 0
    assert result.num_queries == len(of.held_out) - result.num_over_context
    assert result.headline_shots is None
    assert result.random is result.elicited is result.golden is None


def test_nothing_that_fits_gives_nothing() -> None:
    assert _ask(elicitation(), WordScorer(context_length=3)) is None


def test_held_out_claims_without_gold_are_counted_and_left_out() -> None:
    of = elicitation()
    golden = gold.as_labels(of.golden, of.claims)
    held_out = gold.as_labels(of.golden, of.held_out).copy()
    held_out[:5] = UNLABELLED
    result = in_context_accuracy(
        WordScorer(),
        TRUE_FALSE,
        of.claims,
        {"elicited": golden, "golden": golden},
        of.held_out,
        held_out,
        shots=(4,),
        draws=2,
        resampling=QUICK,
    )
    assert result is not None
    assert (result.num_queries, result.num_without_gold) == (len(of.held_out) - 5, 5)


def test_a_dear_evaluation_cuts_draws_then_numbers_of_shots_then_queries() -> None:
    assert affordable(10, [4, 16], 100, (10.0, 10.0), None) == (10, [4, 16], 100)
    assert affordable(10, [4, 16], 100, (10.0, 10.0), 1e9) == (10, [4, 16], 100)
    draws, counts, queries = affordable(10, [4, 16], 100, (10.0, 10.0), 30_000)
    assert (draws, counts, queries) == (4, [4, 16], 100)
    assert affordable(10, [4, 16], 100, (10.0, 10.0), 8_000) == (2, [16], 100)
    draws, counts, queries = affordable(10, [4, 16], 100, (10.0, 10.0), 4_000)
    assert (draws, counts) == (2, [16])
    assert (
        queries * 10 + 3 * 2 * (160 + queries * 10) <= 4_000 < (queries + 1) * 10 + 3 * 2 * (160 + (queries + 1) * 10)
    )
    assert affordable(10, [4, 16], 100, (10.0, 10.0), 1) == (2, [16], FEWEST_QUERIES)


def test_what_would_be_too_dear_is_left_out_and_told() -> None:
    scorer = WordScorer()
    of = elicitation()
    result = _ask(of, scorer, shots=(4, 16), draws=6, most_tokens=1)
    assert [each.num_shots for each in result.skipped] == [4]
    assert "more than the search" in result.skipped[0].reason
    assert (result.num_queries, result.num_too_costly) == (FEWEST_QUERIES, len(of.held_out) - FEWEST_QUERIES)
    assert {each.num_draws for each in result.results} == {1, 2}
    assert len(scorer.prompts) == FEWEST_QUERIES * (1 + 2 * 3)


def test_draws_end_where_more_would_hardly_narrow_the_interval() -> None:
    of = elicitation(num_groups=20)
    # Sixteen right labels make this model as sure as it gets, so that all draws answer alike.
    result = _ask(of, concept_scorer(of), shots=(32,), draws=10, elicited=gold.as_labels(of.golden, of.claims))
    assert {each.num_draws for each in result.results if each.arm == "golden"} < {3, 4, 5, 6, 7, 8, 9}


def test_calibration_takes_out_a_liking_for_a_word() -> None:
    class Liking(ConceptScorer):
        def _answer(self, prompts: Any) -> Any:
            return super()._answer(prompts) + np.array([0.0, 20.0])

    of = elicitation(num_groups=20)
    truth = {claim.text: of.golden[claim.id] for claim in (*of.claims, *of.held_out)}
    result = _ask(of, Liking(truth, TRUE_FALSE), shots=(32,))
    golden = next(each for each in result.results if each.arm == "golden")
    assert golden.predicted_shares == (0.0, 1.0)
    assert golden.calibrated.value > 0.9 > golden.accuracy.value


def test_random_labels_are_uniform_and_follow_from_seed_and_draw() -> None:
    draws = [draw_shots(100, 100, 4, seed=1, index=index) for index in range(50)]
    shares = np.bincount(np.concatenate([random_labels for _, random_labels in draws]), minlength=4) / 5000
    assert shares == pytest.approx([0.25] * 4, abs=0.03)
    again = draw_shots(100, 100, 4, seed=1, index=7)
    assert (again[0] == draws[7][0]).all()
    assert (draws[6][0] != draws[7][0]).any()


def test_more_labels_than_two_work() -> None:
    space = LabelSpace(names=("a", "b", "c"), verbalizers=(" a", " b", " c"))
    of = elicitation(space=space)
    truth = {claim.text: of.golden[claim.id] for claim in (*of.claims, *of.held_out)}
    result = _ask(of, ConceptScorer(truth, space), shots=(16,))
    assert result.golden.value > result.random.value
    assert sum(result.results[0].predicted_shares) == pytest.approx(1.0)
