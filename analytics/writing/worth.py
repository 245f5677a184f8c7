"""What an amount is worth in the tenant's own currency, on every path the same way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import psycopg

from analytics.contracts import CapturedEvent
from analytics.rates import convert
from analytics.writing import wire
from analytics.writing.tenants import tenants_of

Rate = tuple[int, str, date]

RATES: Final = """
SELECT r.tenant_id, r.currency, r.day, r.rate
  FROM bw_exchange_rate r
  JOIN unnest(%s::int4[], %s::text[], %s::text[]) AS w (tenant_id, currency, day)
    ON r.tenant_id = w.tenant_id AND r.currency = w.currency AND r.day = w.day::date
"""


def base_amounts(cursor: psycopg.Cursor[Any], placed: Sequence[tuple[int, CapturedEvent]]) -> dict[int, int]:
    """Minor units of the base currency by place, at the rate of the event's local day; missing without a rate."""
    money = [(place, event) for place, event in placed if event.amount is not None and event.currency is not None]
    if not money:
        return {}
    tenants = tenants_of(cursor, (event.tenant_id for _, event in money))
    zones = {tenant.id: ZoneInfo(tenant.zone) for tenant in tenants.values()}
    foreign: dict[int, Rate] = {}
    worth: dict[int, int] = {}
    for place, event in money:
        tenant = tenants.get(event.tenant_id)
        if tenant is None:
            continue
        if event.currency == tenant.base_currency:
            worth[place] = event.amount or 0
        else:
            day = event.timestamp.astimezone(zones[tenant.id]).date()
            foreign[place] = (tenant.id, event.currency or "", day)
    rates = _rates(cursor, set(foreign.values()))
    for place, event in money:
        rate = rates.get(foreign[place]) if place in foreign else None
        if rate is not None:
            base = tenants[event.tenant_id].base_currency
            worth[place] = convert(event.amount or 0, event.currency or "", base, rate)
    return worth


def _rates(cursor: psycopg.Cursor[Any], wanted: set[Rate]) -> dict[Rate, Decimal]:
    if not wanted:
        return {}
    keys = sorted(wanted)
    parameters = [
        wire.int4s(key[0] for key in keys),
        wire.texts(key[1] for key in keys),
        wire.texts(key[2].isoformat() for key in keys),
    ]
    cursor.execute(RATES, parameters)
    return {(tenant, currency, day): rate for tenant, currency, day, rate in cursor.fetchall()}
