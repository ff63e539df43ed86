"""The Python door: `import icm; result = icm.label(texts, labels=["negative", "positive"])`.

Does what the commands do, through the same functions, and leaves the same files. `icm` offers these names itself.
"""

import sys
from types import ModuleType

from icm.api.evaluation import Evaluation, evaluate
from icm.api.labelling import compare_pairs, label
from icm.api.result import Result, load
from icm.api.training import train_reward

__all__ = ["Evaluation", "Result", "compare_pairs", "evaluate", "label", "load", "train_reward"]


class _CallablePackage(ModuleType):
    """The package `icm.evaluate`, which can be called as the function of its name: `icm` has room for one of them."""

    __call__ = staticmethod(evaluate)


sys.modules["icm.evaluate"].__class__ = _CallablePackage
