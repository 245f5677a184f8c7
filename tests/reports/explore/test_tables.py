"""Tables of pages as files: every one in every format, with the door of its page, and the same cells in all of them."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis.explore.models import PeopleRead
from reports.exports.formats import FORMATS, answer
from reports.exports.json_file import json_lines
from reports.exports.sheet import Column, ColumnKind, Sheet
from reports.exports.tables import files
from reports.urls import urlpatterns  # the pages register their tables
from tests.reports.explore.test_customers_page import kept, snapshot
from tests.reports.exports.test_exports import PAYLOADS

pytestmark = pytest.mark.django_db(transaction=True)
PERSONAL = {"customers-movers", "segment-people"}
MARCH = "from=2026-03-02&to=2026-03-09"
EMPTY = {"customers-segments", "customers-moves", "segment-people"}
# What there is nothing of before a snapshot was taken or a segment named.


def body(response: Any) -> str:
    return b"".join(response.streaming_content).decode("utf-8-sig", "replace")


def address(name: str, format: str, query: str = MARCH) -> str:
    return f"{reverse('dashboard:table-file', args=(name, format))}?{query}"


def test_every_table_of_the_pages_is_there() -> None:
    assert "table-file" in {str(route.name) for route in urlpatterns}
    assert {
        *("usage-features", "usage-posts", "usage-platforms", "usage-shared", "usage-together", "usage-automation"),
        *("customers-segments", "customers-moves", "customers-lifetime", "customers-payback", "customers-movements"),
        *("customers-movers", "segments", "segment-people", "costs", "performance-routes"),
    } <= {file.id for file in files}


@pytest.mark.parametrize("name", sorted({file.id for file in files} - EMPTY))
def test_every_table_in_every_format(name: str, olga: Client, vera: Client) -> None:
    for format, kind in FORMATS.items():
        found: Any = olga.get(address(name, format))
        assert (found.status_code, found["Content-Type"]) == (200, kind.media_type)
        assert f'filename="{name}.{format}"' in found["Content-Disposition"]
        assert b"".join(found.streaming_content)
    assert vera.get(address(name, "csv")).status_code == (403 if name in PERSONAL else 200)
    assert Client().get(address(name, "csv")).status_code == 302, "a sign-in"


@pytest.mark.parametrize("name", sorted(EMPTY))
def test_what_is_not_there_is_told(name: str, olga: Client) -> None:
    found = olga.get(address(name, "csv", ""))
    assert found.status_code == 400
    assert b"No file" in found.content


@pytest.mark.parametrize("path", ["/tables/zork.csv", "/tables/usage-features.pdf", "/tables/usage-features"])
def test_what_is_no_table(path: str, olga: Client) -> None:
    assert olga.get(path).status_code == 404


def test_snapshots_and_moves(olga: Client, sam: Client, shop: Tenant) -> None:
    snapshot(shop, date(2026, 2, 1), Champions=[1, 2, 3])
    snapshot(shop, date(2026, 3, 9), Champions=[1], Lost=[2, 3, 5])
    lines = body(olga.get(address("customers-segments", "csv", "")))
    assert '"Lost",3,0.75,9,500.00,0.5,12.0,4500.00' in lines
    assert '"Champions","Lost",2' in body(olga.get(address("customers-moves", "csv", "")))
    assert sam.get(address("customers-segments", "csv", "")).status_code == 400
    for odd in ("taken_on=zork", "taken_on=1999-01-01"):
        assert olga.get(address("customers-segments", "csv", odd)).status_code == 400


def test_people_of_a_segment_are_written_out_and_down(
    theo: Client,
    sam: Client,
    shop: Tenant,
) -> None:
    kept(theo, "Everybody", "0:reached")
    with tenant_context(shop.pk):
        (number,) = shop_segments()
    lines = body(theo.get(address("segment-people", "csv", f"segment={number}")))
    assert lines.splitlines() == ['"person"', "1", "2", "3"]
    assert sam.get(address("segment-people", "csv", f"segment={number}")).status_code == 400
    with tenant_context(shop.pk):
        row = PeopleRead.objects.get()
        assert (row.what, row.people, row.question["file"]) == ("segment", 3, True)


def shop_segments() -> list[str]:
    from kpis.models import PeopleSegment

    return [str(row.pk) for row in PeopleSegment.objects.all()]


def test_json_holds_any_text_and_is_one_object() -> None:
    columns = (Column("a", ColumnKind.TEXT), Column("b", ColumnKind.MONEY))
    rows = [(text.encode("utf-8", "replace").decode(), Decimal("0.10")) for text in PAYLOADS]
    found = json.loads(b"".join(json_lines(Sheet("x", columns, rows, (("Word", "says"),)))))
    assert [(row["a"], row["b"]) for row in found["rows"]] == [(text, "0.10") for text, _ in rows]
    assert (found["name"], found["about"]) == ("x", {"Word": "says"})
    assert json.loads(b"".join(json_lines(Sheet("x", columns, []))))["rows"] == []
    assert answer(Sheet("x", columns, []), FORMATS["json"], "x")["X-Content-Type-Options"] == "nosniff"
