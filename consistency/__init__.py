"""Table constraints over label vectors: what they are, how they are counted, how a violated one is repaired.

Labels are small integers and claims are positions in a vector: nothing here knows a language model or what a claim
says. What is compiled is imported on its own, because it brings numba along: the counting is in `consistency.kernels`,
the exact solver in `consistency.solve`, and `consistency.binding` says which constraints bind.
"""

from consistency.builders import acyclic, contradiction, equivalence, exactly_one, forbid, implication
from consistency.constraints import Constraint, ConstraintArrays, compile_constraints, scope_of
from consistency.repair import consistent_assignments

__all__ = [
    "Constraint",
    "ConstraintArrays",
    "acyclic",
    "compile_constraints",
    "consistent_assignments",
    "contradiction",
    "equivalence",
    "exactly_one",
    "forbid",
    "implication",
    "scope_of",
]
