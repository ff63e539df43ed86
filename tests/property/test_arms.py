"""Laws of matched arms: what differs between their labels, and how their picks compare."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given as cases
from hypothesis import strategies as st

from icm.claims import UNLABELLED, Claim, Labels, freeze
from icm.training.arms.labels import Judgements, as_wrong_as, most_confident, shuffled, with_errors
from icm.training.arms.samples import best_of_n_curve, picks, win_rate
from tests.worlds import comparison_claim as comparison
from tests.worlds import keyed_answer as answer

seeds = st.integers(0, 50)


def both_orders(num_pairs: int, truth: list[bool]) -> tuple[list[Claim], Labels]:
    """Return comparisons in both orders with consistent golden labels."""
    claims, labels = [], []
    for number, first_is_better in zip(range(num_pairs), truth, strict=True):
        claims += [comparison(f"q {number}?", "a", "b"), comparison(f"q {number}?", "b", "a")]
        labels += [int(first_is_better), int(not first_is_better)]
    return claims, freeze(labels)


def is_consistent(labels: Labels) -> bool:
    return all(labels[place] + labels[place + 1] == 1 for place in range(0, len(labels), 2))


@cases(st.lists(st.booleans(), min_size=1, max_size=12), st.floats(0, 1), seeds)
def test_a_human_errs_in_whole_comparisons_and_exactly_as_often_as_asked(
    truth: list[bool], rate: float, seed: int
) -> None:
    claims, golden = both_orders(len(truth), truth)
    labels = with_errors(golden, Judgements(claims), rate, seed)
    assert is_consistent(labels)
    assert int((labels != golden).sum()) == 2 * round(rate * len(truth))


@cases(st.lists(st.booleans(), min_size=1, max_size=12), seeds)
def test_shuffled_labels_are_as_many_and_stay_consistent(truth: list[bool], seed: int) -> None:
    claims, golden = both_orders(len(truth), truth)
    labels = shuffled(golden, Judgements(claims), seed)
    assert is_consistent(labels)
    assert labels[::2].sum() == golden[::2].sum()


@cases(st.lists(st.booleans(), min_size=2, max_size=12), st.data(), seeds)
def test_random_flips_are_as_wrong_as_the_labels_they_stand_for(
    truth: list[bool], data: st.DataObject, seed: int
) -> None:
    claims, golden = both_orders(len(truth), truth)
    judgements = Judgements(claims)
    wrong = data.draw(st.lists(st.booleans(), min_size=len(truth), max_size=len(truth)))
    values = judgements.values(golden)
    elicited = judgements.spread(np.where(wrong, 1 - values, values))
    assert int((as_wrong_as(elicited, golden, judgements, seed) != golden).sum()) == int((elicited != golden).sum())


def test_only_the_most_confident_judgements_keep_their_labels() -> None:
    claims = [answer(f"q {number}?", "a") for number in range(4)]
    kept = most_confident(freeze([1, 0, 1, 0]), np.array([0.6, 0.9, 0.7, 0.95]), Judgements(claims), 0.5)
    assert kept.tolist() == [UNLABELLED, 0, UNLABELLED, 0]


def test_an_error_rate_beyond_one_is_refused() -> None:
    claims, golden = both_orders(1, [True])
    with pytest.raises(ValueError, match="between 0 and 1"):
        with_errors(golden, Judgements(claims), 1.5, 0)


@cases(st.lists(st.tuples(st.floats(-3, 3), st.floats(0, 3)), min_size=4, max_size=4), st.integers(1, 4))
def test_what_wins_against_the_other_loses_from_the_other_side(samples: list[tuple[float, float]], n: int) -> None:
    prompts = ["p", "p", "q", "q"]
    rewards, quality = np.array([r for r, _ in samples]), np.array([q for _, q in samples])
    size = min(n, 2)
    best, base = picks(prompts, rewards, size), picks(prompts, rewards, 1)
    assert np.isclose(best.sum(), 1)
    assert np.isclose(win_rate(prompts, quality, best, base) + win_rate(prompts, quality, base, best), 1)
    curve = best_of_n_curve(prompts, rewards, quality, (1, 2))
    assert curve[0].proxy == pytest.approx(0, abs=1e-9)
    assert curve[1].proxy is not None
    assert curve[1].proxy >= -1e-9


def test_the_best_of_all_samples_is_the_best_sample() -> None:
    prompts, rewards, quality = ["p"] * 3, np.array([0.0, 2.0, 1.0]), np.array([1.0, 3.0, 0.0])
    assert picks(prompts, rewards, 3).tolist() == [0.0, 1.0, 0.0]
    assert best_of_n_curve(prompts, rewards, quality, (3,))[0].quality == 3.0
