"""The errors a user meets. Knows no stage and no library.

`ValueError` is the caller's fault (a bad setting or argument); the types here say that a file or a model is at
fault. Every message names the problem, the value and the way out. The command line prints the message alone and
exits with status 2.
"""


class IcmError(Exception):
    """Base of the errors that are reported without a traceback."""


class ConfigError(IcmError, ValueError):
    """A setting is unknown, of the wrong type, or out of range."""


class SchemaError(IcmError):
    """A file does not hold what its schema promises; the message starts with `path:line`."""


class RunDirectoryError(IcmError):
    """A run directory is missing, unfinished, or belongs to another run."""


class ScoringError(IcmError):
    """A model could not give a label log-probability that may be trusted."""


class TrainingError(IcmError):
    """A model or its data cannot be trained on, or what came of the training cannot be used."""


class Interrupted(IcmError):
    """The user asked to stop; what was computed is saved. The command line exits with status 130."""
