"""What no search may look at: names of labels and tasks, parts of claims, and how answers and groups are called."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from icm.claims import TRUE_FALSE, UNLABELLED, AnswerKey, Claim, Labels, LabelSpace
from icm.config import load
from icm.files.records import TaskRecord
from icm.problem import build_problem
from icm.relations import Relation
from icm.scoring.fake import HashScorer
from icm.searches.build import build_search
from tests.worlds import make_claims, make_task

SEARCHES = {
    "annealing": ("search=annealing", "search.steps_per_claim=1"),
    "gibbs": ("search=gibbs", "search.num_scans=3", "search.burn_in=1"),
    "multistart": ("search=multistart",),
    "bootstrap": ("search=bootstrap", "search.num_rounds=2", "search.num_shots=4"),
    "zero_shot": ("search=zero_shot",),
}
CLAIMS, TRUTH = make_claims(num_groups=4, per_group=3, seed=1)


def labels_of(overrides: tuple[str, ...], claims: list[Claim], task: TaskRecord, seed: int = 0) -> Labels:
    settings = load(f"seed={seed}", *overrides).for_elicit()
    problem = build_problem(claims, task, HashScorer(task.label_space, seed=7), settings)
    search = build_search(settings.search, problem, seed)
    state = search.start()
    for after, _ in search.walk(state):
        state = after
    return search.result(state).labels


@pytest.fixture(params=SEARCHES, ids=str)
def overrides(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return SEARCHES[request.param]


def test_the_names_of_task_and_labels_are_for_people_alone(overrides: tuple[str, ...]) -> None:
    task = make_task()
    named = task.model_copy(
        update={
            "name": "something else",
            "label_space": LabelSpace(names=("nay", "yea"), verbalizers=TRUE_FALSE.verbalizers),
        }
    )
    one = labels_of(overrides, CLAIMS, task)
    # The fake scorer answers by prompt, so that only what stands in a prompt can change a label.
    assert labels_of(overrides, CLAIMS, named).tolist() == one.tolist()


def test_parts_of_claims_are_never_read(overrides: tuple[str, ...]) -> None:
    bare = [replace(claim, parts={}) for claim in CLAIMS]
    assert labels_of(overrides, bare, make_task()).tolist() == labels_of(overrides, CLAIMS, make_task()).tolist()


def test_renaming_the_answers_one_to_one_changes_no_label(overrides: tuple[str, ...]) -> None:
    renamed = [
        replace(claim, key=AnswerKey(value=f"the answer {claim.key.value}"))
        for claim in CLAIMS
        if isinstance(claim.key, AnswerKey)
    ]
    assert len(renamed) == len(CLAIMS)
    assert labels_of(overrides, renamed, make_task()).tolist() == labels_of(overrides, CLAIMS, make_task()).tolist()


def test_relations_that_demand_nothing_of_these_claims_change_no_label(overrides: tuple[str, ...]) -> None:
    unkeyed = [replace(claim, key=None) for claim in CLAIMS]
    bare = make_task().model_copy(update={"relations": ()})
    with_relations = labels_of(overrides, unkeyed, make_task())
    assert with_relations.tolist() == labels_of(overrides, unkeyed, bare).tolist()


def test_the_order_of_the_relations_changes_no_label(overrides: tuple[str, ...]) -> None:
    relations = (Relation(kind="different_answer"), Relation(kind="same_answer"))
    turned = make_task().model_copy(update={"relations": relations})
    assert labels_of(overrides, CLAIMS, turned).tolist() == labels_of(overrides, CLAIMS, make_task()).tolist()


def test_another_seed_draws_other_contexts_and_the_same_seed_the_same(overrides: tuple[str, ...]) -> None:
    runs = [labels_of(overrides, CLAIMS, make_task(), seed).tolist() for seed in (0, 1, 2, 3, 0)]
    assert runs[0] == runs[4]
    if "search=zero_shot" in overrides:
        assert runs[0] == runs[1] == runs[2] == runs[3]  # without contexts there is nothing to draw
    else:
        assert len({tuple(run) for run in runs}) > 1


def test_labels_are_of_the_alphabet_and_only_a_chain_that_is_cut_short_leaves_some_out(
    overrides: tuple[str, ...],
) -> None:
    labels = labels_of(overrides, CLAIMS, make_task())
    assert labels.dtype == np.int8
    assert set(labels.tolist()) <= {UNLABELLED, 0, 1}
    assert "search=annealing" in overrides or UNLABELLED not in labels
