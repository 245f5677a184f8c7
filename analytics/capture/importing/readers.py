"""Rows of a CSV, JSON-lines or Parquet file: numbered, of one width, in bounded memory.

A reader yields `(line, cells)`; a row that cannot be read comes as `(line, RowProblem)` and the next row follows, so
that one bad row never takes its neighbours with it. Cells stand in the order of `Reader.columns`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from .files import opened
from .problems import ImportProblem, RowProblem, nearest, shown

if TYPE_CHECKING:
    import io

    from .mapping import FileFormat

MAX_LINE = 1024 * 1024
MAX_RECORD_LINES = 100
MAX_COLUMNS = 2_000
MAX_ROW_GROUP = 2 * 1024**3
SUFFIXES = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
# Text of these holds the byte 10 only as an end of line, so that lines can be cut before they are decoded.
ENCODINGS = ("utf-8", "cp1252", "cp1250", "cp1251", "iso-8859-1", "iso-8859-15", "ascii")

Cells = Sequence[Any]
Row = tuple[int, Cells | RowProblem]


@dataclass(frozen=True)
class Reader:
    """A file that was opened once to learn its columns; `rows()` may be walked any number of times."""

    kind: str
    columns: tuple[str, ...]
    rows: Callable[[], Iterator[Row]]


def kind_of(path: Path, form: FileFormat) -> str:
    """csv, jsonl or parquet: as the mapping says, else by the file's name."""
    if form.format:
        return form.format
    suffix = path.with_suffix("").suffix if path.suffix.lower() in {".gz", ".gzip"} else path.suffix
    if kind := SUFFIXES.get(suffix.lower()):
        return kind
    raise ImportProblem(
        f"the kind of the file cannot be told from its name {path.name}",
        remedy="name it *.csv, *.jsonl or *.parquet (with .gz if packed), or set file.format in the mapping",
    )


def open_rows(path: Path, form: FileFormat, wanted: Sequence[str]) -> Reader:
    """A reader over `wanted` columns; raises ImportProblem when the file does not have one of them."""
    return READERS[kind_of(path, form)](path, form, wanted)


def positions(columns: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where each wanted column stands; names the nearest one that exists."""
    doubled = sorted({name for name in columns if columns.count(name) > 1} & set(wanted))
    if doubled:
        message = f"the file has two columns called {shown(doubled[0])}"
        raise ImportProblem(message, remedy="rename one of them in the file", line=1, field=doubled[0])
    for name in wanted:
        if name not in columns:
            message = "the file has no such column"
            raise ImportProblem(message, remedy=nearest(name, columns), line=1, field=name)
    return [columns.index(name) for name in wanted]


# --- CSV


def csv_reader(path: Path, form: FileFormat, wanted: Sequence[str]) -> Reader:
    """Comma-separated text with a header line (or `file.header` naming the columns)."""
    columns = form.header or csv_header(path, form)
    picked = positions(columns, wanted)
    return Reader("csv", tuple(wanted), lambda: csv_rows(path, form, len(columns), picked))


def csv_header(path: Path, form: FileFormat) -> tuple[str, ...]:
    """The names of the first line, without the byte-order mark that spreadsheets put there."""
    with opened(path) as file:
        line = file.readline(MAX_LINE + 1).removeprefix(b"\xef\xbb\xbf")
    if len(line) > MAX_LINE:
        message = f"the header line is longer than {MAX_LINE:,} bytes"
        raise ImportProblem(message, remedy="check that lines end with a line feed (byte 10)", line=1)
    try:
        names = next(csv.reader([line.decode(form.encoding)], delimiter=form.delimiter, strict=True), [])
    except UnicodeDecodeError as error:
        raise undecodable_header(error, form.encoding) from None
    except csv.Error as error:
        raise ImportProblem(f"the header cannot be read ({error})", remedy="check its quotes", line=1) from None
    if not 0 < len(names) <= MAX_COLUMNS:
        message = f"the header has {len(names):,} columns"
        raise ImportProblem(message, remedy=f"a file has 1 to {MAX_COLUMNS:,} columns", line=1)
    return tuple(name.strip() for name in names)


def undecodable_header(error: UnicodeDecodeError, encoding: str) -> ImportProblem:
    """Say which byte it is and what to write into the mapping."""
    message = f"the header is not {encoding} (byte {error.object[error.start]:#04x} at {error.start})"
    return ImportProblem(message, remedy="set file.encoding in the mapping, for example cp1252", line=1)


class CsvLines:
    """Decoded lines of a file; remembers those of the record being read, so that they can be read again."""

    def __init__(self, file: io.BufferedReader, encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self._again: list[str] = []
        self.held: list[str] = []
        self.number = 0

    def __iter__(self) -> CsvLines:
        return self

    def __next__(self) -> str:
        if len(self.held) >= MAX_RECORD_LINES:
            raise OpenQuoteError
        line = self._again.pop() if self._again else self._read()
        self.held.append(line)
        self.number += 1
        return line

    def _read(self) -> str:
        data = self._file.readline(MAX_LINE)
        if not data:
            raise StopIteration
        if len(data) == MAX_LINE and not data.endswith(b"\n"):
            self._skip_rest()
            return TOO_LONG
        # Undecodable bytes travel as lone surrogates: the row is refused later, its neighbours are not.
        return data.decode(self._encoding, "surrogateescape")

    def _skip_rest(self) -> None:
        while (data := self._file.readline(MAX_LINE)) and not data.endswith(b"\n"):
            pass

    def start_record(self) -> None:
        self.held.clear()

    def give_back_all_but_first(self) -> None:
        """The record was no record: only its first line is bad, the others are read again."""
        self._again.extend(reversed(self.held[1:]))
        self.number -= len(self.held) - 1


class OpenQuoteError(Exception):
    """A quote was opened and not closed within a hundred lines."""


TOO_LONG = "\0too long\0"


def csv_rows(path: Path, form: FileFormat, width: int, picked: Sequence[int]) -> Iterator[Row]:
    """Rows after the header. A quote that is never closed costs its own line, not the rest of the file."""
    with opened(path) as file:
        lines = CsvLines(file, form.encoding)
        if not form.header:
            next(lines, None)
        while True:
            yield from csv_run(lines, form.delimiter, width, picked)
            if not lines.held:
                return
            lines.give_back_all_but_first()
            message, remedy = "a quote is opened and not closed", 'close it, or write " as "" inside quotes'
            yield lines.number, RowProblem("unreadable_row", message, remedy=remedy, row=lines.held[:1])


def csv_run(lines: CsvLines, delimiter: str, width: int, picked: Sequence[int]) -> Iterator[Row]:
    """Rows until the end of the file (then nothing is held) or until a record that is none (its lines are held)."""
    lines.start_record()
    # Strict, because a stray quote would otherwise swallow its neighbours until the next one, in silence.
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        start = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except OpenQuoteError:
            return
        except csv.Error as error:
            if len(lines.held) > 1:
                return
            message = f"the row cannot be read ({error})"
            yield start, RowProblem("unreadable_row", message, remedy="check its quotes", row=lines.held[:1])
            lines.start_record()
            continue
        if len(cells) == width and width > 0 and not bad_text(lines.held):
            yield start, [cells[i] for i in picked]
        elif cells and len(lines.held) > 1 and len(cells) != width:
            return
        elif cells:
            yield start, misfit(cells, width, lines.held)
        lines.start_record()


def bad_text(held: list[str]) -> bool:
    """Whether a line holds bytes of another encoding, or was too long to be kept."""
    return not all(line.isascii() or is_clean(line) for line in held) or held[0] is TOO_LONG


def is_clean(line: str) -> bool:
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True


def misfit(cells: Sequence[str], width: int, held: list[str]) -> RowProblem:
    """Why a line is no row of this table."""
    if held[0] is TOO_LONG:
        remedy = "shorten it, or check that lines end with a line feed (byte 10)"
        return RowProblem("row_too_long", f"the line is longer than {MAX_LINE:,} bytes", remedy=remedy)
    if bad_text(held):
        text = next(cell for cell in cells if not is_clean(cell))
        remedy = "set file.encoding in the mapping, for example cp1252"
        return RowProblem("wrong_encoding", f"{shown(text)} is not in the file's encoding", remedy=remedy, row=cells)
    remedy = "check for a delimiter outside quotes, or a row that was cut off"
    return RowProblem("wrong_width", f"the row has {len(cells)} columns, the header {width}", remedy=remedy, row=cells)


# --- JSON lines


def jsonl_reader(path: Path, form: FileFormat, wanted: Sequence[str]) -> Reader:
    """One JSON object a line; a key that is absent is an empty cell, `a.b` reaches into objects."""
    return Reader("jsonl", tuple(wanted), lambda: jsonl_rows(path, [name.split(".") for name in wanted]))


def jsonl_rows(path: Path, wanted: Sequence[Sequence[str]]) -> Iterator[Row]:
    """Rows of a JSON-lines file; blank lines are none."""
    decoder = msgspec.json.Decoder(dict[str, Any], float_hook=exact_float)
    with opened(path) as file:
        for number, data in enumerate(json_lines(file), 1):
            if data is None:
                yield number, RowProblem("row_too_long", f"longer than {MAX_LINE:,} bytes", remedy="shorten the line")
            elif data.strip():
                yield number, json_cells(decoder, data, wanted)


def json_lines(file: io.BufferedReader) -> Iterator[bytes | None]:
    """Lines of at most one MiB; a longer one comes as None and is skipped."""
    while data := file.readline(MAX_LINE):
        if len(data) < MAX_LINE or data.endswith(b"\n"):
            yield data
            continue
        while (data := file.readline(MAX_LINE)) and not data.endswith(b"\n"):
            pass
        yield None


def exact_float(text: str) -> str:
    """Numbers with a fraction stay text until their column says what they are: money must not pass a float."""
    return text


def json_cells(decoder: msgspec.json.Decoder[dict[str, Any]], data: bytes, wanted: Sequence[Sequence[str]]) -> Any:
    try:
        whole = decoder.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        remedy = "write one JSON object a line, in UTF-8"
        row = [data.decode("utf-8", "replace")]
        return RowProblem("unreadable_row", f"the line is no JSON object ({error})", remedy=remedy, row=row)
    return [reach(whole, path) for path in wanted]


def reach(value: Any, path: Sequence[str]) -> Any:
    """The value under nested keys, None where the way ends."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


# --- Parquet


def parquet_reader(path: Path, form: FileFormat, wanted: Sequence[str]) -> Reader:
    """A Parquet file, a few thousand rows in memory at a time; lines are row numbers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            columns = file.schema_arrow.names
            groups = range(file.metadata.num_row_groups)
            largest = max((file.metadata.row_group(i).total_byte_size for i in groups), default=0)
    except (pa.ArrowException, OSError, ValueError) as error:
        message = f"this is no readable Parquet file ({first_line(error)})"
        raise ImportProblem(message, remedy="write it again, or check that it was fetched whole") from None
    if largest > MAX_ROW_GROUP:
        message = f"a row group unpacks to {largest:,} bytes"
        raise ImportProblem(message, remedy=f"write row groups below {MAX_ROW_GROUP:,} bytes")
    positions(columns, wanted)
    return Reader("parquet", tuple(wanted), lambda: parquet_rows(path, wanted))


def parquet_rows(path: Path, wanted: Sequence[str]) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=4096, columns=list(wanted)):
                cells = [batch.column(batch.schema.get_field_index(name)).to_pylist() for name in wanted]
                for row in zip(*cells, strict=True):
                    number += 1
                    yield number, row
    except (pa.ArrowException, OSError, ValueError) as error:
        message = f"the Parquet file breaks off after row {number:,} ({first_line(error)})"
        raise ImportProblem(message, remedy="write it again, or check that it was fetched whole") from None


def first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:200]


READERS: dict[str, Callable[[Path, Any, Sequence[str]], Reader]] = {
    "csv": csv_reader,
    "jsonl": jsonl_reader,
    "parquet": parquet_reader,
}
