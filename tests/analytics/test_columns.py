"""Rows of PostgreSQL as columns: every kind, with nulls, and without pandas, which costs 40 MB and nobody needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from django.db import connection

from analytics.columns import Block, Kind, Numbers, Texts, copy_block

KINDS: dict[str, Kind] = {"name": "text", "count": "int", "share": "float", "is_bot": "bool", "at": "instant"}
ROWS = """
SELECT * FROM (VALUES
    ('a,"b"', 1::int8, 0.5::float8, true, timestamp '2026-03-02 00:00:00.000001'),
    (NULL, NULL, NULL, NULL, NULL),
    ('Zoë', -9007199254740993, -1e300, false, timestamp '1969-12-31 23:59:59'),
    ('a,"b"', 0, 'NaN', true, NULL)) AS rows (name, count, share, is_bot, at)"""


def read(query: str) -> Block:
    with connection.cursor() as cursor:
        return copy_block(cursor, query, {}, KINDS)


def numbers(block: Block, name: str) -> tuple[list[object], list[bool]]:
    column = block.numbers(name)
    return column.values.tolist(), column.is_null.tolist()


@pytest.mark.django_db
def test_every_kind_is_read_with_its_nulls() -> None:
    block = read(ROWS)
    names = block.texts("name")
    assert [names.values[code] if code >= 0 else None for code in names.codes] == ['a,"b"', None, "Zoë", 'a,"b"']
    assert numbers(block, "count") == ([1, 0, -9007199254740993, 0], [False, True, False, False])
    assert numbers(block, "is_bot") == ([True, False, False, True], [False, True, False, False])
    assert numbers(block, "at") == ([1772409600000001, 0, -1_000_000, 0], [False, True, False, True])
    values, is_null = numbers(block, "share")
    assert (values[:3], is_null) == ([0.5, 0.0, -1e300], [False, True, False, False])
    assert np.isnan(block.numbers("share").values[3])


@pytest.mark.django_db
@pytest.mark.parametrize("nothing", ["false", "count IS NULL"])
def test_no_rows_and_nothing_but_nulls_are_columns_too(nothing: str) -> None:
    block = read(f"{ROWS} WHERE {nothing}")
    assert block.size == (nothing != "false")
    for name, column in block.columns.items():
        assert isinstance(column, Texts if name == "name" else Numbers)
        assert column.is_null.tolist() == [True] * block.size


COLUMNS = """
import io
import pyarrow as pa
import pyarrow.csv
from analytics.columns import _ARROW, _column
kinds = {"t": "text", "b": "bool", "n": "int"}
types = pa.csv.ConvertOptions(column_types={name: _ARROW[kind] for name, kind in kinds.items()}, true_values=["t"])
table = pa.csv.read_csv(io.BytesIO(b"t,b,n\\na,t,1\\n,,\\n"), convert_options=types)
"""
OURS = "for name, kind in kinds.items(): _column(table.column(name), kind)"
ARROWS = "table.column('n').to_numpy()"


def test_reading_columns_never_asks_for_pandas(tmp_path: Path) -> None:
    """Arrow does, wherever it is installed; here a module of that name says so."""
    (tmp_path / "pandas.py").write_text("print('asked for')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for way, told in ((OURS, ""), (ARROWS, "asked for\n")):
        command = [sys.executable, "-c", COLUMNS + way]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout == told, done.stderr
