"""Reads data sources into tables: files of any type that `icm.files.tables` knows, and Hub data sets.

Knows no meaning of any column.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from icm.errors import ConfigError, SchemaError
from icm.files.tables import read_table, without_nan
from icm.prepare.settings import SourceSettings
from icm.prepare.tables import Table, columns_of


def read(settings: SourceSettings) -> Table:
    """Read the file or the Hub data set that a task names.

    Raises:
        SchemaError: The file is missing, empty, or not what its name says it is.
        ConfigError: The Hub data set cannot be loaded.
    """
    if settings.path is not None:
        table = _read_file(settings, settings.path)
    else:
        assert settings.hub_id is not None  # the settings have exactly one source
        table = _read_hub(settings.hub_id, settings.hub_config, settings.split)
    if not table.rows:
        raise SchemaError(f"{table.name}: the data set is empty; give a source with at least one row")
    return table


def _read_file(settings: SourceSettings, path: Path) -> Table:
    if not path.is_file():
        what = "is a directory, not a file" if path.is_dir() else "no such file"
        raise SchemaError(
            f"{path}: {what}; task.path names a JSON, JSON Lines, CSV, TSV or Parquet file (or .gz of one)"
        )
    rows, lines = read_table(path, delimiter=settings.delimiter, encoding=settings.encoding)
    return Table(str(path), columns_of(rows), rows, lines)


def _read_hub(hub_id: str, config: str | None, split: str) -> Table:
    name = f"{hub_id} ({config or 'default'}, {split})"
    # The datasets library would read it too, guessing its type, and no error would name a line.
    if Path(hub_id).is_file():
        raise ConfigError(f"task.hub_id={hub_id} is a local file; give it as task.path")
    import datasets

    try:
        # The library's cache knows a local folder by its name alone, and would answer with another folder of that name,
        # or with what the files held before. So a folder gets a cache of its own, which is thrown away.
        with TemporaryDirectory(prefix="icm-") if Path(hub_id).is_dir() else nullcontext() as cache:
            dataset = datasets.load_dataset(path=hub_id, name=config, split=split, cache_dir=cache)
            rows = [without_nan(dict(row)) for row in dataset]
    except Exception as error:  # datasets raises its own, huggingface_hub's, httpx's and plain ValueErrors alike
        raise ConfigError(
            f"cannot load {name} from the Hub: {type(error).__name__}: {str(error).splitlines()[0]}. "
            f"Check task.hub_id, task.hub_config and task.split, or give a local copy as task.path=FILE"
        ) from error
    return Table(name, columns_of(rows), rows, [])
