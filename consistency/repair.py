"""The ways to satisfy one constraint by labelling its scope anew. Knows no utility: choosing is not done here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from consistency.constraints import ConstraintArrays, scope_of


def consistent_assignments(arrays: ConstraintArrays, labels: NDArray[np.int8], constraint: int) -> NDArray[np.int8]:
    """Return the labellings that satisfy a constraint and equal the given one outside its scope: (A, N).

    All claims of the scope are labelled in each of them, and every joint assignment that is not forbidden is there,
    the one in which all claims are false included; the rows are in the order of the joint index.

    Source: the options of the paper's ConsistencyFix (Algorithm 2).
    """
    scope = scope_of(arrays, constraint)
    forbidden = int(arrays.forbidden[constraint])
    num_joint = arrays.num_labels**scope.size
    allowed = np.array([joint for joint in range(num_joint) if not forbidden >> joint & 1], dtype=np.int64)
    options = np.repeat(labels[None, :], allowed.size, axis=0)
    # Digit p of a joint index is index // L**p % L, the label of the claim at position p.
    options[:, scope] = allowed[:, None] // arrays.strides[: scope.size] % arrays.num_labels
    return options
