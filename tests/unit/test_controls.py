"""The same claims by other means, with scorers that know the truth or like a word."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from icm import golden as gold
from icm.claims import TRUE_FALSE, UNLABELLED
from icm.errors import ScoringError
from icm.evaluate.controls import common_ending, content_free, controls
from icm.statistics.estimates import Resampling
from tests.worlds import concept_scorer, elicitation
from tests.worlds.scorers import ConceptScorer

QUICK = Resampling(seed=5, num_resamples=100, confidence_level=0.95)


class LikingScorer(ConceptScorer):
    """Knows the truth a little, and likes the word of one label a lot; keeps what it was asked."""

    def __init__(self, truth: Any, liking: Any = (0.0, 20.0)) -> None:
        super().__init__(truth, TRUE_FALSE, prior=4.0, noise=0.5)
        self.liking, self.asked = np.array(liking), []

    def _answer(self, prompts: Any) -> Any:
        self.asked += [prompt.text for prompt in prompts]
        return super()._answer(prompts) + self.liking


def _truth(of: Any) -> Any:
    return {claim.text: of.golden[claim.id] for claim in (*of.claims, *of.held_out)}


def _controls(of: Any, scorer: Any, golden: Any = None, shown: Any = None, num_shots: Any = 16) -> Any:
    shown = of.held_out if shown is None else shown
    golden = gold.as_labels(of.golden, of.claims) if golden is None else golden
    found = controls(
        scorer,
        TRUE_FALSE,
        of.claims,
        golden,
        shown,
        gold.as_labels(of.golden, shown),
        num_shots=num_shots,
        draws=2,
        resampling=QUICK,
    )
    return {(each.context, each.calibration): each for each in found}


def test_each_calibration_takes_out_a_liking_for_a_word() -> None:
    of = elicitation(num_groups=20)
    found = _controls(of, LikingScorer(_truth(of)))
    values = {key: each.accuracy.value for key, each in found.items()}
    assert list(values) == [
        *[("zero_shot", way) for way in ("none", "batch", "contextual", "pmi")],
        *[("golden", way) for way in ("none", "batch", "prior")],
    ]
    for key, value in values.items():
        assert value < 0.7 if key[1] == "none" else value > 0.95, key


def test_golden_labels_of_the_claims_change_no_question() -> None:
    of = elicitation()
    golden = gold.as_labels(of.golden, of.claims)
    scorer, other = LikingScorer(_truth(of)), LikingScorer(_truth(of))
    found, turned = _controls(of, scorer), _controls(of, other, 1 - golden)
    assert scorer.asked == other.asked
    assert all(found[key].accuracy.value == pytest.approx(1 - turned[key].accuracy.value) for key in found)


def test_claims_without_a_golden_label_are_calibrated_on_and_not_counted() -> None:
    of = elicitation()
    golden = gold.as_labels(of.golden, of.claims).copy()
    golden[3:] = UNLABELLED
    found = _controls(of, concept_scorer(of), golden)
    assert {each.accuracy.value for each in found.values()} <= {0, 1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6, 1}


def test_without_other_claims_there_is_no_golden_context() -> None:
    found = _controls(elicitation(), concept_scorer(elicitation()), shown=[])
    assert found["golden", "none"].accuracy is None
    assert "no claim apart from" in found["golden", "none"].missing


def test_as_many_shots_are_shown_as_fit() -> None:
    class Short(LikingScorer):
        def count_tokens(self, segments: Any) -> Any:
            return np.array([len(segment.split()) for segment in segments], dtype=np.int64)

    of = elicitation()
    scorer = Short(_truth(of))
    scorer.context_length = 200
    found = _controls(of, scorer, num_shots=48)
    assert found["golden", "batch"].num_shots in (6, 12)
    assert max(len(text.split()) for text in scorer.asked) <= 200


def test_a_model_without_a_word_for_nothing_says_so() -> None:
    class Closed(LikingScorer):
        def _answer(self, prompts: Any) -> Any:
            if any("N/A" in prompt.query for prompt in prompts):
                raise ScoringError("no word for 'N/A'; take another model")
            return super()._answer(prompts)

    of = elicitation()
    found = _controls(of, Closed(_truth(of)))
    assert found["zero_shot", "contextual"].accuracy is None
    assert found["zero_shot", "contextual"].missing == "no word for 'N/A'"
    assert found["zero_shot", "pmi"].accuracy is not None


def test_what_is_left_without_content() -> None:
    claims = elicitation().claims
    assert content_free(claims)[0] == "Question: N/A\nClaim: N/A\nI think this claim is"
    assert common_ending(claims) == ["I think this claim is"]
    assert common_ending([claims[0], claims[0].__class__(id=claims[0].id, group="g", text="else", parts={})]) == []
