"""What is written as text for PostgreSQL comes out as it was, whatever is in it."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from analytics.copying import Stage, array_text, bytes_field, text_field

ODD = (
    "", " ", "a b", "tab\there", "line\nfeed", "carriage\rreturn", "back\\slash", "\\N", "\\.", "NULL", "null",
    "{", "}", "{}", "a,b", '"', 'say "no"', "'; drop table bw_event; --", "%s", "%(tenant)s", "\x7f", "ünïcødé", "😀",
)  # fmt: skip

pytestmark = pytest.mark.django_db


def test_an_array_of_odd_texts_is_read_back_as_it_was() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %(texts)s::text[], %(none)s::text[]", {"texts": array_text(ODD), "none": array_text(())})
        assert cursor.fetchone() == (list(ODD), [])


def test_odd_texts_and_bytes_go_through_a_stage_unchanged_and_it_is_empty_afterwards() -> None:
    rows = [*((number, text, text.encode()) for number, text in enumerate(ODD)), (len(ODD), None, None)]
    stage = Stage("odd_stage", "number int4, text text, bytes bytea")

    def lines(some: object) -> str:
        return "".join(f"{number}\t{text_field(text)}\t{bytes_field(data)}\n" for number, text, data in rows)

    with transaction.atomic(), connection.cursor() as cursor:
        with stage.holding(cursor, rows, lines):
            cursor.execute("SELECT number, text, bytes FROM odd_stage ORDER BY number")
            found = cursor.fetchall()
        cursor.execute("SELECT count(*) FROM odd_stage")
        assert cursor.fetchone() == (0,)
    assert [(number, text, data if data is None else bytes(data)) for number, text, data in found] == rows
