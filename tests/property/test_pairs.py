"""Laws of pairs, of the soft loss and of reward metrics."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from hypothesis import given as cases
from hypothesis import strategies as st

from icm.claims import TRUE_FALSE
from icm.errors import SchemaError
from icm.statistics.estimates import Resampling
from icm.training.pairs import build_pairs, require_pairable
from icm.training.reward.metrics import length_bias, reward_metrics
from icm.training.reward.model import combine
from icm.training.reward.settings import EnsembleSettings
from icm.training.reward.trainer import soft_cross_entropy
from tests.worlds import comparison_claim as comparison
from tests.worlds import given, pair_settings
from tests.worlds import keyed_answer as answer

probabilities = st.floats(0.501, 1.0)
margins = st.lists(st.floats(-20, 20).filter(lambda margin: abs(margin) > 1e-6), min_size=1, max_size=20)
RESAMPLING = Resampling(seed=0, num_resamples=100, confidence_level=0.95)


@cases(st.integers(0, 1), probabilities, st.permutations(["a", "b", "c"]))
def test_a_pair_is_the_same_whichever_order_it_was_labelled_in(
    label: int, probability: float, names: list[str]
) -> None:
    one, other = comparison("q?", names[0], names[1]), comparison("q?", names[1], names[0])
    settings = pair_settings()
    (forward,) = build_pairs([one], given([(one, (label, probability))]), TRUE_FALSE, settings)[0]
    (backward,) = build_pairs([other], given([(other, (1 - label, probability))]), TRUE_FALSE, settings)[0]
    assert forward.model_dump(exclude={"probability"}) == backward.model_dump(exclude={"probability"})
    assert np.isclose(forward.probability, backward.probability)


@cases(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), probabilities), min_size=1, max_size=12))
def test_pairs_stay_inside_their_group_and_prefer_their_chosen(rows: list[tuple[int, int, float]]) -> None:
    claims = [comparison(f"question {q}?", f"first {place}", f"second {place}") for place, (q, _, _) in enumerate(rows)]
    labels = given((claim, (label, p)) for claim, (_, label, p) in zip(claims, rows, strict=True))
    pairs, _ = build_pairs(claims, labels, TRUE_FALSE, pair_settings())
    groups = {claim.group: claim.parts["question"] for claim in claims}
    assert len(pairs) == len(rows)
    for pair in pairs:
        assert groups[pair.group] in pair.prompt
        assert pair.probability > 0.5


@cases(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abc")), min_size=1, max_size=5, unique=True), st.booleans()
)
def test_claims_are_called_pairable_where_some_labelling_makes_a_pair(
    rows: list[tuple[int, str]], compared: bool
) -> None:
    claims = [answer(f"question {question}?", text) for question, text in rows]
    claims += [comparison("which?", "same", "same")] if compared else []

    def makes_a_pair(labels: tuple[int, ...]) -> bool:
        try:
            build_pairs(claims, given(zip(claims, labels, strict=True)), TRUE_FALSE, pair_settings())
        except SchemaError:
            return False
        return True

    some_labelling = any(makes_a_pair(labels) for labels in itertools.product((0, 1), repeat=len(claims)))
    try:
        require_pairable(claims, TRUE_FALSE, pair_settings())
    except SchemaError:
        assert not some_labelling
    else:
        assert some_labelling


@cases(st.floats(-30, 30), st.floats(0, 1))
def test_the_soft_loss_is_the_hard_one_and_what_the_probability_adds(margin: float, probability: float) -> None:
    delta, p = torch.tensor(margin, dtype=torch.float64), torch.tensor(probability, dtype=torch.float64)
    hard = -torch.nn.functional.logsigmoid(delta)
    assert torch.isclose(soft_cross_entropy(delta, p), hard + (1 - p) * delta, atol=1e-9)


@cases(st.floats(0.05, 0.95))
def test_the_soft_loss_is_least_where_the_reward_says_the_probability(probability: float) -> None:
    best = float(np.log(probability / (1 - probability)))
    deltas = torch.tensor([best, best - 0.1, best + 0.1], dtype=torch.float64)
    losses = soft_cross_entropy(deltas, torch.full((3,), probability, dtype=torch.float64))
    assert losses.argmin() == 0


@cases(margins)
def test_a_reward_turned_round_is_as_wrong_as_it_was_right(values: list[float]) -> None:
    differences = np.array(values)
    lengths, groups = np.arange(len(values)) - 3, [str(place) for place in range(len(values))]
    right = reward_metrics(differences, lengths, groups, RESAMPLING)
    wrong = reward_metrics(-differences, lengths, groups, RESAMPLING)
    assert np.isclose(right.accuracy.value + wrong.accuracy.value, 1)
    assert 0 <= right.calibration.expected_calibration_error <= 1
    bias, turned = length_bias(differences, lengths), length_bias(-differences, lengths)
    if bias is not None and turned is not None:
        assert np.isclose(bias.prefers_longer + turned.prefers_longer, 1)
        assert np.isclose(bias.rank_correlation, -turned.rank_correlation)


@cases(st.lists(st.lists(st.floats(-5, 5), min_size=3, max_size=3), min_size=1, max_size=5))
def test_an_ensemble_is_never_above_its_mean_and_equals_a_lone_member(rewards: list[list[float]]) -> None:
    members = np.array(rewards)
    mean = combine(members, EnsembleSettings(rule="mean", penalty=1.0))
    for rule in ("min", "mean_minus_variance"):
        assert (combine(members, EnsembleSettings(rule=rule, penalty=1.0)) <= mean + 1e-12).all()
        assert np.allclose(combine(members[:1], EnsembleSettings(rule=rule, penalty=1.0)), members[0])
