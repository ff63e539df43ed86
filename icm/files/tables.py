"""Files of rows that others wrote: JSON, JSON Lines, CSV and its kin, Parquet, Excel, gzip'd or not.

The one reader of them: whoever reads rows goes through `read_table`, so a byte-order mark, a blank line, a repeated
column or another delimiter means the same everywhere. What is ambiguous is refused; what means "no value" (null, NaN)
becomes `None`. Knows no column's meaning.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from icm.claims import ABSENT_WORDS
from icm.errors import SchemaError
from icm.files.excel import parse_excel

_CSV_FIELD_LIMIT: Final = 1 << 24  # characters; the csv module's own limit of 128 KiB is below a long solution

_DELIMITERS: Final = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
"""Delimiters that are told apart by the first lines of a file, and what settings may call them."""

_MAX_DIGITS: Final = 1000

_SAMPLE_ROWS: Final = 50  # rows that must fit a delimiter; enough to part a table from a text that holds its character

# The longest first: the mark of UTF-32 begins with the mark of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

NumberedRows = tuple[list[dict[str, Any]], list[int]]
"""Rows by column, and the line on which each begins, from 1; no lines where the file has none."""


def read_table(
    path: Path, *, delimiter: str | None = None, encoding: str | None = None, untyped: str | None = None
) -> NumberedRows:
    """Read the rows of a file; its name says of which type it is, and `.gz` may be added to it.

    Args:
        path: The file.
        delimiter: What parts the fields of CSV, see `named_delimiter`; found by the name or the first lines if `None`.
        encoding: Encoding of a text file; UTF-8, or what a byte-order mark says, if `None`.
        untyped: The suffix whose reader takes files of other names; refused if `None`.

    Raises:
        SchemaError: The file is missing, of an unknown type, or not what its name says; the message names the line.
    """
    suffix = suffix_of(path)
    kind = suffix if suffix in FILE_TYPES else untyped
    if kind is None and delimiter is None:
        raise SchemaError(
            f"{path}: unknown file type; use one of {', '.join(FILE_TYPES)}, each also with .gz added, or say which "
            f"delimiter parts the fields"
        )
    if delimiter is not None and suffix in (".jsonl", ".ndjson", ".json", ".parquet", ".xlsx"):
        raise SchemaError(f"{path}: a delimiter, {delimiter!r}, is for CSV files; leave it out, or rename the file")
    raw = _unpacked(path, _read_bytes(path))
    # Whatever the name, a delimiter says that the file is CSV.
    if delimiter is not None:
        return parse_csv(path, raw, named_delimiter(delimiter), encoding)
    match kind:
        case ".csv" | ".tsv" | ".tab":
            return parse_csv(path, raw, None if kind == ".csv" else "\t", encoding)
        case ".parquet":
            return _parse_parquet(path, raw)
        case ".xlsx":
            return parse_excel(path, raw)
        case _:
            return parse_json_rows(path, raw, encoding)


FILE_TYPES: Final = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".tab", ".parquet", ".xlsx")
"""What the name of a file of rows may end in, before `.gz`."""


def suffix_of(path: Path) -> str:
    """Return the suffix that tells the type of a file, in lower case: the last one, or the one before `.gz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return ([suffix for suffix in suffixes[-2:] if suffix != ".gz"] or [""])[-1]


def named_delimiter(name: str) -> str:
    """Return the character that a delimiter's name stands for: comma, semicolon, tab, pipe, or itself.

    Raises:
        SchemaError: It is neither one of these names nor one character that can part fields.
    """
    # A command line hands over the two characters of `\t`.
    delimiter = _DELIMITERS.get(name.lower(), "\t" if name == "\\t" else name)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise SchemaError(f"a delimiter is one character, or {', '.join(_DELIMITERS)}, got {name!r}")
    return delimiter


def is_absent(value: Any) -> bool:
    """Return whether a value says that there is none: null, NaN, an empty text, or the words data frames write for it.

    `None`, `null` and `NA` as texts are not among them: they are answers, names of people and places too.
    """
    if isinstance(value, str):
        return value.strip() in ABSENT_WORDS
    return value is None or (isinstance(value, float) and math.isnan(value))


def without_nan(value: Any) -> Any:
    """Return a value with `None` for every NaN inside of it: what data frames write where they have no value."""
    match value:
        case float() if math.isnan(value):
            return None
        case dict():
            return {key: without_nan(item) for key, item in value.items()}
        case list():
            return [without_nan(item) for item in value]
        case _:
            return value


# ------------------------------------------------------------------------------------------------- bytes and text


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except IsADirectoryError:
        raise SchemaError(f"{path}: is a directory, not a file") from None
    except FileNotFoundError:
        raise SchemaError(f"{path}: no such file") from None
    except OSError as error:
        raise SchemaError(f"{path}: cannot be read ({error.strerror})") from None


def _unpacked(path: Path, raw: bytes) -> bytes:
    if path.suffix.lower() != ".gz":
        return raw
    # A file cut short raises only when it is unpacked to its end; a damaged one may raise an error of zlib.
    try:
        return gzip.decompress(raw)
    except Exception as error:
        raise SchemaError(f"{path}: not a gzip file, or cut short ({error})") from None


def decode(path: Path, raw: bytes, encoding: str | None = None) -> str:
    """Return text without the byte-order mark that spreadsheets put before it.

    Without an encoding it is UTF-8, or the UTF-16 or UTF-32 that a byte-order mark says.

    Raises:
        SchemaError: It is not text of that encoding.
    """
    # Excel writes a byte-order mark, which would become a part of the first column's name.
    marked = next((name for mark, name in _MARKS if raw.startswith(mark)), "utf-8-sig")
    encoding = encoding or marked
    try:
        text = raw.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        name = encoding.removesuffix("-sig").upper()
        raise SchemaError(
            f"{path}:{line}: not {name} text ({error.reason} at byte {error.start}); save the file as UTF-8, or say "
            f"which encoding it has (task.encoding=cp1252 for a table of old Windows programs)"
        ) from None
    except (LookupError, ValueError):
        raise SchemaError(f"{path}: there is no encoding {encoding!r}; utf-8, utf-16 and cp1252 are some") from None
    # UTF-16 without its mark is valid UTF-8 with a NUL in every second place.
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise SchemaError(
            f"{path}:{line}: holds a NUL character, so it is no text of that encoding; save the file as UTF-8"
        )
    return text


# ------------------------------------------------------------------------------------------------------------ JSON


def parse_json_rows(path: Path, raw: bytes, encoding: str | None = None) -> NumberedRows:
    """Read JSON Lines or a JSON list of objects, told apart by the first character; blank lines are skipped.

    Raises:
        SchemaError: It is neither, in the encoding.
    """
    text = decode(path, raw, encoding)
    # Only a `.json` file must be one value: of any other, the line at fault is the better message.
    whole = _one_value(text) if suffix_of(path) == ".json" or text.lstrip().startswith("[") else None
    if isinstance(whole, list):
        return _objects_of(path, parse_json(str(path), text)), []
    if suffix_of(path) == ".json":
        # One object, over one line or many, is a container of rows and not a row.
        if whole is not None:
            raise SchemaError(f"{path}: must hold a list of JSON objects, got {shown(whole)}; JSON Lines end in .jsonl")
        if text.lstrip().startswith("["):
            parse_json(str(path), text)
    return _parse_lines(path, text)


def _objects_of(path: Path, values: Any) -> list[dict[str, Any]]:
    for number, row in enumerate(values):
        if not isinstance(row, dict):
            raise SchemaError(f"{path}: row {number}: must be a JSON object, got {shown(row)}")
    return values


def _one_value(text: str) -> Any:
    """Return the value of a text that is one JSON value, `None` of any other text."""
    # Only its shape is looked at, so its numbers may stay text, of whatever length.
    try:
        return json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None


def _parse_lines(path: Path, text: str) -> NumberedRows:
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    # Not `splitlines`, which also cuts at separators that JSON allows inside of a text.
    for number, line in enumerate(text.split("\n"), start=1):
        # Files that were joined carry the mark of each.
        content = line.removeprefix("\ufeff")
        if not content.strip():
            continue
        row = parse_json(f"{path}:{number}", content)
        if not isinstance(row, dict):
            raise SchemaError(f"{path}:{number}: a line must be a JSON object, got {shown(row)}")
        rows.append(row)
        lines.append(number)
    return rows, lines


def parse_json(where: str, text: str) -> Any:
    """Return the value of JSON text, with `None` for NaN.

    Raises:
        SchemaError: It is not JSON, an object has one key twice, or a number is infinite; the message starts with
            `where`.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise SchemaError(f"{where}: not valid JSON ({error.msg} at column {error.colno})") from None
    except RecursionError:
        raise SchemaError(f"{where}: not JSON that can be read (nested too deeply)") from None
    except ValueError as error:  # one of those below
        raise SchemaError(f"{where}: not JSON that can be read ({error})") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    # JSON leaves open which of two equal keys counts, so neither is taken.
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {shown(twice)} stands twice in one object; remove or rename one of them")
    return found


def _integer(digits: str) -> int | str:
    # Python makes no number of so many digits; as text they stay what they are.
    return int(digits) if len(digits) <= _MAX_DIGITS else digits


def _constant(name: str) -> None:
    if name != "NaN":
        raise ValueError(f"{name} is no number that a row may hold")


# ------------------------------------------------------------------------------------------------------------- CSV


def parse_csv(path: Path, raw: bytes, delimiter: str | None = None, encoding: str | None = None) -> NumberedRows:
    """Read CSV under a header line; all values are text.

    Fields of other files than those parted by tabs are quoted as spreadsheets quote them. Of these, a file whose quotes
    do not close is read with quotes as plain characters, which is how many programs write it.

    Args:
        path: The file, for messages.
        raw: Its bytes.
        delimiter: The character between two fields; found by the first lines if `None`.
        encoding: As `decode` takes it.

    Raises:
        SchemaError: The file is not CSV in the encoding, a row is longer or shorter than the header, a column stands
            twice in it, or two delimiters are possible.
    """
    csv.field_size_limit(_CSV_FIELD_LIMIT)
    text = decode(path, raw, encoding)
    delimiter = delimiter or _delimiter_of(path, text)
    if delimiter == "\t":
        with suppress(csv.Error):
            return _parse_fields(path, text, delimiter)
    try:
        return _parse_fields(path, text, delimiter, quoted=delimiter != "\t")
    except csv.Error as error:
        raise SchemaError(str(error)) from None


def _parse_fields(path: Path, text: str, delimiter: str, *, quoted: bool = True) -> NumberedRows:
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    header: list[str] = []
    for begin, fields in _fields(path, text, delimiter, quoted=quoted):
        if not header:
            header = fields
            if twice := [column for column in header if column and header.count(column) > 1]:
                raise SchemaError(f"{path}:{begin}: the header has column {twice[0]!r} twice; rename one of them")
        elif len(fields) != len(header):
            raise SchemaError(
                f"{path}:{begin}: {len(fields)} fields under a header of {len(header)}, parted by {delimiter!r}"
            )
        else:
            rows.append(dict(zip(header, fields, strict=True)))
            lines.append(begin)
    return rows, lines


def _fields(path: Path | str, text: str, delimiter: str, *, quoted: bool = True) -> Iterator[tuple[int, list[str]]]:
    """Yield the fields of each row that has any, after the line on which it begins."""
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter, quoting=quoting)
    # A quoted field may span lines, so a row begins one line after the end of the row before it.
    begin = 1
    try:
        for fields in reader:
            # A blank line is read as no fields at all, and skipped.
            if fields:
                yield begin, fields
            begin = reader.line_num + 1
    except csv.Error as error:
        raise csv.Error(f"{path}:{begin}: not valid CSV ({error})") from None


def _delimiter_of(path: Path, text: str) -> str:
    """Return the delimiter that parts the header and fits the first rows; a comma where none does."""
    widths = {delimiter: _widths(text, delimiter) for delimiter in _DELIMITERS.values()}
    parting = [delimiter for delimiter, found in widths.items() if found and found[0] > 1]
    fitting = [delimiter for delimiter in parting if len({*widths[delimiter]}) == 1]
    # Where no delimiter fits all rows, that of the header: reading on names the row that is wrong.
    candidates = fitting or parting or [","]
    if len(candidates) > 1:
        raise SchemaError(
            f"{path}:1: the fields may be parted by {' or by '.join(map(repr, candidates))}; say by which "
            f"(task.delimiter=comma), or put fields that hold the other one in quotes"
        )
    return candidates[0]


def _widths(text: str, delimiter: str) -> list[int]:
    """Return the number of fields of the first rows, and 0 for one that is not CSV with this delimiter."""
    widths: list[int] = []
    try:
        for _, fields in _fields("", text, delimiter):
            widths.append(len(fields))
            if len(widths) > _SAMPLE_ROWS:
                break
    except csv.Error:
        widths.append(0)
    return widths


# --------------------------------------------------------------------------------------------------------- Parquet


def _parse_parquet(path: Path, raw: bytes) -> NumberedRows:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(pa.BufferReader(raw))
        names = file.schema_arrow.names
        # Before the rows, each of which could hold only one of the two.
        if twice := [name for name in names if names.count(name) > 1]:
            raise SchemaError(f"{path}: has column {twice[0]!r} twice; rename one of them")
        return [without_nan(row) for row in file.read().to_pylist()], []
    except (pa.ArrowException, OSError) as error:
        raise SchemaError(f"{path}: not a Parquet file ({str(error).splitlines()[0]})") from None


def shown(value: Any) -> str:
    """Return a value as an error message shows it: short."""
    try:
        whole = repr(value)
    except (RecursionError, ValueError):  # nested deeply; an integer of thousands of digits
        whole = f"a {type(value).__name__} too large to show"
    return whole if len(whole) <= 80 else f"{whole[:77]}..."
