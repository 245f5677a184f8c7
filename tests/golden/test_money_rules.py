"""Money as minor units, each number worked by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from analytics.capture.limits import Unfit
from analytics.capture.money import currency_code, exponents, minor_units, number
from analytics.capture.normalise import normalise
from analytics.contracts import CapturedEvent, Refusal, TenantInfo

ACME = TenantInfo(id=1, slug="acme", zone="Europe/Paris", base_currency="EUR")
GLOBEX = TenantInfo(id=2, slug="globex", zone="Asia/Tokyo", base_currency="JPY")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def sold(tenant: TenantInfo = ACME, **properties: Any) -> CapturedEvent | Refusal:
    return normalise({"event": "order_completed", "properties": properties}, tenant=tenant, received_at=NOW)


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        ("19.90", "EUR", 1990),
        ("19.994", "EUR", 1999),
        ("19.995", "EUR", 2000),  # half up
        ("-19.995", "EUR", -2000),  # half away from zero, so that a refund undoes its sale
        ("1.005", "USD", 101),  # binary floating point would make 100 of it
        ("2.675", "GBP", 268),  # and 267 of this
        ("0.005", "EUR", 1),
        ("0.0049999", "EUR", 0),
        ("500", "JPY", 500),
        ("500.5", "JPY", 501),
        ("1.5", "KWD", 1500),
        ("1.2345", "KWD", 1235),
        ("1.5", "IQD", 1500),
        ("1.23456", "CLF", 12346),
        ("7", "XAF", 7),
        ("1e3", "EUR", 100_000),
        ("92233720368547758.07", "EUR", 9_223_372_036_854_775_807),
    ],
)
def test_minor_units(amount: str, currency: str, units: int) -> None:
    assert minor_units(Decimal(amount), currency) == units


@pytest.mark.parametrize("amount", ["92233720368547758.08", "1e40", "-1e300"])
def test_money_that_does_not_fit_is_refused(amount: str) -> None:
    with pytest.raises(Unfit, match="does not fit 64 bits"):
        minor_units(Decimal(amount), "EUR")


def test_a_float_is_the_literal_that_was_written() -> None:
    assert number(1.005) == Decimal("1.005")
    assert number(0.1) == Decimal("0.1")
    assert number(1e22) == Decimal("1e22")
    assert number("19.90") == Decimal("19.90")
    assert number(3) == Decimal(3)
    assert [number(value) for value in (True, None, "", "abc", "1,5", "NaN", float("inf"), [1])] == [None] * 8


def test_every_iso_exponent_that_is_not_two() -> None:
    known = exponents()
    assert {code: known[code] for code in ("JPY", "KRW", "ISK", "VND", "CLP")} == dict.fromkeys(
        ("JPY", "KRW", "ISK", "VND", "CLP"), 0
    )
    assert {known[code] for code in ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")} == {3}
    assert {known[code] for code in ("EUR", "USD", "GBP", "NPR", "HUF", "IDR", "MGA", "AFN")} == {2}
    assert "XXX" not in known
    assert currency_code(" eur ") == "EUR"


@pytest.mark.parametrize(
    ("properties", "amount", "currency", "value"),
    [
        ({"amount": 19.9, "currency": "eur"}, 1990, "EUR", None),
        ({"revenue": "19.90", "currency": "USD"}, 1990, "USD", None),
        ({"amount": 5}, 500, "EUR", None),  # the tenant's own currency
        ({"value": 19.9, "currency": "EUR"}, 1990, "EUR", 19.9),
        ({"value": 19.9}, None, None, 19.9),  # a number, not money
        ({"amount": 3, "value": 7, "currency": "EUR"}, 300, "EUR", 7.0),
        ({"amount": 1, "revenue": 2, "currency": "EUR"}, 100, "EUR", None),
        ({"currency": "EUR"}, None, None, None),
        ({"amount": "large"}, None, None, None),
        ({"amount": Decimal("0.335"), "currency": "EUR"}, 34, "EUR", None),
        ({"total": 30, "currency": "USD"}, 3000, "USD", None),  # a refund by Segment's specification
        ({"revenue": 25.0, "total": 27.5, "currency": "USD"}, 2500, "USD", None),
        ({"value": 3, "total": 27.5, "currency": "USD"}, 300, "USD", 3.0),
        ({"total": 5}, None, None, None),  # of what?
        ({"total": "5 coats", "currency": "EUR"}, None, None, None),
        ({"total": 5, "currency": "coins"}, None, None, None),
    ],
)
def test_which_property_is_the_money(
    properties: dict[str, Any], amount: int | None, currency: str | None, value: float | None
) -> None:
    event = sold(**properties)
    assert isinstance(event, CapturedEvent)
    assert (event.amount, event.currency, event.value) == (amount, currency, value)


def test_money_without_currency_is_in_the_currency_of_its_tenant() -> None:
    ours, theirs = sold(amount=500), sold(GLOBEX, amount=500)
    assert isinstance(ours, CapturedEvent)
    assert isinstance(theirs, CapturedEvent)
    assert (ours.amount, ours.currency) == (50_000, "EUR")
    assert (theirs.amount, theirs.currency) == (500, "JPY")


def test_what_rounding_changed_stays_as_it_was_said() -> None:
    exact, rounded = sold(amount=19.9), sold(amount=19.999)
    assert isinstance(exact, CapturedEvent)
    assert isinstance(rounded, CapturedEvent)
    assert (exact.properties, exact.amount) == ({}, 1990)
    assert (rounded.properties, rounded.amount) == ({"amount": 19.999}, 2000)


def test_a_total_that_is_not_the_money_stays_a_property() -> None:
    beside, alone, coats = sold(revenue=25, total=27.5, currency="USD"), sold(total=5), sold(total="5", currency="x")
    assert isinstance(beside, CapturedEvent)
    assert isinstance(alone, CapturedEvent)
    assert isinstance(coats, CapturedEvent)
    assert (beside.properties, alone.properties) == ({"total": 27.5}, {"total": 5})
    assert coats.properties == {"total": "5", "currency": "x"}


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"amount": 1, "currency": "ZZZ"}, "unknown_currency"),
        ({"amount": 1, "currency": 978}, "unknown_currency"),
        ({"amount": "much", "currency": "EUR"}, "unreadable_amount"),
        ({"amount": "1e90", "currency": "EUR"}, "amount_out_of_range"),
    ],
)
def test_money_that_cannot_be_counted_waits_in_quarantine(properties: dict[str, Any], reason: str) -> None:
    refused = sold(**properties)
    assert isinstance(refused, Refusal)
    assert (refused.outcome, refused.reason) == ("quarantined", reason)
