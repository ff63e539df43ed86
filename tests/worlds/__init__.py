"""The one factory of claims, labels and run directories that tests share; every test file imports from here."""

from tests.worlds.claims import answer_claim, comparison_claim, given, keyed_answer, make_claim, make_claims, make_task
from tests.worlds.elicitations import QUICK, concept_scorer, elicitation, trace_of
from tests.worlds.runs import (
    changed,
    elicit_settings,
    evaluate_settings,
    export_settings,
    pair_settings,
    prepare_pocket,
    read_by,
    reward_settings,
    write_prepared,
    write_run,
)
from tests.worlds.strategies import CLAIMS

__all__ = [
    "CLAIMS",
    "QUICK",
    "answer_claim",
    "changed",
    "comparison_claim",
    "concept_scorer",
    "elicit_settings",
    "elicitation",
    "evaluate_settings",
    "export_settings",
    "given",
    "keyed_answer",
    "make_claim",
    "make_claims",
    "make_task",
    "pair_settings",
    "prepare_pocket",
    "read_by",
    "reward_settings",
    "trace_of",
    "write_prepared",
    "write_run",
]
