"""Where the shipped settings lie. Imports none of them: a package of the user's may have any name."""

from __future__ import annotations

from pathlib import Path

import icm


def conf_dir() -> Path:
    """Return the directory `conf/`: inside the installed package, or beside it in a checkout."""
    package = Path(icm.__file__).parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"
