"""Amounts in the tenant's own currency, at the rate of the event's local day, on every path."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from analytics.models import Tenant
from analytics.rates import BadRates, Rate, RatesImported, convert, rates_filled, rates_import, rates_read
from analytics.tenancy import tenant_by_slug
from tests.analytics.events import NOON, event, rows, write

MONDAY = date(2026, 3, 2)


@pytest.mark.parametrize(
    ("amount", "currency", "base", "rate", "expected"),
    [
        (1000, "USD", "EUR", "0.92", 920),  # 10.00 USD
        (1, "USD", "EUR", "0.5", 1),  # half a cent is rounded up
        (-1, "USD", "EUR", "0.5", -1),  # away from zero
        (500, "JPY", "EUR", "0.0062", 310),  # 500 yen = 3.10 EUR
        (310, "EUR", "JPY", "161.29", 500),  # 499.999 yen
        (1500, "KWD", "EUR", "3", 450),  # 1.500 dinars = 4.50 EUR
        (450, "EUR", "KWD", "0.333333333333", 1500),
        (2**62, "USD", "EUR", "1", 2**62),
    ],
)
def test_conversion_respects_the_minor_units_of_both(
    amount: int, currency: str, base: str, rate: str, expected: int
) -> None:
    assert convert(amount, currency, base, Decimal(rate)) == expected


@given(st.integers(-(10**15), 10**15), st.decimals("0.000001", "100000", places=6))
def test_opposite_amounts_have_opposite_worths(amount: int, rate: Decimal) -> None:
    assert convert(-amount, "USD", "EUR", rate) == -convert(amount, "USD", "EUR", rate)


def worths(tenant: Tenant) -> list[tuple[str, int | None]]:
    return [(id_, worth) for id_, worth in rows(tenant, "SELECT event_id, amount_base FROM bw_event ORDER BY 1")]


def test_the_day_of_a_rate_is_the_tenants_own(acme: Tenant, globex: Tenant) -> None:
    # 23:30 UTC on Sunday is Monday in Paris (+1) and in Kathmandu (+5:45); 18:00 UTC only in neither and Kathmandu is
    # 23:45.
    late = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    early = datetime(2026, 3, 1, 18, 0, tzinfo=UTC)
    kathmandu_only = datetime(2026, 3, 1, 19, 0, tzinfo=UTC)
    for tenant, currency in ((acme, "USD"), (globex, "USD")):
        rates_import(tenant=tenant_by_slug(tenant.slug), rates=[Rate(MONDAY, currency, Decimal(2))], now=NOON)
        moments = {"early": early, "kathmandu": kathmandu_only, "late": late}
        write(tenant, [event(tenant, name, timestamp=t, amount=100, currency="USD") for name, t in moments.items()])

    assert worths(acme) == [("early", None), ("kathmandu", None), ("late", 200)]
    assert worths(globex) == [("early", None), ("kathmandu", 200), ("late", 200)]


def test_a_rate_that_comes_later_heals_the_amounts_and_their_minutes(acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex):
        write(
            tenant,
            [
                event(tenant, "e1", minute=1, amount=1000, currency="USD"),
                event(tenant, "e2", minute=2, amount=1000, currency="GBP"),
                event(tenant, "e3", minute=3, amount=1000, currency=tenant.base_currency),
                event(tenant, "e4", minute=4, amount=1000, currency="USD"),
            ],
        )
    assert worths(acme) == [("e1", None), ("e2", None), ("e3", 1000), ("e4", None)]
    info, rate = tenant_by_slug("acme"), Rate(MONDAY, "USD", Decimal("0.925"))

    assert rates_import(tenant=info, rates=[rate], now=NOON) == RatesImported(rates=1, events=2)

    assert worths(acme) == [("e1", 925), ("e2", None), ("e3", 1000), ("e4", 925)]
    minutes = "SELECT extract(minute FROM minute)::int FROM bw_dirty_mark WHERE reason = 'rate' ORDER BY 1"
    assert rows(acme, minutes) == [(1,), (4,)]
    assert rates_import(tenant=info, rates=[rate], now=NOON) == RatesImported(0, 0), (
        "the same rate again changes nothing"
    )
    assert rates_import(tenant=info, rates=[Rate(MONDAY, "USD", Decimal(1))], now=NOON) == RatesImported(1, 2)
    assert worths(globex) == [("e1", None), ("e2", None), ("e3", 1000), ("e4", None)]
    assert rows(globex, "SELECT 1 FROM bw_exchange_rate") == []


def test_writing_and_healing_give_the_same_amount(acme: Tenant, globex: Tenant) -> None:
    info = tenant_by_slug("acme")
    amounts = [1, 5, 999, -333, 12345678901]
    for currency, rate in (("JPY", "0.00615"), ("KWD", "2.98765"), ("USD", "0.92345")):
        write(acme, [event(acme, f"{currency}-before-{n}", amount=n, currency=currency) for n in amounts])
        rates_import(tenant=info, rates=[Rate(MONDAY, currency, Decimal(rate))], now=NOON)
        write(acme, [event(acme, f"{currency}-after-{n}", amount=n, currency=currency) for n in amounts])
    pairs = rows(
        acme,
        "SELECT b.event_id, b.amount_base, a.amount_base FROM bw_event b"
        " JOIN bw_event a ON a.event_id = replace(b.event_id, 'before', 'after') AND a.event_id <> b.event_id",
    )
    assert len(pairs) == 15
    assert [pair for pair in pairs if pair[1] is None or pair[1] != pair[2]] == []
    assert rows(globex, "SELECT 1 FROM bw_event") == []


def test_gaps_of_week_ends_are_filled_and_long_ones_are_not() -> None:
    friday, monday = date(2026, 2, 27), MONDAY
    far = date(2026, 3, 20)
    given_ = [Rate(friday, "USD", Decimal(2)), Rate(monday, "USD", Decimal(3)), Rate(far, "USD", Decimal(4))]
    assert [(rate.day.day, rate.rate) for rate in rates_filled(given_)] == [(27, 2), (28, 2), (1, 2), (2, 3), (20, 4)]


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("03/02/2026,USD,1", "line 2: day '03/02/2026' is not a date"),
        ("2026-03-02,XYZ,1", "line 2: currency 'XYZ'"),
        ("2026-03-02,USD,zero", "line 2: rate 'zero' is not a number above zero"),
        ("2026-03-02,USD,-1", "line 2: rate '-1'"),
        ("2026-03-02,USD,NaN", "line 2: rate 'NaN'"),
        ("2026-03-02", "line 2: currency"),
    ],
)
def test_a_bad_line_is_named_with_its_remedy(tmp_path: Path, line: str, remedy: str) -> None:
    file = tmp_path / "rates.csv"
    file.write_text(f"day,currency,rate\n{line}\n")
    with pytest.raises(BadRates) as caught:
        list(rates_read(file))
    assert str(caught.value).startswith(remedy)


def test_the_command_imports_a_file(acme: Tenant, globex: Tenant, tmp_path: Path) -> None:
    write(acme, [event(acme, "e1", amount=1000, currency="USD")])
    file = tmp_path / "rates.csv"
    file.write_text("day,currency,rate\n2026-03-02,usd,0.9\n2026-03-02,EUR,1\n")
    output = StringIO()
    call_command("import_rates", file, "--tenant", "acme", stdout=output)

    assert output.getvalue() == "1 rates stored, 1 events revalued\n"
    assert worths(acme) == [("e1", 900)]
    for words in ((tmp_path / "none.csv", "--tenant", "acme"), (file, "--tenant", "nobody")):
        with pytest.raises(CommandError):
            call_command("import_rates", *words)
