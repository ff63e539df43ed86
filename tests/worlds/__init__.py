"""The one factory of claims, labels and run directories that tests share; every test file imports from here."""

from tests.worlds.claims import answer_claim, comparison_claim, given, keyed_answer, make_claim, make_claims, make_task
from tests.worlds.elicitations import QUICK, concept_scorer, elicitation, trace_of
from tests.worlds.runs import (
    elicit_settings,
    evaluate_settings,
    export_settings,
    prepare_pocket,
    read_by,
    write_prepared,
    write_run,
)
from tests.worlds.strategies import CLAIMS

__all__ = [
    "CLAIMS",
    "QUICK",
    "answer_claim",
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
    "prepare_pocket",
    "read_by",
    "trace_of",
    "write_prepared",
    "write_run",
]
