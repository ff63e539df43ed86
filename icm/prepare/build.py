"""Builds the claims of any task: one `match` on its settings. Knows no model and no search."""

from __future__ import annotations

from typing import assert_never

from icm.prepare import alpaca, custom, gsm8k, pocket, truthfulqa
from icm.prepare.items import TaskItems
from icm.prepare.settings import (
    AlpacaSettings,
    CustomSettings,
    Gsm8kSettings,
    PocketSettings,
    TaskSettings,
    TruthfulqaSettings,
)
from icm.prepare.sources import read


def build(settings: TaskSettings) -> TaskItems:
    """Read the source of a task and turn it into claims and golden labels.

    Raises:
        SchemaError: The source is missing, empty, or does not hold what the task needs.
        ConfigError: A Hub data set cannot be loaded, or there is no such pocket task.
    """
    if isinstance(settings, PocketSettings):
        return pocket.build(settings.task, settings.world_seed)
    table = read(settings)
    match settings:
        case Gsm8kSettings():
            return gsm8k.build(settings, table)
        case TruthfulqaSettings():
            return truthfulqa.build(settings, table)
        case AlpacaSettings():
            return alpaca.build(settings, table)
        case CustomSettings():
            return custom.build(settings, table)
        case _:
            assert_never(settings)
