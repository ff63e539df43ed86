"""The diagnose stage on scorers that answer at once: coherent labels, incoherent ones, and no golden label anywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from icm.claims import TRUE_FALSE, UNLABELLED, freeze
from icm.config import load
from icm.diagnose import probes
from icm.diagnose import stage as diagnose
from icm.diagnose.diagnosis import diagnose as diagnose_found
from icm.diagnose.diagnosis import tally_constraints
from icm.diagnose.schema import DIAGNOSIS, Diagnosis
from icm.elicit import stage as elicit
from icm.errors import RunDirectoryError
from icm.evaluate.summary import diagnosis_text
from icm.files.stage_dir import read_result
from icm.problem import build_problem, read_in_order
from icm.scoring.fake import HashScorer
from tests.worlds import elicit_settings, make_claims, make_task, write_prepared
from tests.worlds.scorers import ConceptScorer

SETTINGS = load().diagnose
MULTISTART = ("search=multistart", "objective=lift")


def run(directory: Path, scorer: Any, *overrides: str) -> Any:
    """Elicit and diagnose in a prepared directory; return the diagnosis."""
    settings = elicit_settings(0, *(overrides or MULTISTART))
    elicit.run(settings, directory / "prepare", directory / "elicit", scorer, Console(quiet=True))
    diagnose.run(SETTINGS, directory / "prepare", directory / "elicit", directory / "diagnose", scorer)
    return read_result(directory / "diagnose", "diagnose", DIAGNOSIS, Diagnosis)


@pytest.fixture
def world(tmp_path: Path) -> Any:
    claims, truth = make_claims(num_groups=16, per_group=3)
    write_prepared(tmp_path / "prepare", claims)
    return tmp_path, claims, truth


def check_of(diagnosis: Any, name: str) -> Any:
    (check,) = [check for check in diagnosis.checks if check.name == name]
    return check


def value(diagnosis: Any, name: str) -> float:
    measured = check_of(diagnosis, name).value
    assert measured is not None
    return measured


def test_a_concept_that_the_model_knows_is_trusted(world: Any) -> None:
    directory, _, truth = world
    diagnosis = run(directory, ConceptScorer(truth, TRUE_FALSE, prior=1.0, noise=0.5))
    assert diagnosis.verdict == "trust", diagnosis.reasons
    assert value(diagnosis, "orders") == value(diagnosis, "swapped") == 1.0
    assert value(diagnosis, "contradicted") == value(diagnosis, "violated") == 0.0
    # Two equally frequent labels cost one bit each unread.
    assert value(diagnosis, "gain") > 0.7
    assert value(diagnosis, "null_gap") > 0.7


def test_labels_of_a_model_that_answers_at_random_are_not_trusted(world: Any) -> None:
    diagnosis = run(world[0], HashScorer(TRUE_FALSE))
    assert diagnosis.verdict == "reject"
    assert value(diagnosis, "orders") < 0.8
    assert value(diagnosis, "null_gap") < value(run_concept(world), "null_gap")


def run_concept(world: Any) -> Any:
    directory, claims, truth = world
    write_prepared(directory / "other" / "prepare", claims)
    return run(directory / "other", ConceptScorer(truth, TRUE_FALSE))


def test_a_search_of_one_labelling_says_that_starts_cannot_be_compared(world: Any) -> None:
    directory, _, truth = world
    diagnosis = run(directory, ConceptScorer(truth, TRUE_FALSE), "search=annealing")
    stability = check_of(diagnosis, "stability")
    assert stability.value is None
    assert stability.missing is not None
    assert "search=shuffled_sweeps follows several" in stability.missing


def reading_of(problem: Any) -> Any:
    return read_in_order(problem, SETTINGS.reading, seed=0)


@pytest.mark.parametrize("objective", ["prequential", "lift"])
def test_swapping_the_label_words_is_turning_the_labels_round(objective: Any) -> None:
    """Whoever calls true what is false and says True for it shows the model the same demos."""
    claims, truth = make_claims(num_groups=6, per_group=2)
    settings = elicit_settings(0, f"objective={objective}")
    problem = build_problem(claims, make_task(), ConceptScorer(truth, TRUE_FALSE), settings)
    reading = reading_of(problem)
    swapped = probes.with_swapped_words(reading, problem)
    labels = freeze(np.random.default_rng(0).integers(2, size=len(claims)))
    turned = freeze(1 - labels)
    assert swapped.evaluate(labels).predictability == reading.evaluate(turned).predictability
    assert np.array_equal(swapped.predict_all(labels), reading.predict_all(turned)[:, ::-1])


def test_labels_of_any_search_are_read_in_the_orders_of_the_diagnosis() -> None:
    claims, truth = make_claims(num_groups=6, per_group=2)
    scorer = ConceptScorer(truth, TRUE_FALSE)
    labels = freeze([truth[claim.text] for claim in claims])
    problems = [
        build_problem(claims, make_task(), scorer, elicit_settings(0, f"objective={name}"))
        for name in ("prequential", "lift", "paper")
    ]
    assert len({reading_of(problem).in_orders(1).evaluate(labels).predictability for problem in problems}) == 1


def test_nulls_leave_unlabelled_what_is_and_keep_shares_or_constraints() -> None:
    claims, truth = make_claims(num_groups=8, per_group=3)
    problem = build_problem(claims, make_task(), ConceptScorer(truth, TRUE_FALSE), elicit_settings())
    decoder = probes.Decoder(problem.objective.constraints, _components(problem), 100.0)
    labels = np.array([truth[claim.text] for claim in claims])
    labels[:3] = UNLABELLED
    consistent, shuffled = probes.draw_nulls(np.random.default_rng(0), decoder, freeze(labels), 2)
    for null in (consistent, shuffled):
        assert np.array_equal(null == UNLABELLED, labels == UNLABELLED)
    assert np.array_equal(np.sort(shuffled), np.sort(labels))
    assert problem.objective.evaluate(consistent).num_violations == 0


def _components(problem: Any) -> Any:
    from consistency.components import find_components

    return find_components(problem.objective.constraints)


def test_without_any_label_the_verdict_is_reject(world: Any) -> None:
    directory, claims, truth = world
    run(directory, ConceptScorer(truth, TRUE_FALSE))
    found = diagnose.read_elicited(directory / "prepare", directory / "elicit", ConceptScorer(truth, TRUE_FALSE))
    nothing = replace(found, labels=freeze(np.full(len(claims), UNLABELLED)))
    diagnosis = diagnose_found(nothing, SETTINGS)
    assert diagnosis.verdict == "reject"
    assert "the search gave up" in diagnosis.reasons[0]


def test_constraints_that_the_model_agrees_with_do_not_bind(world: Any) -> None:
    directory, _, truth = world
    diagnosis = run(directory, ConceptScorer(truth, TRUE_FALSE))
    assert [tally.name for tally in diagnosis.constraints] == ["different_answer"]
    (tally,) = diagnosis.constraints
    assert tally.num_constraints == 16 * 3
    assert (tally.num_violated, tally.num_opposed, tally.num_binding, tally.num_undecided) == (0, 0, 0, 0)


def test_a_constraint_that_keeps_the_model_from_a_second_true_answer_binds(world: Any) -> None:
    directory, claims, truth = world
    second = next(claim for claim in claims if truth[claim.text] == 0)
    diagnosis = run(directory, ConceptScorer({**truth, second.text: 1}, TRUE_FALSE))
    (tally,) = diagnosis.constraints
    assert (tally.num_violated, tally.num_opposed, tally.num_binding) == (0, 1, 1)
    assert "constraints, different_answer: 48, of which 0 violated, 1 binding" in diagnosis_text(diagnosis).plain


def test_violated_constraints_are_counted_for_the_labels_that_were_found(world: Any) -> None:
    directory, claims, truth = world
    scorer = ConceptScorer(truth, TRUE_FALSE)
    run(directory, scorer)
    found = diagnose.read_elicited(directory / "prepare", directory / "elicit", scorer)
    everything_true = replace(found, labels=freeze(np.ones(len(claims))))
    reading = reading_of(found.problem)
    (tally,) = tally_constraints(everything_true, reading, reading.evaluate(everything_true.labels), 100.0)
    assert tally.num_violated == tally.num_constraints
    nothing = replace(found, labels=freeze(np.full(len(claims), UNLABELLED)))
    assert tally_constraints(nothing, reading, reading.evaluate(nothing.labels), 100.0) == []


def test_a_diagnosis_is_the_same_bytes_again_and_a_complete_one_asks_nothing(world: Any) -> None:
    directory, _, truth = world
    run(directory, ConceptScorer(truth, TRUE_FALSE))
    scorer = ConceptScorer(truth, TRUE_FALSE)
    stages = (directory / "prepare", directory / "elicit")
    diagnose.run(SETTINGS, *stages, directory / "diagnose", scorer)
    assert scorer.cost.prompts == 0
    diagnose.run(SETTINGS, *stages, directory / "again", scorer)
    assert (directory / "again" / DIAGNOSIS).read_bytes() == (directory / "diagnose" / DIAGNOSIS).read_bytes()


def test_labels_of_another_model_or_altered_ones_are_refused(world: Any) -> None:
    directory, _, truth = world
    run(directory, ConceptScorer(truth, TRUE_FALSE))
    stages = (directory / "prepare", directory / "elicit", directory / "other")
    with pytest.raises(RunDirectoryError, match="diagnose them with the model they came from"):
        diagnose.run(SETTINGS, *stages, HashScorer(TRUE_FALSE))
    labels = directory / "elicit" / "labels.jsonl"
    labels.write_text(labels.read_text().replace("True", "Tree"))
    with pytest.raises(RunDirectoryError, match="altered"):
        diagnose.run(SETTINGS, *stages, ConceptScorer(truth, TRUE_FALSE))
