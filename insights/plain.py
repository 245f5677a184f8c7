"""How answers of `insights` are written as JSON: money as decimal strings of the currency's digits, days as dates."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from analytics.capture.money import exponents
from insights.contracts import CustomerValue, LifetimeCurves, SnapshotView
from insights.customers.acquisition import Paybacks
from insights.customers.payback import Payback


def money(minor: float | None, currency: str) -> str | None:
    """Minor units as a decimal string, rounded half up to whole ones."""
    if minor is None:
        return None
    whole = Decimal(str(minor)).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    return str(whole.scaleb(-exponents().get(currency, 2)))


def snapshot_plain(view: SnapshotView) -> dict[str, Any]:
    """For `GET customers/segments/`."""
    code = view.currency
    return {
        **view.stamp.plain(),
        "taken_on": view.taken_on.isoformat(),
        "currency": code,
        "customers": view.customers,
        "rule": view.rule,
        "edges": {name: list(edges) for name, edges in view.edges.items()},
        "segments": [
            {
                "name": segment.name,
                "size": segment.size,
                "share": segment.share,
                "orders": segment.orders,
                "net": money(segment.net, code),
                "net_share": segment.net_share,
                "recency_days": segment.recency_days,
                "predicted": money(segment.predicted, code),
            }
            for segment in view.segments
        ],
        "compared_with": view.compared_with.isoformat() if view.compared_with else None,
        "moves": [
            {"from": old or None, "to": new or None, "people": people}
            for (old, new), people in sorted(view.moves.items(), key=lambda item: -item[1])
        ],
        "prediction": _amounts(view.prediction, code, "value", "low", "high"),
        "calibration": _calibration(view.calibration, code),
        "models": view.models,
        "fit_note": view.fit_note,
    }


def value_plain(value: CustomerValue) -> dict[str, Any]:
    """For `GET customers/{id}/value/`."""
    code = value.currency
    return {
        **value.stamp.plain(),
        "person": value.person,
        "currency": code,
        "as_of": value.taken_on.isoformat() if value.taken_on else None,
        "first_purchase_on": value.first_purchase_on.isoformat() if value.first_purchase_on else None,
        "last_purchase_on": value.last_purchase_on.isoformat() if value.last_purchase_on else None,
        "purchases": value.purchases,
        "orders": value.orders,
        "gross": money(value.gross, code),
        "refunds": money(value.refunds, code),
        "net": money(value.net, code),
        "scores": dict(zip(("recency", "frequency", "monetary"), value.scores, strict=True)) if value.scores else None,
        "segment": value.segment,
        "alive": value.alive,
        "churn_risk": None if value.alive is None else 1 - value.alive,
        "expected": {
            "days": value.horizon_days,
            "purchases": value.expected_purchases,
            "value": money(value.expected_value, code),
            "low": money(value.expected_low, code),
            "high": money(value.expected_high, code),
            "level": value.level,
        },
        "method": "BG/NBD and Gamma-Gamma",
        "note": value.note,
    }


def curves_plain(curves: LifetimeCurves) -> dict[str, Any]:
    """For `GET customers/lifetime/`."""
    code = curves.currency
    return {
        **curves.stamp.plain(),
        "unit": curves.unit,
        "currency": code,
        "method": "observed: net revenue of each cohort, refunds taken off on their own day",
        "cohorts": [
            {
                "start": cohort.start.isoformat(),
                "size": cohort.size,
                "net": [money(net, code) for net in cohort.net],
                "net_each": [money(net, code) for net in cohort.net_each],
            }
            for cohort in curves.cohorts
        ],
        "means": [money(mean, code) for mean in curves.means],
    }


MARGINS: Mapping[str, str] = {
    "parameter": "Margin is {share} of revenue, as asked.",
    "setting": "Margin is {share} of revenue, as the tenant's settings say.",
    "default": "Margin is taken for all of revenue (100 %): nobody said what goods and service cost. Pass `margin`.",
}


def paybacks_plain(found: Paybacks) -> dict[str, Any]:
    """For `GET customers/payback/`."""
    code = found.currency
    parts = [
        {found.by: name, **_payback(whole, code), "cohorts": [_payback(one, code) for one in cohorts]}
        for name, whole, cohorts in found.channels
    ]
    return {
        **found.stamp.plain(),
        "unit": "month",
        "by": found.by,
        "currency": code,
        "margin": float(found.margin),
        "margin_from": found.margin_from,
        "note": MARGINS[found.margin_from].format(share=f"{float(found.margin) * 100:g} %"),
        "overall": _payback(found.overall, code),
        "cohorts": [_payback(one, code) for one in found.cohorts],
        "channels": parts if found.by == "channel" else [],
        "campaigns": parts if found.by == "campaign" else [],
        "costs_without_rate": found.without_rate,
        "method": f"cost of a month / those who first bought in it; a {found.by}'s customers by the last touch before "
        "their first purchase that was not direct; net revenue as observed",
    }


def _payback(one: Payback, code: str) -> dict[str, Any]:
    return {
        "start": one.start.isoformat() if one.start else None,
        "customers": one.customers,
        "cost": money(one.cost, code),
        "cac": money(float(one.cac), code) if one.cac is not None else None,
        "months": one.months,
        "observed": one.observed,
        "recovered": one.recovered,
        "standing": one.standing,
        "curve": list(one.curve),
    }


def _amounts(kept: Mapping[str, Any] | None, currency: str, *names: str) -> dict[str, Any] | None:
    if kept is None:
        return None
    return {name: money(value, currency) if name in names else value for name, value in kept.items()}


def _calibration(kept: Mapping[str, Any] | None, currency: str) -> dict[str, Any] | None:
    shown = _amounts(kept, currency, "predicted", "low", "high", "actual")
    if shown is not None:
        shown["deciles"] = [_amounts(part, currency, "predicted", "actual") for part in shown["deciles"]]
    return shown
