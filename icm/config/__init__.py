"""What commands are told: settings and places, as they are composed from `conf/` and from what was typed."""

from icm.config.compose import compose_command, jobs_of, load, load_command, load_task, shown_settings, validate
from icm.config.settings import Config, Places, Settings, TrainingOverrides

__all__ = [
    "Config",
    "Places",
    "Settings",
    "TrainingOverrides",
    "compose_command",
    "jobs_of",
    "load",
    "load_command",
    "load_task",
    "shown_settings",
    "validate",
]
