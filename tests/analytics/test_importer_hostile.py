"""Hostile and broken files: an unusable one is refused whole, in bounded memory; a bad row costs nothing but itself."""

from __future__ import annotations

import gzip
import io
import resource
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from analytics.capture.importing import files, readers
from analytics.capture.importing.mapping import FileFormat
from analytics.capture.importing.problems import ImportProblem, RowProblem
from analytics.models import Tenant
from analytics.tenancy import tenant_context

HEADER = b"id,at,who,plan\n"
GOOD = b"%d,2026-03-02 09:00:00,ann,gold\n"
MAPPING = """
version: 1
columns: {id: text, at: time, who: text, plan: text}
every_row: {id: "{id}", time: "{at}", user: "{who}", properties: {plan: "{plan}"}}
rows: [{event: signed_up}]
"""


def gzipped(data: bytes, cut: int | None = None) -> bytes:
    return gzip.compress(data)[:cut]


def bomb(size: int) -> bytes:
    """`size` bytes of one line, over and over, in a thousandth of it."""
    packer, line = zlib.compressobj(9, wbits=31), (GOOD % 1) * 40_000
    return b"".join(packer.compress(line) for _ in range(size // len(line))) + packer.flush()


UNUSABLE: list[tuple[str, bytes, str]] = [
    ("empty.csv", b"", "is empty"),
    ("data.bin", b"id", "the kind of the file cannot be told"),
    ("book.csv", b"PK\x03\x04" + b"x" * 100, "ZIP archive or an Excel workbook"),
    ("old.csv", b"\xd0\xcf\x11\xe0\xa1\xb1", "old Excel workbook"),
    ("paper.csv", b"%PDF-1.7", "this is a PDF"),
    ("base.csv", b"SQLite format 3\0", "SQLite database"),
    ("wide.csv", "id,at,who,plan\n1,2026-03-02,ann,gold\n".encode("utf-16"), "UTF-16"),
    ("nul.csv", b"\0\1\2" * 1000, "full of NUL bytes"),
    ("cut.csv.gz", gzipped(HEADER + GOOD % 1 * 5000, 60), "cut off"),
    ("noise.csv.gz", gzipped(HEADER + GOOD % 1 * 5000)[:40] + b"\xff" * 40, "damaged"),
    ("tail.csv.gz", gzipped(HEADER + GOOD % 1) + b"garbage", "damaged"),
    ("members.csv.gz", gzipped(b"") * 5_000 + gzipped(HEADER + GOOD % 1), "1,000 empty parts one after another"),
    ("twice.csv.gz", gzipped(gzipped(HEADER + GOOD % 1)), "gzipped twice"),
    (
        "other.csv",
        b"ids,at,who,plan\n1,2026-03-02,a,b\n",
        'field id: the file has no such column. Remedy: use "ids"',
    ),
    ("double.csv", b"id,id,at,who,plan\n1,2,2026-03-02,a,b\n", "two columns called"),
    ("semicolon.csv", b"id;at;who;plan\n1;2026-03-02;a;b\n", "no such column"),
    ("latin.csv", "id,at,who,plan,größe\n".encode("latin-1"), "set file.encoding in the mapping, for example cp1252"),
    ("many.csv", b"a," * 3000 + b"\n", "the header has 3,001 columns"),
    ("long.csv", b"a" * (2 * 1024 * 1024), "the header line is longer"),
    ("fake.parquet", b"PAR1" + b"x" * 100, "no readable Parquet file"),
    ("text.parquet", HEADER + GOOD % 1, "no readable Parquet file"),
    ("column.csv", b"PAR1" + b"\x15" * 100, "this is a Parquet file"),
]


@pytest.mark.parametrize(("name", "data", "said"), UNUSABLE, ids=[name for name, _, _ in UNUSABLE])
def test_an_unusable_file_is_refused_in_words_and_leaves_no_trace(
    name: str, data: bytes, said: str, tmp_path: Path, acme: Tenant, globex: Tenant
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CommandError) as caught:
        run(tmp_path, name, "acme")
    assert said in str(caught.value)
    assert "Remedy: " in str(caught.value)
    for tenant in (acme, globex):
        assert counts(tenant) == (0, 0)


@pytest.mark.parametrize("name", ["", "missing.csv", "nul\0.csv"])
def test_a_path_that_is_no_file_is_refused_in_words(name: str, tmp_path: Path, acme: Tenant, globex: Tenant) -> None:
    with pytest.raises(CommandError, match="Remedy: "):
        run(tmp_path, name, "acme")


BAD_ROWS: list[tuple[str, bytes, list[str]]] = [
    ("too few columns", b"9,2026-03-02\n", ["wrong_width"]),
    ("too many columns", b"9,2026-03-02,ann,gold,more\n", ["wrong_width"]),
    ("another encoding", "9,2026-03-02,Ren\xe9,gold\n".encode("latin-1"), ["wrong_encoding"]),
    ("a quote that is never closed", b'9,2026-03-02,"ann,gold\n', ["unreadable_row"]),
    ("two quotes that are never closed", b'9,2026-03-02,"ann,gold\n10,2026-03-02,"bob,gold\n', ["unreadable_row"] * 2),
    ("a quote too many", b'9,2026-03-02,ann,"12" ruler"\n', ["unreadable_row"]),
    ("a line of three megabytes", b"9,2026-03-02,ann," + b"x" * 3 * 1024**2 + b"\n", ["row_too_long"]),
    ("a value of a hundred kilobytes", b"9,2026-03-02,ann," + b"x" * 100_000 + b"\n", ["too_long"]),
    ("a bare carriage return", b"9,2026-03-02,an\rn,gold\n", ["unreadable_row"]),
    ("no time", b"9,,ann,gold\n", ["no_time"]),
    ("not a time", b"9,NaN,ann,gold\n", ["bad_time"]),
    ("a time of year 10000", b"9,10000-01-01,ann,gold\n", ["bad_time"]),
    ("digits that are no digits", "9,２０２６-०३-02x,ann,gold\n".encode(), ["bad_time"]),
]


@pytest.mark.parametrize(
    ("row", "reasons"), [(row, why) for _, row, why in BAD_ROWS], ids=[name for name, _, _ in BAD_ROWS]
)
@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_bad_row_is_held_and_its_neighbours_are_stored(
    row: bytes, reasons: list[str], place: int, tmp_path: Path, acme: Tenant, globex: Tenant
) -> None:
    good = [GOOD % number for number in range(6)]
    (tmp_path / "people.csv").write_bytes(HEADER + b"".join(good[:place]) + row + b"".join(good[place:]))
    said = run(tmp_path, "people.csv", "acme")
    assert f"line {place + 2}" in said
    assert counts(acme) == (6, len(reasons))
    with tenant_context(acme.pk), connection.cursor() as cursor:
        cursor.execute("SELECT reason FROM bw_quarantine")
        assert [reason for (reason,) in cursor.fetchall()] == reasons
    assert counts(globex) == (0, 0)


FINE: list[tuple[str, bytes]] = [
    ("byte-order mark", b"\xef\xbb\xbf" + HEADER + GOOD % 1),
    ("Windows line ends", (HEADER + GOOD % 1).replace(b"\n", b"\r\n")),
    ("no end of line at the end", (HEADER + GOOD % 1).rstrip()),
    ("blank lines", HEADER + b"\n\n" + GOOD % 1 + b"\n"),
    ("a line break inside quotes", HEADER + b'1,2026-03-02,ann,"go\nld"\n'),
    ("quotes inside quotes", HEADER + b'1,2026-03-02,ann,"12"" ruler"\n'),
    ("an inch mark inside a word", HEADER + b'1,2026-03-02,ann,12" ruler\n'),
    ("NUL in a value", HEADER + b"1,2026-03-02,ann,go\0ld\n"),
    ("right-to-left and zalgo", HEADER + "1,2026-03-02,an\u202en,g\u0336o\u0335l\u0337d\n".encode()),
    ("more columns than are used", b"x,id,at,who,plan\n9,1,2026-03-02,ann,gold\n"),
    ("one good row that repeats itself", HEADER + GOOD % 1 * 3),
]


@pytest.mark.parametrize("data", [data for _, data in FINE], ids=[name for name, _ in FINE])
@pytest.mark.parametrize("packed", [False, True])
def test_odd_but_good_files_are_read(data: bytes, packed: bool, tmp_path: Path, acme: Tenant, globex: Tenant) -> None:
    name = "people.csv.gz" if packed else "people.csv"
    (tmp_path / name).write_bytes(gzip.compress(data[:20]) + gzip.compress(data[20:]) if packed else data)
    run(tmp_path, name, "acme")
    assert (counts(acme), counts(globex)) == ((1, 0), (0, 0))


BAD_JSON = [
    b"{", b"[]", b'"text"', b"5", b"nul", b'{"id": 1', b'{"id": "\xff"}', b'{"id": NaN}', b"[" * 50_000,
    b'{"a":' * 50_000, b'{"id": "1", "at": {"x": 1}}', b'{"id": "1", "at": [1]}', b'{"id": "1", "at": true}',
    b'{"id": "1", "at": 1e999}', b'{"id": "1"}', b'{"at": "2026-03-02"}', b'{"x": "' + b"y" * 2 * 1024**2 + b'"}',
]  # fmt: skip


def test_bad_json_lines_are_held_and_their_neighbours_are_stored(tmp_path: Path, acme: Tenant, globex: Tenant) -> None:
    good = b'{"id": %d, "at": "2026-03-02 09:00", "who": "a\\u0000nn", "plan": {"x": [1, 2.50, null]}}'
    lines = [part for number, bad in enumerate(BAD_JSON) for part in (good % number, bad)]
    (tmp_path / "people.jsonl").write_bytes(b"\n".join(lines))
    run(tmp_path, "people.jsonl", "acme")
    assert (counts(acme), counts(globex)) == ((len(BAD_JSON), len(BAD_JSON)), (0, 0))


def test_odd_types_of_parquet_are_read_or_held(tmp_path: Path, acme: Tenant, globex: Tenant) -> None:
    import decimal

    table = pa.table(
        {
            "id": pa.array([1, 2, 3]),
            "at": pa.array(["2026-03-02", None, "2026-03-02"]),
            "who": pa.array([b"ann", b"\xff\xfe", None], pa.binary()),
            "plan": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("2")], pa.decimal128(9, 2)),
        }
    )
    pq.write_table(table, tmp_path / "people.parquet")
    run(tmp_path, "people.parquet", "acme")
    assert counts(acme) == (2, 1)


def test_a_gzip_bomb_is_stopped_early_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(bomb(400 * 1024**2))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImportProblem, match=r"inflates to more than 6\d,\d{3},\d{3} bytes"):
        files.look_over(path, is_text=True)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024


def test_a_file_of_nothing_but_open_quotes_takes_bounded_work(tmp_path: Path) -> None:
    path = tmp_path / "quotes.csv"
    path.write_bytes(HEADER + b'1,"x\n' * 3000)
    rows = list(readers.open_rows(path, FileFormat(), ["id"]).rows())
    assert [line for line, _ in rows] == list(range(2, 3002))
    assert all(isinstance(row, RowProblem) for _, row in rows)


def run(folder: Path, name: str, tenant: str) -> str:
    mapping = folder / "people.yaml"
    mapping.write_text(MAPPING)
    out = io.StringIO()
    options: dict[str, Any] = {"stdout": out, "stderr": io.StringIO()}
    call_command("import_events", str(folder / name), tenant=tenant, mapping=mapping, **options)
    return out.getvalue()


def counts(tenant: Tenant) -> tuple[int, int]:
    """(events, rows in quarantine)"""
    with tenant_context(tenant.pk), connection.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM bw_event), (SELECT count(*) FROM bw_quarantine)")
        events, held = cursor.fetchone()
        return events, held
