"""Files become events: exactly once, whole groups or none, and a bad row never takes its neighbours with it."""

from __future__ import annotations

import gzip
import io
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from analytics.models import Job, Quarantine, Tenant
from analytics.tenancy import UnknownTenant, tenant_by_slug, tenant_context

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
# Every trap of the real file once. Invoice 1001 comes back after others; 1002 is stock only; 1005 is worth nothing.
SHOP = HEADER + (
    "1001,A1,MUG,2,2026-03-02 09:00:00,2.55,17,United Kingdom\n"
    "1001,A1,MUG,2,2026-03-02 09:00:00,2.55,17,United Kingdom\n"
    '1002,B2,"TIN, ""SMALL""",-3,2026-03-02 09:05:00,0.0,,France\n'
    "C1003,A1,MUG,-1,2026-03-02 10:00:00,2.55,17,United Kingdom\n"
    "A1004,B,Adjust bad debt,1,2026-03-02 11:00:00,-100.00,,United Kingdom\n"
    "1005,M,Manual,1,2026-03-02 12:00:00,0,18,EIRE\n"
    "1001,POST,POSTAGE,1,2026-03-02 09:01:00,0.005,17,United Kingdom\n"
    "1001,B2,GIFT,1,2026-03-02 09:01:00,0,17,United Kingdom\n"
)
SIGNUPS = """
version: 1
columns: {id: text, at: time, who: text, plan: text}
every_row: {id: "signup:{id}", time: "{at}", user: "{who}", tier: "{plan}"}
rows: [{event: signed_up}]
"""

EVENTS = """
SELECT event_id, name, parent_id, amount, currency, country, object_type, object_id, subject_id IS NOT NULL,
       to_char(ts AT TIME ZONE 'UTC', 'DD HH24:MI')
  FROM bw_event ORDER BY event_id COLLATE "C"
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def rows_of(tenant_id: int, query: str) -> list[tuple[Any, ...]]:
    with tenant_context(tenant_id), connection.cursor() as cursor:
        cursor.execute(query)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def names_of(tenant_id: int) -> dict[str, int]:
    return dict(rows_of(tenant_id, "SELECT name, count(*) FROM bw_event GROUP BY name"))


def run(command: str, *args: object, **options: Any) -> str:
    """What a command says on stdout."""
    out = io.StringIO()
    call_command(command, *map(str, args), stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write(tmp_path, "shop.csv", SHOP)


@pytest.fixture
def signups(tmp_path: Path) -> Path:
    return write(tmp_path, "signups.yaml", SIGNUPS)


def test_every_line_and_every_order_of_the_shop_becomes_one_event(shop: Path, globex: Tenant) -> None:
    run("import_online_retail", shop, tenant="shop")
    tenant = tenant_by_slug("shop")
    assert (tenant.zone, tenant.base_currency) == ("Europe/London", "GBP")
    uk = "United Kingdom"
    assert rows_of(tenant.id, EVENTS) == [
        ("invoice:1001", "order_completed", None, 1021, "GBP", uk, "order", "1001", True, "02 09:00"),
        ("invoice:1001:1", "item_purchased", "invoice:1001", 510, "GBP", uk, "product", "A1", True, "02 09:00"),
        ("invoice:1001:2", "item_purchased", "invoice:1001", 510, "GBP", uk, "product", "A1", True, "02 09:00"),
        ("invoice:1001:3", "fee_charged", "invoice:1001", 1, "GBP", uk, "fee", "POST", True, "02 09:01"),
        ("invoice:1001:4", "stock_adjusted", "invoice:1001", 0, "GBP", uk, "product", "B2", True, "02 09:01"),
        ("invoice:1002:1", "stock_adjusted", None, 0, "GBP", "France", "product", "B2", False, "02 09:05"),
        ("invoice:1005", "order_completed", None, 0, "GBP", "EIRE", "order", "1005", True, "02 12:00"),
        ("invoice:1005:1", "fee_charged", "invoice:1005", 0, "GBP", "EIRE", "fee", "M", True, "02 12:00"),
        ("invoice:A1004:1", "ledger_adjusted", None, -10000, "GBP", uk, "product", "B", False, "02 11:00"),
        ("invoice:C1003", "order_refunded", None, -255, "GBP", uk, "order", "C1003", True, "02 10:00"),
        ("invoice:C1003:1", "item_returned", "invoice:C1003", -255, "GBP", uk, "product", "A1", True, "02 10:00"),
    ]
    flags = "SELECT DISTINCT source, is_historical, is_bot, is_internal FROM bw_event"
    assert rows_of(tenant.id, flags) == [("import", True, False, False)]
    assert rows_of(globex.pk, EVENTS) == []


def test_importing_twice_changes_nothing(shop: Path, acme: Tenant, globex: Tenant) -> None:
    run("import_online_retail", shop, tenant="acme")
    before = rows_of(acme.pk, "SELECT * FROM bw_event ORDER BY id")
    assert "stored 0, duplicate 11, conflict 0" in run("import_online_retail", shop, tenant="acme")
    assert rows_of(acme.pk, "SELECT * FROM bw_event ORDER BY id") == before
    assert rows_of(globex.pk, EVENTS) == []


def test_two_tenants_import_the_same_file_apart(shop: Path, acme: Tenant, globex: Tenant) -> None:
    for slug in ("acme", "globex"):
        assert "stored 11" in run("import_online_retail", shop, tenant=slug)
    assert names_of(acme.pk) == names_of(globex.pk)


def test_a_changed_row_is_a_conflict_and_the_stored_one_stays(shop: Path, acme: Tenant, globex: Tenant) -> None:
    run("import_online_retail", shop, tenant="acme")
    shop.write_text(SHOP.replace("MUG,-1,2026-03-02 10:00:00,2.55", "MUG,-1,2026-03-02 10:00:00,2.65"))
    assert "stored 0, duplicate 9, conflict 2" in run("import_online_retail", shop, tenant="acme")
    assert rows_of(acme.pk, "SELECT amount FROM bw_event WHERE name = 'order_refunded'") == [(-255,)]


def test_a_dry_run_prints_the_plan_and_writes_nothing(shop: Path, acme: Tenant, globex: Tenant) -> None:
    said = run("import_online_retail", shop, tenant="acme", dry_run=True)
    assert "order_completed                         2" in said
    assert "2026-03-02T09:00:00Z item_purchased invoice:1001:1 user 17 product A1 510 minor units GBP" in said
    assert said.endswith("Nothing was written.\n")
    assert (rows_of(acme.pk, EVENTS), rows_of(acme.pk, "SELECT 1 FROM bw_job")) == ([], [])
    run("import_online_retail", shop, tenant="nobody", dry_run=True)
    with pytest.raises(UnknownTenant):
        tenant_by_slug("nobody")


def test_a_row_that_does_not_fit_is_held_with_its_order_and_its_neighbours_are_stored(
    shop: Path, acme: Tenant, globex: Tenant
) -> None:
    shop.write_text(SHOP.replace("POSTAGE,1,", "POSTAGE,one,"))
    said = run("import_online_retail", shop, tenant="acme")
    assert "stored 9, duplicate 0, conflict 0, quarantined 2" in said
    assert 'line 8, field Quantity: "one" is no whole number. Remedy: correct it' in said
    assert names_of(acme.pk) == {
        "item_purchased": 2, "stock_adjusted": 2, "item_returned": 1, "ledger_adjusted": 1, "fee_charged": 1,
        "order_completed": 1, "order_refunded": 1,
    }  # fmt: skip
    with tenant_context(acme.pk):
        held = dict(Quarantine.objects.values_list("reason", "detail"))
    assert held.keys() == {"bad_number", "incomplete_group"}
    assert held["bad_number"].startswith('shop.csv, line 8, field Quantity: "one" is no whole number.')
    assert "its line 8 was refused" in held["incomplete_group"]


def test_the_corrected_file_stores_what_was_held_and_nothing_twice(shop: Path, acme: Tenant, globex: Tenant) -> None:
    shop.write_text(SHOP.replace("POSTAGE,1,", "POSTAGE,one,"))
    run("import_online_retail", shop, tenant="acme")
    run("import_online_retail", shop, tenant="acme")
    assert rows_of(acme.pk, "SELECT count(*) FROM bw_quarantine") == [(2,)]
    shop.write_text(SHOP)
    assert "stored 2, duplicate 9, conflict 0, quarantined 0" in run("import_online_retail", shop, tenant="acme")
    assert rows_of(acme.pk, "SELECT amount FROM bw_event WHERE event_id = 'invoice:1001'") == [(1021,)]


@pytest.mark.parametrize("name", ["people.csv", "people.csv.gz", "people.jsonl", "people.jsonl.gz", "people.parquet"])
def test_the_same_rows_of_any_kind_of_file_are_the_same_events(
    name: str, tmp_path: Path, signups: Path, acme: Tenant, globex: Tenant
) -> None:
    path = tmp_path / name
    people = [("1", "2026-03-02 09:00:00", "ann", "gold"), ("2", "2026-03-29 02:30:00", "bob", None)]
    if name.endswith(".parquet"):
        columns = dict(zip(("id", "at", "who", "plan"), map(list, zip(*people, strict=True)), strict=True))
        columns["at"] = [datetime.fromisoformat(str(text)) for text in columns["at"]]
        pq.write_table(pa.table(columns), path)
    else:
        lines = [
            f'{{"id": {id_}, "at": "{at}", "who": "{who}", "plan": "{plan or ""}"}}' for id_, at, who, plan in people
        ]
        if ".csv" in name:
            lines = ["id,at,who,plan", *(",".join(cell or "" for cell in row) for row in people)]
        data = "\n".join(lines).encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert "stored 2" in run("import_events", path, tenant="acme", mapping=signups)
    query = "SELECT event_id, tier, to_char(ts AT TIME ZONE 'UTC', 'MM-DD HH24:MI') FROM bw_event ORDER BY event_id"
    # Paris: +01:00, and half past two does not exist on 29 March; it is moved to half past three, which is +02:00.
    assert rows_of(acme.pk, query) == [("signup:1", "gold", "03-02 08:00"), ("signup:2", None, "03-29 01:30")]


def test_money_of_another_currency_keeps_its_own_minor_units(tmp_path: Path, acme: Tenant, globex: Tenant) -> None:
    mapping = write(
        tmp_path,
        "paid.yaml",
        "version: 1\n"
        "columns: {id: text, at: time, cur: text, sum: {type: decimal, thousands: '.', decimal_mark: ','}}\n"
        "every_row: {id: '{id}', time: '{at}', amount: '{sum}', currency: '{cur}'}\nrows: [{event: payment_settled}]\n",
    )
    file = write(
        tmp_path, "paid.csv",
        'id,at,sum,cur\n1,2026-03-02,"1.234,565",EUR\n2,2026-03-02,"500",JPY\n3,2026-03-02,"1,5",KWD\n4,2026-03-02,1,XYZ\n',
    )  # fmt: skip
    said = run("import_events", file, tenant="acme", mapping=mapping)
    assert "line 5, field amount: currency 'XYZ' is not an ISO 4217 code" in said
    query = "SELECT amount, currency FROM bw_event ORDER BY event_id"
    assert rows_of(acme.pk, query) == [(123457, "EUR"), (500, "JPY"), (1500, "KWD")]


def test_sensitive_columns_never_lie_in_plain_text(tmp_path: Path, acme: Tenant, globex: Tenant) -> None:
    mapping = write(
        tmp_path, "m.yaml", SIGNUPS.replace('tier: "{plan}"', 'properties: {email: "{plan}", note: "{plan}"}')
    )
    file = write(tmp_path, "people.csv", "id,at,who,plan\n1,2026-03-02,ann,ann@example.org\n")
    assert "stored 1" in run("import_events", file, tenant="acme", mapping=mapping)
    (properties,) = rows_of(acme.pk, "SELECT properties::text FROM bw_event")[0]
    assert "example.org" not in properties
    assert "$sealed" in properties


def test_an_unknown_tenant_is_made_only_when_asked_and_only_for_a_good_file(
    tmp_path: Path, signups: Path, db: None
) -> None:
    file = write(tmp_path, "people.csv", "id,at,who,plan\n1,2026-03-02,ann,gold\n")
    with pytest.raises(CommandError, match="--create-tenant makes it"):
        run("import_events", file, tenant="fresh", mapping=signups)
    with pytest.raises(CommandError, match="say its base currency with --currency"):
        run("import_events", file, tenant="fresh", mapping=signups, create_tenant=True)
    empty = write(tmp_path, "empty.csv", "")
    with pytest.raises(CommandError, match="is empty"):
        run("import_events", empty, tenant="fresh", mapping=signups, create_tenant=True, currency="CHF")
    with pytest.raises(UnknownTenant):
        tenant_by_slug("fresh")
    run(
        "import_events", file, tenant="fresh", mapping=signups, create_tenant=True, currency="CHF", zone="Europe/Zurich"
    )
    assert tenant_by_slug("fresh").base_currency == "CHF"


def test_a_file_of_which_no_row_fits_is_not_poured_into_the_quarantine(
    tmp_path: Path, signups: Path, acme: Tenant, globex: Tenant
) -> None:
    file = write(tmp_path, "people.csv", "id,at,who,plan\n" + "1,yesterday,ann,gold\n" * 150)
    with pytest.raises(
        CommandError, match=r"not one of the first 150 rows fits: line 2, field at: \"yesterday\" is no time"
    ):
        run("import_events", file, tenant="acme", mapping=signups)
    assert rows_of(acme.pk, "SELECT count(*) FROM bw_quarantine") == [(0,)]
    with tenant_context(acme.pk):
        assert Job.objects.get().state == Job.State.FAILED


@pytest.mark.django_db(transaction=True)
def test_a_killed_import_goes_on_where_it_stopped(
    tmp_path: Path, acme: Tenant, globex: Tenant, database_urls: dict[str, str]
) -> None:
    lines = 60_000
    body = "".join(
        f"{number // 5},P{number % 9},x,{number % 7 + 1},2026-03-02 09:00:00,1.25,{number % 50},France\n"
        for number in range(lines)
    )
    file = write(tmp_path, "big.csv", HEADER + body)
    command = [sys.executable, "manage.py", "import_online_retail", str(file), "--tenant", "acme"]
    environment = {**os.environ, **database_urls, "DJANGO_SETTINGS_MODULE": "config.settings"}
    with (tmp_path / "err").open("wb") as errors:
        process = subprocess.Popen(command, env=environment, stderr=errors, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while (not rows_of(acme.pk, "SELECT 1 FROM bw_job WHERE done > 0")) and time.monotonic() < deadline:
        assert process.poll() is None, (tmp_path / "err").read_text()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < rows_of(acme.pk, "SELECT count(*) FROM bw_event")[0][0] < lines * 6 // 5
    said = run("import_online_retail", file, tenant="acme", resume=True)
    assert "Went on after line" in said
    assert names_of(acme.pk) == {"item_purchased": lines, "order_completed": lines // 5}
    ((lines_worth, orders_worth),) = rows_of(
        acme.pk,
        "SELECT sum(amount) FILTER (WHERE name = 'item_purchased'), sum(amount) FILTER (WHERE name = 'order_completed')"
        " FROM bw_event",
    )
    assert lines_worth == orders_worth == sum(number % 7 + 1 for number in range(lines)) * Decimal(125)
    assert rows_of(globex.pk, EVENTS) == []
