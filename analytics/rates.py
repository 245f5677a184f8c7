"""Exchange rates by the tenant's local day, and what they make of amounts."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from django.db import connections

from analytics.capture.limits import Unfit
from analytics.capture.money import currency_code, exponents
from analytics.contracts import TenantInfo
from analytics.tenancy import tenant_context

_WIDE: Final = Context(prec=60, rounding=ROUND_HALF_UP)
# Central banks publish none on week-ends and holidays; Easter is the longest gap.
MAX_GAP_DAYS: Final = 4
COLUMNS: Final = ("day", "currency", "rate")

UPSERT: Final = """
INSERT INTO bw_exchange_rate AS r (tenant_id, day, currency, rate)
SELECT %(tenant)s, day, currency, rate
  FROM unnest(%(days)s::date[], %(currencies)s::text[], %(rates)s::numeric[]) AS n (day, currency, rate)
 ORDER BY currency, day
    ON CONFLICT (tenant_id, currency, day) DO UPDATE SET rate = excluded.rate WHERE r.rate <> excluded.rate
RETURNING day, currency
"""

# Every amount whose day got a rate is worth something else now; its minute has to be counted again.
REVALUE: Final = """
WITH news AS (
    SELECT n.day, n.currency, r.rate * n.scale::numeric AS factor
      FROM unnest(%(days)s::date[], %(currencies)s::text[], %(scales)s::text[]) AS n (day, currency, scale)
      JOIN bw_exchange_rate r ON r.tenant_id = %(tenant)s AND r.day = n.day AND r.currency = n.currency
), changed AS (
    UPDATE bw_event e SET amount_base = round(e.amount * n.factor)
      FROM news n
     WHERE e.tenant_id = %(tenant)s AND e.ts >= %(first)s AND e.ts < %(last)s
       AND e.currency = n.currency AND (e.ts AT TIME ZONE %(zone)s)::date = n.day
       AND e.amount_base IS DISTINCT FROM round(e.amount * n.factor)
    RETURNING e.ts
), marked AS (
    INSERT INTO bw_dirty_mark (tenant_id, minute, reason, created_at)
    SELECT DISTINCT %(tenant)s, date_trunc('minute', ts), 'rate', %(now)s::timestamptz FROM changed
), lake AS (
    INSERT INTO bw_lake_mark (tenant_id, hour, reason, created_at)
    SELECT DISTINCT %(tenant)s, date_trunc('hour', ts, 'UTC'), 'rate', %(now)s::timestamptz FROM changed
)
SELECT count(*) FROM changed
"""


class BadRates(ValueError):
    """A file of rates that cannot be read; the message names the line, the field and the remedy."""


@dataclass(frozen=True, slots=True)
class Rate:
    """On `day` (local to the tenant) one unit of `currency` is worth `rate` units of the base currency."""

    day: date
    currency: str
    rate: Decimal


@dataclass(frozen=True, slots=True)
class RatesImported:
    """Rates that are new or changed, and events whose base amount changed by them."""

    rates: int
    events: int


def convert(amount: int, currency: str, base: str, rate: Decimal) -> int:
    """Minor units of `currency` as minor units of `base`, one unit of `currency` being `rate` units of `base`.

    Rounded half up (away from zero at the half), as PostgreSQL's round(numeric) does.
    """
    exact = _WIDE.multiply(Decimal(amount), rate).scaleb(minor_digits(base) - minor_digits(currency), _WIDE)
    return int(exact.quantize(Decimal(1), context=_WIDE))


def minor_digits(currency: str) -> int:
    """Decimal digits of a currency's minor unit (ISO 4217); 2 for a code that is not known."""
    return exponents().get(currency, 2)


def rates_read(path: Path) -> Iterator[Rate]:
    """Rates of a CSV file with the columns day (YYYY-MM-DD), currency and rate. Raises BadRates."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise BadRates(f"line 1: no column {', '.join(missing)}; the file needs {', '.join(COLUMNS)}")
        for row in reader:
            yield _rate(row, reader.line_num)


def rates_filled(rates: Iterable[Rate]) -> list[Rate]:
    """The rates with gaps of up to four days filled by the day before, as week-ends and holidays are."""
    known = {(rate.currency, rate.day): rate for rate in rates}
    filled = dict(known)
    for (currency, day), rate in known.items():
        for gap in range(1, MAX_GAP_DAYS + 2):
            if (currency, day + timedelta(days=gap)) in known:
                for back in range(1, gap):
                    between = day + timedelta(days=back)
                    filled[currency, between] = Rate(between, currency, rate.rate)
                break
    return [filled[key] for key in sorted(filled)]


def rates_import(*, tenant: TenantInfo, rates: Iterable[Rate], now: datetime, using: str = "default") -> RatesImported:
    """Store rates and revalue the events of their days; buckets of changed minutes are counted again."""
    chosen = {(rate.currency, rate.day): rate for rate in rates if rate.currency != tenant.base_currency}
    if not chosen:
        return RatesImported(0, 0)
    rows = list(chosen.values())
    with tenant_context(tenant.id, using=using), connections[using].cursor() as cursor:
        cursor.execute(
            UPSERT,
            {
                "tenant": tenant.id,
                "days": [rate.day for rate in rows],
                "currencies": [rate.currency for rate in rows],
                "rates": [rate.rate for rate in rows],
            },
        )
        changed = cursor.fetchall()
        return RatesImported(len(changed), _revalue(tenant, changed, now, using))


def rates_revalue(*, tenant: TenantInfo, day: date, currency: str, now: datetime, using: str = "default") -> int:
    """Revalue the events of one day and currency after its rate was changed elsewhere (admin). Returns their number."""
    with tenant_context(tenant.id, using=using):
        return _revalue(tenant, [(day, currency)], now, using)


def _revalue(tenant: TenantInfo, changed: list[tuple[date, str]], now: datetime, using: str) -> int:
    if not changed:
        return 0
    shifts = [minor_digits(tenant.base_currency) - minor_digits(currency) for _, currency in changed]
    days = [day for day, _ in changed]
    with connections[using].cursor() as cursor:
        cursor.execute(
            REVALUE,
            {
                "tenant": tenant.id,
                "zone": tenant.zone,
                "days": days,
                "currencies": [currency for _, currency in changed],
                "scales": [str(Decimal(1).scaleb(shift)) for shift in shifts],
                # Wide enough for every zone; the local day decides.
                "first": min(days) - timedelta(days=1),
                "last": max(days) + timedelta(days=2),
                "now": now,
            },
        )
        return int(cursor.fetchone()[0])


def _rate(row: dict[str, str], line: int) -> Rate:
    try:
        day = date.fromisoformat((row["day"] or "").strip())
    except ValueError:
        raise BadRates(f"line {line}: day {row['day']!r} is not a date; write it as 2026-03-02") from None
    try:
        currency = currency_code(row["currency"] or "")
    except Unfit as unfit:
        raise BadRates(f"line {line}: {unfit.detail}") from None
    try:
        rate = Decimal((row["rate"] or "").strip())
    except InvalidOperation:
        rate = Decimal("NaN")
    if not rate.is_finite() or rate <= 0:
        raise BadRates(f"line {line}: rate {row['rate']!r} is not a number above zero; write it as 1.0842")
    return Rate(day, currency, rate)
