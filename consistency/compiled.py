"""Compiles kernels, and keeps the compiled code where it can. Knows no kernel."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(*, nogil: bool = False) -> Callable[[F], F]:
    """Return a decorator that compiles a function when it is first called, and keeps the code for later processes.

    In an installation that cannot be written to, for a user without a directory of his own, nothing can be kept: the
    function is compiled in every process, and a warning says so once.

    Args:
        nogil: Whether other threads run meanwhile.
    """

    def compile_kept(function: F) -> F:
        try:
            # Called as the function itself is called.
            return cast(F, njit(cache=True, nogil=nogil)(function))
        except RuntimeError as error:
            # What Numba raises where it finds no directory; any other error of that kind is not about the cache.
            if "cannot cache" not in str(error):
                raise
            _say_once()
            return cast(F, njit(nogil=nogil)(function))

    return compile_kept


def _say_once() -> None:
    # One text from one place, which Python shows once in a process.
    warnings.warn(
        "compiled code cannot be kept (the installation is read-only and there is no cache directory), so every start "
        "takes some seconds longer; set NUMBA_CACHE_DIR to a directory that can be written to",
        stacklevel=2,
    )
