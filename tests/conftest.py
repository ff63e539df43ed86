"""Settings of all tests: the same examples each time, and none is timed, because machines are shared and noisy."""

from hypothesis import settings

# A gate must not depend on luck. `pytest --hypothesis-profile=explore` looks for new examples.
settings.register_profile("gate", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("gate")
