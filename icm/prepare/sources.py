"""Reads data sources into tables: JSON, JSON Lines, CSV and Parquet, gzip'd or not, and Hub data sets.

Knows the shapes of files, not the meaning of any column.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from icm.errors import ConfigError, SchemaError
from icm.files.tables import NumberedRows, decode, parse_csv, parse_json, parse_jsonl, shown
from icm.prepare.settings import SourceSettings
from icm.prepare.tables import Table


def read(settings: SourceSettings) -> Table:
    """Read the file or the Hub data set that a task names.

    Raises:
        SchemaError: The file is missing, empty, or not what its name says it is.
        ConfigError: The Hub data set cannot be loaded.
    """
    if settings.path is not None:
        table = _read_file(settings.path)
    else:
        assert settings.hub_id is not None  # the settings have exactly one source
        table = _read_hub(settings.hub_id, settings.hub_config, settings.split)
    if not table.rows:
        raise SchemaError(f"{table.name}: the data set is empty; give a source with at least one row")
    return table


# -------------------------------------------------------------------------------------------------------- files


def _read_file(path: Path) -> Table:
    if not path.is_file():
        what = "is a directory, not a file" if path.is_dir() else "no such file"
        raise SchemaError(f"{path}: {what}; task.path names a JSON, JSON Lines, CSV or Parquet file (or .gz of one)")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] == ".gz"
    # `rows.jsonl.gz` is recognised by its last suffix but one; a bare `rows.gz` has none and is refused below.
    suffix = (suffixes[-2:-1] if packed else suffixes[-1:]) or [""]
    reader = _READERS.get(suffix[0])
    if reader is None:
        raise SchemaError(f"{path}: unknown file type; use one of {', '.join(_READERS)}, each also with .gz added")
    raw = path.read_bytes()
    if packed:
        # A file cut short raises only when it is unpacked to its end, hence both errors.
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError) as error:
            raise SchemaError(f"{path}: not a gzip file, or cut short ({error})") from None
    rows, lines = reader(path, raw)
    return Table(str(path), _columns_of(rows), rows, lines)


def _read_json(path: Path, raw: bytes) -> NumberedRows:
    value = parse_json(str(path), decode(path, raw))
    if not isinstance(value, list):
        raise SchemaError(f"{path}: must hold a list of JSON objects, got {shown(value)}; JSON Lines end in .jsonl")
    for number, row in enumerate(value):
        if not isinstance(row, dict):
            raise SchemaError(f"{path}: row {number}: must be a JSON object, got {shown(row)}")
    return value, []


def _read_parquet(path: Path, raw: bytes) -> NumberedRows:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(pa.BufferReader(raw)).to_pylist(), []
    except pa.ArrowException as error:
        raise SchemaError(f"{path}: not a Parquet file ({error})") from None


_READERS: Final[Mapping[str, Callable[[Path, bytes], NumberedRows]]] = {
    ".jsonl": parse_jsonl,
    ".json": _read_json,
    ".csv": parse_csv,
    ".parquet": _read_parquet,
}


# ---------------------------------------------------------------------------------------------------------- hub


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
            rows = [dict(row) for row in dataset]
    except Exception as error:  # datasets raises its own, huggingface_hub's, httpx's and plain ValueErrors alike
        raise ConfigError(
            f"cannot load {name} from the Hub: {type(error).__name__}: {str(error).splitlines()[0]}. "
            f"Check task.hub_id, task.hub_config and task.split, or give a local copy as task.path=FILE"
        ) from error
    return Table(name, _columns_of(rows), rows, [])


def _columns_of(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(column for row in rows for column in row))
