"""Label elicitation from pretrained language models by Internal Coherence Maximization."""

from importlib import import_module as _import_module

__version__ = "0.1.0"

# The types of these names stand in __init__.pyi.
_DOOR = ("Evaluation", "Result", "compare_pairs", "evaluate", "label", "load", "train_reward")


def __getattr__(name: str) -> object:
    """Load the Python door when it is first used: `import icm` itself must cost nothing."""
    if name in _DOOR:
        _import_module("icm.commands.neighbours").check_neighbours()
        return getattr(_import_module("icm.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_DOOR]
