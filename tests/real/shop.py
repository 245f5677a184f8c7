"""The real shop in the product, and what is asked of it; the answers that are expected stand beside it."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
from django.core.management import call_command
from django.db import connection

from analytics.periods import to_micros
from analytics.tenancy import tenant_by_slug, tenant_context
from insights.customers.rfm import SEGMENTS

YEAR = {"start": "2010-12-01", "end": "2011-12-10"}
LONDON = ZoneInfo("Europe/London")
LAST = date(2011, 12, 9)
NOW = datetime(2011, 12, 10, 9, tzinfo=LONDON)
PENNY = Decimal("0.01")


def load_expected() -> Any:
    """The independent computation, from the file beside this one."""
    path = Path(__file__).with_name("expected_online_retail.py")
    spec = importlib.util.spec_from_file_location("expected_online_retail", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Shop:
    """What the command said at the first and at the second import, what there was after each, and what is expected."""

    file: Path
    said: tuple[str, str]
    left: tuple[tuple[Any, ...], tuple[Any, ...]]
    expected: Any


def imported(file: Path) -> str:
    out = io.StringIO()
    call_command("import_online_retail", str(file), tenant="shop", stdout=out, stderr=io.StringIO())
    return out.getvalue()


def kpi(*metrics: str, tenant: str = "shop", **options: Any) -> Any:
    """What `manage.py kpi … --json` prints."""
    out = io.StringIO()
    call_command("kpi", *metrics, tenant=tenant, json=True, stdout=out, **{**YEAR, **options})
    return json.loads(out.getvalue())


def pence(amount: Decimal) -> str:
    """An amount as it is shown: rounded half up to pence."""
    return str(amount.quantize(PENNY, ROUND_HALF_UP))


def fingerprint() -> tuple[Any, ...]:
    """All events and all buckets of the shop in a few numbers."""
    with tenant_context(tenant_by_slug("shop").id), connection.cursor() as cursor:
        cursor.execute("SELECT count(*), sum(hashtextextended(e::text, 0)::numeric) FROM bw_event e")
        events = cursor.fetchone()
        cursor.execute("SELECT count(*), sum(n), sum(total) FROM bw_bucket")
        return (*events, *cursor.fetchone())


def scores(values: list[int], *, unit: int = 1, reverse: bool = False) -> list[int]:
    """One by one: quantiles between order statistics (type 7), one unit added, scores count the edges not above."""
    ordered = sorted(values)
    edges = []
    for part in (1, 2, 3, 4):
        place, rest = divmod((len(ordered) - 1) * part, 5)
        above = ordered[min(place + 1, len(ordered) - 1)]
        edges.append(ordered[place] + (above - ordered[place]) * rest / 5 + unit)
    found = [1 + sum(value >= edge for edge in edges) for value in values]
    return [6 - each for each in found] if reverse else found


def segment(recency: int, frequency: int, monetary: int) -> str:
    for each in SEGMENTS:
        ranges = ((recency, each.recency), (frequency, each.frequency), (monetary, each.monetary))
        if all(low <= value <= high for value, (low, high) in ranges):
            return each.name
    return "Others"


def bought(answers: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[int, int]]]:
    """By customer: instants of orders in microseconds, and their month (0 is December 2010), ascending."""
    found: dict[str, list[tuple[int, int]]] = {}
    for customer, at in answers.execute(
        "select customer, ordered_at from orders where not is_refund and customer is not null"
    ).fetchall():
        local = at.replace(tzinfo=LONDON)
        found.setdefault(customer, []).append((to_micros(local), local.year * 12 + local.month - 2011 * 12))
    return {customer: sorted(orders) for customer, orders in found.items()}
