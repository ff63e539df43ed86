"""The recipe of a pocket model: what every step of its training is told."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from icm.pocket.corpus import MIXTURE
from icm.pocket.recipe import NAMED_PHASES, PHASES, RELEARN, SHIFT, Phase
from icm.pocket.tokenizer import MAX_LENGTH
from tests.worlds.tasks import pocket_training

TWO = pocket_training(
    phases=(
        Phase(steps=4, lengths=(32, 64), taught=("facts",), lessons=(1.0, 0.0), rate=(1.0, 0.5)),
        Phase(steps=2, lengths=(96,), rate=(0.5, 0.0)),
    ),
    warmup_steps=1,
)


def test_lengths_take_turns_step_by_step() -> None:
    assert [TWO.length_at(step) for step in range(TWO.steps)] == [32, 64, 32, 64, 96, 96]


def test_lessons_fade_out_along_their_phase_for_the_taught_families_alone() -> None:
    assert [TWO.lesson_share_at(step, "facts") for step in range(TWO.steps)] == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    assert {TWO.lesson_share_at(step, "arithmetic") for step in range(TWO.steps)} == {0.0}


def test_rates_fall_in_a_straight_line_within_each_phase() -> None:
    assert [TWO.rate_factor_at(step) for step in range(TWO.steps)] == pytest.approx(
        [1.0, 0.875, 0.75, 0.625, 0.5, 0.25]
    )


def test_the_warm_up_raises_the_rate_step_by_step() -> None:
    slow = TWO.model_copy(update={"warmup_steps": 4})
    assert [slow.rate_factor_at(step) / TWO.rate_factor_at(step) for step in range(5)] == pytest.approx(
        [0.25, 0.5, 0.75, 1.0, 1.0]
    )


@pytest.mark.parametrize("step", [6, 7, 100])
def test_a_step_beyond_the_training_is_an_error(step: int) -> None:
    with pytest.raises(ValueError, match=f"step {step} lies beyond the 6 steps"):
        TWO.length_at(step)


@pytest.mark.parametrize("name", NAMED_PHASES)
def test_phases_can_be_named(name: str) -> None:
    training = pocket_training(phases=name)
    assert training.phases == NAMED_PHASES[name]
    ends = list(accumulate(phase.steps for phase in training.phases))
    assert training.steps == ends[-1]
    for end, phase in zip(ends, training.phases, strict=True):
        assert training.length_at(end - 1) in phase.lengths


def test_a_training_afresh_is_full_and_one_with_a_base_shifts_it(tmp_path: Path) -> None:
    assert pocket_training().phases == PHASES
    assert pocket_training(base=tmp_path).phases == SHIFT
    assert pocket_training(base=tmp_path, phases=RELEARN).phases == RELEARN


def test_named_phases_end_with_a_rate_that_has_fallen() -> None:
    for phases in (PHASES, SHIFT, RELEARN):
        assert phases[-1].rate[1] == 0.0
        assert set(phases[-1].taught) == set()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"phases": "quick"}, "named phases are full, shift, relearn; choose one of them"),
        ({"phases": []}, "at least 1 item"),
        ({"phases": [{"steps": 0, "lengths": [96]}]}, "greater than or equal to 1"),
        ({"phases": [{"steps": 1, "lengths": []}]}, "at least 1 item"),
        ({"phases": [{"steps": 1, "lengths": [15]}]}, "a document has 16 to 4096 tokens, got 15"),
        ({"phases": [{"steps": 1, "lengths": [MAX_LENGTH + 1]}]}, f"got {MAX_LENGTH + 1}"),
        ({"phases": [{"steps": 1, "lengths": [96], "taught": ["magic"]}]}, "there is no family 'magic'; the families"),
        ({"phases": [{"steps": 1, "lengths": [96], "speed": 2}]}, "Extra inputs are not permitted"),
        ({"width": 100}, "multiple of 32"),
        ({"width": 0}, "greater than or equal to 32"),
        ({"truth_share": 0.5}, "less than or equal to 0.45"),
        ({"truth_share": 0.0}, "greater than 0"),
        ({"matrix_rate": 0.0}, "greater than 0"),
        ({"checkpoint_every": 0}, "greater than or equal to 1"),
        ({"learning_rate": 0.1}, "Extra inputs are not permitted"),
    ],
)
def test_what_does_not_make_sense_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        pocket_training(**settings)


def test_every_taught_family_is_in_the_mixture_and_the_shares_make_one() -> None:
    taught = {family for phases in NAMED_PHASES.values() for phase in phases for family in phase.taught}
    assert taught <= set(MIXTURE)
    assert sum(MIXTURE.values()) == pytest.approx(1.0)
